"""Readiness of awaited objects, without reading or pinning them.

Ray 2.60 and later call back for each ref. For older Ray, and for pulls from another
node, waiter threads poll in rounds: one thread polls new refs in short rounds, another
one polls long-pending refs in rounds that grow with the cost of a round, so that many
idle refs cost almost nothing.
"""

from __future__ import annotations

import math
import threading
import time
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any

from ..._ray_api.objects import HAS_ON_READY
from ..._ray_api.shutdown_gate import ClosedError
from ..._threads import start_thread
from ..requests import Need, release
from ..steering import raisable
from .pool import readers

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..._ray_api.objects import ObjectReader, Ref
    from ..requests import Await, Session

#: Seconds after which a ref moves from the short rounds to the long ones.
NEWCOMER_SECONDS = 0.2
#: Milliseconds that a short round lasts at most.
SHORT_ROUND_MS = 5
#: A long round lasts this many times the cost of a call, within the limits.
ROUND_TO_COST = 120
#: The upper limit is how long a shutdown of Ray may wait for a round and how long a
#: dropped ref may stay; only thousands of pending refs reach it.
LONG_ROUND_MS = (50, 2500)
#: Idle seconds after which a waiter thread ends.
IDLE_SECONDS = 0.5


class Group:
    """All awaits of one batch that await the same ref."""

    __slots__ = ("awaits", "ref")

    def __init__(self, ref: Ref, awaits: list[Await]) -> None:
        self.ref = ref
        self.awaits = awaits

    def loaded_soon(self, raw: Any) -> None:
        """Have the value deserialised once per await: values are never shared."""
        for await_ in self.awaits:
            readers.loaded_soon(await_, self.ref, raw)

    def settle(self, error: BaseException | None = None) -> None:
        """Settle the awaits without a value."""
        for await_ in self.awaits:
            await_.keeper.deliver(await_, None, error)
            await_.keeper.wake()


class Readiness:
    """Watches the pending refs of one session."""

    def __init__(self, session: Session, objects: ObjectReader) -> None:
        self._objects = objects
        # For awaits of an object on this node, and for checks that it exists.
        self._pulls = _lanes("ray-await-pulls", session, objects, fetch_local=True)
        self._looks = _lanes("ray-await-looks", session, objects, fetch_local=False)

    def watch(self, groups: list[Group], need: Need) -> None:
        """Pass each await back to the readers when its object exists."""
        if not HAS_ON_READY:
            _add(self._looks if need is Need.EXISTS else self._pulls, groups)
            return
        now = time.monotonic()
        for group in groups:
            for await_ in group.awaits:
                self._watch_by_callback(await_, group.ref, now)

    def watch_pulls(self, groups: list[Group]) -> None:
        """Pass each await back to the readers when its object is on this node."""
        _add(self._pulls, groups)

    def _watch_by_callback(self, await_: Await, ref: Ref, now: float) -> None:
        await_.unwatch = self._objects.on_ready(ref, _WhenReady(await_, now))
        # The await may have been cancelled during the registration.
        if await_.done():
            release(await_)
        readers.moved()


class _WhenReady:
    """Callback for Ray when an object exists: passes its await on."""

    # Holds the await weakly, because Ray keeps the callback until the object exists,
    # and an await of a closed loop must be collectable before. A closure would take
    # three times the memory, for each pending ref.
    __slots__ = ("_await", "_since")

    def __init__(self, await_: Await, since: float) -> None:
        self._await = weakref.ref(await_)
        self._since = since

    def __call__(self, _error: BaseException | None) -> None:
        # Also called for an error object, and for an object that can no longer be made;
        # reading it raises the error.
        await_ = self._await()
        if await_ is not None:
            await_.unwatch = None
            if not await_.done():
                await_.keeper.exists(await_, self._since)


def _lanes(
    name: str, session: Session, objects: ObjectReader, *, fetch_local: bool
) -> _Waiter:
    """Return the waiter for new refs, which passes long-pending ones to another.

    Beside 2,000 pending refs a call of 3 ms takes 4 ms, and 73 ms with one waiter for
    all (Ray 2.40).
    """
    long = _Waiter(f"{name}-long", session, objects, fetch_local, LONG_ROUND_MS)
    return _Waiter(name, session, objects, fetch_local, (1, SHORT_ROUND_MS), then=long)


def _add(waiter: _Waiter, groups: list[Group]) -> None:
    awaits = [await_ for group in groups for await_ in group.awaits]
    if awaits:
        waiter.add(awaits)


