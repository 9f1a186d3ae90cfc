"""The patch that spares `asyncio.gather` a task for each ref.

`asyncio.gather` and its likes make a future of whatever is none by a function of
their own module, which has a task await it. For a ref that is half of what a gather
costs, and all of the tasks begin in one turn of the loop. While this is in, the
function gives a ref's own future instead, and does for all else what it always did.

Seen to work on Python 3.10-3.13. Where `gather` calls no such function, its tasks
stay: they await refs all the same, through `ObjectRef`'s own patch.
"""

from __future__ import annotations

import asyncio
import functools
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from ray import ObjectRef

from ..._replaced import Link, replaced
from ..converter import as_future

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: What `gather` calls: the first up to Python 3.11, the second since.
_NAMES = ("_ensure_future", "ensure_future")

_MODULE: dict[str, Any] = vars(asyncio.tasks)


@contextmanager
def patched() -> Iterator[None]:
    """Have the patch in for the length of a ``with`` block."""
    with ExitStack() as undo:
        for name in _NAMES:
            function = _MODULE.get(name)
            # One that somebody else has put there may call ours in the end.
            module = getattr(function, "__module__", "")
            if not _is_called(name) or module != asyncio.tasks.__name__:
                continue
            if getattr(asyncio, name, None) is function:
                # It pickles by its module's name, where the patch stands now: have
                # it pickle by the package's, where it stays.
                undo.enter_context(
                    replaced(function, "__module__", lambda _: asyncio.__name__)
                )
            undo.enter_context(replaced(asyncio.tasks, name, _stand_in))
        yield


def _is_called(name: str) -> bool:
    """Whether `gather` looks this name up in its module."""
    code = getattr(asyncio.gather, "__code__", None)
    known = getattr(asyncio.gather, "__globals__", None) is _MODULE
    return known and name in getattr(code, "co_names", ())


class _Converting(Link):
    """The link from the function that was put in to the converter."""

    def __call__(
        self, given: Any, loop: asyncio.AbstractEventLoop | None
    ) -> asyncio.Future[Any] | None:
        """Return a ref's own future; None for all that asyncio has to convert."""
        if not isinstance(given, ObjectRef):
            return None
        running = asyncio._get_running_loop()
        if running is None or (loop is not None and loop is not running):
            return None
        try:
            return as_future(given)
        except Exception:
            # Raised when it is awaited, as ever, and among the results where those
            # are to have the errors: by a task that gets it again.
            return None


def _stand_in(
    original: Callable[..., asyncio.Future[Any]],
) -> Callable[..., asyncio.Future[Any]]:
    """Make what replaces the function that `gather` calls."""
    convert: _Converting | None = _Converting()

    @functools.wraps(original)
    def ensure_future(
        coro_or_future: Any, *, loop: asyncio.AbstractEventLoop | None = None
    ) -> asyncio.Future[Any]:
        __tracebackhide__ = _rich_traceback_omit = True
        try:
            future = None if convert is None else convert(coro_or_future, loop)
            return original(coro_or_future, loop=loop) if future is None else future
        except BaseException as error:
            if convert is not None:
                convert.hide(error)
            raise

    ensure_future.__module__ = asyncio.tasks.__name__
    return ensure_future
