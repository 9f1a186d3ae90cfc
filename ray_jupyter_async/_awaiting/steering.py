"""Exceptions by which Python steers loops, tasks, coroutines and iterations.

Raised by a task of Ray's they are errors like any other, but not every one can be
carried to its awaiter as it is. Classes are compared by their real type alone:
`isinstance` also asks the object for its `__class__`, which is code of the user's.
"""

from __future__ import annotations

import asyncio
from typing import Any

from .error_text import headline

#: `await` takes the first for a returned value, `async for` the second for its end.
STOPS = (StopIteration, StopAsyncIteration)

#: Not to be raised through a future. A task ends its loop at SystemExit and
#: KeyboardInterrupt, and counts as cancelled at CancelledError; GeneratorExit closes
#: the coroutines on its way.
_STEERING: tuple[type[BaseException], ...] = (
    *STOPS,
    SystemExit,
    KeyboardInterrupt,
    asyncio.CancelledError,
    GeneratorExit,
)


def fits_future(error: object) -> bool:
    """Whether a future can carry this to its awaiter as an error."""
    kind = type(error)
    return issubclass(kind, BaseException) and not issubclass(kind, _STEERING)


def raisable(error: BaseException) -> BaseException:
    """Return the error, or one with it as its cause if no future can carry it.

    Runs no code of the error's class: its `__repr__` may raise or block.
    """
    if fits_future(error):
        return error
    wrapped = RuntimeError(f"reading the object raised {headline(error)}")
    wrapped.__cause__ = error
    return wrapped


def fail(future: asyncio.Future[Any], error: BaseException) -> None:
    """Set the error of a future that is not done.

    Python's own implementation, which nest-asyncio2 puts in the place of the one in
    C, reads attributes of the error; these may be code of its class.
    """
    try:
        future.set_exception(error)
    except Exception:
        future.set_exception(
            RuntimeError(f"the error could not be raised: {headline(error)}")
        )
