"""Iterating over what a source has begun, with a bounded number in flight.

`map` and `stream` are such iterations. They are objects rather than asynchronous
generators, because a generator ends for good when one of its steps is cancelled.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar, final

if TYPE_CHECKING:
    from types import TracebackType

    from ..future import RefFuture

T = TypeVar("T")


class _InFlight:
    """What is in flight of an iteration.

    Apart from the iteration itself, which may simply be dropped: nothing that the loop
    holds leads to that.
    """

    def __init__(self, source: AsyncIterator[RefFuture], *, ordered: bool) -> None:
        self._source = source
        self._ordered = ordered
        #: Begun and not given, in their order; unordered, without those that are done.
        self.pending: dict[RefFuture, None] = {}
        #: Done and not given; unordered only.
        self._done: deque[RefFuture] = deque()
        self._following: asyncio.Task[RefFuture] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self.exhausted = False
        #: What the source raised; its turn comes after the results before it.
        self.error: BaseException | None = None

    def __len__(self) -> int:
        return len(self.pending) + len(self._done)

    def advance(self, limit: int) -> None:
        """Ask the source for one more, unless the limit is reached."""
        if self._following is None and not self.exhausted and len(self) < limit:
            self._following = asyncio.ensure_future(next_of(self._source))
            self._following.add_done_callback(self._followed)

    def take(self) -> RefFuture | None:
        """Take out what is to be given next, if it is there."""
        if not self._ordered:
            return self._done.popleft() if self._done else None
        for first in self.pending:
            if first.done():
                del self.pending[first]
                return first
            break
        return None

    def ended(self) -> bool:
        """Whether nothing is left to be given and nothing more will come."""
        return self.exhausted and not len(self)

    async def change(self) -> None:
        """Wait until something may have become different. Cancelling it is harmless."""
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def close(self) -> None:
        """Cancel what is in flight; on the loop's thread."""
        self.exhausted = True
        following, self._following = self._following, None
        if following is not None:
            drop(following)
        pending, self.pending = self.pending, {}
        for future in [*pending, *self._done]:
            drop(future)
        self._done.clear()
        self.error = None
        self._wake()

    def _followed(self, task: asyncio.Task[RefFuture]) -> None:
        if task is not self._following:  # dropped, see `close`
            if not task.cancelled():
                task.exception()
            return
        self._following = None
        try:
            future = task.result()
        except StopAsyncIteration:
            self.exhausted = True
        except BaseException as error:
            self.exhausted = True
            self.error = error
        else:
            self.pending[future] = None
            future.add_done_callback(self._arrived)
        self._wake()

    def _arrived(self, future: RefFuture) -> None:
        if self._ordered:
            if next(iter(self.pending), None) is future:
                self._wake()
        elif future in self.pending:
            del self.pending[future]
            self._done.append(future)
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


@final
class Flow(AsyncIterator[Any]):
    """An iteration over the values of futures that a source makes.

    A step that is cancelled, or given up by a timeout, loses nothing: the next one
    gives what it would have given. To be used on one loop, by one iteration at a time.

    To leave it early and at once, close it: `await aclose()`, `close()`,
    `async with` or `contextlib.aclosing`; otherwise it is closed when it is collected.

    Parameters
    ----------
    source : async iterator of RefFuture
        Asked for the next future only while fewer than `limit` are in flight or
        wait to be given: a consumer that is slow to take values slows it down.
    limit : int or callable
        At least 1, or a coroutine function that returns it, called in the first step.
    ordered : bool, default True
        Whether values come in the source's order, or as they arrive.
    return_exceptions : bool, default False
        Whether errors are given as values. By default one is raised, and ends the
        iteration. An error of the source is always raised.
    """

    def __init__(
        self,
        source: AsyncIterator[RefFuture],
        limit: int | Callable[[], Awaitable[int]],
        *,
        ordered: bool = True,
        return_exceptions: bool = False,
    ) -> None:
        self._limit = limit
        self._return_exceptions = return_exceptions
        self._in_flight = _InFlight(source, ordered=ordered)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stepping = False

    def __aiter__(self) -> Flow:
        return self

    async def __anext__(self) -> Any:
        if self._stepping:
            raise RuntimeError(
                "this iteration is already waiting for its next result. "
                "Iterate over it from one task at a time."
            )
        self._stepping = True
        try:
            return self._value_of(await self._next())
        finally:
            self._stepping = False

    async def _next(self) -> RefFuture:
        self._loop = asyncio.get_running_loop()
        in_flight = self._in_flight
        limit = self._limit
        if not isinstance(limit, int):
            limit = 1 if in_flight.exhausted else await limit()
            self._limit = limit
        while True:
            in_flight.advance(limit)
            future = in_flight.take()
            if future is not None:
                return future
            if in_flight.ended():
                error = in_flight.error
                self.close()
                raise StopAsyncIteration if error is None else error
            await in_flight.change()

    def _value_of(self, future: RefFuture) -> Any:
        error = future.exception()
        if error is None:
            return future.result()
        if self._return_exceptions:
            return error
        self.close()
        try:
            raise error
        finally:
            del error, future  # this frame is in the error's traceback

    def close(self) -> None:
        """End the iteration, and cancel what is in flight; on the loop's thread."""
        self._in_flight.close()

    async def aclose(self) -> None:
        """Close it, as `contextlib.aclosing` asks for."""
        self.close()

    async def __aenter__(self) -> Flow:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        loop = getattr(self, "_loop", None)
        if loop is not None and not self._in_flight.ended() and not loop.is_closed():
            # The garbage collector may be on any thread.
            loop.call_soon_threadsafe(self._in_flight.close)


async def next_of(source: AsyncIterator[T]) -> T:
    """Return what comes next, as a coroutine: a task can be made of that."""
    return await anext(source)


def drop(future: asyncio.Future[Any]) -> None:
    """Cancel a future whose result, or error, will not be looked at."""
    if not future.cancel() and not future.cancelled():
        future.exception()  # looked at, so that it is not reported to the loop
