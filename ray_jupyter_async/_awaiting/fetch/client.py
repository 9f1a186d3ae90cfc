"""Awaits over Ray Client (`ray.init("ray://...")`).

Ray's own client await runs on the thread that also has to read the next answer,
gives a bare `RayTaskError`, and asks the server once for each ref. Here many
refs are asked for at once, loading is the readers' work, and errors are the
same as in a local session. Imported only once a client ref is seen: it needs
grpc.

Few refs are pushed: the server sends the value when it is there, one round trip
in all. For many refs, one request returns which are ready, those are fetched in chunks,
and `client_readiness` looks after the others, so that an await that is cancelled
leaves nothing behind on either side.

A connection that breaks is not over: Ray tries to take it up again for
RAY_CLIENT_RECONNECT_GRACE_PERIOD seconds, 30 by default, and the server keeps
tasks and objects as long. Pending awaits wait with it, and are failed when Ray
gives up: measured with 2.60.0, 30.1 s after the server was killed, 5.3 s with a
period of 2 (Ray tries for 5 s at a time), 0.03 s with 0. A `ray.shutdown()` fails
them within 0.3 s.

Objects of one chunk are one pickle, so that one of them whose `__setstate__` is
slow delays up to 127 others; one that fails delays none for long.
"""

from __future__ import annotations

import functools
import time
import weakref
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import GetTimeoutError

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
from .client_readiness import ClientWaiter
from .pool import readers

if TYPE_CHECKING:
    from ..._ray_api.objects import Ref
    from ..requests import Await

#: Fresh awaits that are pushed without asking what is ready first.
FEW = 8
#: Refs that the server may owe a push for. It holds each until it is ready, even
#: even without awaits, and each costs it as much as 20 in a chunk.
MAX_PUSHED = 64
#: Bytes that one answer should hold, and the objects that it may.
CHUNK_BYTES = 4 * 2**20
CHUNK = 128
#: Objects below which a chunk that failed is not halved again but asked one by one.
LAST_HALF = 4

_sessions: weakref.WeakKeyDictionary[Any, ClientSession] = weakref.WeakKeyDictionary()


