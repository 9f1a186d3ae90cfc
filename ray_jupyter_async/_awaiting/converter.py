"""One converter for each event loop: it turns refs into futures.

Awaits are collected until the loop's next turn and handed to the readers as one batch.
Results come back through one queue and one wakeup of the loop, and are delivered in
slices, so that a hundred thousand of them do not stall the loop.
"""

from __future__ import annotations

import asyncio
import threading
import time
import weakref
from collections import deque
from contextvars import Context
from typing import TYPE_CHECKING, Any, TypeVar

from .._interruptible import interruptible
from .._log import logger
from .._ray_api.shutdown_gate import ClosedError
from .events import (
    AwaitEvent,
    announce,
    emit,
    observed,
    origin,
    settled,
)
from .fetch.pool import readers
from .fetch.sessions import session_of
from .future import RefFuture
from .many.given_up import GivenUp
from .steering import raisable
from .task_errors import error_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ray import ObjectRef

    from .._ray_api.objects import Ref
    from .requests import Await, Pending, Session

T = TypeVar("T")

#: Seconds of delivery after which the loop gets a turn for something else.
SLICE_SECONDS = 0.004
#: Pending awaits up to which each is served at once; more are served in batches.
FEW = 16
#: Seconds between two checks that the session is connected.
SESSION_SECONDS = 0.25
#: Seconds between two checks of readers that have work, see `Readers.help_out`.
HELP_SECONDS = 0.02


