"""Stop: what an interrupt (SIGINT) does to the cell that runs.

A cell that awaits is cancelled, and the event loop is woken for it: ipykernel
cancels too, but its loop hears of it only when it next wakes (ipykernel #881).
A cell that runs or blocks gets a KeyboardInterrupt, but only in its own code,
never in the kernel's, where it would cost the reply or the kernel. An interrupt
that comes in between is brought again until one of the two can be done.

What the cell then shows is in `interrupted`.
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
from .cell_tasks import cancel_tasks_of
from .debuggers import have_breakpoints_work_again, hide_from_debuggers
from .frames import Place, place_of

if TYPE_CHECKING:
    from collections.abc import Hashable
    from types import FrameType

    from IPython.core.interactiveshell import InteractiveShell

#: Seconds between two attempts to deliver an interrupt.
_AGAIN = 0.02
#: Seconds for which something that had better finish is let finish.
_BUSY = 0.5
#: Seconds without a turn of the event loop after which what it runs blocks it.
_BLOCKED = 0.3

NOT_MAIN = "as in ipykernel: this kernel does not run in the main thread"


class _AsyncCell(NamedTuple):
    """An async cell that runs in the main thread."""

    id: Hashable
    task: asyncio.Task[Any]
    loop: asyncio.AbstractEventLoop
    #: The handler that was there when it began.
    handler: Any


class Interrupts:
    """Takes the interrupts of one shell, in the main thread.

    Parameters
    ----------
    shell
        In a kernel, all requests are covered; in a terminal, cells that await.

    Attributes
    ----------
    interrupted : bool
        Whether the cell that runs has been interrupted.
    """

    def __init__(self, shell: InteractiveShell) -> None:
        self.interrupted = False
        self._shell = shell
        self._kernel: Any = getattr(shell, "kernel", None)
        # One object: a bound method is a new one each time.
        self._handler = self._on_sigint
        self._async_cell: _AsyncCell | None = None
        # The cells that run within each other, and what `interrupted` was before.
        self._outer: list[tuple[Hashable, bool]] = []
        # When the interrupt came that is not delivered yet.
        self._pressed: float | None = None
        self._is_repeat = False
        self._asked_loop = False
        # Whether something was unwound in the request that runs.
        self._raised = False
        self._requests = 0
        self._attached = False
        self._hooks = ExitStack()
        # Its `put` may interrupt itself, so a signal handler can call it.
        self._wanted: queue.SimpleQueue[float | None] = queue.SimpleQueue()

    @property
    def status(self) -> str:
        """The status that `%ray_async` prints."""
        return "prompt, in code of cells only" if self._attached else NOT_MAIN

    def attach(self) -> None:
        """Begin to take interrupts; nothing happens outside the main thread."""
        if threading.current_thread() is not threading.main_thread():
            return  # Python handles signals there alone
        self._attached = True
        bringer = threading.Thread(
            target=self._bring_again, name="ray_jupyter_async interrupts", daemon=True
        )
        hide_from_debuggers(bringer)
        bringer.start()
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
        # The cell with the %load_ext may be one that awaits.
        self.cell_started(None)
        if self._kernel is not None and _in_request(self._kernel):
            self._requests = 1
            if self._async_cell is None:
                signal.signal(signal.SIGINT, self._handler)

    def detach(self) -> None:
        """Restore the kernel's own handling, also of the current request."""
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
        """Take over from the handler of an async cell; within the cell's task."""
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
        """Have `interrupted` be about the cell around one that has ended, again."""
        for place, (known, interrupted) in enumerate(self._outer):
            if known == cell_id and _in_main_thread():
                self.interrupted = interrupted
                del self._outer[place:]
                return

    def _awaits(self, handler: object) -> bool:
        """Whether this handler shows that the new cell may await."""
        if self._kernel is None:
            return handler is signal.default_int_handler
        # ipykernel 6.29 to 7.4, around each async cell in the main thread.
        name = getattr(handler, "__qualname__", "")
        return bool(name.endswith("_cancel_on_sigint.<locals>.handle_sigint"))

    def _request_begins(self) -> None:
        """Stand in for ipykernel's `pre_handler_hook` (6.29 to 7.4).

        That one puts `signal.default_int_handler` in, which raises wherever the
        kernel is: in its own code, the reply of the cell is never sent.
        """
        if not _in_main_thread():
            return  # the original fails here, and is passed over
        # One that was sent when the last request ended has been ignored.
        self._is_repeat = False
        before = signal.signal(signal.SIGINT, self._handler)
        # Requests run within each other in a loop made re-entrant.
        self._requests += 1
        if before is not self._handler:
            self._kernel.saved_sigint_handler = before

    def _request_ends(self) -> None:
        """Stand in for `post_handler_hook`."""
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
            return  # delivered since it was sent
        since = now - (self._pressed or now)
        cell = self._async_cell
        place = place_of(frame, self._shell.user_global_ns)
        if place is Place.CELL or (place is Place.CELL_BUSY and since > _BUSY):
            self._pressed = None
            self.interrupted = self._raised = True
            signal.default_int_handler(signum, frame)
        if place is Place.MESSAGE and (cell is None or since > _BLOCKED):
            # The cell that awaits meanwhile has its turn after this.
            self._pressed = None if cell is None else now
            self._raised = True
            signal.default_int_handler(signum, frame)
        if place is Place.BACKGROUND and max(since, blocked_in_ray()) > _BLOCKED:
            self._pressed = now
            self._raised = True
            # After this, also where the first interrupt comes late enough for it.
            self._deliver_later(cell, now if first else None)
            if cell is not None:
                # Before the loop steps them: they may block as this one does.
                cancel_tasks_of(cell.id, cell.task, cell.loop)
            # A KeyboardInterrupt would end the loop, and with it the kernel. A
            # task that raises a CancelledError is a cancelled task.
            raise cancellation(frame)
        self._deliver_later(cell, now if first else None)

    def _deliver_later(self, cell: _AsyncCell | None, began: float | None) -> None:
        """Have the loop cancel the cell, and a new interrupt brought again."""
        if cell is not None and not self._asked_loop:
            self._asked_loop = True
            # Unlike tornado's `add_callback` it wakes the loop also when called on
            # the loop's own thread.
            cell.loop.call_soon_threadsafe(self._cancel, cell)
        if began is not None:
            self._wanted.put(began)

    def _cancel(self, cell: _AsyncCell) -> None:
        """Cancel the cell's task; called by the loop, so never within the task."""
        self._asked_loop = False
        if self._pressed is None or self._async_cell is not cell:
            return  # delivered meanwhile, or the cell has ended
        if getattr(cell.task.get_coro(), "cr_running", False):
            # Within the cell, in a nested loop: a task that is cancelled in its
            # last step fails, and the kernel's reply with it. To be asked again.
            return
        self._pressed = None
        self.interrupted = True
        cell.task.cancel()

    def _bring_again(self) -> None:
        """Repeat interrupts that could not be delivered where they came."""
        main = threading.main_thread().ident
        assert main is not None
        while self._wanted.get() is not None:
            while self._pressed is not None and self._wanted.empty():
                time.sleep(_AGAIN)
                self._repeat(main)

    def _repeat(self, main: int) -> None:
        if self._pressed is None:
            return
        # Anybody else's handler would take it for one more.
        if signal.getsignal(signal.SIGINT) is self._handler:
            self._is_repeat = True
            _interrupt(main)


def _interrupt(thread: int) -> None:
    kill = getattr(signal, "pthread_kill", None)
    if kill is None:  # Windows
        _thread.interrupt_main()
    else:
        # Unlike the other one, it also ends a system call that waits.
        kill(thread, signal.SIGINT)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _in_request(kernel: Any) -> bool:
    """Whether ipykernel (6.29 to 7.4) is handling a request now."""
    return (
        hasattr(kernel, "saved_sigint_handler")
        and signal.getsignal(signal.SIGINT) is not kernel.saved_sigint_handler
    )


def _current_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None
