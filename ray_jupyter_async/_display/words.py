"""Progress in words and as plain text, the same in every output that is not live.

The live widget has twins of some of these in ``frontend/words.js``. Nothing here
knows HTML or a terminal.
"""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from typing import TYPE_CHECKING

from .._tracking.snapshots import LineProgress
from .cell_names import with_cell_names
from .plain_text import one_line, printable
from .reason_words import reason_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .._tracking.snapshots import CellProgress, ErrorGroup

#: Lines that are shown one by one; the others are summed up in one more.
MOST_LINES = 12
_LONGEST_NAME = 48
_LONGEST_NOTE = 120
_LONGEST_KIND = 60
# Of the errors in a text, which nobody can fold.
_MOST_GROUPS = 4
_MOST_TRACEBACK_LINES = 12
_LONGEST_TRACEBACK_LINE = 110
# Bytes in a saved notebook: errors that would go beyond are left out.
_MOST_BYTES = 8_000


def format_elapsed(seconds: float) -> str:
    """Return a duration in the words of the widget.

    Parameters
    ----------
    seconds
        The duration.

    Returns
    -------
    str
        ``"0.8 s"``, ``"34 s"``, ``"2 min 5 s"`` or ``"1 h 2 min"``.
    """
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def format_rate(per_second: float) -> str:
    """Return a rate: ``"1,200/s"``, ``"2.5/s"`` or ``"3.0/min"``."""
    if per_second >= 10:
        return f"{per_second:,.0f}/s"
    if per_second >= 0.1:
        return f"{per_second:.1f}/s"
    return f"{per_second * 60:.1f}/min"


def shortened(text: str, longest: int = _LONGEST_NAME) -> str:
    """Return a text in one line, cut at its end."""
    return one_line(text, longest)


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


def notes(line: LineProgress) -> list[tuple[str, str]]:
    """Return what there is to say of a line beside done/total.

    Returns
    -------
    list of (str, str)
        The state's word and the note, for example
        ``("failed", "1 failed (ValueError)")``.
    """
    said = []
    if line.pending:
        said.append(("pending", _pending(line)))
    if line.stragglers:
        slow = f"{line.stragglers:,} much slower than the others"
        said.append(("stragglers", slow))
    if line.failed:
        names = error_names(line)
        about = f" ({names})" if names else ""
        said.append(("failed", f"{line.failed:,} failed{about}"))
    if line.cancelled:
        said.append(("cancelled", f"{line.cancelled:,} cancelled"))
    if line.released:
        said.append(("released", f"{line.released:,} released"))
    if line.unknown:
        said.append(("unknown", f"{line.unknown:,} ended, outcome unknown"))
    return [(state, shortened(note, _LONGEST_NOTE)) for state, note in said]


def error_names(line: LineProgress) -> str:
    """Return the most frequent error classes of a line, in a few words."""
    classes: Counter[str] = Counter()
    for group in line.errors:
        classes[shortened(group.kind, _LONGEST_KIND)] += group.count
    if len(classes) == 1:
        return next(iter(classes))
    shown = [f"{name} ×{times:,}" for name, times in classes.most_common(3)]
    if len(classes) > 3:
        shown.append("…")
    return ", ".join(shown)


def shown_lines(
    progress: CellProgress, most: int = MOST_LINES
) -> tuple[LineProgress, ...]:
    """Return the lines to show: all, or the most telling and one for the rest."""
    lines = progress.lines
    if len(lines) <= most:
        return lines
    told = sorted(lines, key=lambda line: (not line.failed, not line.pending))
    kept = {id(line) for line in told[: most - 1]}
    rest = [line for line in lines if id(line) not in kept]
    shown = [line for line in lines if id(line) in kept]
    return (*shown, _merged(f"… {len(rest):,} more names", rest))


