"""What the tracker shows of itself: immutable counts and times.

No logic of counting lives here, and nothing here changes after it was made: any
thread may keep and read it.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable


@dataclasses.dataclass(frozen=True)
class LineProgress:
    """The refs of one name that one cell awaits or watches.

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
        Watched refs whose object exists; nobody has asked for the value.
    failed
        Refs whose task raised, or whose value could not be had.
    cancelled
        Refs of which the await or the task was cancelled.
    pending
        Refs awaited or watched and not settled.
    first_awaited
        When the first of them was awaited.
    last_change
        When a count last changed.
    finished
        When the last one settled; None while some are pending.
    errors
        Error class names with counts, most frequent first.
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
    errors: tuple[tuple[str, int], ...]

    @property
    def done(self) -> int:
        """Refs that went well: resolved or ready."""
        return self.resolved + self.ready

    def elapsed(self, now: float) -> float:
        """Return the seconds from the first await to the end, or to ``now``."""
        end = now if self.finished is None else self.finished
        return max(0.0, end - self.first_awaited)


@dataclasses.dataclass(frozen=True)
class CellProgress:
    """Everything one cell awaits or watches, a line per name.

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
    """

    origin: Hashable
    lines: tuple[LineProgress, ...]
    pending: int
    waited: float
    code_finished: bool
    taken: float

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
        A line per name over all cells, also those no longer remembered. A ref
        awaited in two cells counts in each.
    """

    cells: tuple[CellProgress, ...]
    totals: tuple[LineProgress, ...]
