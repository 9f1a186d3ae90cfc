"""How fast a line goes, when it will end, what delays it, and how long a cell waits.

The rate is that of `rich.progress` (`Task.speed`): what settled in the last 30 seconds,
over that time. Unlike there the time runs on while nothing settles, so that the rate of
a line that stands still decreases.

The time left is what is pending over the rate, and at least the time since something
settled: a long tail (a thousand quick tasks, then one of minutes) would else read "0 s
left" until its end.

A straggler has run for more than three times the median of its finished siblings, and
for more than a second. All times are seconds of one clock.
"""

from __future__ import annotations

import statistics
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Seconds.
WINDOW = 30.0
_BUCKET = 0.1

STRAGGLER_TIMES = 3.0
STRAGGLER_SECONDS = 1.0
# Fewer finished siblings have no meaningful median.
_FEWEST_SIBLINGS = 3
_SIBLINGS = 200


class Pace:
    """The pace of one line, whose first ref was awaited or submitted at ``began``."""

    __slots__ = ("_began", "_buckets", "_durations", "_last", "_running", "_total")

    def __init__(self, began: float) -> None:
        self._began = self._last = began
        self._total = 0
        # When each tenth of a second with settled refs began, and how many.
        self._buckets: deque[tuple[float, int]] = deque()
        self._running: dict[int, float] = {}
        self._durations: deque[float] = deque(maxlen=_SIBLINGS)

    def settled(self, at: float, slots: Sequence[int]) -> None:
        """Note that records have settled, the last of them at this time."""
        if not slots:
            return
        self._total += len(slots)
        self._last = max(self._last, at)
        buckets = self._buckets
        if buckets and at < buckets[-1][0] + _BUCKET:
            buckets[-1] = (buckets[-1][0], buckets[-1][1] + len(slots))
        else:
            buckets.append((at, len(slots)))
            while buckets[0][0] < at - WINDOW:
                buckets.popleft()
        if self._running:
            for slot in slots:
                started = self._running.pop(slot, None)
                if started is not None:
                    self._durations.append(at - started)

    def ran(self, slot: int, started: float, ended: float | None) -> None:
        """Note since when a task runs, or for how long it ran."""
        if ended is None:
            self._running[slot] = started
        elif self._running.pop(slot, None) is not None or len(self._durations) < 5:
            self._durations.append(ended - started)

    def estimate(self, now: float, pending: int) -> tuple[float | None, float | None]:
        """Return the refs settled per second and the seconds left, if known.

        Once nothing is pending the rate is that of the whole line.
        """
        if not self._total:
            return None, None
        if not pending:
            took = self._last - self._began
            return (self._total / took if took > 0 else None), None
        since = max(self._began, now - WINDOW)
        count = sum(number for at, number in self._buckets if at >= since)
        if now <= since:
            return None, None
        rate = count / (now - since)
        silence = max(0.0, now - self._last)
        return rate, (max(pending / rate, silence) if rate else None)

    def stragglers(self, now: float) -> int:
        """Return how many run for much longer than their finished siblings did."""
        if len(self._durations) < _FEWEST_SIBLINGS or not self._running:
            return 0
        median = statistics.median(self._durations)
        limit = max(STRAGGLER_TIMES * median, STRAGGLER_SECONDS)
        return sum(now - started > limit for started in self._running.values())


class WaitClock:
    """The time during which at least one ref of a cell is awaited."""

    __slots__ = ("_since", "_waited", "waiting")

    def __init__(self) -> None:
        #: How many refs are awaited now.
        self.waiting = 0
        self._waited = 0.0
        self._since: float | None = None

    def more(self, count: int, at: float) -> None:
        """Count refs that begin to be awaited."""
        self.waiting += count
        if count and self._since is None:
            self._since = at

    def fewer(self, count: int, at: float) -> None:
        """Count refs that are no longer awaited."""
        self.waiting -= count
        if not self.waiting and self._since is not None:
            self._waited += max(0.0, at - self._since)
            self._since = None

    def read(self, now: float) -> float:
        """Return the seconds so far."""
        if self._since is None:
            return self._waited
        return self._waited + max(0.0, now - self._since)
