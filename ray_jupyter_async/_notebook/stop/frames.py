"""Whose code a signal has interrupted, and so what may be raised there.

Python runs a signal's handler between any two bytecodes of the main thread. An
exception raised by it unwinds whatever runs there, and in a kernel that may be
the kernel. This module only reads the stack; it decides nothing about cells.
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

#: Code of these must be left in peace for a moment even where a cell has called
#: it: half a message on a socket, or half an entry in a queue, is of no use. The
#: exceptions in this package are marked `interruptible`.
_LET_FINISH = frozenset({"ipykernel", "zmq", "tornado", "jupyter_client", "comm", _OWN})

# Where this blocks for long, it expects a KeyboardInterrupt: `input()` of a cell
# (ipykernel 6.29 to 7.4).
_READS_INPUT = ("ipykernel.kernelbase", "_input_request")

# The frame that runs a cell's statements: it catches every exception of theirs,
# BaseException too, and shows it (IPython 8.18 to 9.18).
_RUNS_A_CELL = InteractiveShell.run_code.__code__

# Likewise for one message of a front end: it logs a KeyboardInterrupt and goes
# on (ipykernel 6.29 to 7.4).
_HANDLES_A_MESSAGE = ("ipykernel.kernelbase", "dispatch_shell")

# Where an event loop calls callbacks and steps tasks (asyncio's, and the frame
# that started any other), which is not where a cell calls `asyncio.gather`.
_LOOPS = frozenset(
    {"asyncio.events", "asyncio.base_events", "tornado.platform.asyncio"}
)
_STEPS = frozenset({"_run", "_run_once", "run_forever", "start"})

# The turn of a loop made re-entrant. It may be unwound while it waits; at any
# other moment it has a callback in its hands, which may be the kernel's.
_NESTED_TURN = frozenset(
    {("nest_asyncio2", "_run_once"), ("nest_asyncio", "_run_once")}
)

# Whose tasks are never the user's, and whose may be at work for the user:
# `asyncio.wait_for` of something that blocks is a task of asyncio's, and the next step
# of a source that `map` reads is a task of this package's.
_KERNEL = frozenset(
    {"ipykernel", "IPython", "tornado", "zmq", "nest_asyncio", "nest_asyncio2"}
)
_IDLE = frozenset({"asyncio", "selectors"})


class Place(enum.Enum):
    """The code that a signal interrupts."""

    #: Code of a cell, called by IPython: an exception ends the cell.
    CELL = "cell"
    #: The same, in the middle of something to be let finish.
    CELL_BUSY = "cell, busy"
    #: The user's handler of a message, such as a click on a widget.
    MESSAGE = "message"
    #: A task or callback of the user's, stepped by the event loop.
    BACKGROUND = "background"
    #: The kernel, or the event loop, at work or idle: never to be unwound.
    KERNEL = "kernel"


def place_of(frame: FrameType | None, user_names: dict[str, object]) -> Place:
    """Return what runs at `frame`, the argument of a signal handler.

    Parameters
    ----------
    frame : frame or None
        The innermost frame.
    user_names : dict
        The globals of the cells, by which their code is known.
    """
    busy = False
    judged = False  # whether `busy` stands
    of_user = False
    inner: FrameType | None = None
    while frame is not None:
        if frame.f_globals is user_names:
            of_user = judged = True
        elif frame.f_code is _RUNS_A_CELL:
            # Without the cell's own frame in it, `run_code` is setting up, or is
            # showing what went wrong.
            if inner is None or inner.f_globals is not user_names:
                return Place.KERNEL
            return Place.CELL_BUSY if busy else Place.CELL
        else:
            where = (str(frame.f_globals.get("__name__")), frame.f_code.co_name)
            if where[0] in _LOOPS and where[1] in _STEPS:
                return _place_in_loop(inner, of_user=of_user)
            if where in _NESTED_TURN and not _waits_in(inner):
                return Place.KERNEL
            if where == _HANDLES_A_MESSAGE:
                return Place.MESSAGE if of_user and not busy else Place.KERNEL
            if not judged:
                judged = where == _READS_INPUT
                busy = not judged and (busy or _is_busy(frame, where[0], inner))
        inner, frame = frame, frame.f_back
    return Place.KERNEL


def _waits_in(frame: FrameType | None) -> bool:
    return frame is not None and frame.f_globals.get("__name__") == "selectors"


def _is_busy(frame: FrameType, module: str, inner: FrameType | None) -> bool:
    """Whether this frame is in the middle of something to be let finish."""
    if _package(module) not in _LET_FINISH:
        return False
    # Innermost, a marked function is at its own work.
    return inner is None or not is_interruptible(frame.f_code)


def _place_in_loop(outermost: FrameType | None, *, of_user: bool) -> Place:
    """Return whose task or callback is stepped, by its outermost frame."""
    if outermost is None:
        return Place.KERNEL  # the loop's own work
    package = _package(str(outermost.f_globals.get("__name__")))
    if package in _KERNEL or (package in _IDLE and not of_user):
        return Place.KERNEL
    if package == _OWN:
        # A callback of this package's delivers results: it must run to its end.
        is_task = outermost.f_code.co_flags & inspect.CO_COROUTINE
        return Place.BACKGROUND if is_task and of_user else Place.KERNEL
    return Place.BACKGROUND


def is_of_kernel(coroutine: object) -> bool:
    """Whether a task's coroutine is the kernel's; False if its code is not known."""
    frame = getattr(coroutine, "cr_frame", None)
    module = "" if frame is None else str(frame.f_globals.get("__name__"))
    return _package(module) in _KERNEL


def _package(module: str) -> str:
    return module.partition(".")[0]
