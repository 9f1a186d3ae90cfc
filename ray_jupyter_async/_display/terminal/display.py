"""Progress in a terminal: the lines of the widget as text, updated in place.

Rendered by rich, which knows the widths of characters and the colours of a terminal.
It needs no IPython: a script shows the same (``script``).
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text

from .. import words
from ..plain_text import one_line, printable
from . import is_screen
from .screen import TerminalScreen

if TYPE_CHECKING:
    from collections.abc import Hashable

    from ..._tracking.snapshots import CellProgress, LineProgress
    from ..cell import Cell

_COLOURS = {
    "resolved": "green",
    "running": "blue",
    "failed": "red",
    "cancelled": "yellow",
}
_FAINT = "bright_black"
_BAR = 20
#: Columns of a narrow terminal, which has no place for bars and rates.
_NARROW = 60
_WIDEST_NAMES = 28
_TURNING = "⠋⠙⠹⠸⠼⠴⠦⠧"
_TURNS_PER_SECOND = 5


class TerminalProgress:
    """The displays of all cells on the terminal that `sys.stdout` is."""

    def __init__(self) -> None:
        self._screen = TerminalScreen(sys.stdout)

    def display(self, cell: Cell) -> TerminalDisplay:
        """Make the display of a cell's progress; for `Pump`."""
        return TerminalDisplay(cell, self._screen)

    def cell_ended(self, cell_id: Hashable) -> None:
        """Leave what a cell shows as it is: after it comes the prompt."""
        self._screen.end(cell_id)


class TerminalDisplay:
    """The progress of one cell while it runs; a `Display` of the pump."""

    #: Nothing on a terminal can be held open.
    held = False
    _progress: CellProgress

    def __init__(self, cell: Cell, screen: TerminalScreen) -> None:
        self._cell = cell
        self._screen = screen

    @property
    def live(self) -> bool:
        """Whether it is on the screen, and moves."""
        return self._screen.shows(self._cell.id)

    def show(self, progress: CellProgress) -> bool:
        """Show ``progress``, with times that move on; there is never more to show."""
        self._progress = progress
        if not self.live and self._cell.is_current() and is_screen(sys.stdout):
            self._screen.show(
                self._cell.id, lambda width, now: rendered(self._progress, width, now)
            )
        return False

    def leave(self, progress: CellProgress) -> None:
        """Have ``progress`` left where `TerminalProgress.cell_ended` leaves it."""
        self._progress = progress

    def finish(self, progress: CellProgress) -> None:
        """Leave ``progress`` as plain lines."""
        self._progress = progress
        self._screen.end(self._cell.id)

    def complete(self, progress: CellProgress) -> None:
        """Do nothing: lines on a terminal are not changed later."""


def rendered(progress: CellProgress, columns: int, now: float | None) -> Group:
    """Return the lines of a cell, as wide as the terminal.

    Times move on with ``now`` (``time.monotonic()``). None is for what stays: below the
    lines come their sum and the errors.
    """
    wide = columns >= _NARROW
    later = 0.0 if now is None else now - progress.taken
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, max_width=_WIDEST_NAMES if wide else columns // 3)
    for _ in range(3 if wide else 2):
        table.add_column(no_wrap=True, justify="right")
    # rich narrows only columns that may wrap: this one, whose cells do not.
    table.add_column()
    for line in words.shown_lines(progress):
        table.add_row(
            _mark(line, now),
            Text(one_line(line.name)),
            *([_bar(line)] if wide else []),
            Text(words.done_of_total(line)),
            Text(words.format_elapsed(line.elapsed(progress.taken + later))),
            _notes(line, later, rates=wide and now is not None),
        )
    below = []
    if now is None:
        below = [printable(block) for block in words.errors_text(progress)]
        if len(progress.lines) > 1:
            below.insert(0, words.summary(progress))
    return Group(table, *map(Text, below))


def _mark(line: LineProgress, now: float | None) -> Text:
    sign, state = words.mark_of(line)
    if line.pending:
        # What has not ended, when nothing turns any more.
        sign, state = "◦", "failed" if line.failed else "running"
        if now is not None:
            sign = _TURNING[int(now * _TURNS_PER_SECOND) % len(_TURNING)]
    return Text(sign, _COLOURS.get(state, _FAINT))


def _bar(line: LineProgress) -> Text:
    """Return a bar whose states differ by sign, not by colour alone."""
    bar = Text()
    left, refs = _BAR, line.total
    for sign, state, count in (
        ("█", "resolved", line.done),
        ("x", "failed", line.failed),
        ("–", "cancelled", line.cancelled),
        ("▒", "running", line.running),
    ):
        if count:
            # Of what is left, so that rounding never goes beyond the end.
            cells = min(left, max(1, round(left * count / refs)))
            bar.append(sign * cells, _COLOURS[state])
            left, refs = left - cells, refs - count
    return bar.append("·" * left, _FAINT)


def _notes(line: LineProgress, later: float, *, rates: bool) -> Text:
    parts = []
    # What matters least comes last, where it is cut off.
    for state, note in reversed(words.notes(line)):
        if state == "pending" and rates and line.rate is not None:
            parts.append(Text(words.format_rate(line.rate)))
        if state == "pending" and rates and line.eta is not None:
            left = words.format_guess(max(0.0, line.eta - later))
            parts.append(Text(f"{left} left"))
        parts.append(Text(note, _COLOURS["failed"] if state == "failed" else ""))
    joined = Text(", ").join(parts)
    joined.no_wrap, joined.overflow = True, "ellipsis"
    return joined
