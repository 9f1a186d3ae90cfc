"""Objects of a Ray Client connection that are ready, fetched many at a time.

Objects of one chunk are one pickle, so one with a slow `__setstate__` delays the others
of its chunk; one that fails causes no long delay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from ray.exceptions import GetTimeoutError

from ..._ray_api.client_api import READ_SECONDS, ClientServer, UnreachableError, loads
from .pool import readers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..requests import Await

#: Target bytes of one answer, and its maximum number of objects.
CHUNK_BYTES = 4 * 2**20
CHUNK = 1024
#: A failed chunk is halved again only into halves of at least this many objects.
LAST_HALF = 4


class Session(Protocol):
    """The methods of a session that `Chunks` calls."""

    def is_current(self) -> bool:
        """Whether the connection exists, or Ray is reconnecting."""

    def push(self, await_: Await, *, ready: bool = False) -> bool:
        """Have the server send one value; False if it cannot."""

    def watch(self, awaits: list[Await]) -> None:
        """Fetch the objects of awaits when they are ready."""


class Loaded:
    """A value that was already deserialised, with its chunk."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class Chunks:
    """Fetches the objects of awaits of one session, in jobs of the readers."""

    def __init__(self, session: Session, server: ClientServer) -> None:
        self._session = session
        self._server = server
        #: Mean size of the objects that were read last, in bytes.
        self._object_bytes = CHUNK_BYTES / 16

    def fetch(self, awaits: list[Await]) -> None:
        """Fetch the objects of awaits, which are ready. Thread-safe."""
        while awaits:
            # Values are never shared: a chunk has each object once.
            once = {await_.key: await_ for await_ in awaits}
            readers.call(self._fetch, list(once.values()))
            awaits = [await_ for await_ in awaits if once[await_.key] is not await_]

    def read(self, keys: Sequence[bytes]) -> list[Any]:
        """Return the values of the first objects, up to one that cannot be read now."""
        values: list[Any] = []
        while len(values) < len(keys):
            chunk = keys[len(values) : len(values) + self._size()]
            try:
                values += self._read(chunk, timeout=0)
            except BaseException:  # the others are awaited, which raises it again
                break
        return values

    def _size(self) -> int:
        return max(1, min(CHUNK, int(CHUNK_BYTES / self._object_bytes)))

    def _fetch(self, awaits: list[Await]) -> None:
        """Fetch a chunk; queue the rest as another job."""
        size = self._size()
        if len(awaits) > size:
            readers.call(self._fetch, awaits[size:])
        awaits = [await_ for await_ in awaits[:size] if not await_.done()]
        if awaits and self._session.is_current():
            self._fetch_chunk(awaits)

    def _fetch_chunk(self, awaits: list[Await]) -> None:
        try:
            keys = [await_.key for await_ in awaits if await_.key]
            values = self._read(keys, READ_SECONDS)
        except (UnreachableError, GetTimeoutError):
            self._session.watch(awaits)  # it tries again
        except BaseException:  # also SystemExit, from a __setstate__
            # One of them is an error, or cannot be loaded: find out which. The last few
            # are requested one by one, which separates a task's own error from others.
            half = len(awaits) // 2
            if half >= LAST_HALF:
                self._fetch_chunk(awaits[:half])
                self._fetch_chunk(awaits[half:])
                return
            unsent = [x for x in awaits if not self._session.push(x, ready=True)]
            if unsent:
                self._session.watch(unsent)

        else:
            for await_, value in zip(awaits, values, strict=True):
                readers.loaded_soon(await_, await_.ref, Loaded(value))
            readers.load_soon()

    def _read(self, keys: Sequence[bytes], timeout: float) -> list[Any]:
        """Read the objects of a chunk with one request."""
        data = self._server.get(keys, timeout)
        self._object_bytes = max(1.0, len(data) / len(keys))
        values: list[Any] = loads(data)
        return values
