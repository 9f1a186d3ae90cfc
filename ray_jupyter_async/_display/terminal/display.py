"""Progress in a terminal: the lines of the widget as text, updated in place.

Rendered by rich, which knows how wide characters are and which colours a terminal
has. It needs no IPython: a script shows the same (``script``).
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, NamedTuple

from rich.console import Console
from rich.text import Text

from ..plain_text import one_line, printable
from ..words import (
    done_of_total,
    errors_text,
    format_elapsed,
    format_rate,
    mark_of,
    notes,
    shown_lines,
    summary,
)
from .screen import TerminalScreen, is_screen

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

    from ..._tracking.snapshots import CellProgress, LineProgress
    from ..cell import Cell

_COLOURS = {
    "resolved": "green",
    "running": "blue",
    "pending": "bright_black",
    "failed": "red",
    "cancelled": "yellow",
    "released": "bright_black",
    "unknown": "bright_black",
    "stragglers": "yellow",
}
_BAR = 20
#: Characters of a narrow terminal, which has no place for bars and rates.
_NARROW = 60
_WIDEST_NAMES = 28
_TURNS_PER_SECOND = 5


class _Signs(NamedTuple):
    turning: str
    #: Of what has not ended when nothing turns any more.
    pending: str
    resolved: str
    failed: str
    cancelled: str
    released: str
    unknown: str
    #: Of bars: states differ by sign, not by colour alone.
    bar: dict[str, str]


_UNICODE = _Signs(
    "⠋⠙⠸⠴⠦⠇", "◦", "✓", "✕", "⊘", "–", "?",
    {"resolved": "█", "failed": "x", "cancelled": "–", "running": "▒", "": "·"},
)  # fmt: skip
_ASCII = _Signs(
    "|/-\\", ".", "+", "x", "o", "-", "?",
    {"resolved": "#", "failed": "x", "cancelled": "-", "running": "=", "": "."},
)  # fmt: skip


class _Row(NamedTuple):
    mark: Text
    name: Text
    bar: Text
    done: Text
    elapsed: Text
    notes: Text


class TerminalProgress:
    """The displays of all cells on the terminal that `sys.stdout` is."""

    def __init__(self) -> None:
        self._screen: TerminalScreen | None = None
        self._displays: dict[Hashable, TerminalDisplay] = {}

    def display(self, cell: Cell) -> TerminalDisplay:
        """Make what shows a cell's progress; for `Pump`."""
        made = TerminalDisplay(cell, self.screen)
        self._displays[cell.id] = made
        return made

    def cell_ended(self, cell_id: Hashable) -> None:
        """Leave what a cell shows as it is: after it comes the prompt."""
        display = self._displays.pop(cell_id, None)
        if display is not None:
            display.end()

    def screen(self) -> TerminalScreen | None:
        """Return the screen; None while `sys.stdout` is none."""
        stream = sys.stdout
        if not is_screen(stream):
            return None
        if self._screen is None or not self._screen.is_on(stream):
            self._screen = TerminalScreen(stream)
        return self._screen


class TerminalDisplay:
    """The progress of one cell; a `Display` of the pump.

    Parameters
    ----------
    cell
        Whose it is. It is shown while the cell runs.
    find_screen
        Gives where to show it, if anywhere.
    """

    #: Nobody can hold it: see `Display`.
    held = False

    def __init__(
        self, cell: Cell, find_screen: Callable[[], TerminalScreen | None]
    ) -> None:
        self._is_current = cell.is_current
        self._find_screen = find_screen
        self._screen: TerminalScreen | None = None
        self._progress: CellProgress | None = None
        self._over = False

    @property
    def live(self) -> bool:
        """Whether it is on the screen, and moves."""
        return self._screen is not None

    def show(self, progress: CellProgress) -> bool:
        """Show ``progress``, with times that move on; there is never more to show."""
        self._progress = progress
        if self._screen is None and not self._over and self._is_current():
            self._screen = self._find_screen()
            if self._screen is not None:
                self._screen.show(self, self._render)
        return False

    def leave(self, progress: CellProgress) -> None:
        """Have ``progress`` left where `end` leaves what was shown last."""
        self._progress = progress

    def finish(self, progress: CellProgress) -> None:
        """Leave ``progress`` as plain lines."""
        screen, self._screen = self._screen, None
        if screen is not None:
            screen.end(self, final_text(progress))

    def complete(self, progress: CellProgress) -> None:
        """Do nothing: what stands on a terminal stands."""

    def end(self) -> None:
        """Leave what was shown last as plain lines, and show nothing any more."""
        self._over = True
        if self._progress is not None:
            self.finish(self._progress)

    def _render(self) -> list[str]:
        progress = self._progress
        return [] if progress is None else live_lines(progress, time.monotonic())


