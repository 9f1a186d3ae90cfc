"""The counts of one name, in a cell or over all of them. Not thread-safe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..cluster.reasons import Reason, ReasonKind
from ..refs.line_records import LineRecords
from ..snapshots import LineProgress, RefState
from .error_groups import ErrorGroups
from .pace import Pace, WaitClock

if TYPE_CHECKING:
    from collections.abc import Hashable

_PENDING = tuple(state for state in RefState if not state.settled)


class Line:
    """The counts of one name.

    Attributes
    ----------
    origin, clock
        The cell's; the latter runs while refs of the cell are awaited.
    counts
        Refs in each state, with those whose record was evicted.
    again
        Those of them that another cell counts, too.
    reasons
        Why the pending refs wait, most frequent first.
    stale
        Why the states may be out of date; None if they are not.
    """

    __slots__ = (
        "again",
        "clock",
        "counts",
        "errors",
        "first_awaited",
        "last_change",
        "name",
        "origin",
        "pace",
        "reasons",
        "records",
        "stale",
    )

    def __init__(
        self,
        name: str,
        at: float,
        origin: Hashable = None,
        clock: WaitClock | None = None,
    ) -> None:
        self.name = name
        self.origin = origin
        self.clock = WaitClock() if clock is None else clock
        self.counts = [0] * len(RefState)
        self.again = [0] * len(RefState)
        self.first_awaited = self.last_change = at
        self.errors = ErrorGroups()
        self.pace = Pace(at)
        self.records = LineRecords()
        self.reasons: tuple[Reason, ...] = ()
        self.stale: Reason | None = None

    def count(self, state: int, by: int, *, again: bool) -> None:
        """Add to the count of a state, and to `again`."""
        self.counts[state] += by
        if again:
            self.again[state] += by

    @property
    def pending(self) -> int:
        """Refs that have not settled."""
        return sum(self.counts[state] for state in _PENDING)

    def merge(self, other: Line) -> None:
        """Add the counts of another line that no other cell has."""
        theirs = zip(self.counts, other.counts, other.again, strict=True)
        self.counts = [ours + count - again for ours, count, again in theirs]
        self.first_awaited = min(self.first_awaited, other.first_awaited)
        self.last_change = max(self.last_change, other.last_change)
        self.errors.merge(other.errors)
        self.reasons = self.reasons or other.reasons
        self.stale = self.stale or other.stale

    def read(self, now: float) -> LineProgress:
        """Return the counts as they are now."""
        counts = self.counts
        pending = self.pending
        running, cancelling = counts[RefState.RUNNING], counts[RefState.CANCELLING]
        rate, eta = self.pace.estimate(now, pending)
        return LineProgress(
            name=self.name,
            total=sum(counts),
            resolved=counts[RefState.RESOLVED],
            ready=counts[RefState.READY],
            failed=counts[RefState.FAILED],
            cancelled=counts[RefState.CANCELLED],
            pending=pending,
            released=counts[RefState.RELEASED],
            unknown=counts[RefState.ENDED],
            first_awaited=self.first_awaited,
            last_change=self.last_change,
            finished=None if pending else self.last_change,
            errors=self.errors.read(),
            running=running,
            cancelling=cancelling,
            stragglers=self.pace.stragglers(now) if running else 0,
            reasons=(self.stale,)
            if self.stale and pending
            else _of_now(self.reasons, pending - running - cancelling),
            rate=rate,
            eta=eta,
        )


def _of_now(reasons: tuple[Reason, ...], waiting: int) -> tuple[Reason, ...]:
    """Adjust reasons, which are a second or two old: what has begun is not queued."""
    return tuple(
        reason._replace(count=waiting, or_more=False)
        if reason.kind is ReasonKind.BUSY and reason.count > waiting
        else reason
        for reason in (reasons if waiting > 0 else ())
    )
