"""Watches: refs that count as pending until each is ready, without a fetch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from .._awaiting.error_text import Description
from .._awaiting.events import Outcome
from .events import WatchEvent

if TYPE_CHECKING:
    from collections.abc import Hashable


class Ref(Protocol):
    """What the tracker needs of a ref."""

    def binary(self) -> bytes:
        """Return the id."""


Watcher = Callable[
    [
        Sequence[Any],
        Callable[[bytes, Description | None], None],
        Callable[[bytes], None],
    ],
    Callable[[], None],
]
"""Calls one of two callbacks once per ref, on any thread: the first when it is ready,
with its id and what it is (`VALUE`, an error, or None if unknown); the second with its
id when the last reference to it was dropped before. What it returns ends the watch. It
must not pin the refs."""


class Watches:
    """All watches that have not ended; `record` takes their events. Thread-safe."""

    def __init__(self, record: Callable[[Sequence[WatchEvent]], None]) -> None:
        self._record = record
        # Each watch's way to end, by the identity of its waiting refs.
        self._stops: dict[int, Callable[[], None]] = {}

    def begin(
        self,
        refs: Sequence[Ref],
        watcher: Watcher,
        origin: Hashable,
        since: float | None = None,
    ) -> Callable[[], None]:
        """Begin a watch; see `Tracker.watch`."""
        # `pop` decides between threads, so that each ref ends once.
        waiting = dict.fromkeys((ref.binary() for ref in refs), True)
        began = time.monotonic() if since is None else since
        self._record([WatchEvent("watched", key, origin, began) for key in waiting])

        def on_ready(key: bytes, what: Description | None) -> None:
            if waiting.pop(key, False):
                self._record([_ready(key, origin, what)])
                forget_if_over()

        def take_back(keys: Iterable[bytes]) -> None:
            at = time.monotonic()
            left = [key for key in keys if waiting.pop(key, False)]
            if left:
                self._record([WatchEvent("unwatched", key, origin, at) for key in left])
                forget_if_over()

        def forget_if_over() -> None:
            if not waiting:
                self._stops.pop(id(waiting), None)

        try:
            stop_watcher = watcher(refs, on_ready, lambda key: take_back([key]))
        except BaseException:
            take_back(list(waiting))
            raise

        def stop() -> None:
            self._stops.pop(id(waiting), None)
            stop_watcher()
            take_back(list(waiting))

        self._stops[id(waiting)] = stop
        forget_if_over()
        return stop

    def end(self) -> None:
        """End all watches."""
        for stop in list(self._stops.values()):
            stop()


def _ready(key: bytes, origin: Hashable, what: Description | None) -> WatchEvent:
    at = time.monotonic()
    if what is None:
        return WatchEvent("ready", key, origin, at, Outcome.EXISTS)
    if not what.error:
        return WatchEvent("ready", key, origin, at, Outcome.READY)
    return WatchEvent("ready", key, origin, at, Outcome.FAILED, *what)
