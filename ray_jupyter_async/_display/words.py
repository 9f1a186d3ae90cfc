"""Progress in words and as plain text, the same in every output.

The live widget gets its words from here. What a page must write by itself, such as a
clock between two messages, is in ``frontend/words.js``; tests/words.json holds the
cases that both must pass. No HTML and no terminal here.
"""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from math import floor
from typing import TYPE_CHECKING

from .._tracking.snapshots import LineProgress
from .cell_names import with_cell_names
from .plain_text import one_line, printable
from .reason_words import reason_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .._tracking.snapshots import CellProgress, ErrorGroup

#: Lines that are shown one by one; the others are summed up in one more.
MOST_LINES = 12
_LONGEST_NAME = 48
_LONGEST_NOTE = 120
_LONGEST_KIND = 60
# Of the errors in a text, which cannot be folded.
_MOST_GROUPS = 4
_MOST_TRACEBACK_LINES = 12
_LONGEST_TRACEBACK_LINE = 110
# Bytes in a saved notebook: errors that would go beyond are left out.
_MOST_BYTES = 8_000


def _rounded(value: float, digits: int = 0) -> str:
    # Halves go up, as in the page: `round` and `format` send them to the even digit.
    factor = 10**digits
    return f"{floor(value * factor + 0.5) / factor:,.{digits}f}"


def format_elapsed(seconds: float) -> str:
    """Return a duration: ``"0.8 s"``, ``"34 s"``, ``"2 min 5 s"``, ``"1 h 2 min"``."""
    if seconds < 9.95:
        return f"{_rounded(seconds, 1)} s"
    whole = floor(seconds + 0.5)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def format_rate(per_second: float) -> str:
    """Return a rate: ``"1,200/s"``, ``"2.5/s"`` or ``"3.0/min"``."""
    if per_second >= 10:
        return f"{_rounded(per_second)}/s"
    if per_second >= 0.1:
        return f"{_rounded(per_second, 1)}/s"
    return f"{_rounded(per_second * 60, 1)}/min"


def format_guess(seconds: float) -> str:
    """Return a guessed duration, no more exact than it is known: ``"~34 s"``."""
    if seconds < 59.5:
        return f"~{_rounded(seconds)} s"
    if seconds < 59.5 * 60:
        return f"~{_rounded(seconds / 60)} min"
    return f"~{_rounded(seconds / 3600, 1)} h"


def shortened(text: str, longest: int = _LONGEST_NAME) -> str:
    """Return a text in one line, cut at its end."""
    return one_line(text, longest)


