"""How progress stands in one cell: live with buttons, static afterwards.

Messages of a page come in on any thread and are only noted here; the pump's thread
acts on them and answers. Cancelling and submitting again, which may take Ray a while,
have a thread of their own for each time.
"""

from __future__ import annotations

import queue
import uuid
from typing import TYPE_CHECKING, Any

from IPython import display as _ipython

from ..static.page import progress_bundle
from .arrival import Arrival, KeptWidgets, cell_id_of, marked
from .bundle import note_arrival
from .comm import answer_at_once
from .page_messages import RefusedError, Report, note_refusal, parse
from .ray_requests import ASKED_OF_RAY, Overdue, RayRequests
from .views import Views
from .widget import ProgressWidget

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..._tracking.retries import Retries
    from ..._tracking.snapshots import CellProgress
    from ..._tracking.tracker import Tracker
    from ..cell import Cell
    from .page_messages import Answer, Request

# IPython publishes no types for these two.
_display: Callable[..., Any] = _ipython.display
_update_display: Callable[..., Any] = _ipython.update_display

# Requests that wait for the pump, at most.
_MOST_WAITING = 1_000


class CellDisplay:
    """Progress in one cell: live while something is pending, static afterwards.

    Every method is called on the pump's thread.

    Parameters
    ----------
    cell
        Where it stands. Its output is sent in the cell's context.
    tracker
        Has the refs, and cancels their tasks.
    wake
        Has the pump call `show` soon; called on any thread.
    claim_outputs
        Called on the thread of a page's message, before anything else: output that
        no cell sends by itself must not be lost because of it.
    retries
        Submits failed tasks again; None if that is not offered.
    call
        Runs a function on the pump's thread soon; called on any thread.
    kept
        Holds the widget until a page has acknowledged the static form.
    show_first
        Shows the widget for the first time, with an id by which it is found again.
    """

    def __init__(
        self,
        cell: Cell,
        tracker: Tracker,
        wake: Callable[[], None],
        claim_outputs: Callable[[], None],
        retries: Retries | None = None,
        call: Callable[[Callable[[], None]], None] = lambda function: function(),
        kept: KeptWidgets | None = None,
        show_first: Callable[[ProgressWidget, str], None] | None = None,
    ) -> None:
        self._cell = cell
        self._tracker = tracker
        self._wake = wake
        self._claim_outputs = claim_outputs
        self._call = call
        self._kept = kept or KeptWidgets()
        self._show_first = show_first or _show_output
        # A copy: a context cannot be entered twice at a time.
        self._context = cell.context.copy()
        self._display_id = f"ray-jupyter-async-{uuid.uuid4().hex}"
        self._arrival = Arrival(self._display_id, cell_id_of(cell.context))
        self._displayed = False
        # The output while there is no widget.
        self._static: dict[str, str] | None = None
        self._widget: ProgressWidget | None = None
        # The widget of a display that has ended, until that has arrived.
        self._leaving: ProgressWidget | None = None
        self._progress: CellProgress | None = None
        # From any thread to the pump's.
        self._requests: queue.SimpleQueue[Request] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        self._ray = RayRequests(cell, tracker, retries, self._answered)
        self._overdue = Overdue(tracker, cell.id)
        self._views = Views(
            lambda name, since: tracker.read_columns(cell.id, name, since)
        )
        self._paused = False

    @property
    def live(self) -> bool:
        """Whether the widget is there."""
        return self._widget is not None

    @property
    def held(self) -> bool:
        """Whether a line is open or a message waits: it must not become static yet."""
        waits = not (self._requests.empty() and self._answers.empty())
        return waits or self._views.held

    def show(self, progress: CellProgress) -> bool:
        """Show ``progress`` live; the widget is made when there is none.

        Returns
        -------
        bool
            Whether there was more to send than may be sent at once.
        """
        return self._context.run(self._show, progress)

    def leave(self, progress: CellProgress) -> None:
        """Publish a last snapshot beside the widget for the end of the cell.

        nbclient and papermill keep nothing that comes later. A page that shows the
        widget gets the state to save instead: a new output would draw it again.
        """
        if self._widget is None:
            return
        if self._views.names:
            self._context.run(self._send_place, self._widget, progress, at_once=True)
        else:
            self._context.run(self._publish, self._widget, progress)

    def finish(self, progress: CellProgress) -> None:
        """Replace the widget by static HTML and text, and close it.

        No-op when there is no widget. `show` may follow: the widget then stands in
        the same place.
        """
        self._context.run(self._finish, progress)

    def complete(self, progress: CellProgress) -> None:
        """Update the static output.

        Workers report when and where their tasks ran about a second later.
        """
        if self._displayed and self._widget is None:
            self._context.run(self._put_static, progress)

    def _publish(self, widget: ProgressWidget, progress: CellProgress) -> None:
        widget.show(progress)
        _update_display(widget, display_id=self._display_id)

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
        widget = self._widget
        if widget is None:
            self._widget = self._made(progress)
            return False
        answers = self._do_requests(progress)
        behind = False
        if self._paused:
            widget.pause()
        else:
            widget.show(
                progress,
                overdue=self._overdue.read(progress),
                retryable=self._ray.retryable(progress),
            )
            messages, behind = self._views.messages(progress)
            for content, buffers in messages:
                widget.send(content, buffers)
        self._send_place(widget, progress)
        # Last: the state shows by then what was asked for.
        for answer in answers:
            widget.send(answer)
        return behind

    def _send_place(
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
        return progress_bundle(
            progress, lambda name: self._tracker.read_columns(self._cell.id, name)[0]
        )

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
            self._show_first(widget, self._display_id)
            self._displayed = True
        return widget

    def _finish(self, progress: CellProgress) -> None:
        widget, self._widget = self._widget, None
        if widget is None:
            return
        self._views.close_all()
        self._paused = False
        kept = False
        try:
            # For listeners of the widget: a screen reader reads out the end.
            widget.end(progress)
            if self._arrival.expected:
                self._leaving = widget
                self._kept.keep(widget)
                kept = True
            self._put_static(progress)
            if not kept and not self._views.names:
                widget.empty()
        finally:
            if not kept:
                widget.close()

    # What a page sends.

    def _received(self, content: Any) -> None:
        """Note a message; on the thread that ipykernel chose for it."""
        self._claim_outputs()
        try:
            message = parse(content)
            if isinstance(message, Report):
                self._call(lambda: self._context.run(self._place_reported, message))
                return
            if self._requests.qsize() >= _MOST_WAITING:
                raise RefusedError("one of too many requests at once")
            if message.do in ASKED_OF_RAY:
                self._ray.ask(message)
        except RefusedError as error:
            note_refusal(error.kind)
            return
        self._requests.put(message)
        self._wake()

    def _place_reported(self, report: Report) -> None:
        """Act on a page's report of the display's place in its notebook."""
        if report.do == "load":
            for widget in filter(None, (self._widget, self._leaving)):
                widget.load()
            return
        if report.do == "here":
            note_arrival()
        meaning = self._arrival.receive(report)
        if report.do == "gone":
            self._views.remove(report.view)
        elif report.do == "left":
            self._views.remove_page(report.page)
        leaving = self._leaving
        if meaning == "ask":
            if self._widget is not None and self._progress is not None:
                self._send_place(self._widget, self._progress, at_once=True)
            elif leaving is not None and self._static is not None:
                self._arrival.finish(leaving, self._static)
        if leaving is not None and (
            meaning == "stands" or self._arrival.is_replaced(self._views.names)
        ):
            self._leaving = None
            self._kept.close(leaving)

    def _answered(self, answer: Answer) -> None:
        """Note an answer; on the thread that asked Ray."""
        self._answers.put(answer)
        self._wake()

    def _do_requests(self, progress: CellProgress) -> list[Answer]:
        answers: list[Answer] = []
        while not self._requests.empty():
            request = self._requests.get()
            self._views.renew(request.view)
            REQUEST_HANDLERS[request.do](self, request, progress)
            # A request without a number only renews its view.
            if request.request and request.do not in ASKED_OF_RAY:
                answers.append({"answer": request.request, "said": ""})
        while not self._answers.empty():
            answers.append(self._answers.get())
        return answers

    def _open_line(self, request: Request, progress: CellProgress) -> None:
        # Another name is that of another cell's page, or from before a restart.
        if any(request.line == line.name for line in progress.lines):
            self._views.open(request.view, str(request.line))

    def _close_line(self, request: Request, _progress: CellProgress) -> None:
        self._views.close(request.view, str(request.line))

    def _set_paused(self, request: Request, _progress: CellProgress) -> None:
        self._paused = request.on

    def _asked_to_end(self, request: Request, progress: CellProgress) -> None:
        self._overdue.asked(progress, request.line)

    def _renewed(self, _request: Request, _progress: CellProgress) -> None:
        """Do no more than renew the view, as for every request."""


def _show_output(widget: ProgressWidget, display_id: str) -> None:
    _display(widget, display_id=display_id)


#: What the pump's thread does for each of `REQUESTS`.
REQUEST_HANDLERS: Mapping[str, Callable[[CellDisplay, Request, CellProgress], None]] = {
    "show": CellDisplay._renewed,
    "renew": CellDisplay._renewed,
    "retry": CellDisplay._renewed,
    "open": CellDisplay._open_line,
    "close": CellDisplay._close_line,
    "pause": CellDisplay._set_paused,
    "cancel": CellDisplay._asked_to_end,
    "force": CellDisplay._asked_to_end,
}
