"""Readiness of many pending refs of a Ray Client connection.

One thread sends one request at a time, which the server holds until a ref is ready or a
round is over. Requests carry only ids: a ref that is no longer awaited is released at
once, even during a round.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Protocol

from ..._ray_api.client_api import RETRY_SECONDS, ClientServer, UnreachableError
from ..._threads import start_thread
from ...errors import UnknownRefError

if TYPE_CHECKING:
    from ..requests import Await

#: Limits of a round in seconds. It lasts half of the time since the last new ref,
#: because a new ref waits for its end.
ROUND_SECONDS = (0.02, 2.0)
#: A round of at least this many seconds is ended early when a new ref arrives. Shorter
#: ones are not: the server continues to wait for each interrupted request.
PATIENCE_SECONDS = 0.1
#: After a ref was ready, pause this many times the duration of the request.
REST_TO_COST = 4
MAX_REST_SECONDS = 0.1
#: Idle seconds after which the thread ends.
IDLE_SECONDS = 0.5


class Session(Protocol):
    """The methods of a session that the waiter calls."""

    def is_current(self) -> bool:
        """Whether the connection exists, or Ray is reconnecting."""

    def ready_ids(self, keys: list[bytes]) -> set[bytes]:
        """Return the ids of objects that are ready now."""

    def found(self, awaits: list[Await]) -> None:
        """Fetch the objects of these awaits, which are ready."""

    def fail(self, awaits: list[Await], error: Exception) -> None:
        """Fail these awaits."""

    def fail_unknown(self, awaits: list[Await]) -> None:
        """Fail awaits of a ref that the server does not know."""


class ClientWaiter:
    """Passes awaits back to their session when their objects are ready."""

    def __init__(self, session: Session, server: ClientServer) -> None:
        self._session = session
        self._server = server
        self._lock = threading.Lock()
        self._arrived = threading.Event()
        self._inbox: deque[Await] = deque()
        self._running = False
        self._round = 0.0
        #: Pending awaits by id; used by the thread only.
        self._waiting: dict[bytes, list[Await]] = {}

    def add(self, awaits: list[Await]) -> None:
        """Add awaits. Thread-safe."""
        self._inbox.extend(awaits)
        self._arrived.set()
        with self._lock:
            if not self._running:
                self._running = True
                start_thread(self._run, name="ray-await-client")
        if self._newcomer_waits():
            self._server.interrupt()

    def _newcomer_waits(self) -> bool:
        return self._round > PATIENCE_SECONDS and bool(self._inbox)

    def _run(self) -> None:
        newest = 0.0
        while self._session.is_current():
            self._arrived.clear()
            while self._inbox:
                newest = time.monotonic()
                await_ = self._inbox.popleft()
                if await_.key is not None:
                    self._waiting.setdefault(await_.key, []).append(await_)
            self._forget()
            if self._waiting:
                self._ask(time.monotonic() - newest)
            elif not self._arrived.wait(IDLE_SECONDS):
                with self._lock:
                    if not self._inbox:
                        self._running = False
                        return
        # The loops fail the awaits when the session is over.
        self._waiting.clear()
        self._inbox.clear()
        with self._lock:
            self._running = False

    def _forget(self) -> None:
        """Drop awaits that are done or whose loop is closed."""
        for key, awaits in list(self._waiting.items()):
            left = [
                await_
                for await_ in awaits
                if not await_.done() and not await_.keeper.loop_is_closed()
            ]
            if left:
                self._waiting[key] = left
            else:
                del self._waiting[key]

    def _ask(self, age: float) -> None:
        """Wait for one ref, then find all that are ready."""
        keys = list(self._waiting)
        shortest, longest = ROUND_SECONDS
        seconds = min(max(age / 2, shortest), longest)
        self._round = seconds
        try:
            ready = self._server.wait(keys, 1, seconds, give_up=self._newcomer_waits)
            self._round = 0.0
            if not ready:
                return
            started = time.monotonic()
            self._hand_back(self._session.ready_ids(keys))
            cost = time.monotonic() - started
        except UnreachableError:
            # Interrupted, or disconnected, perhaps temporarily.
            if not self._inbox:
                self._arrived.wait(RETRY_SECONDS)
            return
        except UnknownRefError:
            self._sort_out(keys)
            return
        except Exception as error:
            waiting, self._waiting = self._waiting, {}
            for awaits in waiting.values():
                self._session.fail(awaits, error)
            return
        finally:
            self._round = 0.0
        # While refs resolve continuously, leave the server to other work.
        time.sleep(min(REST_TO_COST * cost, MAX_REST_SECONDS))

    def _hand_back(self, ready: set[bytes]) -> None:
        awaits = []
        for key in ready:
            awaits += self._waiting.pop(key, [])
        self._session.found([await_ for await_ in awaits if not await_.done()])

    def _sort_out(self, keys: list[bytes]) -> None:
        """Fail only the awaits of refs that the server does not know."""
        # A ref that was just released is unknown too, and has no awaits.
        self._forget()
        keys = [key for key in keys if key in self._waiting]
        if not keys:
            return
        try:
            self._session.ready_ids(keys)
        except UnreachableError:
            return
        except UnknownRefError:
            if len(keys) == 1:
                self._session.fail_unknown(self._waiting.pop(keys[0]))
            else:
                self._sort_out(keys[: len(keys) // 2])
                self._sort_out(keys[len(keys) // 2 :])
