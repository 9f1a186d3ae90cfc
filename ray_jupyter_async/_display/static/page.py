"""Progress as static HTML beside plain text.

What a cell shows once everything has settled, what a saved notebook shows without a
kernel, and what a front end without widgets shows: a table with a row for each name,
and its errors and timelines folded below. No script, no style sheet, no external
request; it is readable where a site removes every style.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import words
from ..plain_text import attribute, markup
from .style import ROOT, background, cell, coloured, row, table
from .timeline import timed_tasks, timeline_html

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ..._tracking.refs.columns import RefColumns
    from ..._tracking.snapshots import CellProgress, ErrorGroup, LineProgress

    ReadRefs = Callable[[str], RefColumns | None]

_LONGEST_TITLE = 200

# Bytes in a saved notebook. Lines beyond the first limit are summed up, errors and
# timelines beyond the second left out; with the text, a cell stays below 30 kB.
_MOST_BYTES_OF_LINES = 14_000
_MOST_BYTES = 20_000
# Per line.
_MOST_GROUPS = 5
_LONGEST_TRACEBACK = 1_500

# Widths in em, and shares of the rest.
_NAME, _DONE, _TIME, _STATE = (17, 2), (12, 1), (7, 1), (15, 2)
_TITLES = row(
    *(
        cell(f'<b style="white-space:nowrap">{title}</b>', *size, "columnheader")
        for title, size in (
            *(("Name", _NAME), ("Done", _DONE)),
            *(("Time", _TIME), ("State", _STATE)),
        )
    ),
    wrap=False,
)
_BAR = (
    "display:inline-flex;width:80px;height:8px;margin-right:6px;overflow:hidden;"
    f"border-radius:4px;{background('track')}"
)
_PRE = "margin:2px 6px 8px;overflow:auto;white-space:pre"


def progress_bundle(
    progress: CellProgress, read_refs: ReadRefs | None = None
) -> dict[str, str]:
    """Return ``text/plain`` and ``text/html``; timelines need the refs of a line."""
    tasks = {
        line.name: timed_tasks(read_refs(line.name), line.elapsed(progress.taken))
        for line in progress.lines
        if read_refs is not None
    }
    workers = len({task.ran_on for found in tasks.values() for task in found})
    stamp = words.as_of(progress)
    summary = "; ".join(filter(None, (words.summary(progress, workers), stamp)))
    lines, rows = _rows(progress)
    room = _MOST_BYTES - sum(map(words.weight, rows))
    # Errors before the first timeline: they matter more.
    errors, room = _fitting(_errors(lines), room)
    timelines, _ = _fitting(
        (timeline_html(line.name, tasks.get(line.name, ())) for line in lines), room
    )
    parts = [
        f'<div class="rja-static" style="{ROOT}">',
        f'<div style="padding:2px 6px">{markup(summary)}</div>',
        *([table([_TITLES, *rows])] if rows else ()),
        *_folded("Errors", errors),
        *_folded("Timeline", timelines),
        "</div>",
    ]
    return {
        "text/plain": words.progress_text(progress, workers, stamp),
        "text/html": "\n".join(parts),
    }


def _rows(progress: CellProgress) -> tuple[Sequence[LineProgress], list[str]]:
    """Return the lines to show, as many as fit, and their rows."""
    most = words.MOST_LINES
    while True:
        lines = words.shown_lines(progress, most)
        rows = [_row(line, progress.taken) for line in lines]
        if most == 1 or sum(map(words.weight, rows)) <= _MOST_BYTES_OF_LINES:
            return lines, rows
        most //= 2


def _row(line: LineProgress, taken: float) -> str:
    name, longer = (words.shortened(line.name, n) for n in (48, _LONGEST_TITLE))
    title = f' title="{attribute(longer)}"' if longer != name else ""
    mark, state = words.mark_of(line)
    notes = ", ".join(
        coloured(about, markup(note))
        for about, note in words.notes(line) or [("pending", "all done")]
    )
    return row(
        cell(f"<code{title}>{markup(name)}</code>", *_NAME, "rowheader"),
        cell(f"{_bar(line)}{words.done_of_total(line)}", *_DONE),
        cell(words.format_elapsed(line.elapsed(taken)), *_TIME),
        cell(f"{coloured(state, mark)} {notes}", *_STATE),
    )


def _bar(line: LineProgress) -> str:
    parts = "".join(
        f'<span style="width:{100 * count / line.total:.4g}%;min-width:3px;'
        f'flex:none;{background(state)}"></span>'
        for state, count in (
            ("resolved", line.done),
            ("failed", line.failed),
            ("cancelled", line.cancelled),
            ("running", line.running),
        )
        if count
    )
    return f'<span style="{_BAR}">{parts}</span>'


def _fitting(parts: Iterable[str], room: int) -> tuple[list[str], int]:
    """Return the parts that fit into a number of bytes, and the bytes left."""
    kept = []
    for part in parts:
        if part and (size := words.weight(part)) <= room:
            room -= size
            kept.append(part)
    return kept, room


def _folded(title: str, parts: list[str]) -> list[str]:
    if not parts:
        return []
    summary = f'<summary style="cursor:pointer">{title}</summary>'
    return [f"<details>{summary}", *parts, "</details>"]


def _errors(lines: Sequence[LineProgress]) -> Iterator[str]:
    for line in lines:
        groups = [group for group in line.errors if group.message or group.full]
        name = f"<code>{markup(words.shortened(line.name))}</code>"
        for group in groups[:_MOST_GROUPS]:
            yield _error(name, group)
        if len(groups) > _MOST_GROUPS:
            yield f"<div>{name}: … {len(groups) - _MOST_GROUPS:,} more</div>"


def _error(name: str, group: ErrorGroup) -> str:
    error = coloured("failed", markup(words.error_title(group)))
    title = f'<div style="padding:0 6px">{name}: {group.count:,} × {error}</div>'
    if not group.full:
        return title
    traceback = words.traceback_text(group.short).strip("\n")
    if len(traceback) > _LONGEST_TRACEBACK:
        traceback = "…" + traceback[1 - _LONGEST_TRACEBACK :]
    # In one line: an empty line ends a block of HTML in Markdown.
    escaped = markup(traceback).replace("\n", "&#10;")
    return f'{title}\n<pre style="{_PRE}"><code>{escaped}</code></pre>'
