"""Refs that several cells know: each counts once, and all cells learn of its end.

A ref that one cell submits and another one awaits has a record in both, because each
shows it. The record that was made last is marked `store.AGAIN` and is left out of
the kernel's totals. As in `cell`, nothing in here is thread-safe.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from ..counts.cell import CellCounts
    from ..events import Failure
    from ..snapshots import RefState


class SharedRefs:
    """Which cells know which refs.

    Parameters
    ----------
    changed
        Called with the origin of a cell that has learned something.
    """

    def __init__(self, changed: Callable[[Hashable], None]) -> None:
        self._changed = changed
        self._first: dict[bytes, CellCounts] = {}
        # All cells of the refs that more than one knows: few, as a rule.
        self._all: dict[bytes, list[CellCounts]] = {}

    def __bool__(self) -> bool:
        """Whether there is any ref that more than one cell knows."""
        return bool(self._all)

    def add(self, keys: Mapping[bytes, object], cell: CellCounts) -> set[bytes]:
        """Note that a cell knows refs; return those that another cell knows, too."""
        again = self._first.keys() & keys.keys()
        if not again:
            self._first.update(dict.fromkeys(keys, cell))
            return again
        for key in keys:
            if key in again:
                self._all.setdefault(key, [self._first[key]]).append(cell)
            else:
                self._first[key] = cell
        return again

    def first(self, key: bytes) -> CellCounts | None:
        """Return the first cell that knows a ref, if any does."""
        return self._first.get(key)

    def forget(self, key: bytes, cell: CellCounts) -> None:
        """Note that a cell has dropped its record of a ref."""
        cells = self._all.get(key)
        if cells is None:
            self._first.pop(key, None)
            return
        cells.remove(cell)
        self._first[key] = cells[0]
        if len(cells) == 1:
            del self._all[key]

    def spread(
        self,
        key: bytes,
        source: CellCounts,
        state: RefState,
        at: float,
        failure: Failure | None = None,
    ) -> None:
        """Let the other cells that know a ref learn how it has ended."""
        for cell in self._all.get(key, ()):
            if cell is not source and cell.learn(key, state, at, failure):
                self._changed(cell.origin)