def client_session_of(ref: Any) -> ClientSession:
    """Return the connection that a client ref came over; asks no network.

    Also keeps the ref until its id has arrived: one that is dropped before (an
    await that is cancelled at once) waits for it in its `__del__`, on the
    thread that drops it.

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
    with suppress(Exception):  # its awaits fail with it
        ref.binary()


class ClientSession:
    """One Ray Client connection."""

    def __init__(self, server: ClientServer) -> None:
        self._server = server
        self._waiter = ClientWaiter(self, server)
        #: Ids of refs that the server is to push; it answers for each, once.
        self._pushed: set[bytes] = set()
        #: What the objects that were read last weighed, in bytes.
        self._object_bytes = CHUNK_BYTES / 16

    def is_current(self) -> bool:
        """Whether the connection stands, or Ray is trying to take it up again."""
        return self._server.connected

    def is_over(self) -> bool:
        """Whether the connection is gone."""
        return not self._server.connected

    def sit_out_end(self) -> None:
        """Return: a client's refs may be dropped at any time."""

    def ended(self) -> ClientDisconnectedError:
        """Make the error for an await that a disconnect cut short."""
        return ClientDisconnectedError(
            "the Ray Client connection ended while this ref was being awaited. "
            "Connect again with ray.init('ray://...') and submit the task again."
        )

    def begin(self, awaits: list[Await], *, ready: bool) -> None:
        """Find out what is ready, fetch that, watch the others; on a reader thread.

        Parameters
        ----------
        awaits : list of Await
            Of this session; those that are done are passed over.
        ready : bool
            Ignored: awaits whose id was missing come back with it.
        """
        del ready
        begun = [await_ for await_ in awaits if self._take_key(await_)]
        announce(begun)
        if not begun:
            return
        values = [await_ for await_ in begun if await_.need is Need.VALUE]
        if len(values) <= FEW:
            values = [await_ for await_ in values if not self._push(await_)]
        rest = values + [await_ for await_ in begun if await_.need is not Need.VALUE]
        if rest:
            self._split(rest)

    def _take_key(self, await_: Await) -> bool:
        """Note the id of an await's ref; False if it cannot be begun on (yet)."""
        ref = await_.ref
        if ref is None or await_.done():
            return False
        if id_in_flight(ref):
            # No thread waits for it. Weak: an await may be cancelled meanwhile.
            when_id_is_here(ref, functools.partial(_id_arrived, weakref.ref(await_)))
            return False
        try:
            await_.key = ref.binary()
        except Exception as error:  # submitting the task failed
            if self.is_current():
                self.fail([await_], error)
            return False
        return True

    def _push(self, await_: Await, *, ready: bool = False) -> bool:
        """Have the server send a value when it is there.

        Not for a ref that it is to push already: whoever awaits with a time
        limit again and again would be sent the value as many times.
        """
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
        """Fetch what is ready, and watch the others."""
        try:
            ready = self.ready_ids([await_.key for await_ in awaits if await_.key])
        except UnreachableError:
            self._waiter.add(awaits)
            return
        except UnknownRefError:
            # One that the server does not know fails the whole request.
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
                if await_.need is not Need.VALUE or not self._push(await_)
            ]
        if pending:
            self._waiter.add(pending)

    def ready_ids(self, keys: Sequence[bytes]) -> set[bytes]:
        """Return the ids of those that are ready; one round trip.

        Raises
        ------
        UnreachableError, UnknownRefError
            See `ClientServer.wait`.
        """
        unique = list(dict.fromkeys(keys))
        return set(self._server.wait(unique, len(unique), 0.0))

    def found(self, awaits: list[Await]) -> None:
        """Settle awaits whose objects exist, or fetch those; on any thread of ours."""
        values = []
        for await_ in awaits:
            if await_.need is Need.VALUE:
                values.append(await_)
            else:
                await_.keeper.deliver(await_, None, None)
                await_.keeper.wake()
        while values:
            # A value is never shared: one chunk has each object once.
            once = {await_.key: await_ for await_ in values}
            self._fetch_soon(list(once.values()))
            values = [await_ for await_ in values if once[await_.key] is not await_]

    def _fetch_soon(self, awaits: list[Await]) -> None:
        readers.call(self._fetch, awaits)

    def _fetch(self, awaits: list[Await]) -> None:
        """Fetch a chunk; leave the rest for the next turn of a reader."""
        size = max(1, min(CHUNK, int(CHUNK_BYTES / self._object_bytes)))
        if len(awaits) > size:
            self._fetch_soon(awaits[size:])
        awaits = [await_ for await_ in awaits[:size] if not await_.done()]
        if awaits and self.is_current():
            self._fetch_chunk(awaits)

    def _fetch_chunk(self, awaits: list[Await]) -> None:
        try:
            data = self._server.get([await_.key for await_ in awaits if await_.key])
            self._object_bytes = max(1.0, len(data) / len(awaits))
            values = loads(data)
        except (UnreachableError, GetTimeoutError):
            self._waiter.add(awaits)  # it asks again
        except BaseException:  # SystemExit too, out of a __setstate__
            # One of them is an error, or cannot be loaded: find out which. The
            # last few are asked for one by one, which returns the task's own
            # error from others.
            half = len(awaits) // 2
            if half >= LAST_HALF:
                self._fetch_chunk(awaits[:half])
                self._fetch_chunk(awaits[half:])
                return
            unsent = [x for x in awaits if not self._push(x, ready=True)]
            if unsent:
                self._waiter.add(unsent)
        else:
            for await_, value in zip(awaits, values, strict=True):
                readers.loaded_soon(await_, await_.ref, _Loaded(value))
            readers.load_soon()

    def fail(self, awaits: list[Await], error: Exception) -> None:
        """Fail awaits; on any thread."""
        for await_ in awaits:
            if not await_.done():
                await_.keeper.deliver(await_, None, raisable(error))
                await_.keeper.wake()

    def fail_unknown(self, awaits: list[Await]) -> None:
        """Fail awaits of refs that the server does not know; on any thread."""
        for await_ in awaits:
            self.fail([await_], _unknown(await_.ref))

    def size(self, raw: Any) -> int | None:
        """Return None: an answer may come in parts, or loaded already."""
        del raw
        return None

    def load(self, ref: Ref, raw: Any) -> Any:
        """Deserialise the server's answer; a task's error is returned.

        Raises
        ------
        Exception
            What the server says is wrong with the request itself.
        """
        if isinstance(raw, _Loaded):
            return raw.value
        if isinstance(raw, ConnectionError):
            raise self.ended() from raw
        if isinstance(raw, Exception):
            raise raw
        if isinstance(raw, bytearray):  # put together from chunks
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
        """Return the ids of those that are ready now; on a reader thread.

        Values come to this process when they are asked for, so that
        `fetch_local` makes no difference.

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
        """Return None: every look at the server takes a round trip."""
        del ref
        return None

    def cancel_task(
        self, ref: Ref, *, force: bool = False, recursive: bool = True
    ) -> None:
        """Cancel the task behind a ref; on a reader thread.

        Not by `ray.cancel`, which starts a new Ray if the connection has just
        ended.
        """
        if self.is_current():
            self._server.cancel(ref, force=force, recursive=recursive)


class _Loaded:
    """A value that was deserialised already, with others of its chunk."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


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
    # On the thread that reads the next answer: only pass it on.
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
