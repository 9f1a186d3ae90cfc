"""Awaits over Ray Client (`ray.init("ray://...")`).

Ray's own client await runs on the thread that also reads the next answer, raises a bare
`RayTaskError`, and sends one request per ref. Here one request covers many refs, reader
threads load the values, and errors are the same as in a local session. This module
needs grpc and is imported with the first client ref.

Few refs are pushed: the server sends the value when it is ready, in one round trip.
One to five awaits take 1.6 to 2.0 times as long without that (2.60.0). For many refs,
one request returns the ready ones, which are fetched in chunks, and `client_readiness`
polls for the others, so a cancelled await leaves nothing behind on either side. A sweep
asks for a chunk as if all of it were ready, and leaves the rest to such awaits.

A broken connection has not ended yet: Ray reconnects for
RAY_CLIENT_RECONNECT_GRACE_PERIOD seconds, 30 by default, and the server keeps tasks and
objects for that time. Pending awaits stay pending, and fail when Ray gives up: measured
with 2.60.0, 30.1 s after the server was killed, 5.3 s with a period of 2 (Ray tries for
5 s at a time), 0.03 s with 0. A `ray.shutdown()` fails them within 0.3 s.
"""

from __future__ import annotations

import functools
import time
import weakref
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import ray

from ..._ray_api.client_api import (
    RETRY_SECONDS,
    ClientServer,
    UnreachableError,
    id_in_flight,
    loads,
    when_id_is_here,
    worker_of,
)
from ...errors import ClientDisconnectedError, RayNotInitializedError, UnknownRefError
from ..events import announce
from ..requests import Need
from ..steering import raisable
from .client_chunks import Chunks, Loaded
from .client_readiness import ClientWaiter
from .pool import readers

if TYPE_CHECKING:
    from ..._ray_api.objects import Ref
    from ..requests import Await

#: New awaits that are pushed without a check for readiness.
FEW = 8
#: Pushes that may be pending on the server. It holds each ref until it is ready, even
#: without awaits, and each costs as much as 20 in a chunk.
MAX_PUSHED = 64

_sessions: weakref.WeakKeyDictionary[Any, ClientSession] = weakref.WeakKeyDictionary()


def client_session_of(ref: Any) -> ClientSession:
    """Return the connection of a client ref, without network access.

    Also keeps the ref until its id has arrived: a ref that is dropped earlier (by an
    await that is cancelled at once) waits for the id in its `__del__`, on the thread
    that drops it.

    Raises
    ------
    RayNotInitializedError
        If that connection has ended.
    """
    worker = worker_of(ref)
    session = None if worker is None else _sessions.get(worker)
    if worker is not None and session is None:
        session = _sessions[worker] = ClientSession(ClientServer(worker))
    if session is None or session.is_over():
        raise RayNotInitializedError(
            "the Ray Client connection of this ref has ended: connect again with "
            "ray.init('ray://...') and submit the task again."
        )
    if id_in_flight(ref):
        when_id_is_here(ref, functools.partial(_take_id, ref))
    return session


def _take_id(ref: Any) -> None:
    with suppress(Exception):  # its awaits raise it
        ref.binary()


