"""What the tracker shows of itself: immutable counts, states and times.

No logic of counting lives here, and nothing here changes after it was made: any
thread may keep and read it.
"""

from __future__ import annotations

import dataclasses
import enum
from typing import TYPE_CHECKING, NamedTuple

from .counts.short_tracebacks import short_traceback

if TYPE_CHECKING:
    from collections.abc import Hashable

    from .reasons import Reason


class RefState(enum.IntEnum):
    """What is known of one ref.

    The numbers travel to the front end and stand in saved data: they are never
    given anew.
    """

    #: Not submitted to a node yet: an argument is missing.
    PENDING_ARGS = 0
    #: Waits for a node, a worker or its actor; also when nothing more is known.
    PENDING_NODE = 1
    RUNNING = 2
    #: The object is known to be a value, for which nobody has asked.
    READY = 3
    #: The value reached an awaiter.
    RESOLVED = 4
    FAILED = 5
    #: Asked to end, not ended yet.
    CANCELLING = 6
    CANCELLED = 7
    #: Nobody waits for it any more, and nothing tells what becomes of its task.
    RELEASED = 8
    #: Its task has ended or its object exists; whether it is a value is not known.
    ENDED = 9

    @property
    def settled(self) -> bool:
        """Whether this is an end: nothing more is waited for."""
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
    """One ref of a line.

    All times are seconds since the line's `LineProgress.first_awaited`, and may
    be negative.

    Attributes
    ----------
    index
        Its position in the line, from 0; it never changes.
    key
        The ref's id, ``ref.binary()``.
    state
        What is known of it.
    submitted
        When it was submitted or, where that was not seen, first awaited.
    started
        When its task began to run, by its node's clock; None while unknown.
    ended
        When its task ended, by its node's clock or, while that is unknown, when
        this process saw that the ref had settled; None before.
    node
        The address of the node it ran on; "" when unknown.
    worker
        The process id of the worker it ran in; 0 when unknown.
    attempt
        0 for the first try, and one more for each retry.
    size
        Bytes of the object; None when unknown.
    error
        ``"Kind: message"``, or "" when there is none.
    """

    # Hides the method of tuples, which nobody wants of a record.
    index: int  # type: ignore[assignment]
    key: bytes
    state: RefState
    submitted: float
    started: float | None
    ended: float | None
    node: str
    worker: int
    attempt: int
    size: int | None
    error: str


@dataclasses.dataclass(frozen=True)
class ErrorGroup:
    """Errors of one class and message.

    Attributes
    ----------
    kind
        The class name of the cause: ``"ZeroDivisionError"``.
    message
        One line, cut; "" when unknown.
    count
        How many refs failed with it.
    full
        The remote traceback as Ray gives it, bounded; "" when unknown.
    task
        The id of one task of the group, if known.
    """

    kind: str
    message: str
    count: int
    full: str = ""
    task: bytes | None = None

    @property
    def short(self) -> str:
        """The shortest useful traceback: the user's own frames; "" when unknown.

        Made when it is read: errors are counted under a lock.
        """
        return short_traceback(self.full)


@dataclasses.dataclass(frozen=True)
class LineProgress:
    """The refs of one name that one cell has submitted, awaits or watches.

    All times are seconds of ``time.monotonic()``.

    Attributes
    ----------
    name
        Function, ``Actor.method``, or the name given by ``.options(name=...)``.
    total
        All refs of this name; each counts once however often it is awaited.
    resolved
        Refs whose value reached an awaiter.
    ready
        Refs that are known to be a value, for which nobody has asked.
    failed
        Refs whose task raised, or whose value could not be had.
    cancelled
        Refs whose task was cancelled. One whose await was given up is what its task
        is, or released.
    pending
        Refs that have not settled, whatever else is known of them.
    first_awaited
        When the first of them was awaited; what the times of a `RefRecord`
        count from.
    last_change
        When a count last changed.
    finished
        When the last one settled; None while some are pending.
    errors
        What went wrong, most frequent first.
    running
        Those of the pending that are known to be executed now.
    cancelling
        Those of the pending that were asked to end.
    stragglers
        Those of the running that take much longer than their finished siblings.
    released
        Refs that nobody waits for any more, and of whose tasks nothing tells.
    unknown
        Refs whose task has ended or whose object exists, and of which it is not known
        whether they are values.
    reasons
        Why the pending ones wait, most frequent first, or why their states may be out
        of date.
    rate
        Refs settled per second, smoothed; None while unknown.
    eta
        Seconds until all have settled; None while unknown.
    """

    name: str
    total: int
    resolved: int
    ready: int
    failed: int
    cancelled: int
    pending: int
    first_awaited: float
    last_change: float
    finished: float | None
    errors: tuple[ErrorGroup, ...]
    running: int = 0
    cancelling: int = 0
    stragglers: int = 0
    released: int = 0
    unknown: int = 0
    reasons: tuple[Reason, ...] = ()
    rate: float | None = None
    eta: float | None = None

    @property
    def done(self) -> int:
        """Refs that are known to be values: resolved or ready."""
        return self.resolved + self.ready

    def elapsed(self, now: float) -> float:
        """Return the seconds from the first await to the end, or to ``now``."""
        end = now if self.finished is None else self.finished
        return max(0.0, end - self.first_awaited)


@dataclasses.dataclass(frozen=True)
class CellProgress:
    """Everything one cell has submitted, awaits or watches, a line per name.

    Attributes
    ----------
    origin
        The cell's id as the notebook room set it; None outside any cell.
    lines
        One per name, in the order in which they were first awaited.
    pending
        Refs not settled, over all lines.
    waited
        Seconds during which something was pending, up to `taken`.
    code_finished
        Whether the cell's code has ended.
    taken
        When this was read, ``time.monotonic()``.
    waiting
        Those of the pending that are awaited or watched. Of the others the cell
        only submitted the task.
    """

    origin: Hashable
    lines: tuple[LineProgress, ...]
    pending: int
    waited: float
    code_finished: bool
    taken: float
    waiting: int = 0

    @property
    def settled(self) -> bool:
        """Whether nothing is pending now."""
        return self.pending == 0


@dataclasses.dataclass(frozen=True)
class Progress:
    """The whole kernel at one moment.

    Attributes
    ----------
    cells
        The cells still remembered, oldest first.
    totals
        A line per name over all cells, also those no longer remembered. A ref that
        several cells know counts once.
    """

    cells: tuple[CellProgress, ...]
    totals: tuple[LineProgress, ...]
