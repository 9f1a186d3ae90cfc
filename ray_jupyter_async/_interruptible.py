"""Functions of this package that an interrupt may unwind like their caller's code.

Stop lets this package's code finish, except where it blocks on behalf of the caller:
in a wrapper of a blocking call of Ray's, or in a wait for a result. Such functions are
marked here. They are recognised by their code objects, not by names in strings,
because a name goes stale silently when a function moves.
"""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType

_Function = TypeVar("_Function", bound="Callable[..., Any]")

_codes: set[CodeType] = set()


def interruptible(function: _Function) -> _Function:
    """Mark a Python function; a decorator, to be applied before `functools.wraps`.

    The function may be unwound at any call that it makes to code of others. Code of
    its own that must not be left half done belongs in unmarked functions, or in a
    ``finally``.
    """
    _codes.add(cast("Any", function).__code__)
    return function


def is_interruptible(code: CodeType) -> bool:
    """Whether a frame with this code belongs to a marked function."""
    return code in _codes


class _State(threading.local):
    depth = 0
    began = 0.0
    cancels = False


_state = _State()


class BlockingInRay:
    """Have an interrupt of a task arrive as a cancellation; a context manager.

    Ray ends a blocking call (2.40 to 2.60) for a `KeyboardInterrupt` and drops any
    other exception that a signal handler raises. A `KeyboardInterrupt` that leaves an
    asyncio task would end the event loop, and with it the kernel.
    """

    __slots__ = ()

    def __enter__(self) -> None:
        if not _state.depth:
            _state.began = time.monotonic()
            _state.cancels = False
        _state.depth += 1

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        _state.depth -= 1
        if _state.cancels and kind is not None:
            _state.cancels = False
            if issubclass(kind, KeyboardInterrupt):
                raise asyncio.CancelledError("interrupted") from None


def blocked_in_ray() -> float:
    """Return for how many seconds this thread has been in a blocking call of Ray's."""
    return time.monotonic() - _state.began if _state.depth else 0.0


def cancellation(frame: FrameType | None) -> BaseException:
    """Return what a signal handler is to raise at `frame` to cancel the task there."""
    own = {BlockingInRay.__enter__.__code__, BlockingInRay.__exit__.__code__}
    if not _state.depth or (frame is not None and frame.f_code in own):
        return asyncio.CancelledError("interrupted")
    _state.cancels = True
    return KeyboardInterrupt("interrupted")