class _Waiter:
    """Polls Ray in rounds for the objects of its awaits; a thread."""

    def __init__(
        self,
        name: str,
        session: Session,
        objects: ObjectReader,
        fetch_local: bool,
        rounds_ms: tuple[int, int],
        then: _Waiter | None = None,
    ) -> None:
        self._name = name
        self._session = session
        self._objects = objects
        self._fetch_local = fetch_local
        #: The shortest and the longest round.
        self._rounds_ms = rounds_ms
        #: Takes over the awaits that have been pending for long.
        self._then = then
        self._lock = threading.Lock()
        self._arrived = threading.Event()
        self._inbox: deque[tuple[float, Await]] = deque()
        self._running = False
        #: Refs of a round; rebuilt only after changes.
        self._asked: tuple[list[Ref], dict[bytes, list[Await]]] | None = None
        #: Seconds that a call for all refs took.
        self._cost = 0.0

    def add(self, awaits: list[Await]) -> None:
        """Add awaits. Thread-safe."""
        now = time.monotonic()
        self._inbox.extend((now, await_) for await_ in awaits)
        self._arrived.set()
        with self._lock:
            if not self._running:
                self._running = True
                start_thread(self._run, name=self._name)

    def _run(self) -> None:
        waiting: dict[Await, float] = {}
        try:
            while self._session.is_current():
                self._arrived.clear()
                while self._inbox:
                    since, await_ = self._inbox.popleft()
                    waiting[await_] = since
                    await_.watcher = self
                    self._asked = None
                self._forget(waiting)
                if waiting:
                    self._round(waiting)
                    self._pass_on(waiting)
                elif not self._arrived.wait(IDLE_SECONDS):
                    with self._lock:
                        if not self._inbox:
                            self._running = False
                            return
            # The loops fail the awaits when the session is over.
            self._session.sit_out_end()
        except ClosedError:
            self._session.sit_out_end()
        except BaseException as error:
            with self._lock:
                self._running = False
                arrived = [await_ for _, await_ in self._inbox]
                self._inbox.clear()
            for await_ in [*waiting, *arrived]:
                await_.keeper.deliver(await_, None, raisable(error))
                await_.keeper.wake()
        finally:
            self._asked = None

    def _forget(self, waiting: dict[Await, float]) -> None:
        """Drop awaits that are done, were taken over, or whose loop is closed."""
        gone = [
            await_
            for await_ in waiting
            if await_.done()
            or await_.watcher is not self
            or await_.keeper.loop_is_closed()
        ]
        for await_ in gone:
            del waiting[await_]
            self._asked = None

    def _round(self, waiting: dict[Await, float]) -> None:
        """Wait until a ref is ready or the round is over; pass the ready ones back."""
        new = self._asked is None
        refs, by_key = self._asked = self._asked or _by_key(waiting)
        started = time.monotonic()
        ready: list[Ref] = []
        try:
            if new:
                ready = self._ask(refs, len(refs), timeout_ms=0)
                self._cost = time.monotonic() - started
            if not ready:
                shortest, longest = self._rounds_ms
                round_ms = int(self._cost * 1000 * ROUND_TO_COST)
                # For one only, so that it returns early; the next call is for all.
                ready = self._ask(
                    refs, 1, timeout_ms=min(max(round_ms, shortest), longest)
                )
        except ValueError:
            # Ray no longer knows the owner of one of them. The session finds out which.
            for awaits in by_key.values():
                self._hand_back(awaits, waiting)
            return
        for ref in ready:
            self._hand_back(by_key[ref.binary()], waiting)
        if ready and new:
            # While refs resolve continuously, leave the CPU to the tasks.
            time.sleep(min(self._cost, 0.1))

    def _ask(self, refs: list[Ref], num_returns: int, *, timeout_ms: int) -> list[Ref]:
        if not refs:
            return []
        return self._objects.wait(
            refs, num_returns, timeout_ms=timeout_ms, fetch_local=self._fetch_local
        )

    def _hand_back(self, awaits: list[Await], waiting: dict[Await, float]) -> None:
        self._asked = None
        for await_ in awaits:
            del waiting[await_]
            if not await_.done():
                readers.ready(await_)

    def _pass_on(self, waiting: dict[Await, float]) -> None:
        """Offer long-pending awaits to the next waiter; keep them until taken."""
        if self._then is None:
            return
        before = time.monotonic() - NEWCOMER_SECONDS
        old = [await_ for await_, since in waiting.items() if since < before]
        if old:
            self._then.add(old)
            for await_ in old:
                waiting[await_] = math.inf


def _by_key(waiting: Iterable[Await]) -> tuple[list[Ref], dict[bytes, list[Await]]]:
    """Return each ref once, and the awaits by id."""
    by_key: dict[bytes, list[Await]] = {}
    refs: list[Ref] = []
    for await_ in waiting:
        ref, key = await_.ref, await_.key
        if ref is None or key is None:  # already cancelled
            continue
        if key not in by_key:
            refs.append(ref)
        by_key.setdefault(key, []).append(await_)
    return refs, by_key
