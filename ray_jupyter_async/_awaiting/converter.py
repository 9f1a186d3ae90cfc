"""One converter for each event loop: refs in, results of them out.

Awaits are collected until the loop's next turn and handed to the readers as one
batch. Results come back through one queue and one wakeup of the loop, and are
delivered in slices, so that a hundred thousand of them do not stall it.
"""

from __future__ import annotations

import asyncio
import threading
import time
import warnings
import weakref
from collections import deque
from contextvars import Context
from typing import TYPE_CHECKING, Any

from .._interruptible import interruptible
from .._ray_api.shutdown_gate import ClosedError
from .events import (
    AwaitEvent,
    Outcome,
    announce,
    emit,
    logger,
    observed,
    origin,
    settled,
)
from .fetch.pool import readers
from .fetch.sessions import session_of
from .future import RefFuture
from .steering import raisable
from .task_errors import error_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .._ray_api.objects import Ref
    from .requests import Await, Pending, Session

#: Seconds of delivering after which the loop gets a turn for something else.
SLICE_SECONDS = 0.004
#: Seconds between two looks at whether the session still stands.
SESSION_SECONDS = 0.25
#: Seconds between two looks at readers that have work, see `Readers.help_out`.
HELP_SECONDS = 0.02


class Converter:
    """Turns refs into futures of one event loop.

    Lives as long as it has something pending: the loop's handles and the
    futures hold it, it holds them, and closing the loop breaks the ring.
    Everything runs on the loop's thread unless it says otherwise.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._collected: list[Await] = []
        self._pending: dict[Session, set[Pending]] = {}
        self._arrived: deque[tuple[Pending, Any, BaseException | None]] = deque()
        self._woken = False
        self._timer: asyncio.TimerHandle | None = None
        self._arrival: threading.Event | None = None
        # What is due in the loop's next turn, or before it while the loop is blocked.
        self._due: deque[Callable[[], None]] = deque()
        # The loop's handles run in a context of their own: one that a cell's
        # task left behind would keep that cell's variables alive.
        self._context = Context()

    def convert(self, ref: Ref, *, cancel_task: bool) -> RefFuture:
        """Begin to await a ref; see `as_future`."""
        session = session_of(ref)
        future = RefFuture(
            ref,
            session,
            self,
            origin.get(),
            cancel_task=cancel_task,
            loop=self.loop,
        )
        self.take([future])
        return future

    def soon(self, function: Callable[[], None]) -> None:
        """Call a function in the loop's next turn, or within `wait_blocking`."""
        self._due.append(function)
        self.loop.call_soon(self._do_due, context=self._context)

    def _do_due(self) -> None:
        if self._due:
            self._due.popleft()()

    def take(self, awaits: Sequence[Await]) -> None:
        """Have awaits handed to the readers in the loop's next turn."""
        if not self._collected:
            self.soon(self._hand_over)
        self._collected += awaits
        for await_ in awaits:
            self._remember(await_)

    def watch_over(self, begun: Pending) -> None:
        """See to it that what the readers have begun ends with its session."""
        self._remember(begun)
        self._look_again(HELP_SECONDS)

    def _remember(self, one: Pending) -> None:
        pending = self._pending.get(one.session)
        if pending is None:
            pending = self._pending[one.session] = set()
        pending.add(one)

    def _hand_over(self) -> None:
        """Give what this turn of the loop collected to the readers."""
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
        """Complete an await at once if its object is on this node.

        Deserialises on the calling thread, the loop's: for the 2019 interface,
        whose futures of ready objects were done when given.

        Returns
        -------
        bool
            Whether it is done.
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
            return False  # the loop fails it when the session is over
        except KeyboardInterrupt:
            raise  # Stop, as in `ray.get`; the readers load it then
        except BaseException as failure:
            error = raisable(failure)
        self.deliver(await_, None if error is not None else value, error)
        self._receive()
        return True

    def deliver(self, await_: Pending, value: Any, error: BaseException | None) -> None:
        """Queue a result; on any thread, to be followed by `wake`."""
        self._arrived.append((await_, value, error))

    def loop_is_closed(self) -> bool:
        """Whether nothing can be delivered any more."""
        return self.loop.is_closed()

    def wake(self) -> None:
        """Have the loop take what was delivered; on any thread."""
        if self._arrival is not None:
            self._arrival.set()
        if self._woken:
            return
        self._woken = True
        try:
            self.loop.call_soon_threadsafe(self._receive, context=self._context)
        except RuntimeError:
            # The loop was closed: nobody can await these any more.
            self._arrived.clear()
            self._pending.clear()

    def _receive(self) -> None:
        self._woken = False
        until = time.monotonic() + SLICE_SECONDS
        events: list[AwaitEvent] = []
        try:
            self._settle_arrived(until, events if observed() else None)
        finally:
            # Whatever ended it: these awaits are settled, and are never seen again.
            if events:
                emit(events)

    def _settle_arrived(self, until: float, events: list[AwaitEvent] | None) -> None:
        """Settle what has arrived, until a slice of time is over."""
        while self._arrived:
            # Taken off only when it has been delivered: a KeyboardInterrupt may
            # be raised between any two of these lines, and must lose nothing.
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
                    # It must not keep those behind it from their results.
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
        """Let go of what is done; on the loop's thread."""
        await_.ref = None
        pending = self._pending.get(await_.session)
        if pending is not None:
            pending.discard(await_)
            if not pending:
                del self._pending[await_.session]

    def dropped(self, await_: Await, ref: Ref) -> None:
        """Forget an await that was cancelled."""
        self.forget(await_)
        if await_.cancel_task:
            readers.call(await_.session.cancel_task, ref)
        if await_.key is not None and observed():
            emit(
                [
                    AwaitEvent(
                        "settled",
                        await_.key,
                        await_.origin,
                        time.monotonic(),
                        Outcome.CANCELLED,
                    )
                ]
            )

    def _look_again(self, seconds: float) -> None:
        if self._timer is not None:
            if self._timer.when() <= self.loop.time() + seconds:
                return
            self._timer.cancel()
        self._timer = self.loop.call_later(seconds, self._look, context=self._context)

    def _look(self) -> None:
        """See to what no reader can: held-up readers and ended sessions."""
        self._timer = None
        busy = self.attend()
        if self._pending:
            self._look_again(HELP_SECONDS if busy else SESSION_SECONDS)

    def attend(self) -> bool:
        """Take what has arrived, fail what can no longer arrive.

        Returns
        -------
        bool
            Whether it is worth looking again soon: the readers have work, or
            Ray is shutting down.
        """
        busy = readers.help_out()
        if self._arrived:
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

        For `run_until_complete` inside a running loop: nothing but this
        converter's results moves meanwhile.

        Raises
        ------
        KeyboardInterrupt
            As any blocking call in the main thread.
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


