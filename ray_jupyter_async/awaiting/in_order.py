"""Awaiting a source of refs in its order, with a bounded number in flight."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .future import RefFuture


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
                following = asyncio.ensure_future(_following(source))
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
            following.cancel()
        for future in flying:
            future.cancel()


async def _following(source: AsyncIterator[RefFuture]) -> RefFuture:
    return await anext(source)
