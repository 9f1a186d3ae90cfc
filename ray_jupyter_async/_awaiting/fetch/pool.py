"""The reader threads, which make the calls to Ray for all event loops.

One reader is enough while objects load fast. It alternates between batches, so a small
await does not wait for a large one. While one object holds up a reader (a slow
`__setstate__`), another reader is started. Readers end after some seconds without work.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import math
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from ..._log import logger
from ..._ray_api.shutdown_gate import ClosedError
from ..._threads import start_thread
from ..steering import raisable
from ..task_errors import error_of

if TYPE_CHECKING:
    from ..requests import Await, Session

T = TypeVar("T")

#: Seconds that a reader waits for more work before it ends. With a thread ends the
#: memory that malloc keeps for it: the first 500 objects of 1 MB that a new one loads
#: take twice as long (glibc 2.36).
IDLE_SECONDS = 5.0
#: Seconds without progress after which another reader is started.
HELD_UP_SECONDS = 0.015
#: Readers that may be held up at the same time before other work waits.
MAX_READERS = 64
#: Awaits that a reader begins before it takes other work. Each slice costs a turn of
#: the GIL, which another busy thread keeps for five milliseconds.
SLICE = 1024
#: Objects that become ready in a burst are read together, with fewer thread wakeups.
#: The delay is this share of the time for which an object was awaited, at most this
#: many seconds.
LATE_SHARE = 0.01
LATE_SECONDS = 0.01
#: Objects read that are released before the GIL may change hands.
LET_GO_STEP = 128


class Readers:
    """The process's pool of reader threads."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Reset all state; for a forked process, which has no threads."""
        self._lock = threading.Lock()
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        # Read, not yet deserialised. Shared by all readers, so an object that holds up
        # its reader does not delay the next ones.
        self._raw: deque[tuple[Await, Any, Any]] = deque()
        # Awaits whose objects became ready, and when to read these (`time.monotonic`).
        self._returned: deque[Await] = deque()
        self._due = math.inf
        self._collected = -math.inf
        self._threads = 0
        self._progress = 0
        self._seen = (0.0, -1)

    def begin(self, awaits: list[Await]) -> None:
        """Fetch the objects of awaits of one session. Thread-safe."""
        self.call(self._begin, awaits, 0, False)

    def ready(self, await_: Await, since: float | None = None) -> None:
        """Queue an await whose object exists. Cheap; also on Ray's io thread.

        Parameters
        ----------
        since : float, optional
            When the await began (`time.monotonic`). If others have just become ready,
            it may be delayed and read together with later ones.
        """
        self._returned.append(await_)
        due = now = time.monotonic()
        if since is not None and now - self._collected < LATE_SECONDS:
            due += min((now - since) * LATE_SHARE, LATE_SECONDS)
        # `_due` is read after the append: `_collect` resets it before it empties the
        # queue.
        if due < self._due:
            self._due = due
            self.load_soon()

    def loaded_soon(self, await_: Await, ref: Any, raw: Any) -> None:
        """Queue an object that was read for deserialising. Thread-safe."""
        self._raw.append((await_, ref, raw))

    def load_soon(self) -> None:
        """Have a reader load the queued objects. Thread-safe."""
        self.call(_nothing)

    def let_go(self, raws: list[Any]) -> None:
        """Release read objects; on a reader, after the results are delivered.

        This takes longer than reading: Ray calls the object store for each buffer and
        keeps the GIL. It is therefore done in steps.
        """
        while raws:
            del raws[-LET_GO_STEP:]
            self.moved()

    def moved(self) -> None:
        """Record progress of a long job for `help_out`; on a reader."""
        self._progress += 1

    def call(self, function: Callable[..., None], *args: Any) -> None:
        """Run `function(*args)` on a reader."""
        self._jobs.put(lambda: function(*args))
        with self._lock:
            if self._threads == 0:
                self._start()

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        """Run a blocking function on a reader and await its result."""
        result: concurrent.futures.Future[T] = concurrent.futures.Future()

        def work() -> None:
            if not result.set_running_or_notify_cancel():
                return
            try:
                value = function(*args)
            except BaseException as error:
                result.set_exception(raisable(error))
            else:
                result.set_result(value)

        self.call(work)
        return await asyncio.wrap_future(result)

    def help_out(self) -> bool:
        """Start another reader if work is queued and none has made progress.

        No progress means none for `HELD_UP_SECONDS`. Thread-safe; the loops call it
        from a timer while they have awaits here.

        Returns
        -------
        bool
            Whether work is queued, so that another call is useful soon.
        """
        now = time.monotonic()
        if not self._raw and self._jobs.empty() and now < self._due:
            return False
        since, progress = self._seen
        if progress != self._progress:
            self._seen = (now, self._progress)
        elif now - since > HELD_UP_SECONDS:
            with self._lock:
                if self._threads < MAX_READERS:
                    self._start()
            self._seen = (now, self._progress)
        return True

    def _start(self) -> None:
        self._threads += 1
        try:
            start_thread(self._run, name="ray-await-reader")
        except RuntimeError as error:
            self._threads -= 1
            # Since Python 3.12 no thread starts while the interpreter exits, and
            # objects that become ready then are not needed. Only the message shows
            # this: in 3.12 `sys.is_finalizing` is still false in Ray's exit handler.
            if "interpreter shutdown" not in str(error):
                raise

    def _run(self) -> None:
        while True:
            # The thread survives all errors: a dead one would still count towards
            # `MAX_READERS`.
            try:
                self._load_queued()
                job = self._next_job()
                if job is None:
                    return
                job()
            except BaseException:
                # Also SystemExit, which Ray raises in its callers at a shutdown; the
                # loop then fails the awaits.
                with suppress(BaseException):  # from a handler of the logger
                    logger.debug("a reader's job ended early", exc_info=True)
            # Otherwise this local pins the batch until the next job.
            job = None
            self._progress += 1

    def _next_job(self) -> Callable[[], None] | None:
        """Wait for a job; return None to end this reader."""
        while True:
            left = self._due - time.monotonic()
            if left <= 0:
                return self._collect
            try:
                return self._jobs.get(timeout=min(left, IDLE_SECONDS))
            except queue.Empty:
                if left < IDLE_SECONDS:
                    continue
            with self._lock:
                # A job that was put before the lock was taken has started no reader,
                # because this one was counted.
                if self._jobs.empty() and not self._raw and not self._returned:
                    self._threads -= 1
                    return None

    def _collect(self) -> None:
        self._due = math.inf
        self._collected = time.monotonic()
        awaits = []
        while self._returned:
            awaits.append(self._returned.popleft())
        by_session: dict[Session, list[Await]] = {}
        for await_ in awaits:
            by_session.setdefault(await_.session, []).append(await_)
        for batch in by_session.values():
            self._begin(batch, 0, True)

    def _begin(self, awaits: list[Await], start: int, ready: bool) -> None:
        part = awaits[start : start + SLICE]
        if start + SLICE < len(awaits):
            self.call(self._begin, awaits, start + SLICE, ready)
        session = part[0].session
        try:
            if session.is_current():
                session.begin(part, ready=ready)
        except BaseException as error:
            if not session.is_current():
                session.sit_out_end()
                return
            for await_ in part:
                if not await_.done():
                    await_.keeper.deliver(await_, None, raisable(error))
                    await_.keeper.wake()

    def _load_queued(self) -> None:
        """Load the queued objects, then wake each loop once."""
        # Objects before a slow one do not wait: loops also check for results from a
        # timer while `help_out` returns True.
        keepers = []
        loaded: list[Any] = []
        while self._raw:
            try:
                await_, ref, raw = self._raw.popleft()
            except IndexError:  # another reader was faster
                break
            if await_.done():
                continue
            if not await_.session.is_current():
                await_.session.sit_out_end()  # the loop then fails it
                continue
            value: Any = None
            try:
                await_.size = await_.session.size(raw)
                value = await_.session.load(ref, raw)
                error = error_of(value)
            except ClosedError:
                await_.session.sit_out_end()
                continue
            except BaseException as failure:
                error = raisable(failure)
            if error is not None:
                value = None
            keeper = await_.keeper
            keeper.deliver(await_, value, error)
            if keeper not in keepers:
                keepers.append(keeper)
            self._progress += 1
            loaded.append(raw)
            del await_, ref, raw, value, error
        for keeper in keepers:
            keeper.wake()
        self.let_go(loaded)


def _nothing() -> None:
    pass


#: The process's pool: readers have no state of a loop or a session.
readers = Readers()

if hasattr(os, "register_at_fork"):
    # A forked child has the queues but not the threads.
    os.register_at_fork(after_in_child=readers.reset)
