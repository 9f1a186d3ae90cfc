"""Stop: the handling of an interrupt (SIGINT) of the running cell.

A cell that awaits is cancelled, and the event loop is woken: ipykernel also cancels,
but takes effect only when the loop next wakes (ipykernel #881). In a cell that runs or
blocks, a KeyboardInterrupt is raised, but only in the cell's own code: in the kernel's
code it would lose the reply or end the kernel. An interrupt at any other moment is
repeated until one of the two is possible.

The message of the interrupted cell is in `report`.
"""

from __future__ import annotations

import _thread
import asyncio
import queue
import signal
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NamedTuple

from ..._interruptible import blocked_in_ray, cancellation
from ..._replaced import replaced
from ..._threads import start_thread
from .cell_tasks import cancel_tasks_of
from .debuggers import have_breakpoints_work_again, leave_breakpoint
from .frames import Place, is_at_breakpoint, place_of

if TYPE_CHECKING:
    from collections.abc import Hashable
    from types import FrameType

    from IPython.core.interactiveshell import InteractiveShell

#: Seconds between two attempts to deliver an interrupt.
_AGAIN = 0.02
#: Grace period, in seconds, for critical sections such as a half-sent message.
_BUSY = 0.5
#: Seconds without a turn of the event loop after which its callback counts as blocking.
_BLOCKED = 0.3

NOT_MAIN = "as in ipykernel: this kernel does not run in the main thread"


class _AsyncCell(NamedTuple):
    """A running async cell of the main thread."""

    id: Hashable
    task: asyncio.Task[Any]
    loop: asyncio.AbstractEventLoop
    #: The SIGINT handler that was set when it began.
    handler: Any