def live_lines(progress: CellProgress, now: float) -> list[str]:
    """Return the lines of a cell at one moment, as wide as the terminal.

    Parameters
    ----------
    progress
        The counts.
    now
        ``time.monotonic()``; elapsed times move on with it.
    """
    return _table(progress, now).splitlines()


def final_text(progress: CellProgress) -> str:
    """Return what stays on the terminal: the lines, their sum, and the errors."""
    blocks = [_table(progress, None)]
    if len(progress.lines) > 1:
        blocks[0] += summary(progress)
    blocks += [printable(block) for block in errors_text(progress)]
    return "\n".join(block.rstrip("\n") for block in blocks)


def _table(progress: CellProgress, now: float | None) -> str:
    # It looks at the terminal each time: it may have been resized.
    console = Console(file=sys.stdout, force_jupyter=False, highlight=False)
    signs = _UNICODE if console.encoding.startswith("utf") else _ASCII
    # The last column stays free: some terminals go on to the next line after it.
    width = max(20, console.width - 1)
    wide = width >= _NARROW
    at = progress.taken if now is None else now
    rows = [
        _Row(
            _mark(line, signs, now),
            Text(one_line(line.name)),
            _bar(line, signs) if wide else Text(),
            Text(done_of_total(line)),
            Text(format_elapsed(line.elapsed(at))),
            _notes(line, at - progress.taken, rates=wide and now is not None),
        )
        for line in shown_lines(progress)
    ]
    names = min(_widest(r.name for r in rows), _WIDEST_NAMES if wide else width // 3)
    dones = _widest(row.done for row in rows)
    times = _widest(row.elapsed for row in rows)
    lines = []
    for row in rows:
        row.name.truncate(names, overflow="ellipsis", pad=True)
        row.done.pad_left(dones - row.done.cell_len)
        row.elapsed.pad_left(times - row.elapsed.cell_len)
        line = Text("  ").join(cell for cell in row if cell)
        line.truncate(width, overflow="ellipsis")
        lines.append(line)
    with console.capture() as captured:
        console.print(*lines, sep="\n", no_wrap=True, crop=True)
    return captured.get()


def _widest(cells: Iterable[Text]) -> int:
    return max((cell.cell_len for cell in cells), default=0)


def _mark(line: LineProgress, signs: _Signs, now: float | None) -> Text:
    _, state = mark_of(line)
    if line.pending:
        sign = signs.pending
        if now is not None:
            sign = signs.turning[int(now * _TURNS_PER_SECOND) % len(signs.turning)]
        return Text(sign, _COLOURS["failed" if line.failed else "running"])
    return Text({
        "resolved": signs.resolved,
        "failed": signs.failed,
        "cancelled": signs.cancelled,
        "released": signs.released,
        "unknown": signs.unknown,
    }[state], _COLOURS[state])  # fmt: skip


def _bar(line: LineProgress, signs: _Signs) -> Text:
    bar = Text()
    counts = {
        "resolved": line.done,
        "failed": line.failed,
        "cancelled": line.cancelled,
        "running": line.running,
    }
    left, refs = _BAR, line.total
    for state, count in counts.items():
        if not count:
            continue
        # Of what is left, so that rounding never goes beyond the end.
        cells = min(left, max(1, round(left * count / refs)))
        bar.append(signs.bar[state] * cells, _COLOURS[state])
        left, refs = left - cells, refs - count
    return bar.append(signs.bar[""] * left, _COLOURS["pending"])


def _notes(line: LineProgress, later: float, *, rates: bool) -> Text:
    said = Text()
    # What matters least comes last, where it is cut off.
    for state, note in reversed(notes(line)):
        if state == "pending" and rates:
            said.append(_rates(line, later))
        said.append(one_line(note), _COLOURS[state] if state == "failed" else "")
        said.append(", ")
    if said:
        said.right_crop(2)
    return said


def _rates(line: LineProgress, later: float) -> str:
    said = ""
    if line.rate is not None:
        said += f"{format_rate(line.rate)}, "
    if line.eta is not None:
        said += f"~{format_elapsed(max(0.0, line.eta - later))} left, "
    return said
