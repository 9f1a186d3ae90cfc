"""Batches of events on their way to the counts."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from .counts.awaits import Awaits, Event
    from .events import Submission

# Events that are overdue if nothing has taken any for a while: seconds, and how many.
_DRAIN_EVERY = 2.0
_DRAIN_ABOVE = 100_000


class Inbox:
    """Takes events on any thread, without a lock.

    A garbage collection may run code that puts events in while the same thread drains.

    Parameters
    ----------
    take_submitted
        Returns what was submitted since the last call.
    """

    def __init__(self, take_submitted: Callable[[], Iterable[Submission]]) -> None:
        self._take_submitted = take_submitted
        self._batches: deque[Sequence[Event]] = deque()
        # Not exact when threads race; used for `overdue` only.
        self._undrained = 0
        self._drained_at = time.monotonic()

    def put(self, events: Sequence[Event]) -> None:
        """Add a batch, which must not change afterwards."""
        self._batches.append(events)
        self._undrained += len(events)

    @property
    def overdue(self) -> bool:
        """Whether many events wait that nothing has drained for a while."""
        return (
            self._undrained > _DRAIN_ABOVE
            and time.monotonic() - self._drained_at > _DRAIN_EVERY
        )

    def drain(self, awaits: Awaits) -> None:
        """Apply what has come in; one thread at a time."""
        self._undrained = 0
        self._drained_at = time.monotonic()
        # Not "until empty": events may come in as fast as they are applied. Counted
        # first, because a ref is submitted before it is awaited.
        waiting = len(self._batches)
        awaits.submitted(self._take_submitted())
        for _ in range(waiting):
            awaits.apply(self._batches.popleft())