class Interrupts:
    """Handles the interrupts of one shell, in the main thread.

    Parameters
    ----------
    shell
        In a kernel, interrupts are handled in all requests; in a terminal, in cells
        that await.

    Attributes
    ----------
    interrupted : bool
        Whether the running cell has been interrupted.
    """

    def __init__(self, shell: InteractiveShell) -> None:
        self.interrupted = False
        self._shell = shell
        self._kernel: Any = getattr(shell, "kernel", None)
        # Kept, because each access makes a new bound method.
        self._handler = self._on_sigint
        self._async_cell: _AsyncCell | None = None
        # The cells that run inside each other, with the earlier `interrupted`.
        self._outer: list[tuple[Hashable, bool]] = []
        # When the undelivered interrupt arrived.
        self._pressed: float | None = None
        self._is_repeat = False
        self._asked_loop = False
        # Whether an exception was raised in the current request.
        self._raised = False
        self._requests = 0
        self._attached = False
        self._hooks = ExitStack()
        # `put` is reentrant, so a signal handler can call it.
        self._wanted: queue.SimpleQueue[float | None] = queue.SimpleQueue()

    @property
    def status(self) -> str:
        """The status that `%ray_async` prints."""
        return "prompt, in code of cells only" if self._attached else NOT_MAIN

    def attach(self) -> None:
        """Start to handle interrupts; a no-op outside the main thread."""
        if threading.current_thread() is not threading.main_thread():
            return  # Python handles signals only there
        self._attached = True
        start_thread(self._bring_again, name="ray_jupyter_async interrupts")
        if self._kernel is not None:
            for hook in (
                replaced(
                    self._kernel, "pre_handler_hook", lambda _: self._request_begins
                ),
                replaced(
                    self._kernel, "post_handler_hook", lambda _: self._request_ends
                ),
            ):
                self._hooks.enter_context(hook)
        # The cell with the %load_ext may await.
        self.cell_started(None)
        if self._kernel is not None and _in_request(self._kernel):
            self._requests = 1
            if self._async_cell is None:
                signal.signal(signal.SIGINT, self._handler)

    def detach(self) -> None:
        """Restore the kernel's own handling, also for the current request."""
        if not self._attached:
            return
        self._attached = False
        self._wanted.put(None)
        self._pressed = None
        if self._async_cell is not None:
            self.cell_ended(self._async_cell.id)
        if self._kernel is not None:
            self._hooks.close()
            if signal.getsignal(signal.SIGINT) is self._handler:
                signal.signal(signal.SIGINT, signal.default_int_handler)

    def cell_started(self, cell_id: Hashable) -> None:
        """Replace the handler of an async cell; called in the cell's task."""
        if not self._attached or not _in_main_thread():
            return
        if cell_id is not None:
            self._outer.append((cell_id, self.interrupted))
        self.interrupted = False
        running = self._async_cell
        # No hook reports the end of the cell with the %load_ext.
        if running is not None and not running.task.done():
            return
        handler = signal.getsignal(signal.SIGINT)
        task = _current_task()
        if task is not None and self._awaits(handler):
            self._async_cell = _AsyncCell(cell_id, task, task.get_loop(), handler)
            self._is_repeat = self._asked_loop = False
            signal.signal(signal.SIGINT, self._handler)

    def cell_ended(self, cell_id: Hashable) -> None:
        """Restore the handler that was set when an async cell began."""
        cell = self._async_cell
        if cell is None or cell.id not in (cell_id, None) or not _in_main_thread():
            return
        self._async_cell = None
        self._pressed = None
        if signal.getsignal(signal.SIGINT) is self._handler:
            signal.signal(signal.SIGINT, cell.handler)

    def forget(self, cell_id: Hashable) -> None:
        """Restore `interrupted` of the outer cell after an inner one has ended."""
        for place, (known, interrupted) in enumerate(self._outer):
            if known == cell_id and _in_main_thread():
                self.interrupted = interrupted
                del self._outer[place:]
                return

    def _awaits(self, handler: object) -> bool:
        """Whether this handler is one of a cell that may await."""
        if self._kernel is None:
            return handler is signal.default_int_handler
        # ipykernel 6.29 to 7.4, around each async cell in the main thread.
        name = getattr(handler, "__qualname__", "")
        return bool(name.endswith("_cancel_on_sigint.<locals>.handle_sigint"))

    def _request_begins(self) -> None:
        """Replace ipykernel's `pre_handler_hook` (6.29 to 7.4)."""
        # The original sets `signal.default_int_handler`, which also raises in the
        # kernel's own code; the reply of the cell is then never sent.
        if not _in_main_thread():
            return  # the original raises here, and ipykernel ignores it
        # A repeat that was sent as the last request ended has been ignored.
        self._is_repeat = False
        before = signal.signal(signal.SIGINT, self._handler)
        # Requests run inside each other in a re-entrant loop.
        self._requests += 1
        if before is not self._handler:
            self._kernel.saved_sigint_handler = before

    def _request_ends(self) -> None:
        """Replace `post_handler_hook`."""
        if not _in_main_thread():
            return
        self._requests = max(0, self._requests - 1)
        if self._raised:
            self._raised = False
            have_breakpoints_work_again()
        if not self._requests:
            self._pressed = None
            signal.signal(signal.SIGINT, self._kernel.saved_sigint_handler)

    def _on_sigint(self, signum: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        first, self._is_repeat = not self._is_repeat, False
        if first:
            self._pressed = now
        elif self._pressed is None:
            return  # already delivered
        since = now - (self._pressed or now)
        cell = self._async_cell
        place = place_of(frame, self._shell.user_global_ns)
        if place is Place.CELL or (place is Place.CELL_BUSY and since > _BUSY):
            self._pressed = None
            self.interrupted = self._raised = True
            if is_at_breakpoint(frame, self._shell.user_global_ns):
                leave_breakpoint()
            signal.default_int_handler(signum, frame)
        if place is Place.MESSAGE and (cell is None or since > _BLOCKED):
            # A cell that awaits is interrupted after this.
            self._pressed = None if cell is None else now
            self._raised = True
            signal.default_int_handler(signum, frame)
        if place is Place.BACKGROUND and max(since, blocked_in_ray()) > _BLOCKED:
            self._pressed = now
            self._raised = True
            # Delivered to the cell afterwards, also if this is the first interrupt.
            self._deliver_later(cell, now if first else None)
            if cell is not None:
                # Before the loop steps them: they may block as well.
                cancel_tasks_of(cell.id, cell.task, cell.loop)
            # A KeyboardInterrupt would end the loop and the kernel. A task that raises
            # a CancelledError counts as cancelled.
            raise cancellation(frame)
        self._deliver_later(cell, now if first else None)

    def _deliver_later(self, cell: _AsyncCell | None, began: float | None) -> None:
        """Have the loop cancel the cell, and have a new interrupt repeated."""
        if cell is not None and not self._asked_loop:
            self._asked_loop = True
            # Unlike tornado's `add_callback`, this wakes the loop even when called on
            # the loop's own thread.
            cell.loop.call_soon_threadsafe(self._cancel, cell)
        if began is not None:
            self._wanted.put(began)

    def _cancel(self, cell: _AsyncCell) -> None:
        """Cancel the cell's task; called by the loop, never inside the task."""
        self._asked_loop = False
        if self._pressed is None or self._async_cell is not cell:
            return  # already delivered, or the cell has ended
        if getattr(cell.task.get_coro(), "cr_running", False):
            # Inside the cell, in a nested loop: cancelling a task in its last step
            # makes it and the kernel's reply fail. The interrupt is repeated.
            return
        self._pressed = None
        self.interrupted = True
        cell.task.cancel()

    def _bring_again(self) -> None:
        """Repeat undelivered interrupts; a thread."""
        main = threading.main_thread().ident
        assert main is not None
        while self._wanted.get() is not None:
            while self._pressed is not None and self._wanted.empty():
                time.sleep(_AGAIN)
                self._repeat(main)

    def _repeat(self, main: int) -> None:
        if self._pressed is None:
            return
        # Another handler would treat it as a new interrupt.
        if signal.getsignal(signal.SIGINT) is self._handler:
            self._is_repeat = True
            _interrupt(main)


def _interrupt(thread: int) -> None:
    kill = getattr(signal, "pthread_kill", None)
    if kill is None:  # Windows
        _thread.interrupt_main()
    else:
        # Unlike `interrupt_main`, this also ends a waiting system call.
        kill(thread, signal.SIGINT)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _in_request(kernel: Any) -> bool:
    """Whether ipykernel (6.29 to 7.4) is handling a request."""
    return (
        hasattr(kernel, "saved_sigint_handler")
        and signal.getsignal(signal.SIGINT) is not kernel.saved_sigint_handler
    )


def _current_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None
