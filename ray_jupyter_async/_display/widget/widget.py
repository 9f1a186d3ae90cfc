"""The live progress widget: its front end, and the state that it shows.

The front end's source is in ``frontend/``. Nothing here starts a thread, and the pump's
alone writes.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from ..plain_text import LONGEST_LINE
from ..static.page import progress_bundle
from ..words import (
    done_of_total,
    format_guess,
    format_rate,
    mark_of,
    notes,
    spoken,
    totals,
)
from .arrival import marked
from .bundle import front_end, loader_module, whole_front_end
from .page_messages import note_refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..._tracking.snapshots import CellProgress, LineProgress
    from .page_messages import Button, LineState, State

# A module of a front end that shows nothing.
_NOTHING = "export default {}"

_WIDEST_NAMES = 28

# The order of notes: first the ends, which a reader looks for.
_LAST_NOTES = {"stragglers": 1, "pending": 2}


class ProgressWidget(anywidget.AnyWidget):
    """One progress line per name, from one trait; refs of open lines beside it.

    Parameters
    ----------
    progress
        What to show first.
    on_message
        Called with each message of a page, on any thread.
    place
        See `Arrival.place`.
    """

    _esm = loader_module()

    #: See `front_end`.
    front_end = traitlets.Dict().tag(sync=True)
    #: A `State`, always set as a whole.
    state = traitlets.Dict().tag(sync=True)
    #: See `Arrival.place`.
    place = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        progress: CellProgress,
        on_message: Callable[[Any], None],
        place: Mapping[str, str],
    ) -> None:
        # Before the comm opens: a page may answer at once.
        self.on_msg(lambda _widget, content, _buffers: on_message(content))
        super().__init__(
            front_end={**front_end()}, state=widget_state(progress), place=dict(place)
        )
        self._progress = progress

    def show(
        self,
        progress: CellProgress,
        *,
        overdue: Mapping[str, bool] | None = None,
        retryable: Mapping[str, int] | None = None,
    ) -> None:
        """Show ``progress``: one message to the page.

        Parameters
        ----------
        progress
            The counts of the cell.
        overdue
            See `Overdue.read`.
        retryable
            How many failed tasks can be submitted again, by line.
        """
        self._progress = progress
        self.state = {**widget_state(progress, overdue=overdue, retryable=retryable)}

    def pause(self) -> None:
        """Mark the last state as paused: nothing follows until it is resumed."""
        self.state = {**self.state, "paused": True}

    def end(self, progress: CellProgress) -> None:
        """Show ``progress`` as the last state: requests are not answered after it."""
        self._progress = progress
        self.state = {**widget_state(progress), "over": True}

    def load(self) -> None:
        """Send a page the front end."""
        self.front_end = {**whole_front_end()}

    def set_state(self, sync_data: Mapping[str, Any]) -> None:
        """Refuse what a page writes: state and source are the kernel's.

        ipywidgets calls this for a page's update, and would send it on to all pages.
        """
        if sync_data:
            note_refusal("a change of the widget's state")

    def empty(self) -> None:
        """Drop the content of a widget that no page shows and that is about to close.

        nbclient (0.11) keeps the state of closed widgets in the notebook's metadata,
        and a page that opens that notebook makes a model of it.
        """
        self._esm = _NOTHING
        self.front_end = {}
        self.state = {**self.state, "lines": []}

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        # Beside the view stands what a front end without widgets, or a saved
        # notebook without a kernel, can show.
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is None:
            return None
        data, metadata = bundle
        mark = marked(self.place["display"])
        return {**data, **progress_bundle(self._progress)}, {**metadata, **mark}


def widget_state(
    progress: CellProgress,
    *,
    overdue: Mapping[str, bool] | None = None,
    retryable: Mapping[str, int] | None = None,
) -> State:
    """Return the state that the page shows."""
    overdue, retryable = overdue or {}, retryable or {}
    said = totals(progress)
    lines = progress.lines
    pending = [line for line in lines if line.pending]
    # Force ends only what was asked to end before.
    asked = all(line.name in overdue and _all_cancelling(line) for line in pending)
    verb = "Force" if asked and any(overdue.values()) else "Cancel"
    return {
        "running": not progress.settled,
        "paused": False,
        "over": False,
        "at": round(time.time() - (time.monotonic() - progress.taken), 1),
        "summary": said,
        "spoken": f"Ray: {said}" if progress.settled else "",
        "cancel": _button(verb, f"{verb} all", "all"),
        "widths": (
            min(_WIDEST_NAMES, max((len(line.name) for line in lines), default=0)),
            2 * max((len(f"{line.total:,}") for line in lines), default=0) + 1,
        ),
        "lines": [
            _line_state(
                line,
                progress.taken,
                force=overdue.get(line.name, False),
                retry=retryable.get(line.name, 0),
            )
            for line in lines
        ],
    }


def _line_state(
    line: LineProgress, taken: float, *, force: bool, retry: int
) -> LineState:
    sign, mark = mark_of(line)
    about = notes(line, LONGEST_LINE) or [("resolved", "all done")]
    rate, eta = (line.rate, line.eta) if line.pending else (None, None)
    verb = "Cancel"
    if line.pending and _all_cancelling(line):
        verb = "Force" if force else "Cancelling"
    return {
        "name": line.name,
        "total": line.total,
        "resolved": line.resolved,
        "ready": line.ready,
        "failed": line.failed,
        "cancelled": line.cancelled,
        "released": line.released,
        "unknown": line.unknown,
        "pending": line.pending,
        "running": line.running,
        "cancelling": line.cancelling,
        "elapsed_s": round(line.elapsed(taken), 3),
        "mark": mark,
        # The page turns a ring instead.
        "sign": "" if mark == "pending" else sign,
        "done": done_of_total(line),
        "spoken": spoken(line),
        "rate": "" if rate is None else format_rate(rate),
        "left": "" if eta is None else f"{format_guess(eta)} left",
        "notes": sorted(about, key=lambda note: _LAST_NOTES.get(note[0], 0)),
        "cancel": _button(verb, verb, line.name),
        "force": force,
        "retry": retry,
    }


def _all_cancelling(line: LineProgress) -> bool:
    return line.cancelling == line.pending


def _button(verb: str, text: str, what: str) -> Button:
    do = {"Cancel": "cancel", "Force": "force"}.get(verb, "")
    return {"do": do, "text": text, "label": f"{verb} {what}"}
