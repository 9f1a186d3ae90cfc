"""What the tracker shows: immutable counts, states and times. Thread-safe.

All times are seconds of ``time.monotonic()`` where nothing else is stated.
"""

from __future__ import annotations

import dataclasses
import enum
from typing import TYPE_CHECKING, NamedTuple

from .counts.short_tracebacks import short_traceback

if TYPE_CHECKING:
    from collections.abc import Hashable

    from .cluster.reasons import Reason


class RefState(enum.IntEnum):
    """What is known of one ref.

    The numbers are sent to the front end and stored in saved data: they never change
    their meaning.
    """

    #: Not submitted to a node yet: an argument is missing.
    PENDING_ARGS = 0
    #: Waits for a node, a worker or its actor; also when nothing more is known.
    PENDING_NODE = 1
    RUNNING = 2
    #: The object is known to be a value that nothing has asked for.
    READY = 3
    #: The value reached an awaiter.
    RESOLVED = 4
    FAILED = 5
    #: Asked to end, not ended yet.
    CANCELLING = 6
    CANCELLED = 7
    #: No longer awaited, and the end of its task will not be known.
    RELEASED = 8
    #: Its task has ended or its object exists; whether it is a value is not known.
    ENDED = 9

    @property
    def settled(self) -> bool:
        """Whether this is an end."""
        return self in _SETTLED


_SETTLED = frozenset(
    {
        RefState.READY,
        RefState.RESOLVED,
        RefState.FAILED,
        RefState.CANCELLED,
        RefState.RELEASED,
        RefState.ENDED,
    }
)


class RefRecord(NamedTuple):
    """One ref of a line; times count from its `LineProgress.first_awaited`."""

    #: Its position in the line, from 0. (It hides a method of tuples.)
    index: int  # type: ignore[assignment]
    key: bytes
    state: RefState
    #: When it was submitted or, if that was not seen, first awaited.
    submitted: float
    #: When its task began to run, by its node's clock; None while unknown.
    started: float | None
    #: When its task ended, by its node's clock; while that is unknown, when the ref was
    #: seen to have settled. None before.
    ended: float | None
    #: The address of its task's node; "" while unknown.
    node: str
    #: The process id of its task's worker; 0 while unknown.
    worker: int
    #: 0 for the first attempt.
    attempt: int
    #: Bytes of the object; None while unknown.
    size: int | None
    #: ``"Kind: message"``; "" if there is none.
    error: str


@dataclasses.dataclass(frozen=True)
class ErrorGroup:
    """Errors of one class and message."""

    #: The class name of the cause: ``"ZeroDivisionError"``.
    kind: str
    #: One line, cut; "" while unknown.
    message: str
    #: How many refs failed with it.
    count: int
    #: The remote traceback as Ray returns it, bounded; "" while unknown.
    full: str = ""
    #: The id of one of the tasks, if known.
    task: bytes | None = None

    @property
    def short(self) -> str:
        """The user's own frames of the traceback; "" while unknown.

        Computed when it is read, because errors are counted under a lock.
        """
        return short_traceback(self.full)


@dataclasses.dataclass(frozen=True)
class LineProgress:
    """The refs of one name that one cell has submitted, awaits or watches.

    Each counts once, however often it is awaited.
    """

    #: The function, ``Actor.method``, or the name set by ``.options(name=...)``.
    name: str
    total: int
    #: By state; see `RefState`.
    resolved: int
    ready: int
    failed: int
    cancelled: int
    #: Refs that have not settled, with those that run or were asked to end.
    pending: int
    first_awaited: float
    #: When a count last changed.
    last_change: float
    #: When the last ref settled; None while some are pending.
    finished: float | None
    #: Most frequent first.
    errors: tuple[ErrorGroup, ...]
    running: int = 0
    cancelling: int = 0
    #: Those of the running that take much longer than their finished siblings.
    stragglers: int = 0
    released: int = 0
    #: Refs in the state `RefState.ENDED`.
    unknown: int = 0
    #: Why the pending refs wait, most frequent first, or why their states may be out of
    #: date.
    reasons: tuple[Reason, ...] = ()
    #: Refs settled per second, smoothed; None while unknown.
    rate: float | None = None
    #: Seconds until all have settled; None while unknown.
    eta: float | None = None

    @property
    def done(self) -> int:
        """Refs that are known to be values."""
        return self.resolved + self.ready

    def elapsed(self, now: float) -> float:
        """Return the seconds from the first await to the end, or to ``now``."""
        end = now if self.finished is None else self.finished
        return max(0.0, end - self.first_awaited)


@dataclasses.dataclass(frozen=True)
class CellProgress:
    """Everything one cell has submitted, awaits or watches."""

    #: The cell's id, as the notebook room sets it; None outside any cell.
    origin: Hashable
    #: In the order in which they were first awaited.
    lines: tuple[LineProgress, ...]
    #: Refs that have not settled, over all lines.
    pending: int
    #: Seconds during which refs were awaited or watched, up to `taken`.
    waited: float
    #: Whether the cell's code has ended.
    code_finished: bool
    #: When this was read.
    taken: float
    #: Those of the pending that are awaited or watched; the others only submitted.
    waiting: int = 0

    @property
    def settled(self) -> bool:
        """Whether nothing is pending."""
        return self.pending == 0


@dataclasses.dataclass(frozen=True)
class Progress:
    """The whole kernel at one moment."""

    #: The cells that are remembered, oldest first.
    cells: tuple[CellProgress, ...]
    #: A line per name over all cells, with those that are no longer remembered. A ref
    #: that several cells know counts once.
    totals: tuple[LineProgress, ...]