def summary(progress: CellProgress, workers: int = 0) -> str:
    """Return all lines in a few words.

    Parameters
    ----------
    progress
        The counts of one cell.
    workers
        How many worker processes took part; 0 when that is unknown.

    Returns
    -------
    str
        ``"23 of 24 refs done in 1.3 s on 2 workers, 1 failed"``.
    """
    if not progress.lines:
        return "no refs"
    total = _merged("", progress.lines)
    said = f"{total.done:,} of {_counted(total.total, 'ref')} done"
    said += f" in {format_elapsed(total.elapsed(progress.taken))}"
    if workers:
        said += f" on {_counted(workers, 'worker')}"
    for count, word in (
        (total.failed, "failed"),
        (total.cancelled, "cancelled"),
        (total.released, "released"),
        (total.unknown, "with unknown outcome"),
        (total.pending, "pending"),
    ):
        if count:
            said += f", {count:,} {word}"
    return said


def as_of(progress: CellProgress) -> str:
    """Return when counts were read that are not the last ones; "" if they are.

    Returns
    -------
    str
        ``"as of 2026-03-01 14:03:22, not yet complete"``, in local time.
    """
    if progress.settled:
        return ""
    at = time.localtime(time.time() - (time.monotonic() - progress.taken))
    return f"as of {time.strftime('%Y-%m-%d %H:%M:%S', at)}, not yet complete"


def progress_text(progress: CellProgress, workers: int = 0, stamp: str = "") -> str:
    """Return one readable line per name, in columns; then what went wrong.

    Parameters
    ----------
    progress
        The counts of one cell.
    workers
        How many worker processes took part; 0 when that is unknown.
    stamp
        When the counts were read, see `as_of`.

    Returns
    -------
    str
        A line is, for example, ``"g  3/4  0.8 s  1 failed (ValueError)"``. After
        an empty line come the summary, if there is more than one line, and the
        errors with their tracebacks.
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
    """Return what is known of each kind of error, each in a few lines."""
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
        blocks.append(f"… {_counted(len(found) - _MOST_GROUPS, 'more kind')} of error")
    return blocks


def traceback_text(traceback: str) -> str:
    """Return a traceback as it may be shown: cells by their names, no controls."""
    return printable(with_cell_names(traceback))


def _cut(line: str) -> str:
    # With its indentation, so not as `shortened` does it.
    longest = _LONGEST_TRACEBACK_LINE
    return line if len(line) <= longest else line[: longest - 1] + "…"


def error_title(group: ErrorGroup, longest: int = 120) -> str:
    """Return ``"KeyError: 'x'"``, in one line, its message cut."""
    message = shortened(group.message, longest)
    kind = shortened(group.kind, _LONGEST_KIND)
    return f"{kind}: {message}" if message else kind


def _pending(line: LineProgress) -> str:
    waiting = line.pending - line.running - line.cancelling
    said = [
        f"{count:,} {word}"
        for count, word in (
            (line.running, "running"),
            (line.cancelling, "cancelling"),
            (waiting, "pending"),
        )
        if count
    ]
    reason = f": {reason_words(line.reasons)}" if line.reasons else ""
    return ", ".join(said) + reason


def _merged(name: str, lines: Sequence[LineProgress]) -> LineProgress:
    """Sum lines up to one."""
    pending = sum(line.pending for line in lines)
    errors: Iterable[ErrorGroup] = (e for line in lines for e in line.errors)
    return dataclasses.replace(
        lines[0],
        name=name,
        total=sum(line.total for line in lines),
        resolved=sum(line.resolved for line in lines),
        ready=sum(line.ready for line in lines),
        failed=sum(line.failed for line in lines),
        cancelled=sum(line.cancelled for line in lines),
        released=sum(line.released for line in lines),
        unknown=sum(line.unknown for line in lines),
        pending=pending,
        first_awaited=min(line.first_awaited for line in lines),
        last_change=max(line.last_change for line in lines),
        finished=None if pending else max(line.finished or 0.0 for line in lines),
        errors=tuple(errors),
        running=sum(line.running for line in lines),
        cancelling=sum(line.cancelling for line in lines),
        stragglers=sum(line.stragglers for line in lines),
        reasons=(),
        rate=None,
        eta=None,
    )


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
