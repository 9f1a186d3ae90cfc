"""The code that a signal has interrupted, and whether it may be unwound.

Python runs a signal's handler between any two bytecodes of the main thread. An
exception from it unwinds the code that runs there, which may be the kernel's. This
module only reads the stack.
"""

from __future__ import annotations

import enum
import inspect
from typing import TYPE_CHECKING

from IPython.core.interactiveshell import InteractiveShell

from ..._interruptible import is_interruptible

if TYPE_CHECKING:
    from types import FrameType

# This package.
_OWN = __name__.partition(".")[0]

#: Packages whose code gets a grace period even if a cell has called it, because a
#: half-sent message or a half-made queue entry breaks the kernel. In this package,
#: functions that may be unwound are marked `interruptible`.
_LET_FINISH = frozenset(
    {
        *("ipykernel", "zmq", "tornado", "jupyter_client", "comm", _OWN),
        # debugpy's debugger (1.8) drops an exception that meets one of its commands.
        *("pydevd", "_pydevd_bundle", "_pydev_bundle", "_pydevd_sys_monitoring"),
    }
)
# Where a cell waits at a breakpoint (debugpy 1.8).
_AT_BREAKPOINT = ("pydevd", "_do_wait_suspend")

# `input()` of a cell, which blocks and expects a KeyboardInterrupt (ipykernel 6.29 to
# 7.4).
_READS_INPUT = ("ipykernel.kernelbase", "_input_request")

# The frame that runs a cell's statements: it catches and shows all their exceptions,
# including BaseException (IPython 8.18 to 9.18).
_RUNS_A_CELL = InteractiveShell.run_code.__code__

# The frame that handles one message of a front end: it logs a KeyboardInterrupt and
# continues (ipykernel 6.29 to 7.4).
_HANDLES_A_MESSAGE = ("ipykernel.kernelbase", "dispatch_shell")

# Where an event loop calls callbacks and steps tasks (in asyncio's loop, or the frame
# that started any other), as opposed to a cell's call of `asyncio.gather`.
_LOOPS = frozenset(
    {"asyncio.events", "asyncio.base_events", "tornado.platform.asyncio"}
)
_STEPS = frozenset({"_run", "_run_once", "run_forever", "start"})

# One turn of a re-entrant loop. It may be unwound only while it waits: otherwise it
# handles a callback, which may be the kernel's.
_NESTED_TURN = frozenset(
    {("nest_asyncio2", "_run_once"), ("nest_asyncio", "_run_once")}
)

# Packages whose tasks are never the user's, and packages whose tasks may run user code:
# `asyncio.wait_for` makes a task of asyncio's, and `map` makes one of this package's
# for the next step of its source.
_KERNEL = frozenset(
    {"ipykernel", "IPython", "tornado", "zmq", "nest_asyncio", "nest_asyncio2"}
)
_IDLE = frozenset({"asyncio", "selectors"})


class Place(enum.Enum):
    """The code that a signal interrupts."""

    #: A cell's code, called by IPython: an exception ends the cell.
    CELL = "cell"
    #: The same, inside a critical section.
    CELL_BUSY = "cell, busy"
    #: The user's handler of a message, such as a widget's click.
    MESSAGE = "message"
    #: A user's task or callback, called by the event loop.
    BACKGROUND = "background"
    #: The kernel or the event loop, busy or idle: never unwound.
    KERNEL = "kernel"


def place_of(frame: FrameType | None, user_names: dict[str, object]) -> Place:
    """Return the place of `frame`, the argument of a signal handler.

    Parameters
    ----------
    frame : frame or None
        The innermost frame.
    user_names : dict
        The globals of the cells, which identify their code.
    """
    busy = False
    judged = False  # whether `busy` is final
    of_user = False
    inner: FrameType | None = None
    while frame is not None:
        if frame.f_globals is user_names:
            of_user = judged = True
        elif frame.f_code is _RUNS_A_CELL:
            # Without the cell's own frame, `run_code` prepares the cell or shows its
            # error.
            if inner is None or inner.f_globals is not user_names:
                return Place.KERNEL
            return Place.CELL_BUSY if busy else Place.CELL
        else:
            where = (str(frame.f_globals.get("__name__")), frame.f_code.co_name)
            if where[0] in _LOOPS and where[1] in _STEPS:
                return _place_in_loop(inner, of_user=of_user)
            if where in _NESTED_TURN and not _waits_in(inner, "selectors"):
                return Place.KERNEL
            if where == _HANDLES_A_MESSAGE:
                return Place.MESSAGE if of_user and not busy else Place.KERNEL
            if not judged:
                judged = where == _READS_INPUT or (
                    where == _AT_BREAKPOINT and _waits_in(inner, "threading")
                )
                busy = not judged and (busy or _is_busy(frame, where[0], inner))
        inner, frame = frame, frame.f_back
    return Place.KERNEL


def is_at_breakpoint(frame: FrameType | None, user_names: dict[str, object]) -> bool:
    """Whether a cell's code, from which `frame` was called, waits at a breakpoint."""
    while frame is not None and frame.f_globals is not user_names:
        if (frame.f_globals.get("__name__"), frame.f_code.co_name) == _AT_BREAKPOINT:
            return True
        frame = frame.f_back
    return False


def _waits_in(frame: FrameType | None, module: str) -> bool:
    return frame is not None and frame.f_globals.get("__name__") == module


def _is_busy(frame: FrameType, module: str, inner: FrameType | None) -> bool:
    """Whether this frame is inside a critical section."""
    if _package(module) not in _LET_FINISH:
        return False
    # The innermost frame runs the function's own code, even if it is marked.
    return inner is None or not is_interruptible(frame.f_code)


def _place_in_loop(outermost: FrameType | None, *, of_user: bool) -> Place:
    """Return the place of a task or callback, from its outermost frame."""
    if outermost is None:
        return Place.KERNEL  # the loop's own work
    package = _package(str(outermost.f_globals.get("__name__")))
    if package in _KERNEL or (package in _IDLE and not of_user):
        return Place.KERNEL
    if package == _OWN:
        # A callback of this package delivers results and must run to its end.
        is_task = outermost.f_code.co_flags & inspect.CO_COROUTINE
        return Place.BACKGROUND if is_task and of_user else Place.KERNEL
    return Place.BACKGROUND


def is_of_kernel(coroutine: object) -> bool:
    """Whether a task's coroutine is the kernel's; False if its code is unknown."""
    frame = getattr(coroutine, "cr_frame", None)
    module = "" if frame is None else str(frame.f_globals.get("__name__"))
    return _package(module) in _KERNEL


def _package(module: str) -> str:
    return module.partition(".")[0]
