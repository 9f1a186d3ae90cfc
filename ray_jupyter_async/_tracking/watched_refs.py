"""Watches: refs that count as pending until each is ready, without a fetch."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from .._awaiting.error_text import Description
from .._awaiting.events import Outcome
from .events import WatchEvent

if TYPE_CHECKING:
    from collections.abc import Hashable


class Ref(Protocol):
    """What the tracker needs of a ref: its id."""

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
"""Calls one of the two callbacks once per ref, on any thread: the first as it
becomes ready, with its id and what it is (`VALUE`, an error, or None for what
is not known); the second with its id when the last reference to it was dropped before.
What it returns ends the watch. It must not pin the refs."""


class Watches:
    """All watches that still wait. Every method may be called on any thread.

    Parameters
    ----------
    record
        Takes the events.
    """

    def __init__(self, record: Callable[[Sequence[WatchEvent]], None]) -> None:
        self._record = record
        # How each is ended, by its own set of ids.
        self._stops: dict[int, Callable[[], None]] = {}

    def begin(
        self,
        refs: Sequence[Ref],
        watcher: Watcher,
        origin: Hashable,
        since: float | None = None,
    ) -> Callable[[], None]:
        """Begin a watch; see `Tracker.watch`."""
        waiting = dict.fromkeys(ref.binary() for ref in refs)
        began = time.monotonic() if since is None else since
        self._record([WatchEvent("watched", key, origin, began) for key in waiting])

        # `pop` decides between these and `stop`; each ref ends once.
        def on_ready(key: bytes, what: Description | None) -> None:
            if waiting.pop(key, self) is None:
                self._record([_ready(key, origin, what)])
                forget_if_over()

        def on_released(key: bytes) -> None:
            if waiting.pop(key, self) is None:
                self._record([WatchEvent("unwatched", key, origin, time.monotonic())])
                forget_if_over()

        def forget_if_over() -> None:
            if not waiting:
                self._stops.pop(id(waiting), None)

        def take_back() -> None:
            at = time.monotonic()
            left = [key for key in list(waiting) if waiting.pop(key, self) is None]
            if left:
                self._record([WatchEvent("unwatched", key, origin, at) for key in left])

        try:
            stop_watcher = watcher(refs, on_ready, on_released)
        except BaseException:
            take_back()
            raise

        def stop() -> None:
            self._stops.pop(id(waiting), None)
            stop_watcher()
            take_back()

        self._stops[id(waiting)] = stop
        forget_if_over()
        return stop

    def end(self) -> None:
        """End all that still wait."""
        for stop in list(self._stops.values()):
            stop()


def _ready(key: bytes, origin: Hashable, what: Description | None) -> WatchEvent:
    at = time.monotonic()
    if what is None:
        return WatchEvent("ready", key, origin, at, Outcome.EXISTS)
    if not what.error:
        return WatchEvent("ready", key, origin, at, Outcome.READY)
    return WatchEvent("ready", key, origin, at, Outcome.FAILED, *what)