class ClientSession:
    """One Ray Client connection."""

    def __init__(self, server: ClientServer) -> None:
        self._server = server
        self._waiter = ClientWaiter(self, server)
        #: Ids of refs with a pending push; the server answers each once.
        self._pushed: set[bytes] = set()
        self._chunks = Chunks(self, server)

    def is_current(self) -> bool:
        """Whether the connection exists, or Ray is reconnecting."""
        return self._server.connected

    def is_over(self) -> bool:
        """Whether the connection has ended."""
        return not self._server.connected

    def sit_out_end(self) -> None:
        """Return at once: a client's refs may be dropped at any time."""

    def ended(self) -> ClientDisconnectedError:
        """Return the error for an await that a disconnect interrupted."""
        return ClientDisconnectedError(
            "the Ray Client connection ended while this ref was being awaited. "
            "Connect again with ray.init('ray://...') and submit the task again."
        )

    def begin_now(self, await_: Await, *, watch: bool) -> bool:
        """Push a value, which blocks no more than submitting a task does."""
        ref = await_.ref
        if not watch or ref is None or await_.need is not Need.VALUE:
            return False
        if id_in_flight(ref):
            return False
        try:
            await_.key = ref.binary()
        except Exception:  # the submission failed; a reader raises it again
            return False
        if not self.push(await_):
            return False
        announce([await_])
        return True

    def begin(self, awaits: list[Await], *, ready: bool) -> None:
        """Fetch the ready objects, watch the others; on a reader thread.

        Parameters
        ----------
        awaits : list of Await
            Awaits of this session; those that are done are skipped.
        ready : bool
            Ignored: it is also true for awaits whose id has just arrived.
        """
        del ready
        begun = [await_ for await_ in awaits if self._take_key(await_)]
        announce(begun)
        if not begun:
            return
        values = [await_ for await_ in begun if await_.need is Need.VALUE]
        if len(values) <= FEW:
            values = [await_ for await_ in values if not self.push(await_)]
        rest = values + [await_ for await_ in begun if await_.need is not Need.VALUE]
        if rest:
            self._split(rest)

    def _take_key(self, await_: Await) -> bool:
        """Set the await's key; return whether the await can begin now."""
        ref = await_.ref
        if ref is None or await_.done():
            return False
        if id_in_flight(ref):
            # No thread waits for the id. Weak: the await may be cancelled before.
            when_id_is_here(ref, functools.partial(_id_arrived, weakref.ref(await_)))
            return False
        try:
            await_.key = ref.binary()
        except Exception as error:  # the submission failed
            if self.is_current():
                self.fail([await_], error)
            return False
        return True

    def push(self, await_: Await, *, ready: bool = False) -> bool:
        """Have the server send a value when it is ready; False if it cannot."""
        # One pending push per ref: otherwise the server would send the value once for
        # each of repeated awaits with a timeout.
        ref, key = await_.ref, await_.key
        if ref is None or key is None:
            return True
        if not ready and (key in self._pushed or len(self._pushed) >= MAX_PUSHED):
            return False
        self._pushed.add(key)
        pushed = functools.partial(_pushed, weakref.ref(self), key, weakref.ref(await_))
        try:
            self._server.push(ref, pushed)
        except UnreachableError:
            self._pushed.discard(key)
            return False
        return True

    def _split(self, awaits: list[Await]) -> None:
        """Fetch the ready objects, and watch the others."""
        try:
            ready = self.ready_ids([await_.key for await_ in awaits if await_.key])
        except UnreachableError:
            self.watch(awaits)
            return
        except UnknownRefError:
            # One unknown ref fails the whole request.
            if len(awaits) == 1:
                self.fail(awaits, _unknown(awaits[0].ref))
            else:
                self._split(awaits[: len(awaits) // 2])
                self._split(awaits[len(awaits) // 2 :])
            return
        self.found([await_ for await_ in awaits if await_.key in ready])
        pending = [await_ for await_ in awaits if await_.key not in ready]
        if len(pending) <= (MAX_PUSHED - len(self._pushed)) // 2:
            pending = [
                await_
                for await_ in pending
                if await_.need is not Need.VALUE or not self.push(await_)
            ]
        if pending:
            self.watch(pending)

    def watch(self, awaits: list[Await]) -> None:
        """Fetch the objects of awaits when they are ready."""
        self._waiter.add(awaits)

    def ready_ids(self, keys: Sequence[bytes]) -> set[bytes]:
        """Return the ids that are ready now, in one round trip.

        Raises
        ------
        UnreachableError, UnknownRefError
            See `ClientServer.wait`.
        """
        unique = list(dict.fromkeys(keys))
        return set(self._server.wait(unique, len(unique), 0.0))

    def found(self, awaits: list[Await]) -> None:
        """Settle awaits whose objects exist, or fetch these. Thread-safe."""
        values = []
        for await_ in awaits:
            if await_.need is Need.VALUE:
                values.append(await_)
            else:
                await_.keeper.deliver(await_, None, None)
                await_.keeper.wake()
        self._chunks.fetch(values)

    def fail(self, awaits: list[Await], error: Exception) -> None:
        """Fail awaits. Thread-safe."""
        for await_ in awaits:
            if not await_.done():
                await_.keeper.deliver(await_, None, raisable(error))
                await_.keeper.wake()

    def fail_unknown(self, awaits: list[Await]) -> None:
        """Fail awaits of refs that the server does not know. Thread-safe."""
        for await_ in awaits:
            self.fail([await_], _unknown(await_.ref))

    def read_ready(self, refs: list[Ref]) -> tuple[Sequence[int], list[Loaded]]:
        """Read objects, as if all were ready; on a reader thread.

        Returns
        -------
        positions : range
            Positions in `refs` of the objects that were read.
        raws : list of Loaded
            These objects.
        """
        if any(map(id_in_flight, refs)):
            return (), []
        values = self._chunks.read([ref.binary() for ref in refs])
        return range(len(values)), list(map(Loaded, values))

    def errors_among(self, raws: list[Loaded]) -> list[int]:
        """Return nothing: errors are not read with other objects."""
        del raws
        return []

    def is_plain(self, raw: Loaded) -> bool:
        """Return True: what was read is loaded."""
        del raw
        return True

    def load_plain(self, refs: list[Ref], raws: list[Loaded]) -> list[Any]:
        """Return the values."""
        del refs
        return [raw.value for raw in raws]

    def load_each(
        self, refs: list[Ref], raws: list[Loaded]
    ) -> tuple[list[Any], dict[int, BaseException]]:
        """Return the values, none of which is an error."""
        return self.load_plain(refs, raws), {}

    def size(self, raw: Any) -> int | None:
        """Return None: an answer may have come in parts, or be loaded already."""
        del raw
        return None

    def load(self, ref: Ref, raw: Any) -> Any:
        """Deserialise the server's answer; a task's error is returned.

        Raises
        ------
        Exception
            The server's error about the request itself.
        """
        if isinstance(raw, Loaded):
            return raw.value
        if isinstance(raw, ConnectionError):
            raise self.ended() from raw
        if isinstance(raw, Exception):
            raise raw
        if isinstance(raw, bytearray):  # assembled from chunks
            return loads(raw)
        if raw.get.valid:
            return loads(raw.get.data)
        error = loads(raw.get.error)
        if isinstance(error, ray.exceptions.RayError):
            return error
        if type(error) is ValueError and "not found for client" in str(error):
            raise _unknown(ref)
        raise error

    def look(self, refs: list[Ref], fetch_local: bool) -> list[bytes]:
        """Return the ids of the refs that are ready now; on a reader thread.

        `fetch_local` has no effect: values reach this process only on request.

        Raises
        ------
        UnknownRefError
            If the server does not know one of them.
        ClientDisconnectedError
            If the connection has ended.
        """
        del fetch_local
        if not refs:
            return []
        while self.is_current():
            try:
                return list(self.ready_ids([ref.binary() for ref in refs]))
            except UnreachableError:
                time.sleep(RETRY_SECONDS)
        raise self.ended()

    def read_now(self, ref: Ref) -> Any | None:
        """Return None: a read takes a round trip to the server."""
        del ref
        return None

    def cancel_task(
        self, ref: Ref, *, force: bool = False, recursive: bool = True
    ) -> None:
        """Cancel the task behind a ref; on a reader thread.

        Without `ray.cancel`, which starts a new Ray if the connection has just ended.
        """
        if self.is_current():
            self._server.cancel(ref, force=force, recursive=recursive)


def _id_arrived(weak: weakref.ref[Await]) -> None:
    await_ = weak()
    if await_ is not None and not await_.done():
        readers.ready(await_)


def _pushed(
    session: weakref.ref[ClientSession],
    key: bytes,
    weak: weakref.ref[Await],
    answer: Any,
) -> None:
    # On the thread that reads the next answer, which must not be blocked.
    asked = session()
    if asked is not None:
        asked._pushed.discard(key)
    await_ = weak()
    if await_ is not None and not await_.done():
        readers.loaded_soon(await_, await_.ref, answer)
        readers.load_soon()


def _unknown(ref: Any) -> UnknownRefError:
    return UnknownRefError(
        f"{ref!r} does not belong to the connected Ray Client session: its server "
        "does not know it. Submit the task again in this session."
    )
