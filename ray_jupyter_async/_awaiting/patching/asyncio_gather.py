"""The patch that saves `asyncio.gather` a task for each ref.

`asyncio.gather`, `shield` and `as_completed` call a function of their module to make
futures of their arguments; for a ref it makes a task. These tasks are half the cost of
a gather and all begin in one turn of the loop. The patched function returns a ref's own
future, and treats everything else as before.

Seen to work on Python 3.10-3.13. Where `gather` calls no such function, its tasks await
refs through the patch of `ObjectRef`.
"""

from __future__ import annotations

import asyncio
import functools
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from ray import ObjectRef

from ..._replaced import Link, replaced
from ..as_future import as_future

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: The function that `gather` calls: the first up to Python 3.11, then the second.
_NAMES = ("_ensure_future", "ensure_future")

_MODULE: dict[str, Any] = vars(asyncio.tasks)


@contextmanager
def patched() -> Iterator[None]:
    """Install the patch for the length of a ``with`` block."""
    with ExitStack() as undo:
        for name in _NAMES:
            function = _MODULE.get(name)
            # Another library's replacement stays: it may call the patched function.
            module = getattr(function, "__module__", "")
            if not _is_called(name) or module != asyncio.tasks.__name__:
                continue
            if getattr(asyncio, name, None) is function:
                # By default it pickles as an attribute of its module, where the patch
                # is now; in the package it stays.
                undo.enter_context(
                    replaced(function, "__module__", lambda _: asyncio.__name__)
                )
            undo.enter_context(replaced(asyncio.tasks, name, _stand_in))
        yield


def _is_called(name: str) -> bool:
    """Whether `gather` looks up this name in its module."""
    code = getattr(asyncio.gather, "__code__", None)
    known = getattr(asyncio.gather, "__globals__", None) is _MODULE
    return known and name in getattr(code, "co_names", ())


class _Converting(Link):
    """The link from the patched function to the converter."""

    def __call__(
        self, given: Any, loop: asyncio.AbstractEventLoop | None
    ) -> asyncio.Future[Any] | None:
        """Return a ref's own future, or None for what asyncio has to convert."""
        if not isinstance(given, ObjectRef):
            return None
        running = asyncio._get_running_loop()
        if running is None or (loop is not None and loop is not running):
            return None
        try:
            return as_future(given)
        except Exception:
            # asyncio's task raises the error again: when it is awaited, or among the
            # results.
            return None


def _stand_in(
    original: Callable[..., asyncio.Future[Any]],
) -> Callable[..., asyncio.Future[Any]]:
    """Return the replacement of the function that `gather` calls."""
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
