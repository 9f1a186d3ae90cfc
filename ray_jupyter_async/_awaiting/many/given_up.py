"""Awaits that were given up: readers end their watches and report them."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from ..events import AwaitEvent, Outcome, emit
from ..fetch.pool import readers

if TYPE_CHECKING:
    from collections.abc import Callable

#: Awaits that are tidied away at once, and the pause after them in seconds: the loop,
#: which may be giving up others, must not wait for the GIL.
TIDY_STEP = 128
TIDY_PAUSE_SECONDS = 0.0002


class GivenUp:
    """The awaits of one loop that were given up and are not tidied away yet."""

    def __init__(self) -> None:
        #: What ends the watch, the key if it is to be reported, the origin, and when.
        self._waiting: deque[
            tuple[Callable[[], None] | None, bytes | None, object | None, float]
        ] = deque()
        self._tidying = False

    def add(
        self,
        unwatch: Callable[[], None] | None,
        key: bytes | None,
        origin: object | None,
    ) -> None:
        """Have a reader end a watch, and report the await if it has a key."""
        self._waiting.append((unwatch, key, origin, time.monotonic()))
        if not self._tidying:
            self._tidy_soon()

    def _tidy_soon(self) -> None:
        self._tidying = True
        readers.call(self._tidy)

    def _tidy(self) -> None:
        events: list[AwaitEvent] = []
        try:
            for _ in range(TIDY_STEP):
                try:
                    unwatch, key, origin, at = self._waiting.popleft()
                except IndexError:
                    break
                if key is not None:
                    events.append(
                        AwaitEvent("settled", key, origin, at, Outcome.CANCELLED)
                    )
                if unwatch is not None:
                    unwatch()
        finally:
            # Also if a session ends meanwhile: the next ones must be tidied away.
            emit(events)
            if self._waiting:
                time.sleep(TIDY_PAUSE_SECONDS)
            self._tidying = False
            # Looked at again: what was added before that line has begun no other step.
            if self._waiting and not self._tidying:
                self._tidy_soon()
