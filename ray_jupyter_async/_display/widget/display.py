"""How progress stands in one cell: live with buttons, static afterwards.

What a front end asks for comes in on any thread and is only noted here; the
pump's thread does it and answers. Cancelling and submitting again, which may take
Ray a while, have a thread of their own for each time.
"""

from __future__ import annotations

import logging
import queue
import time
import uuid
from typing import TYPE_CHECKING, Any

from IPython import display as _ipython

from ..static.page import progress_bundle
from .arrival import Arrival, KeptWidgets, cell_id_of, marked
from .comm import answer_at_once
from .page_messages import RefusedError, Report, Request, note_refusal, parse
from .ray_requests import ASKED_OF_RAY, Answer, RayRequests
from .ref_messages import OpenLine
from .widget import ProgressWidget

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..._tracking.refs.columns import RefColumns
    from ..._tracking.snapshots import CellProgress
    from ..cell import Cell
    from .ray_requests import RefSource, RetrySource

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

# Upper bounds: requests that wait for the pump, and views that are known.
_MOST_WAITING = 1_000
_MOST_VIEWS = 100


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
        self._requests: queue.SimpleQueue[Request | Answer] = queue.SimpleQueue()
        self._ray = RayRequests(cell, source, retries, self._answered)
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
        """Whether a line is open, or a request waits: it must not become static yet."""
        now = time.monotonic()
        return not self._requests.empty() or any(
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

        self._arrival.tell(
            widget,
            make_bundle,
            settled=progress.settled,
            code_finished=progress.code_finished,
            at_once=at_once,
        )

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
        try:
            request = parse(content)
            if isinstance(request, Report):
                self._call(lambda: self._context.run(self._place_reported, request))
                return
            if self._requests.qsize() >= _MOST_WAITING:
                raise RefusedError("one of too many requests at once")
            if request.do in ASKED_OF_RAY:
                self._ray.ask(request)
        except RefusedError as error:
            note_refusal(error.kind)
            return
        self._requests.put(request)
        self._wake()

    def _place_reported(self, report: Report) -> None:
        """Act on what a page reports of the display's place in its notebook."""
        meaning = self._arrival.receive(report)
        if report.do == "gone":
            self._views.pop(report.view, None)
        elif report.do == "left":
            # A view's name begins with its page's.
            for view in [v for v in self._views if v.startswith(f"{report.page}-")]:
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

    def _answered(self, answer: Answer) -> None:
        """Note an answer; on the thread that asked Ray."""
        self._requests.put(answer)
        self._wake()

    def _do_requests(self, progress: CellProgress) -> list[Answer]:
        answers: list[Answer] = []
        while True:
            try:
                request = self._requests.get_nowait()
            except queue.Empty:
                return answers
            if isinstance(request, Answer):
                answers.append(request)
            else:
                self._do(request, progress)
                # Who asks for nothing, by no number, only says that it is there.
                if request.request and request.do not in ASKED_OF_RAY:
                    answers.append(Answer(request.request, ""))

    def _do(self, request: Request, progress: CellProgress) -> None:
        self._view_of(request).renewed = time.monotonic()
        act = _ACTIONS.get(request.do)
        if act is not None:
            act(self, request, progress)

    def _view_of(self, request: Request) -> _View:
        view = self._views.get(request.view)
        if view is None:
            if len(self._views) >= _MOST_VIEWS:
                oldest = min(self._views, key=lambda view: self._views[view].renewed)
                del self._views[oldest]
                self._close_unseen()
            view = self._views[request.view] = _View()
        return view

    def _open_line(self, request: Request, progress: CellProgress) -> None:
        name = request.line
        if name is None or all(name != line.name for line in progress.lines):
            return  # another cell's page, or one of before a restart
        self._views[request.view].lines.add(name)
        opened = self._open.get(name)
        if opened is None:
            self._open[name] = OpenLine(name, self._reader(name))
        else:
            opened.restart()

    def _close_line(self, request: Request, _progress: CellProgress) -> None:
        self._views[request.view].lines.discard(request.line or "")
        self._close_unseen()

    def _close_unseen(self) -> None:
        """Stop sending the refs of lines that no view has open."""
        seen = {name for view in self._views.values() for name in view.lines}
        for name in self._open.keys() - seen:
            del self._open[name]

    def _set_paused(self, request: Request, _progress: CellProgress) -> None:
        self._paused = request.on

    def _asked_to_end(self, request: Request, progress: CellProgress) -> None:
        now = time.monotonic()
        for line in progress.lines:
            if line.pending and request.line in (None, line.name):
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


# What the pump's thread does for each request; for the others it only notes the view.
_ACTIONS: Mapping[str, Callable[[CellDisplay, Request, CellProgress], None]] = {
    "open": CellDisplay._open_line,
    "close": CellDisplay._close_line,
    "pause": CellDisplay._set_paused,
    "cancel": CellDisplay._asked_to_end,
    "force": CellDisplay._asked_to_end,
}


class _View:
    """One place where the widget is shown, and the lines that are open there."""

    def __init__(self) -> None:
        self.lines: set[str] = set()
        self.renewed = time.monotonic()
