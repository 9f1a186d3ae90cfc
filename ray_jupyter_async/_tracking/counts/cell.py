"""The counts of one cell, a line per name, and all cells. Not thread-safe."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import TYPE_CHECKING

from ..snapshots import CellProgress
from .line import Line
from .pace import WaitClock

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..refs.store import Records

# What a display can show and a person can read: a name per task
# (`.options(name=f"part-{i}")`) must not make a line per task.
MAX_LINES = 50
OTHER_NAMES = "other names"


class Cell:
    """The counts of one cell."""

    def __init__(self, origin: Hashable) -> None:
        self.origin = origin
        self.lines: dict[str, Line] = {}
        self.code_finished = False
        #: Runs while refs are awaited or watched, rather than only submitted.
        self.clock = WaitClock()

    @property
    def pending(self) -> int:
        """Refs that have not settled."""
        return sum(line.pending for line in self.lines.values())

    def line(self, name: str, at: float) -> Line:
        """Return the line of a name, made when it is new; surplus names share one."""
        line = self.lines.get(name)
        if line is None:
            if len(self.lines) >= MAX_LINES:
                name = OTHER_NAMES
                line = self.lines.get(name)
            if line is None:
                line = self.lines[name] = Line(name, at, self.origin, self.clock)
        return line

    def merge(self, lines: Iterable[Line]) -> None:
        """Add lines to those of the same names."""
        for line in lines:
            self.line(line.name, line.first_awaited).merge(line)

    def read(self, now: float) -> CellProgress:
        """Return the counts as they are now."""
        return CellProgress(
            origin=self.origin,
            lines=tuple(line.read(now) for line in self.lines.values()),
            pending=self.pending,
            waited=self.clock.read(now),
            code_finished=self.code_finished,
            taken=now,
            waiting=self.clock.waiting,
        )


class Cells:
    """The cells that are remembered, oldest first, and the totals of the others.

    Parameters
    ----------
    keep
        How many cells are remembered; more only while something in them is pending.
    """

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._cells: dict[Hashable, Cell] = {}
        self._retired = Cell(None)

    def __iter__(self) -> Iterator[Cell]:
        return iter(self._cells.values())

    def get(self, origin: Hashable) -> Cell | None:
        """Return a cell, None if it is not known."""
        return self._cells.get(origin)

    def of(self, origin: Hashable) -> Cell:
        """Return a cell, made when it is new."""
        cell = self._cells.get(origin)
        if cell is None:
            cell = self._cells[origin] = Cell(origin)
        return cell

    def totals(self) -> Cell:
        """Return the sum of all cells, line by line."""
        totals = Cell(None)
        for cell in (self._retired, *self):
            totals.merge(cell.lines.values())
        return totals

    def retire(self, records: Records) -> list[Hashable]:
        """Forget the oldest settled cells beyond `keep`, except for their counts.

        Returns their origins.
        """
        over = len(self._cells) - self._keep
        if over <= 0:
            return []
        retired = [cell for cell in self if not cell.pending][:over]
        lines = [line for cell in retired for line in cell.lines.values()]
        records.remove_all(lines)
        self._retired.merge(lines)
        for cell in retired:
            del self._cells[cell.origin]
        return [cell.origin for cell in retired]