# Not by the loop itself: a value that holds its key would never go away. A
# converter keeps its loop alive, so the id cannot be taken by another meanwhile.
_converters: weakref.WeakValueDictionary[int, Converter] = weakref.WeakValueDictionary()


def converter_of(loop: asyncio.AbstractEventLoop) -> Converter:
    """Give the loop's converter; on the loop's thread."""
    converter = _converters.get(id(loop))
    if converter is None:
        converter = _converters[id(loop)] = Converter(loop)
    return converter


def as_future(ref: Ref, *, cancel_task: bool = False) -> RefFuture:
    """Give an `asyncio.Future` for the value of a ref.

    The object is fetched and deserialised on another thread, each call anew:
    two awaiters never share a value.

    Parameters
    ----------
    ref : ray.ObjectRef
        Of the connected session, local or Ray Client.
    cancel_task : bool, default False
        Whether cancelling the future also cancels the Ray task
        (`ray.cancel(ref)`). By default the task runs on, as Ray's own await
        has it.

    Returns
    -------
    asyncio.Future
        Bound to the running loop or, without one, to the thread's current loop
        (made if there is none), as in Ray's 2019 `async_api`. It fails with the
        task's error as `ray.get` would raise it, or with `UnknownRefError` or
        `SessionEndedError` instead of never ending.

    Raises
    ------
    TypeError
        If `ref` is not a ref.
    RayNotInitializedError
        If no Ray session is connected.
    RuntimeError
        If the loop is closed.

    Notes
    -----
    To be called on the loop's own thread. From another thread use
    `asyncio.run_coroutine_threadsafe`.
    """
    return converter_of(current_loop()).convert(ref, cancel_task=cancel_task)


def current_loop() -> asyncio.AbstractEventLoop:
    """Give the running loop or, without one, the thread's current loop.

    A main thread without any gets a new one, on every Python: that is what
    `asyncio.get_event_loop()` did in 2019 and, in 3.14, no longer does.

    Raises
    ------
    RuntimeError
        In a thread other than the main one that has no loop.
    """
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        pass
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            return asyncio.get_event_loop_policy().get_event_loop()
        except RuntimeError:
            if threading.current_thread() is not threading.main_thread():
                raise
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        return loop
