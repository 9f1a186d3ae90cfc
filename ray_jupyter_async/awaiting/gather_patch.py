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
from typing import TYPE_CHECKING, Any

from ray import ObjectRef

from .converter import as_future

if TYPE_CHECKING:
    from collections.abc import Callable

#: What `gather` calls: the first up to Python 3.11, the second since.
_NAMES = ("_ensure_future", "ensure_future")

_MODULE: dict[str, Any] = vars(asyncio.tasks)

#: The module's own function, once it has been replaced.
_original: Callable[..., asyncio.Future[Any]] | None = None


def install() -> None:
    """Put the patch in; once, until `restore`."""
    global _original
    for name in _NAMES:
        function = _MODULE.get(name)
        # One that somebody else has put there may call ours in the end.
        if _is_called(name) and getattr(function, "__module__", "") == "asyncio.tasks":
            _original = function
            _MODULE[name] = _future_of


def restore() -> None:
    """Take the patch out, unless somebody has patched on top of it since."""
    for name in _NAMES:
        if _MODULE.get(name) is _future_of:
            _MODULE[name] = _original


def _is_called(name: str) -> bool:
    """Whether `gather` looks this name up in its module."""
    code = getattr(asyncio.gather, "__code__", None)
    known = getattr(asyncio.gather, "__globals__", None) is _MODULE
    return known and name in getattr(code, "co_names", ())


def _future_of(
    given: Any, *, loop: asyncio.AbstractEventLoop | None = None
) -> asyncio.Future[Any]:
    """Stand in for the function that `gather` calls."""
    assert _original is not None
    if isinstance(given, ObjectRef):
        running = asyncio._get_running_loop()
        if running is not None and (loop is None or loop is running):
            try:
                return as_future(given)
            except Exception:
                # Told when it is awaited, as ever, and among the results where
                # those are to have the errors: by a task that gets it again.
                return _original(given, loop=loop)
    return _original(given, loop=loop)