def counted(count: int, what: str) -> str:
    """Return ``"1 ref"`` or ``"2,000 refs"``."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _counts(*counts: tuple[int, str]) -> list[str]:
    """Return those counts that are not 0, each with its word."""
    return [f"{count:,} {word}" for count, word in counts if count]


def mark_of(line: LineProgress) -> tuple[str, str]:
    """Return the sign in front of a line, and the state that it stands for."""
    if line.failed:
        return "✕", "failed"
    if line.pending:
        return "◦", "pending"
    if line.cancelled:
        return "⊘", "cancelled"
    if line.unknown:
        return "?", "unknown"
    if line.released:
        return "–", "released"
    return "✓", "resolved"


def done_of_total(line: LineProgress) -> str:
    """Return ``"3/1,000"``."""
    return f"{line.done:,}/{line.total:,}"


def notes(line: LineProgress, longest: int = _LONGEST_NOTE) -> list[tuple[str, str]]:
    """Return the notes beside done/total, each with its state.

    ``[("pending", "2 running"), ("failed", "1 failed (ValueError)")]``, for example.
    """
    found = _ends(line)
    if line.stragglers:
        slow = f"{line.stragglers:,} much slower than the others"
        found.insert(0, ("stragglers", slow))
    if line.pending:
        found.insert(0, ("pending", _pending(line)))
    return [(state, shortened(note, longest)) for state, note in found]


def spoken(line: LineProgress) -> str:
    """Return a line for a screen reader: ``"3 of 5 done, 1 failed (KeyError)"``."""
    done = f"{line.done:,} of {line.total:,} done"
    return ", ".join([done, *(note for _, note in _ends(line))])


def _ends(line: LineProgress) -> list[tuple[str, str]]:
    """Return notes for the refs that ended in other ways than as values."""
    counts = (
        ("failed", line.failed, _failed(line)),
        ("cancelled", line.cancelled, "cancelled"),
        ("released", line.released, "released"),
        ("unknown", line.unknown, "ended, outcome unknown"),
    )
    return [(state, f"{count:,} {words}") for state, count, words in counts if count]


def _pending(line: LineProgress) -> str:
    reason = reason_words(line.reasons)
    counts = _counts(
        (line.running, "running"),
        (line.cancelling, "cancelling"),
        (line.pending - line.running - line.cancelling, "pending"),
    )
    return ", ".join(counts) + (f": {reason}" if reason else "")


def _failed(line: LineProgress) -> str:
    """Return "failed" with the most frequent error classes."""
    classes: Counter[str] = Counter()
    for group in line.errors:
        classes[shortened(group.kind, _LONGEST_KIND)] += group.count
    names = [*classes]
    if len(names) > 1:
        names = [f"{name} ×{times:,}" for name, times in classes.most_common(3)]
        if len(classes) > 3:
            names.append("…")
    return f"failed ({', '.join(names)})" if names else "failed"


def shown_lines(
    progress: CellProgress, most: int = MOST_LINES
) -> tuple[LineProgress, ...]:
    """Return the lines to show: all, or the most telling and one for the rest."""
    lines = progress.lines
    if len(lines) <= most:
        return lines
    ranked = sorted(lines, key=lambda line: (not line.failed, not line.pending))
    kept = {id(line) for line in ranked[: most - 1]}
    rest = [line for line in lines if id(line) not in kept]
    shown = [line for line in lines if id(line) in kept]
    return (*shown, _merged(f"… {len(rest):,} more names", rest))


def summary(progress: CellProgress, workers: int = 0) -> str:
    """Return `totals` with the time and, where known, the number of workers.

    ``"22 of 24 refs done in 1.3 s on 2 workers, 1 failed, 1 pending"``, for example.
    """
    if not progress.lines:
        return totals(progress)
    elapsed = _merged("", progress.lines).elapsed(progress.taken)
    where = f" on {counted(workers, 'worker')}" if workers else ""
    pending = _counts((progress.pending, "pending"))
    return ", ".join(
        [totals(progress, f" in {format_elapsed(elapsed)}{where}"), *pending]
    )


def totals(progress: CellProgress, spent: str = "") -> str:
    """Return the counts of all lines: ``"23 of 24 refs done, 1 failed"``."""
    if not progress.lines:
        return "no refs"
    total = _merged("", progress.lines)
    ends = _counts(
        (total.failed, "failed"),
        (total.cancelled, "cancelled"),
        (total.released, "released"),
        (total.unknown, "with unknown outcome"),
    )
    done = f"{total.done:,} of {counted(total.total, 'ref')} done{spent}"
    return ", ".join([done, *ends])


def as_of(progress: CellProgress) -> str:
    """Return when incomplete counts were read; "" for the last ones.

    ``"as of 2026-03-01 14:03:22, not yet complete"``, in local time.
    """
    if progress.settled:
        return ""
    at = time.localtime(time.time() - (time.monotonic() - progress.taken))
    return f"as of {time.strftime('%Y-%m-%d %H:%M:%S', at)}, not yet complete"


def progress_text(progress: CellProgress, workers: int = 0, stamp: str = "") -> str:
    """Return a line per name, in columns; then the summary and the errors.

    A line is, for example, ``"g  3/4  0.8 s  1 failed (ValueError)"``. Blocks are
    separated by empty lines; the summary is left out where there is only one line.
    ``stamp`` is `as_of`.
    """
    rows = [
        (
            shortened(line.name),
            done_of_total(line),
            format_elapsed(line.elapsed(progress.taken)),
            ", ".join(note for _, note in notes(line)),
        )
        for line in shown_lines(progress)
    ]
    if not rows:
        return "no refs"
    name, done, elapsed = (max(len(row[i]) for row in rows) for i in range(3))
    columns = [
        f"{row[0]:<{name}}  {row[1]:>{done}}  {row[2]:>{elapsed}}  {row[3]}"
        for row in rows
    ]
    blocks = ["\n".join(line.rstrip() for line in columns)]
    if len(rows) > 1:
        blocks.append(summary(progress, workers))
    if stamp:
        blocks.append(stamp)
    room = _MOST_BYTES - sum(map(weight, blocks))
    for block in errors_text(progress):
        room -= weight(block)
        if room < 0:
            break
        blocks.append(block)
    return "\n\n".join(blocks)


def weight(text: str) -> int:
    """Return the bytes that a text takes in a notebook file, which is JSON."""
    return len(text.encode(errors="replace")) + sum(map(text.count, '"\\\n'))


def errors_text(progress: CellProgress) -> list[str]:
    """Return a few lines for each kind of error, most frequent first."""
    found = [
        (line, group)
        for line in progress.lines
        for group in line.errors
        if group.message or group.full
    ]
    found.sort(key=lambda pair: -pair[1].count)
    blocks = []
    for line, group in found[:_MOST_GROUPS]:
        lines = [f"{error_title(group)} ({group.count:,} × {shortened(line.name)})"]
        traceback = traceback_text(group.short).splitlines()
        if len(traceback) > _MOST_TRACEBACK_LINES:
            traceback = ["…", *traceback[1 - _MOST_TRACEBACK_LINES :]]
        lines += [
            f"  {_cut(text)}".rstrip()
            for text in traceback
            # An empty line ends a block of HTML or text for some readers.
            if text.strip()
        ]
        blocks.append("\n".join(lines))
    if len(found) > _MOST_GROUPS:
        blocks.append(f"… {counted(len(found) - _MOST_GROUPS, 'more kind')} of error")
    return blocks


def traceback_text(traceback: str) -> str:
    """Return a traceback as it may be shown: cells by their names, no controls."""
    return printable(with_cell_names(traceback))


def _cut(line: str) -> str:
    # With its indentation, so not as `shortened` does it.
    longest = _LONGEST_TRACEBACK_LINE
    return line if len(line) <= longest else line[: longest - 1] + "…"


def error_title(group: ErrorGroup, longest: int = 120) -> str:
    """Return ``"KeyError: 'x'"`` in one line, its message cut."""
    message = shortened(group.message, longest)
    kind = shortened(group.kind, _LONGEST_KIND)
    return f"{kind}: {message}" if message else kind


def _merged(name: str, lines: Sequence[LineProgress]) -> LineProgress:
    """Return the sum of some lines."""
    counts = [field for field, value in vars(lines[0]).items() if type(value) is int]
    sums = {field: sum(getattr(line, field) for line in lines) for field in counts}
    return dataclasses.replace(
        lines[0],
        **sums,
        name=name,
        first_awaited=min(line.first_awaited for line in lines),
        last_change=max(line.last_change for line in lines),
        finished=None
        if sums["pending"]
        else max(line.finished or 0.0 for line in lines),
        errors=tuple(error for line in lines for error in line.errors),
        reasons=(),
        rate=None,
        eta=None,
    )
