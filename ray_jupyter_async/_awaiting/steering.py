"""Exceptions that control loops, tasks, coroutines and iterations in Python.

A Ray task may raise them like any other error, but a future cannot carry all of them
to its awaiter. Classes are compared by `type`: `isinstance` also reads `__class__`,
which may run a user's code.
"""

from __future__ import annotations

import asyncio
from typing import Any

from .error_text import headline

#: `await` treats the first as a returned value, `async for` the second as its end.
STOPS = (StopIteration, StopAsyncIteration)

#: Not raised through a future. SystemExit and KeyboardInterrupt in a task end its loop,
#: CancelledError marks it as cancelled, and GeneratorExit closes the coroutines that it
#: passes.
_STEERING: tuple[type[BaseException], ...] = (
    *STOPS,
    SystemExit,
    KeyboardInterrupt,
    asyncio.CancelledError,
    GeneratorExit,
)


def fits_future(error: object) -> bool:
    """Whether a future can raise this error in its awaiter."""
    kind = type(error)
    return issubclass(kind, BaseException) and not issubclass(kind, _STEERING)


def raisable(error: BaseException) -> BaseException:
    """Return the error, or a RuntimeError caused by it if no future can carry it.

    Runs no code of the error's class: its `__repr__` may raise or block.
    """
    if fits_future(error):
        return error
    wrapped = RuntimeError(f"reading the object raised {headline(error)}")
    wrapped.__cause__ = error
    return wrapped


def fail(future: asyncio.Future[Any], error: BaseException) -> None:
    """Set the error of a future that is not done.

    The Python implementation, with which nest-asyncio2 replaces the one in C, reads
    attributes of the error, which may run code of its class.
    """
    try:
        future.set_exception(error)
    except Exception:
        future.set_exception(
            RuntimeError(f"the error could not be raised: {headline(error)}")
        )
