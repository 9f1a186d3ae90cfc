"""How progress stands in one cell: live with buttons, static afterwards.

What a front end asks for comes in on any thread and is only noted here; the
pump's thread does it and answers. Cancelling and submitting again, which may take
Ray a while, have a thread of their own for each time.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
import uuid
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from IPython import display as _ipython

from .arrival import MESSAGES, Arrival, KeptWidgets, cell_id_of, marked
from .comm_messages import answer_at_once
from .open_lines import OpenLine
from .progress_widget import ProgressWidget
from .static_progress import progress_bundle

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping

    from ..tracking.progress import CellProgress, RefRecord
    from ..tracking.ref_columns import RefColumns
    from .cells import Cell

logger = logging.getLogger("ray_jupyter_async")

# IPython publishes no types for these two.
_display: Callable[..., Any] = _ipython.display
_update_display: Callable[..., Any] = _ipython.update_display

#: Seconds after which what was asked to end politely may be ended by force.
PATIENCE = 3.0

#: Seconds for which a line counts as open since its page last said so. Pages say
#: it each 20 seconds; a browser may let a hidden one do so once a minute.
LEASE = 90.0

# Seconds between two messages about the refs of an open line, at least, unless there
# is more to say than fits into one: the page draws them anew not much more often.
_REFS_PERIOD = 0.2

# What Ray is asked for in a thread of its own.
_ASKED_OF_RAY = ("cancel", "force", "retry")


class RefSource(Protocol):
    """Where the refs of a line come from, and who ends them; on any thread."""

    def read_refs(
        self, origin: Hashable, name: str, since: int = 0
    ) -> tuple[list[RefRecord], int]:
        """Return the records that changed since a version, and the new version."""

    def read_columns(
        self, origin: Hashable, name: str, since: int = 0
    ) -> tuple[RefColumns | None, int]:
        """Return the same in columns; None if there is no such line."""

    def cancel(
        self,
        origin: Hashable,
        name: str | None = None,
        keys: Iterable[bytes] | None = None,
        *,
        force: bool = False,
    ) -> list[tuple[bytes, str]]:
        """Ask Ray to end tasks; return the ids that it refused, and why."""


class RetrySource(Protocol):
    """Who submits failed tasks again; on any thread."""

    def retryable(self, cell: Hashable) -> Mapping[str, int]:
        """Return how many failed tasks can be submitted again, by line."""

    def retry(self, cell: Hashable, name: str) -> tuple[int, list[tuple[bytes, str]]]:
        """Submit those of a line; return their number, and why others were not."""


class CellDisplay:
    """Progress in one cell: live while something is pending, static afterwards.

    Every method is called on the pump's thread.

    Parameters
    ----------
    cell
        Where it stands. Its output is sent in the cell's context.
    source
        Tells of single refs and cancels them.
    wake
        Has the pump call `show` soon; called on any thread.
    claim_outputs
        Called on the thread of a front end's message before anything else: what
        no cell sends itself must not land nowhere because of it.
    retries
        Submits failed tasks again; without it that is not offered.
    call
        Runs a function on the pump's thread soon; called on any thread.
    kept
        Holds the widget until a page has acknowledged the static form.
    """

    def __init__(
        self,
        cell: Cell,
        source: RefSource,
        wake: Callable[[], None],
        claim_outputs: Callable[[], None],
        retries: RetrySource | None = None,
        call: Callable[[Callable[[], None]], None] = lambda function: function(),
        kept: KeptWidgets | None = None,
    ) -> None:
        self._cell = cell
        self._source = source
        self._retries = retries
        self._wake = wake
        self._claim_outputs = claim_outputs
        self._call = call
        self._kept = kept or KeptWidgets()
        # A copy: a context cannot be entered while somebody else is in it.
        self._context = cell.context.copy()
        self._display_id = f"ray-jupyter-async-{uuid.uuid4().hex}"
        self._arrival = Arrival(self._display_id, cell_id_of(cell.context))
        self._displayed = False
        # What stands there when no widget does.
        self._static: dict[str, str] | None = None
        self._widget: ProgressWidget | None = None
        # The widget of a display that has ended, until that has arrived.
        self._leaving: ProgressWidget | None = None
        self._progress: CellProgress | None = None
        # From any thread to the pump's.
        self._requests: queue.SimpleQueue[dict[str, Any] | _Answer] = (
            queue.SimpleQueue()
        )
        self._paused = False
        self._open: dict[str, OpenLine] = {}
        self._views: dict[str, _View] = {}
        # When lines were first asked to end, by name.
        self._asked_at: dict[str, float] = {}

    @property
    def live(self) -> bool:
        """Whether the widget is there."""
        return self._widget is not None

    @property
    def held(self) -> bool:
        """Whether somebody has a line open: it must not become static yet."""
        now = time.monotonic()
        return any(
            view.lines and now - view.renewed < LEASE for view in self._views.values()
        )

    def show(self, progress: CellProgress) -> bool:
        """Show ``progress`` live; the widget is made when there is none.

        Returns
        -------
        bool
            Whether there was more to send than may be sent at once.
        """
        return self._context.run(self._show, progress)

    def leave(self, progress: CellProgress) -> None:
        """Have what stands beside the widget say how its cell has ended.

        Nothing is published where a page shows the widget, which would make it anew;
        it gets the state to save. Without one, as with nbclient, nothing that comes
        later is kept.
        """
        if self._widget is None:
            return
        if self._views:
            self._context.run(self._tell_pages, self._widget, progress, at_once=True)
        else:
            self._context.run(self._show_anew, self._widget, progress)

    def _show_anew(self, widget: ProgressWidget, progress: CellProgress) -> None:
        widget.show(progress)
        _update_display(widget, display_id=self._display_id)

    def finish(self, progress: CellProgress) -> None:
        """Replace the widget by static HTML and text, and close it.

        Nothing happens when there is no widget. `show` may follow: the widget
        then stands in the same place.
        """
        self._context.run(self._finish, progress)

    def complete(self, progress: CellProgress) -> None:
        """Add to the static output what has become known since.

        Workers tell when and where their tasks ran about a second later.
        """
        if self._displayed and self._widget is None:
            self._context.run(self._put_static, progress)

    def _put_static(self, progress: CellProgress) -> None:
        bundle = self._bundle(progress)
        if bundle != self._static:
            self._static = bundle
            _update_display(
                bundle,
                raw=True,
                metadata=marked(self._display_id),
                display_id=self._display_id,
            )
            if self._leaving is not None:
                self._arrival.finish(self._leaving, bundle)

    def _show(self, progress: CellProgress) -> bool:
        if self._widget is None:
            self._widget = self._made(progress)
            return False
        answers = self._do_requests(progress)
        behind = False
        if self._paused:
            # That it is paused is the last thing told.
            self._widget.state = {**self._widget.state, "paused": True}
        else:
            self._widget.show(
                progress,
                forceable=self._forceable(progress),
                retryable=self._retryable(progress),
            )
            behind = self._tell_refs(self._widget, progress)
        self._tell_pages(self._widget, progress)
        # Last: what was asked for has been told by then.
        for answer in answers:
            self._widget.send({"answer": answer.request, "said": answer.said})
        return behind

    def _tell_refs(self, widget: ProgressWidget, progress: CellProgress) -> bool:
        """Tell of the refs of open lines; return whether there is more to tell."""
        behind = False
        lines = {line.name: line for line in progress.lines}
        for name, opened in self._open.items():
            line = lines.get(name)
            if line is None:
                continue
            now = progress.taken - line.first_awaited
            if not opened.behind and now - opened.told_at < _REFS_PERIOD:
                behind = True
                continue
            for content, buffers in opened.messages(line, now):
                widget.send(content, buffers)
            behind = behind or opened.behind
        return behind

    def _tell_pages(
        self, widget: ProgressWidget, progress: CellProgress, *, at_once: bool = False
    ) -> None:
        """Send pages the state that they save while the display is live."""
        self._progress = progress

        def make_bundle() -> dict[str, str]:
            # Timelines only once they are complete: they take a read of all refs.
            if progress.settled:
                return self._bundle(progress)
            return progress_bundle(progress)

        self._arrival.tell(widget, progress, make_bundle, at_once=at_once)

    def _bundle(self, progress: CellProgress) -> dict[str, str]:
        return progress_bundle(progress, lambda name: self._reader(name)(0)[0])

    def _made(self, progress: CellProgress) -> ProgressWidget:
        self._static = None
        self._views.clear()
        if self._leaving is not None:
            self._kept.close(self._leaving)
            self._leaving = None
        widget = ProgressWidget(progress, self._received, self._arrival.place)
        answer_at_once(widget)
        if self._displayed:
            _update_display(widget, display_id=self._display_id)
        else:
            _display(widget, display_id=self._display_id)
            self._displayed = True
        return widget

    def _finish(self, progress: CellProgress) -> None:
        widget, self._widget = self._widget, None
        if widget is None:
            return
        self._open.clear()
        self._paused = False
        kept = False
        try:
            # For who listens to the widget: a screen reader is told the end.
            widget.end(progress)
            if self._arrival.expected:
                self._leaving = widget
                self._kept.keep(widget)
                kept = True
            self._put_static(progress)
            if not kept and not self._views:
                widget.empty()
        finally:
            if not kept:
                widget.close()

    # What a front end asks for.

    def _received(self, content: Any) -> None:
        """Note a request; on the thread that ipykernel chose for it."""
        self._claim_outputs()
        if isinstance(content, dict) and content.get("do") in MESSAGES:
            self._call(lambda: self._context.run(self._place_reported, content))
            return
        if not isinstance(content, dict):
            return
        what = content.get("do")
        if what in _ASKED_OF_RAY:
            ask = self._retry if what == "retry" else self._cancel
            threading.Thread(
                target=self._cell.context.copy().run,
                args=(self._ask_ray, ask, content),
                name=f"ray_jupyter_async {what}",
                daemon=True,
            ).start()
        self._requests.put(content)
        self._wake()

    def _place_reported(self, content: dict[str, Any]) -> None:
        """Act on what a page reports of the display's place in its notebook."""
        meaning = self._arrival.receive(content)
        if content.get("do") == "gone":
            self._views.pop(str(content.get("view")), None)
        elif content.get("do") == "left":
            # A view's name begins with its page's.
            left = [v for v in self._views if v.startswith(f"{content.get('page')}-")]
            for view in left:
                del self._views[view]
        leaving = self._leaving
        if meaning == "ask":
            if self._widget is not None and self._progress is not None:
                self._tell_pages(self._widget, self._progress, at_once=True)
            elif leaving is not None and self._static is not None:
                self._arrival.finish(leaving, self._static)
        if leaving is not None and (
            meaning == "stands" or self._arrival.is_replaced(self._views)
        ):
            self._leaving = None
            self._kept.close(leaving)

    def _ask_ray(
        self, ask: Callable[[dict[str, Any]], str], content: dict[str, Any]
    ) -> None:
        """Have Ray do what a request wants, and answer it."""
        try:
            said = ask(content)
        except Exception as error:
            logger.debug("a request failed", exc_info=True)
            verb = "Submitting again" if content["do"] == "retry" else "Cancelling"
            said = f"{verb} failed: {error}"
        self._requests.put(_Answer(content.get("request", ""), said))
        self._wake()

    def _cancel(self, content: dict[str, Any]) -> str:
        """Ask Ray to end what a request names; say what it refused."""
        origin, name = self._cell.id, content.get("line")
        keys = None
        if name is not None and content.get("refs") is not None:
            wanted = set(content["refs"])
            records, _ = self._source.read_refs(origin, name)
            keys = [record.key for record in records if record.index in wanted]
        force = content["do"] == "force"
        refused = self._source.cancel(origin, name, keys, force=force)
        return _counted_reasons("Ray refuses to cancel", refused)

    def _retry(self, content: dict[str, Any]) -> str:
        """Submit a line's failed tasks again; say how many, and why others not."""
        if self._retries is None:
            return "Nothing can be submitted again here"
        count, refused = self._retries.retry(self._cell.id, str(content.get("line")))
        said = [f"{count:,} submitted again"]
        if refused:
            said.append(_counted_reasons("not", refused))
        return "; ".join(said)

    def _do_requests(self, progress: CellProgress) -> list[_Answer]:
        answers: list[_Answer] = []
        while True:
            try:
                request = self._requests.get_nowait()
            except queue.Empty:
                return answers
            if isinstance(request, _Answer):
                answers.append(request)
            else:
                self._do(request, progress)
                # Who asks for nothing, by no number, only says that it is there.
                if request.get("request") and request.get("do") not in _ASKED_OF_RAY:
                    answers.append(_Answer(str(request.get("request")), ""))

    def _do(self, request: dict[str, Any], progress: CellProgress) -> None:
        what, name = request.get("do"), request.get("line")
        view = self._views.setdefault(str(request.get("view")), _View())
        view.renewed = time.monotonic()
        if what == "open" and isinstance(name, str):
            view.lines.add(name)
            opened = self._open.get(name)
            if opened is None:
                self._open[name] = OpenLine(name, self._reader(name))
            else:
                opened.restart()
        elif what == "close":
            view.lines.discard(name)
            if not any(name in other.lines for other in self._views.values()):
                self._open.pop(str(name), None)
        elif what == "pause":
            self._paused = bool(request.get("on"))
        elif what in ("cancel", "force"):
            now = time.monotonic()
            for line in progress.lines:
                if line.pending and name in (None, line.name):
                    self._asked_at.setdefault(line.name, now)

    def _reader(self, name: str) -> Callable[[int], tuple[RefColumns | None, int]]:
        return lambda since: self._source.read_columns(self._cell.id, name, since)

    def _retryable(self, progress: CellProgress) -> Mapping[str, int]:
        if self._retries is None or not any(line.failed for line in progress.lines):
            return {}
        return self._retries.retryable(self._cell.id)

    def _forceable(self, progress: CellProgress) -> set[str]:
        """Return the lines that were asked to end and have not for a while."""
        found = set()
        for line in progress.lines:
            asked_at = self._asked_at.get(line.name)
            if asked_at is None:
                continue
            if time.monotonic() - asked_at < PATIENCE:
                continue
            if line.cancelling:
                found.add(line.name)
            else:
                del self._asked_at[line.name]
        return found


class _Answer(NamedTuple):
    request: str
    said: str


class _View:
    """One place where the widget is shown, and the lines that are open there."""

    def __init__(self) -> None:
        self.lines: set[str] = set()
        self.renewed = time.monotonic()


def _counted_reasons(what: str, refused: list[tuple[bytes, str]]) -> str:
    """Say in one line what was refused, of how many, and why."""
    reasons = Counter(reason for _, reason in refused)
    return "; ".join(
        f"{what} {count:,}: {reason}" for reason, count in reasons.most_common(2)
    )
