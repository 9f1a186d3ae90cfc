"""The table of `%ray_refs`: every name of the kernel, and the states of its refs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..plain_text import one_line
from ..reason_words import reason_words
from ..words import error_title, shortened

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..._tracking.snapshots import LineProgress

# Longer than elsewhere: the magics take these names.
_LONGEST_NAME = 100
_LONGEST_MESSAGE = 200
_COLUMNS = ("refs", "done", "running", "waiting", "failed", "cancelled", "unknown")


def refs_table(lines: Iterable[LineProgress]) -> str:
    """Return a row per name, pending ones first; below them reasons and errors."""
    shown = sorted(lines, key=lambda line: (not line.pending, line.first_awaited))
    if not shown:
        return "No refs were submitted or awaited yet"
    names = [shortened(line.name, _LONGEST_NAME) for line in shown]
    counts = [_counts(line) for line in shown]
    if len(shown) > 1:
        counts.append([sum(column) for column in zip(*counts, strict=True)])
    rows = [
        ("name", *_COLUMNS),
        *(
            # Zeros would hide what matters.
            (name, *(f"{number:,}" if number else "-" for number in numbers))
            for name, numbers in zip([*names, "all"], counts, strict=False)
        ),
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    table = [
        "  ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    named = list(zip(names, shown, strict=True))
    reasons = [
        f"{name}: {one_line(reason_words(line.reasons))}"
        for name, line in named
        if line.reasons
    ]
    errors = [
        f"{name}: {group.count:,} × {error_title(group, _LONGEST_MESSAGE)}"
        for name, line in named
        for group in line.errors
    ]
    return "\n".join(
        [*table, *_section("Waiting", reasons), *_section("Failed", errors)]
    )


def _section(title: str, lines: list[str]) -> list[str]:
    return ["", title, *(f"  {line}" for line in lines)] if lines else []


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
