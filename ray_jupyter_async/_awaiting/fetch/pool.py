"""The threads that talk to Ray so that no event loop has to.

One reader is enough while objects load fast; it takes turns between batches, so
that a small await is not stuck behind a large one. A reader that is held up by
one object (a slow `__setstate__`) is left to it, and another is started for the
rest. Readers end by themselves half a second after the last piece of work.
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

from ..._ray_api.shutdown_gate import ClosedError
from ..events import logger
from ..steering import raisable
from ..task_errors import error_of

if TYPE_CHECKING:
    from ..requests import Await, Session

T = TypeVar("T")

#: Seconds that a reader waits for more work before it ends.
IDLE_SECONDS = 0.5
#: Seconds without progress after which another reader is started.
HELD_UP_SECONDS = 0.015
#: Readers that may be held up at the same time before newcomers have to wait.
MAX_READERS = 64
#: Awaits that a reader begins on before it looks at other work. Each slice costs a
#: turn of the GIL, which a busy thread beside does not give back for five
#: milliseconds.
SLICE = 1024
#: Objects that become ready in a burst are read together, so that threads wake less
#: often. The delay is this share of the time for which an object was awaited, and at
#: most this many seconds.
LATE_SHARE = 0.01
LATE_SECONDS = 0.01
#: Objects read that are released before the GIL may change hands.
LET_GO_STEP = 128


class Readers:
    """The process's pool of reader threads."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Start from nothing: in a new process, whose threads are gone."""
        self._lock = threading.Lock()
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        # Read, not yet deserialised. Shared, so that whoever is free takes the
        # next: an object that holds up its reader holds up nothing behind it.
        self._raw: deque[tuple[Await, Any, Any]] = deque()
        # Awaits whose objects became ready, and when they are due to be read, on the
        # clock of `time.monotonic`.
        self._returned: deque[Await] = deque()
        self._due = math.inf
        self._collected = -math.inf
        self._threads = 0
        self._progress = 0
        self._seen = (0.0, -1)

    def begin(self, awaits: list[Await]) -> None:
        """Fetch the values of awaits of one session; any thread."""
        self.call(self._begin, awaits, 0, False)

    def ready(self, await_: Await, since: float | None = None) -> None:
        """Queue an await whose object exists; cheap, any thread, Ray's io thread too.

        Parameters
        ----------
        since : float, optional
            When the await began, on the clock of `time.monotonic`. If others have
            just become ready, it may then be delayed to be read with more of them.
        """
        self._returned.append(await_)
        due = now = time.monotonic()
        if since is not None and now - self._collected < LATE_SECONDS:
            due += min((now - since) * LATE_SHARE, LATE_SECONDS)
        # Read after the append: `_collect` resets it before it empties the queue.
        if due < self._due:
            self._due = due
            self.load_soon()

    def loaded_soon(self, await_: Await, ref: Any, raw: Any) -> None:
        """Queue what was read for deserialising; on any thread."""
        self._raw.append((await_, ref, raw))

    def load_soon(self) -> None:
        """Make sure that a reader loads what was queued. Thread-safe."""
        self.call(_nothing)

    def let_go(self, raws: list[Any]) -> None:
        """Empty a list of read objects; on a reader, when no more are waited for.

        It takes longer than reading: for each buffer Ray calls the object store. In
        steps, because it keeps the GIL meanwhile.
        """
        while raws:
            del raws[-LET_GO_STEP:]
            self.moved()

    def moved(self) -> None:
        """Record progress of a long job, see `help_out`; on a reader."""
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
        """Start another reader if there is work and none moves; any thread.

        Called by the loops from a timer while they have work here.

        Returns
        -------
        bool
            Whether work is waiting, so that it is worth calling again soon.
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
        reader = threading.Thread(
            target=self._run, name="ray-await-reader", daemon=True
        )
        try:
            reader.start()
        except RuntimeError as error:
            self._threads -= 1
            # From Python 3.12 on no thread starts while the interpreter ends: an
            # object that becomes ready then has nobody left to be read for. Only
            # the message shows it: in 3.12 `sys.is_finalizing` is not true yet when
            # Ray's exit handler shuts it down.
            if "interpreter shutdown" not in str(error):
                raise

    def _run(self) -> None:
        while True:
            # Whatever ends a piece of work, the thread goes on: one that died would
            # still be counted, and the pool is full at `MAX_READERS`.
            try:
                self._load_queued()
                job = self._next_job()
                if job is None:
                    return
                job()
            except BaseException:
                # SystemExit too: Ray raises it in its callers at a shutdown,
                # and the awaits concerned are failed by their loop.
                with suppress(BaseException):  # out of a handler of the logger's
                    logger.debug("a reader's job ended early", exc_info=True)
            # A local that lives on would pin the batch until the next job.
            job = None
            self._progress += 1

    def _next_job(self) -> Callable[[], None] | None:
        """Wait for a job; return None once this reader has ended."""
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
                # A job put before the lock was taken has counted this thread as
                # alive.
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
        """Load what was read, waking each loop once when it is all done.

        The objects that come before one that takes long are not lost to their
        loop: it looks by itself while `help_out` tells it to.
        """
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
                await_.session.sit_out_end()  # the loop fails it then
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


#: The pool. One a process: readers have no state of a loop or of a session.
readers = Readers()

if hasattr(os, "register_at_fork"):
    # The child of a fork has the queues but none of the threads.
    os.register_at_fork(after_in_child=readers.reset)
