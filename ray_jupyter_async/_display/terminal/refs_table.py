"""The table of `%ray_refs`: every name of the kernel, and the states of its refs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..plain_text import one_line
from ..reason_words import reason_words
from ..words import error_title, shortened

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..._tracking.snapshots import LineProgress

_LONGEST_NAME = 100
_LONGEST_MESSAGE = 200
_COLUMNS = ("refs", "done", "running", "waiting", "failed", "cancelled", "unknown")


def refs_table(lines: Iterable[LineProgress]) -> str:
    """Give a table with a row per name, and what there is to say below it.

    Parameters
    ----------
    lines
        As in `Progress.totals`.

    Returns
    -------
    str
        Those with something pending come first.
    """
    shown = sorted(lines, key=lambda line: (not line.pending, line.first_awaited))
    if not shown:
        return "No refs were submitted or awaited yet"
    rows = [("name", *_COLUMNS), *(_row(line) for line in shown)]
    if len(shown) > 1:
        sums = [sum(counts) for counts in zip(*map(_counts, shown), strict=True)]
        rows.append(("all", *_told(sums)))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    table = [
        "  ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    reasons = [
        f"{_name(line)}: {one_line(reason_words(line.reasons))}"
        for line in shown
        if line.reasons
    ]
    errors = [
        f"{_name(line)}: {group.count:,} × {error_title(group, _LONGEST_MESSAGE)}"
        for line in shown
        for group in line.errors
    ]
    return "\n".join(
        [*table, *_section("Waiting", reasons), *_section("Failed", errors)]
    )


def _section(title: str, said: list[str]) -> list[str]:
    return ["", title, *(f"  {line}" for line in said)] if said else []


def _row(line: LineProgress) -> tuple[str, ...]:
    return (_name(line), *_told(_counts(line)))


def _name(line: LineProgress) -> str:
    # Longer than elsewhere: it is what the magics take.
    return shortened(line.name, _LONGEST_NAME)


def _counts(line: LineProgress) -> list[int]:
    return [
        line.total,
        line.done,
        line.running,
        line.pending - line.running,
        line.failed,
        line.cancelled,
        line.unknown + line.released,
    ]


def _told(counts: Iterable[int]) -> list[str]:
    # A nought in every column would hide what matters.
    return [f"{count:,}" if count else "-" for count in counts]
