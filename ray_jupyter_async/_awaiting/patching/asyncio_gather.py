"""The patches that save `asyncio.gather` a task, and a future, for each ref.

Of refs alone `asyncio.gather` is served by this package's own: one future for all. The
code of the function is replaced, not the function, so that it gains for those too who
have imported it before.

For other arguments it calls a function of its module to make futures of them, as
`shield` and `as_completed` do; for a ref that makes a task. These tasks are half the
cost of a gather and all begin in one turn of the loop. The patched function returns a
ref's own future, and treats everything else as before.

Seen to work on Python 3.10-3.13. Where `gather` is made otherwise, its tasks await refs
through the patch of `ObjectRef`.
"""

from __future__ import annotations

import asyncio
import functools
import types
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, cast

from ray import ObjectRef

from ..._replaced import Link, replaced
from ..as_future import as_future
from ..converter import converter_of
from ..fetch.sessions import all_known_refs
from ..many.gathered import Gathering

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import CodeType

    from ..._ray_api.objects import Ref

#: The function that `gather` calls: the first up to Python 3.11, then the second.
_NAMES = ("_ensure_future", "ensure_future")

_MODULE: dict[str, Any] = vars(asyncio.tasks)

#: `asyncio.gather` with its own code, while that is replaced.
_original: Callable[..., asyncio.Future[list[Any]]] = asyncio.gather


@contextmanager
def patched() -> Iterator[None]:
    """Install the patches for the length of a ``with`` block."""
    with ExitStack() as undo:
        called = [name for name in _NAMES if _is_called(name)]
        for name in called:
            function = _MODULE.get(name)
            # Another library's replacement stays: it may call the patched function.
            if getattr(function, "__module__", "") != asyncio.tasks.__name__:
                continue
            if getattr(asyncio, name, None) is function:
                # By default it pickles as an attribute of its module, where the patch
                # is now; in the package it stays.
                undo.enter_context(
                    replaced(function, "__module__", lambda _: asyncio.__name__)
                )
            undo.enter_context(replaced(asyncio.tasks, name, _stand_in))
        if called:
            undo.enter_context(replaced(asyncio.gather, "__code__", _other_code))
        yield


def _is_called(name: str) -> bool:
    """Whether `gather` looks up this name in its module."""
    code = getattr(asyncio.gather, "__code__", None)
    known = getattr(asyncio.gather, "__globals__", None) is _MODULE
    return known and name in getattr(code, "co_names", ())


def _other_code(original: CodeType) -> CodeType:
    """Return the code that serves gathers of refs and runs the original for others."""
    global _original
    gather: Any = asyncio.gather
    made = types.FunctionType(original, gather.__globals__, gather.__name__)
    made.__kwdefaults__ = gather.__kwdefaults__
    _original = cast("Callable[..., Any]", made)
    return _gather.__code__.replace(co_name=original.co_name)


def _gather(
    *coros_or_futures: Any, return_exceptions: bool = False
) -> asyncio.Future[list[Any]]:
    # The code of `asyncio.gather`: it runs with the globals of that function's module.
    __tracebackhide__ = _rich_traceback_omit = True
    from ray_jupyter_async._awaiting.patching import asyncio_gather as ours

    try:
        return ours.gather(coros_or_futures, return_exceptions)
    except BaseException as error:
        ours.hide(error)
        raise


def gather(
    awaitables: tuple[Any, ...], return_exceptions: bool
) -> asyncio.Future[list[Any]]:
    """Do as `asyncio.gather`, for refs alone with one future."""
    loop = asyncio._get_running_loop()
    if loop is not None and all_known_refs(awaitables):
        try:
            return _GatheringFuture(awaitables, return_exceptions, loop)
        except Exception:
            # Ray is not connected: asyncio's tasks raise it when they are awaited.
            pass
    return _original(*awaitables, return_exceptions=return_exceptions)


def hide(error: BaseException) -> None:
    """Drop the frames of `_gather` and of this package from a traceback's outer end."""
    if error.__traceback__ is not None:
        error.__traceback__ = error.__traceback__.tb_next
    Link().hide(error)


class _GatheringFuture(Gathering):
    """As asyncio's class of this name, by which it is shown, but of refs alone.

    A repeated ref is awaited once, and its places share the value. A cancelled one is
    done in the loop's next turn, by a `CancelledError` that was set.
    """

    def __init__(
        self,
        refs: Sequence[Ref],
        return_exceptions: bool,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        unique = dict.fromkeys(refs)
        self._places: list[int] | None = None
        if len(unique) < len(refs):
            numbers = {ref: number for number, ref in enumerate(unique)}
            self._places = [numbers[ref] for ref in refs]
        super().__init__(
            list(unique),
            return_exceptions=return_exceptions,
            cancel_task=False,
            loop=loop,
        )

    def set_result(self, result: list[Any]) -> None:
        if self._places is not None:
            result = [result[place] for place in self._places]
        super().set_result(result)

    def cancel(self, msg: Any | None = None) -> bool:
        """Drop the refs; False if it is done."""
        if self.done():
            return False
        if not self._cancelling:
            self._cancelling = True
            self._drop_parts()
            error = asyncio.CancelledError(*(() if msg is None else (msg,)))
            # Also while the loop is blocked by `run_until_complete` within it.
            converter_of(self.get_loop()).soon(functools.partial(self._end, error))
        return True

    def _end(self, error: asyncio.CancelledError) -> None:
        if not self.done():
            self.set_exception(error)


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
