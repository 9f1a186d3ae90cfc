"""The counts of one name, in a cell or over all of them.

As in `cell_reports`, nothing in here is thread-safe: the tracker owns the lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..reasons import Reason, ReasonKind
from ..refs.store import LineRecords
from ..snapshots import LineProgress, RefState
from .error_groups import ErrorGroups
from .pace import Pace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# What a display can show and a person can read; a name per task
# (`.options(name=f"part-{i}")`) must not make a line per task.
MAX_LINES = 50
OTHER_NAMES = "other names"

_PENDING = (
    RefState.PENDING_ARGS,
    RefState.PENDING_NODE,
    RefState.RUNNING,
    RefState.CANCELLING,
)


class LineTally:
    """The counts of one name."""

    __slots__ = (
        "again",
        "counts",
        "errors",
        "first_awaited",
        "last_change",
        "name",
        "pace",
        "reasons",
        "records",
        "stale",
    )

    def __init__(
        self, name: str, at: float, forget: Callable[[bytes], object] = bool
    ) -> None:
        self.name = name
        #: Refs in each state, also those whose record is no more.
        self.counts = [0] * len(RefState)
        #: Those of them whose ref another cell counts, too; see `shared_refs`.
        self.again = [0] * len(RefState)
        self.first_awaited = self.last_change = at
        self.errors = ErrorGroups()
        self.pace = Pace(at)
        self.records = LineRecords(forget)
        #: Why the pending refs wait, most frequent first.
        self.reasons: tuple[Reason, ...] = ()
        #: Why the states may be out of date; None if they are not.
        self.stale: Reason | None = None

    def move(self, old: RefState, new: RefState, *, again: int) -> None:
        """Count a ref in another state."""
        self.counts[old] -= 1
        self.counts[new] += 1
        if again:
            self.again[old] -= 1
            self.again[new] += 1

    def count(self, state: RefState, by: int, *, again: int) -> None:
        """Count a ref anew (1) or no longer (-1)."""
        self.counts[state] += by
        if again:
            self.again[state] += by

    @property
    def pending(self) -> int:
        """Refs that have not settled."""
        return sum(self.counts[state] for state in _PENDING)

    @property
    def total(self) -> int:
        """All refs."""
        return sum(self.counts)

    def merge(self, other: LineTally) -> None:
        """Add those counts of ``other`` that no other cell has."""
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
        waiting = pending - counts[RefState.RUNNING] - counts[RefState.CANCELLING]
        rate, eta = self.pace.estimate(now, pending)
        return LineProgress(
            name=self.name,
            total=self.total,
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
            running=counts[RefState.RUNNING],
            cancelling=counts[RefState.CANCELLING],
            stragglers=self.pace.stragglers(now) if counts[RefState.RUNNING] else 0,
            reasons=_of_now(self.reasons, waiting)
            if self.stale is None or not pending
            else (self.stale,),
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


def line_of(
    lines: dict[str, LineTally],
    name: str,
    at: float,
    forget: Callable[[bytes], object] = bool,
) -> LineTally:
    """Return the line of ``name``, made when it is new; a surplus name shares one."""
    line = lines.get(name)
    if line is None:
        if len(lines) >= MAX_LINES:
            name = OTHER_NAMES
            line = lines.get(name)
        if line is None:
            line = lines[name] = LineTally(name, at, forget)
    return line


def merge_lines(into: dict[str, LineTally], lines: Iterable[LineTally]) -> None:
    """Add ``lines`` to the lines of the same names in ``into``."""
    for line in lines:
        line_of(into, line.name, line.first_awaited).merge(line)
