"""What the pump knows of a cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .cell import Cell
    from .protocol import Display


class ShownCell:
    """A cell, its display, and what is to become of it."""

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.display: Display | None = None
        self.at_once = False
        self.code_finished = False
        self.broken = False
        # Whether the display had more to show than it may at once.
        self.behind = False
        # Of the cell's waiting, what lies before its display became static.
        self.waited_before = 0.0
        # When the elapsed time is sent although nothing has changed.
        self.next_sending = 0.0

    @property
    def held(self) -> bool:
        """Whether its display is live, and somebody looks at it closely."""
        display = self.display
        return display is not None and display.live and display.held