class Converter:
    """Turns refs into futures of one event loop.

    Lives as long as it has something pending: it and the loop's handles and futures
    refer to each other until the loop is closed. Every method runs on the loop's thread
    unless its docstring says otherwise.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._collected: list[Await] = []
        self._pending: dict[Session, set[Pending]] = {}
        self._arrived: deque[tuple[Pending, Any, BaseException | None]] = deque()
        #: Awaits whose objects exist, and since when they were awaited.
        self._existing: deque[tuple[Await, float]] = deque()
        self._given_up = GivenUp()
        self._woken = False
        #: Whether results are being settled; a receiver of one may begin more awaits.
        self._receiving = False
        #: When this turn of the loop has given enough time to awaits that begin.
        self._enough = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._arrival: threading.Event | None = None
        # For the loop's next turn, or for `wait_blocking` before it.
        self._due: deque[Callable[[], None]] = deque()
        # The context of the loop's handles. That of a cell's task would keep the cell's
        # variables alive.
        self._context = Context()

    def convert(self, ref: ObjectRef[T], *, cancel_task: bool) -> RefFuture[T]:
        """Begin to await a ref; see `as_future`."""
        future: RefFuture[T] = RefFuture(
            ref,
            session_of(ref),
            self,
            origin.get(),
            cancel_task=cancel_task,
            loop=self.loop,
        )
        self.take([future])
        return future

    def _begin_now(self, await_: Await) -> bool:
        """Begin one of few awaits without a thread; return whether it has begun."""
        now = time.monotonic()
        if self._collected or (self._enough and now > self._enough):
            return False  # many: the readers are faster
        if not self._enough:
            self._enough = now + SLICE_SECONDS
            self.loop.call_soon(self._next_turn, context=self._context)
        if not await_.session.begin_now(await_, watch=self._are_few(await_)):
            return False
        if self._arrived and not self._receiving:
            self._receive()
        if not await_.done():
            self.watch_over(await_)
        return True

    def _next_turn(self) -> None:
        self._enough = 0.0

    def _are_few(self, await_: Await) -> bool:
        return len(self._pending.get(await_.session, ())) < FEW

    def soon(self, function: Callable[[], None]) -> None:
        """Call a function in the loop's next turn, or within `wait_blocking`."""
        self._due.append(function)
        self.loop.call_soon(self._do_due, context=self._context)

    def _do_due(self) -> None:
        if self._due:
            self._due.popleft()()

    def take(self, awaits: Sequence[Await]) -> None:
        """Begin few awaits at once; hand others to the readers in the next turn."""
        if len(awaits) <= FEW:
            awaits = [
                await_
                for await_ in awaits
                if not await_.done() and not self._begin_now(await_)
            ]
        if not awaits:
            return
        if not self._collected:
            self.soon(self._hand_over)
        self._collected += awaits
        for await_ in awaits:
            self._remember(await_)

    def watch_over(self, begun: Pending) -> None:
        """Fail what the readers have begun if its session ends."""
        self._remember(begun)
        self._look_again(HELP_SECONDS)

    def _remember(self, one: Pending) -> None:
        pending = self._pending.get(one.session)
        if pending is None:
            pending = self._pending[one.session] = set()
        pending.add(one)

    def _hand_over(self) -> None:
        """Hand the awaits that this turn of the loop collected to the readers."""
        collected, self._collected = self._collected, []
        if not collected:
            return
        by_session: dict[Session, list[Await]] = {}
        for await_ in collected:
            if not await_.done():
                by_session.setdefault(await_.session, []).append(await_)
        for batch in by_session.values():
            readers.begin(batch)
        self._look_again(HELP_SECONDS)

    def settle_now(self, await_: Await) -> bool:
        """Complete an await at once if its object is on this node; whether it is done.

        Deserialises on the loop's thread, for `async_api.as_future` alone.
        """
        ref = await_.ref
        raw = None if ref is None else await_.session.read_now(ref)
        if ref is None or raw is None:
            return await_.done()
        await_.key = ref.binary()
        announce([await_])
        await_.size = await_.session.size(raw)
        value: Any = None
        try:
            value = await_.session.load(ref, raw)
            error = error_of(value)
        except ClosedError:
            return False  # the loop fails it when the session has ended
        except KeyboardInterrupt:
            raise  # Stop, as in `ray.get`; a reader will load the object
        except BaseException as failure:
            error = raisable(failure)
        self.deliver(await_, None if error is not None else value, error)
        self._receive()
        return True

    def deliver(self, await_: Pending, value: Any, error: BaseException | None) -> None:
        """Queue a result until the next `wake`. Thread-safe."""
        self._arrived.append((await_, value, error))

    def exists(self, await_: Await, since: float) -> None:
        """Take an await whose object exists, awaited since a time. Thread-safe."""
        if self._are_few(await_):
            self._existing.append((await_, since))
            self.wake()
        else:
            readers.ready(await_, since)

    def loop_is_closed(self) -> bool:
        """Whether no result can be delivered any more."""
        return self.loop.is_closed()

    def wake(self) -> None:
        """Have the loop take the results that were delivered. Thread-safe."""
        if self._arrival is not None:
            self._arrival.set()
        if self._woken:
            return
        self._woken = True
        try:
            self.loop.call_soon_threadsafe(self._receive, context=self._context)
        except RuntimeError:
            # The loop was closed: nothing can await these any more.
            self._arrived.clear()
            self._existing.clear()
            self._pending.clear()

    def _receive(self) -> None:
        self._woken = False
        self._receiving = True
        until = time.monotonic() + SLICE_SECONDS
        events: list[AwaitEvent] = []
        try:
            self._read_existing()
            self._settle_arrived(until, events if observed() else None)
        finally:
            self._receiving = False
            # In any case: these awaits are settled and leave no other trace.
            if events:
                emit(events)

    def _read_existing(self) -> None:
        """Read small objects that exist, and leave the others to the readers."""
        while self._existing:
            await_, since = self._existing[0]
            if not await_.done() and (
                len(self._existing) > FEW
                or not await_.session.begin_now(await_, watch=False)
            ):
                readers.ready(await_, since)
            self._existing.popleft()

    def _settle_arrived(self, until: float, events: list[AwaitEvent] | None) -> None:
        """Settle results that have arrived, for at most a slice of time."""
        while self._arrived:
            # Removed after its delivery: a KeyboardInterrupt between any two of these
            # lines loses nothing.
            await_, value, error = self._arrived[0]
            if not await_.done():
                if events is not None and await_.key is not None:
                    events.append(
                        settled(
                            await_.key, await_.origin, error, await_.size, await_.need
                        )
                    )
                try:
                    await_.settle(value, error)
                except Exception:
                    # The results behind it are delivered all the same.
                    logger.exception("a result could not be delivered")
            if await_.done():
                self.forget(await_)
            self._arrived.popleft()
            del value, error
            if time.monotonic() > until:
                self._woken = True
                self.soon(self._receive)
                break

    def forget(self, await_: Pending) -> None:
        """Drop what is done."""
        await_.ref = None
        pending = self._pending.get(await_.session)
        if pending is not None:
            pending.discard(await_)
            if not pending:
                del self._pending[await_.session]

    def dropped(self, await_: Await, ref: Ref) -> None:
        """Forget an await that was cancelled.

        All that takes time is left to a reader: thousands may be given up in one turn.
        """
        self.forget(await_)
        unwatch, await_.unwatch = await_.unwatch, None
        key = await_.key if observed() else None
        if await_.cancel_task:
            readers.call(await_.session.cancel_task, ref)
        if unwatch is None and key is None:
            return
        self._given_up.add(unwatch, key, await_.origin)

    def _look_again(self, seconds: float) -> None:
        if self._timer is not None:
            if self._timer.when() <= self.loop.time() + seconds:
                return
            self._timer.cancel()
        self._timer = self.loop.call_later(seconds, self._look, context=self._context)

    def _look(self) -> None:
        """Attend to held-up readers and ended sessions, and look again later."""
        self._timer = None
        busy = self.attend()
        # Readers may still have to cancel tasks of awaits that are gone.
        if self._pending or busy:
            self._look_again(HELP_SECONDS if busy else SESSION_SECONDS)

    def attend(self) -> bool:
        """Take what has arrived, and fail what can no longer arrive.

        Return whether to look again soon: the readers have work, or Ray shuts down.
        """
        busy = readers.help_out()
        if self._arrived or self._existing:
            self._receive()
        for session in list(self._pending):
            if session.is_current():
                continue
            if session.is_over():
                for await_ in list(self._pending.get(session, ())):
                    self.deliver(await_, None, session.ended())
                self._receive()
            else:
                busy = True
        return busy

    @interruptible
    def wait_blocking(self, futures: Sequence[asyncio.Future[Any]]) -> None:
        """Block the loop's thread until one of `futures` is done.

        Only this converter's results are delivered meanwhile. For `run_until_complete`
        inside a running loop.
        """
        self._arrival = arrival = threading.Event()
        try:
            while True:
                arrival.clear()
                while self._due:
                    self._do_due()
                busy = self.attend()
                if any(future.done() for future in futures):
                    return
                arrival.wait(HELP_SECONDS if busy else SESSION_SECONDS)
        finally:
            self._arrival = None


# By the loop's id, because a value that refers to its key would never be collected. The
# converter keeps its loop alive, so that no other loop can have this id.
_converters: weakref.WeakValueDictionary[int, Converter] = weakref.WeakValueDictionary()


def converter_of(loop: asyncio.AbstractEventLoop) -> Converter:
    """Return the loop's converter; on the loop's thread."""
    converter = _converters.get(id(loop))
    if converter is None:
        converter = _converters[id(loop)] = Converter(loop)
    return converter
