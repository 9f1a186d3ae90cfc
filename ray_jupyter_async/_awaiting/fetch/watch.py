"""Readiness of refs that are not awaited: nothing is fetched or pinned."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

import ray

from ..._ray_api.connection import own_address
from ..._ray_api.objects import HAS_ON_READY
from ..._ray_api.shutdown_gate import ClosedError
from ..._threads import start_thread
from ...errors import RayNotInitializedError
from ..error_text import Description
from .pool import readers
from .sessions import local_session_of

if TYPE_CHECKING:
    from ..._ray_api.objects import Ref
    from .local import LocalSession

#: Seconds between two polls if Ray has no callback (before 2.60).
ROUND_SECONDS = 0.2

#: Minimum seconds between two checks for refs without any reference left, and the share
#: of a core that these checks may take.
RELEASED_SECONDS = 1.0
RELEASED_SHARE = 0.01

#: Called with a ref's id and the description of its object (`VALUE` or an error), or
#: None if that is not known because the object is on another node.
OnReady = Callable[[bytes, Description | None], None]
#: Called with the id of a ref whose last reference was dropped before it was ready.
OnReleased = Callable[[bytes], None]


def watch_ready(
    refs: Sequence[Ref], on_ready: OnReady, on_released: OnReleased
) -> Callable[[], None]:
    """Call back once per ref, when its object exists or its last reference is dropped.

    Parameters
    ----------
    refs : sequence of ObjectRef
        Refs of a local session. Ray 2.60 and later does not keep them; with older Ray
        they are kept until they are ready, and therefore never released.
    on_ready : callable
        Called with `(ref.binary(), what)` on any thread; it may only record.
    on_released : callable
        Called with `ref.binary()`, within seconds, in the same way.

    Returns
    -------
    callable
        Ends the watch.

    Raises
    ------
    TypeError
        If one is not a ref, or is a Ray Client ref.
    RayNotInitializedError
        If no Ray session is connected.
    """
    unique: dict[bytes, Ref] = {}
    for ref in refs:
        session = local_session_of(ref)
        unique[ref.binary()] = ref
    if not unique:
        return _nothing
    refs = list(unique.values())
    watch = _Watch(session, on_ready, on_released)
    if HAS_ON_READY:
        readers.call(watch.by_callback, refs)
    else:
        start_thread(watch.by_rounds, refs, name="ray-await-watch")
    return watch.stop


def _nothing() -> None:
    pass


def _owner(ref: Ref) -> bytes:
    # Bytes, whatever Ray's stubs say.
    owner: Any = ref.owner_address()
    return bytes(owner)


class _Watch:
    def __init__(
        self, session: LocalSession, on_ready: OnReady, on_released: OnReleased
    ) -> None:
        self._session = session
        self._on_ready = on_ready
        self._on_released = on_released
        self._stopped = threading.Event()
        self._unwatch: dict[bytes, Callable[[], None]] = {}
        # Refs that became ready during their registration.
        self._early: set[bytes] = set()

    def stop(self) -> None:
        self._stopped.set()
        while self._unwatch:
            _, unwatch = self._unwatch.popitem()
            unwatch()

    def by_callback(self, refs: list[Ref]) -> None:
        """Register callbacks with Ray; on a reader thread, because it takes time."""
        for ref in refs:
            if self._stopped.is_set():
                return
            key = ref.binary()
            try:
                self._unwatch[key] = self._session.objects.on_ready(
                    ref, functools.partial(self._exists, key, _owner(ref))
                )
            except ClosedError:
                return
            if key in self._early:
                # Ready before `on_ready` returned.
                self._early.discard(key)
                self._unwatch.pop(key, None)
        if self._unwatch:
            start_thread(self._find_released, name="ray-await-watch")

    def _find_released(self) -> None:
        # Ray drops the callback of a ref whose last reference was dropped.
        pause = RELEASED_SECONDS
        while self._unwatch and not self._stopped.wait(pause):
            began = time.monotonic()
            try:
                held = self._session.objects.referenced()
            except ClosedError:
                return
            for key in [key for key in list(self._unwatch) if key not in held]:
                if self._unwatch.pop(key, None) is not None:
                    self._on_released(key)
            cost = time.monotonic() - began
            pause = max(RELEASED_SECONDS, cost / RELEASED_SHARE)

    def _exists(self, key: bytes, owner: bytes, _error: BaseException | None) -> None:
        # On Ray's io thread; a reader checks for an error.
        self._early.add(key)
        if self._unwatch.pop(key, None) is not None:
            self._early.discard(key)
        if not self._stopped.is_set():
            readers.call(self._report, key, owner)

    def _report(self, key: bytes, owner: bytes) -> None:
        self._on_ready(key, self._session.look_at(key, owner))

    def by_rounds(self, refs: list[Ref]) -> None:
        """Poll in rounds; on a separate thread."""
        objects = self._session.objects
        while refs and not self._stopped.is_set() and self._session.is_current():
            try:
                ready = objects.wait(refs, len(refs), timeout_ms=0, fetch_local=False)
                for ref in ready:
                    key = ref.binary()
                    self._on_ready(key, self._session.look_at(key, _owner(ref)))
            except ClosedError:
                break
            gone = {ref.binary() for ref in ready}
            refs = [ref for ref in refs if ref.binary() not in gone]
            ready = []
            self._stopped.wait(ROUND_SECONDS)
        if not self._session.is_current():
            self._session.sit_out_end()


def outcomes_of(keys: Sequence[bytes]) -> dict[bytes, Description]:
    """Return descriptions, by id, of this process's objects on this node."""
    if not keys:
        return {}
    try:
        owner = own_address()
        session = local_session_of(cast("Any", ray).ObjectRef(keys[0], owner))
    except (ClosedError, RayNotInitializedError):
        return {}
    found = {key: session.look_at(key, owner) for key in keys}
    return {key: what for key, what in found.items() if what is not None}
