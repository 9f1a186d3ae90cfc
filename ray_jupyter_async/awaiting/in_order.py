"""Awaiting a source of refs in its order, with a bounded number in flight."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from .future import RefFuture

T = TypeVar("T")


async def in_order(
    source: AsyncIterator[RefFuture], limit: int, *, return_exceptions: bool = False
) -> AsyncGenerator[Any, None]:
    """Give the values of futures in the order in which the source made them.

    The source is asked for the next future only while fewer than `limit` are in
    flight or waiting to be given: whoever is slow to take values slows it down.

    Parameters
    ----------
    source : async iterator of RefFuture
    limit : int
        At least 1.
    return_exceptions : bool, default False
        Give errors as values instead of raising them. A raised error ends the
        iteration.
    """
    flying: deque[RefFuture] = deque()
    following: asyncio.Task[RefFuture] | None = None
    exhausted = False
    try:
        while True:
            if following is None and not exhausted and len(flying) < limit:
                following = asyncio.ensure_future(next_of(source))
            if flying and flying[0].done():
                future = flying.popleft()
                error = future.exception()
                if error is not None and not return_exceptions:
                    raise error
                yield error if error is not None else future.result()
                continue
            waiting: list[asyncio.Future[Any]] = [*list(flying)[:1]]
            if following is not None:
                waiting.append(following)
            if not waiting:
                return
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if following is not None and following.done():
                try:
                    flying.append(following.result())
                except StopAsyncIteration:
                    exhausted = True
                following = None
    finally:
        # The end, an error, or an iteration that was left.
        if following is not None:
            drop(following)
        for future in flying:
            future.cancel()


async def next_of(source: AsyncIterator[T]) -> T:
    """Give what comes next, as a coroutine: of that a task can be made."""
    return await anext(source)


def drop(task: asyncio.Task[Any]) -> None:
    """Cancel a task whose result, or error, nobody is going to look at."""
    if not task.cancel() and not task.cancelled():
        task.exception()  # looked at, so that it is not reported to the loop
