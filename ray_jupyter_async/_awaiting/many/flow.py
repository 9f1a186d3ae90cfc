"""Asynchronous iterations that survive a cancelled step.

`as_completed`, `map` and `stream` are objects, because an asynchronous generator ends
for good when one of its steps is cancelled. `Iteration` is what they share, `Flow` is
`map` and `stream`.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, final

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

T = TypeVar("T")
Step = TypeVar("Step")

#: Seconds after which a source that never waits gives the loop a turn.
SLICE_SECONDS = 0.004


class _State(Protocol):
    """What an iteration has begun; never refers to the iteration."""

    def ended(self) -> bool:
        """Whether nothing is left to return and nothing more will come."""

    def close(self) -> None:
        """Drop everything; on the loop's thread."""


class Iteration(AsyncIterator[T]):
    """An iteration of one step at a time that can be closed.

    Ray and the loop refer to its state alone, so that an iteration that is dropped
    is collected, which closes the state.
    """

    _loop: asyncio.AbstractEventLoop | None = None
    _state: _State
    _stepping = False

    def __aiter__(self) -> Self:
        return self

    def close(self) -> None:
        """End the iteration and drop what it has not returned; on the loop's thread."""
        self._state.close()

    async def aclose(self) -> None:
        """Close it, for `contextlib.aclosing`."""
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    async def _alone(self, step: Callable[[], Awaitable[Step]]) -> Step:
        """Run a step, or raise RuntimeError if another one is waiting."""
        if self._stepping:
            raise RuntimeError(
                "Another step of this iteration is waiting. "
                "Iterate over it from one task at a time."
            )
        self._stepping = True
        try:
            return await step()
        finally:
            self._stepping = False

    def __del__(self) -> None:
        loop = self._loop
        if loop is not None and not self._state.ended() and not loop.is_closed():
            # The garbage collector may run on any thread.
            loop.call_soon_threadsafe(self._state.close)


class Source(Protocol):
    """Where the futures of a `Flow` come from."""

    def next_now(self) -> asyncio.Future[Any] | None:
        """Return the next future, or None if it has to be waited for with `anext`.

        Raises StopAsyncIteration at the end, as `__anext__` does.
        """

    async def __anext__(self) -> asyncio.Future[Any]: ...


class _InFlight:
    """The futures that an iteration has begun and not returned."""

    def __init__(self, source: Source, *, ordered: bool) -> None:
        self._source = source
        self._ordered = ordered
        #: In the source's order; without those that are done if results are unordered.
        self.pending: dict[asyncio.Future[Any], None] = {}
        #: Unordered only.
        self._done: deque[asyncio.Future[Any]] = deque()
        self._following: asyncio.Task[asyncio.Future[Any]] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self.exhausted = False
        #: What the source raised; raised after the results before it.
        self.error: BaseException | None = None

    def __len__(self) -> int:
        return len(self.pending) + len(self._done)

    def advance(self, limit: int) -> None:
        """Ask the source for more until the limit is reached, or it has to wait."""
        until = time.monotonic() + SLICE_SECONDS
        while self.behind(limit) and time.monotonic() < until:
            try:
                future = self._source.next_now()
            except BaseException as error:
                self._ended_with(error)
                if not isinstance(error, (Exception, asyncio.CancelledError)):
                    raise  # Stop
                return
            if future is not None:
                self._begun(future)
                continue
            self._following = asyncio.ensure_future(_next_of(self._source))
            self._following.add_done_callback(self._followed)

    def behind(self, limit: int) -> bool:
        """Whether the source can be asked for more now."""
        return self._following is None and not self.exhausted and len(self) < limit

    def take(self) -> asyncio.Future[Any] | None:
        """Remove and return the next future if it is done."""
        if not self._ordered:
            return self._done.popleft() if self._done else None
        first = next(iter(self.pending), None)
        if first is None or not first.done():
            return None
        del self.pending[first]
        return first

    def ended(self) -> bool:
        return self.exhausted and not len(self)

    async def change(self) -> None:
        """Wait until `take` or `ended` may answer differently."""
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def close(self) -> None:
        self.exhausted = True
        following, self._following = self._following, None
        if following is not None:
            _discard(following)
        pending, self.pending = self.pending, {}
        for future in [*pending, *self._done]:
            _discard(future)
        self._done.clear()
        self.error = None
        self._wake()

    def _followed(self, task: asyncio.Task[asyncio.Future[Any]]) -> None:
        if task is not self._following:  # discarded by `close`
            _discard(task)
            return
        self._following = None
        try:
            self._begun(task.result())
        except BaseException as error:
            self._ended_with(error)
        self._wake()

    def _begun(self, future: asyncio.Future[Any]) -> None:
        if self.exhausted:  # the source itself has closed the iteration
            _discard(future)
            return
        self.pending[future] = None
        future.add_done_callback(self._arrived)

    def _ended_with(self, error: BaseException) -> None:
        if not self.exhausted and not isinstance(error, StopAsyncIteration):
            self.error = error
        self.exhausted = True

    def _arrived(self, future: asyncio.Future[Any]) -> None:
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
class Flow(Iteration[T]):
    """An iteration over the values of futures that a source makes.

    A step that is cancelled or times out loses nothing: the next one returns its value.
    Use it on one loop, from one task at a time. `close()`, `aclose()`, `async with` and
    `contextlib.aclosing` end it at once; otherwise it ends when it is collected.

    Parameters
    ----------
    source : Source
        Asked for the next future only while fewer than `limit` are in flight or have
        not been taken: a slow consumer slows it down.
    limit : int or callable
        At least 1, or a coroutine function that returns it, called in the first step.
    ordered : bool, default True
        Whether values come in the source's order, or as they arrive.
    return_exceptions : bool, default False
        Whether errors are returned as values. By default one is raised and ends the
        iteration. An error of the source is always raised.
    """

    def __init__(
        self,
        source: Source,
        limit: int | Callable[[], Awaitable[int]],
        *,
        ordered: bool = True,
        return_exceptions: bool = False,
    ) -> None:
        self._limit = limit
        self._return_exceptions = return_exceptions
        self._state: _InFlight = _InFlight(source, ordered=ordered)

    async def __anext__(self) -> T:
        value: T = self._value_of(await self._alone(self._next))
        return value

    async def _next(self) -> asyncio.Future[Any]:
        self._loop = asyncio.get_running_loop()
        state = self._state
        limit = self._limit
        if not isinstance(limit, int):
            limit = 1 if state.exhausted else await limit()
            self._limit = limit
        while True:
            state.advance(limit)
            future = state.take()
            if future is not None:
                return future
            if state.ended():
                error = state.error
                self.close()
                raise StopAsyncIteration if error is None else error
            if state.behind(limit):
                await asyncio.sleep(0)
            else:
                await state.change()

    def _value_of(self, future: asyncio.Future[Any]) -> Any:
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


async def _next_of(source: Source) -> asyncio.Future[Any]:
    # A coroutine, so that a task can be made. One for each item: its awaits belong to
    # the cell whose step asked for it.
    return await source.__anext__()


def _discard(future: asyncio.Future[Any]) -> None:
    """Cancel a future whose result nothing will look at."""
    if not future.cancel() and not future.cancelled():
        future.exception()  # looked at, so that the loop does not report it
