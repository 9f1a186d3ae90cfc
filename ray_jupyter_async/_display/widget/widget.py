"""The live progress widget: its front end and what it is told.

The front end's source is in ``frontend/``. How it stands in a cell is in
cell_display.py; nothing in here starts a thread, and the pump's alone writes.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from ..plain_text import one_line
from ..reason_words import reason_words
from ..static.page import progress_bundle
from ..words import error_names
from .arrival import marked
from .bundle import front_end_module, front_end_styles
from .page_messages import note_refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from ..._tracking.snapshots import CellProgress, LineProgress


# A module of a front end that shows nothing.
_NOTHING = "export default {}"


class ProgressWidget(anywidget.AnyWidget):
    """One progress line per name, from one trait; refs of open lines beside it.

    Parameters
    ----------
    progress
        What to show first.
    on_request
        Called with what a front end sends, on any thread.
    place
        What a page finds the display in its notebook by: ``display`` and ``cell``.
    """

    _esm = front_end_module()
    _css = front_end_styles()

    #: What is shown, see `widget_state`. Set by `show` alone, and as a whole.
    state = traitlets.Dict().tag(sync=True)
    #: See `Arrival.place`.
    place = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        progress: CellProgress,
        on_request: Callable[[Any], None],
        place: Mapping[str, str],
    ) -> None:
        # Before the comm opens: what a front end sends then must find somebody.
        self.on_msg(lambda _widget, content, _buffers: on_request(content))
        super().__init__(state=widget_state(progress), place=dict(place))
        self._progress = progress

    def show(
        self,
        progress: CellProgress,
        *,
        paused: bool = False,
        forceable: Collection[str] = (),
        retryable: Mapping[str, int] | None = None,
    ) -> None:
        """Show ``progress`` from now on: one message to the front end.

        Parameters
        ----------
        progress
            The counts of the cell.
        paused
            Whether nothing more will be sent until somebody asks for it.
        forceable
            Names of lines that were asked to end, in vain.
        retryable
            How many failed tasks can be submitted again, by line.
        """
        self._progress = progress
        self.state = widget_state(
            progress, paused=paused, forceable=forceable, retryable=retryable
        )

    def end(self, progress: CellProgress) -> None:
        """Show ``progress`` as the last state: nothing is answered after it."""
        self._progress = progress
        self.state = {**widget_state(progress), "over": True}

    def set_state(self, sync_data: Mapping[str, Any]) -> None:
        """Refuse what a page writes: `state` is the kernel's, and so is the source.

        ipywidgets calls this for a page's update, and would send it on to all pages.
        """
        if sync_data:
            note_refusal("a change of the widget's state")

    def empty(self) -> None:
        """Leave next to nothing to who keeps the state of widgets that were closed.

        nbclient (0.11) does, in the notebook's metadata, and a page that opens that
        notebook makes a model of it: 90 kB, most of them the front end's source.
        For a widget that no page shows, and that is about to be closed.
        """
        self._esm, self._css = _NOTHING, ""
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
    paused: bool = False,
    forceable: Collection[str] = (),
    retryable: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """Return what the front end shows; `State` in frontend/main.js says the same."""
    return {
        "running": not progress.settled,
        "paused": paused,
        "over": False,
        # Seconds since 1970: a page that hears no more says how old this is.
        "at": round(time.time() - (time.monotonic() - progress.taken), 1),
        "lines": [
            {
                **_line_state(line, progress.taken),
                "force": line.name in forceable,
                "retry": (retryable or {}).get(line.name, 0),
            }
            for line in progress.lines
        ],
    }


def _line_state(line: LineProgress, taken: float) -> dict[str, Any]:
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
        "stragglers": line.stragglers,
        "reason": one_line(reason_words(line.reasons)),
        "rate": None if line.rate is None else float(f"{line.rate:.3g}"),
        "eta_s": None if line.eta is None else round(line.eta, 1),
        "elapsed_s": round(line.elapsed(taken), 3),
        "errors": error_names(line),
    }
