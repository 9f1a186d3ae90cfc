"""Progress as static HTML beside plain text.

What a cell shows once all has settled, what a saved notebook shows without a
kernel, and what a front end without widgets shows. No script, no style sheet,
no external request. It must also read well where a site strips every style:
one line per name, in words. Where styles are kept it stands as the live widget
(``frontend/lines.css``) did, wide and narrow, so that nothing jumps at the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..plain_text import attribute, markup
from ..words import (
    MOST_LINES,
    as_of,
    done_of_total,
    error_title,
    format_elapsed,
    mark_of,
    notes,
    progress_text,
    shortened,
    shown_lines,
    summary,
    traceback_text,
    weight,
)
from .style import (
    CODE_FONT,
    MUTED,
    PRINTED,
    RAISED,
    TEXT,
    TRACK,
    UI_FONT,
    VARIABLES,
    background,
    colour,
)
from .timeline import timed_tasks, timeline_html, workers_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..._tracking.refs.columns import RefColumns
    from ..._tracking.snapshots import CellProgress, ErrorGroup, LineProgress
    from .timeline import Task

    ReadRefs = Callable[[str], RefColumns | None]

# The column of names, in characters, as in frontend/main.js.
_WIDEST_NAMES = 28
_LONGEST_TITLE = 200

# Bytes in a saved notebook. Lines beyond the first limit are summed up, errors and
# timelines beyond the second left out; with the text, a cell stays below 30 kB.
_MOST_BYTES_OF_LINES = 14_000
_MOST_BYTES = 20_000
_MOST_GROUPS = 5
_LONGEST_TRACEBACK = 1_500


def progress_bundle(
    progress: CellProgress, read_refs: ReadRefs | None = None
) -> dict[str, str]:
    """Return progress as text and as HTML that needs nothing but itself.

    Parameters
    ----------
    progress
        The counts of one cell.
    read_refs
        Gives the refs of a line by its name, for the timelines; without it
        there are none.

    Returns
    -------
    dict
        A MIME bundle with ``text/plain`` and ``text/html``. Every name and
        message in it is escaped. Counts that are not the last ones say when they
        were read.
    """
    tasks = {
        line.name: timed_tasks(read_refs(line.name), line.elapsed(progress.taken))
        for line in progress.lines
        if read_refs is not None
    }
    workers = len(workers_of(task for found in tasks.values() for task in found))
    stamp = as_of(progress)
    return {
        "text/plain": progress_text(progress, workers, stamp),
        "text/html": _progress_html(progress, tasks, workers, stamp),
    }


def _progress_html(
    progress: CellProgress, tasks: dict[str, list[Task]], workers: int, stamp: str
) -> str:
    most = MOST_LINES
    while True:
        lines = shown_lines(progress, most)
        rows = _rows(lines, progress.taken)
        room = _MOST_BYTES - sum(map(weight, rows))
        if most == 1 or room >= _MOST_BYTES - _MOST_BYTES_OF_LINES:
            break
        most //= 2
    # All errors before the first timeline: they are what one looks for.
    parts: list[list[str]] = [[] for _ in lines]
    for make in (_errors, _timeline):
        for line, told in zip(lines, parts, strict=True):
            part = make(line, tasks.get(line.name, []))
            if part and (bytes_of_part := weight(part)) <= room:
                room -= bytes_of_part
                told.append(part)
    header = (
        f'<div style="{MUTED}font-size:12px;line-height:22px;padding-bottom:3px">'
        f"{markup('; '.join(filter(None, (summary(progress, workers), stamp))))}"
        "</div>"
    )
    body = [
        _folded(row, told, first=row is rows[0])
        for row, told in zip(rows, parts, strict=True)
    ]
    return (
        f'<div class="rja-static" style="{VARIABLES}{UI_FONT}{TEXT}{PRINTED}'
        "font-size:13px;line-height:20px;font-variant-numeric:tabular-nums;"
        'padding:4px 8px;text-align:left">\n' + "\n".join([header, *body]) + "\n</div>"
    )


def _rows(lines: Sequence[LineProgress], taken: float) -> list[str]:
    names = min(max((len(line.name) for line in lines), default=0), _WIDEST_NAMES)
    totals = max((len(f"{line.total:,}") for line in lines), default=0)
    return [_row(line, taken, names, 2 * totals + 1) for line in lines]


def _folded(row: str, told: list[str], *, first: bool) -> str:
    border = "" if first else "border-top:1px solid #8883;"
    if not told:
        return f'<div style="padding:3px 0 3px 16px;{border}">{row}</div>'
    inside = "\n".join(told)
    # The triangle of <details> stands in the space of the widget's own.
    return (
        f'<details style="padding:3px 0 3px 16px;{border}">'
        '<summary style="cursor:pointer;list-style-position:outside">'
        f"{row}</summary>\n"
        '<div style="margin:4px 0 6px 23px;font-size:12px">\n'
        f"{inside}\n</div></details>"
    )


def _row(line: LineProgress, taken: float, name_width: int, count_width: int) -> str:
    mark, state = mark_of(line)
    told = ", ".join(
        f'<span style="{colour(about)}">{markup(note)}</span>'
        for about, note in notes(line) or [("pending", "all done")]
    )
    name = markup(shortened(line.name))
    title = attribute(shortened(line.name, _LONGEST_TITLE))
    # The spaces between the spans are what is left of the columns where a site
    # strips the styles.
    return (
        '<span style="display:flex;flex-wrap:wrap;align-items:center;column-gap:10px">'
        '<span style="flex:none;display:flex;box-sizing:border-box;'
        f"width:{0.65 * name_width + 2.5:.3g}em;"
        f"width:max({1.08 * name_width:.4g}ch + 32px,var(--rja-below-440));"
        'max-width:100%;line-height:22px">'
        '<span style="flex:none;width:16px;margin:0 5px 0 2px;text-align:center;'
        f'{colour(state)}">{mark}</span> '
        f'<span style="{CODE_FONT}min-width:0;overflow:hidden;'
        f'text-overflow:ellipsis;white-space:nowrap" title="{title}">{name}</span>'
        f"</span> {_bar(line)} "
        '<span style="flex:none;display:flex;column-gap:10px;'
        "margin-right:calc(clamp(0px,var(--rja-above-440),92px)"
        ' + clamp(0px,var(--rja-above-640),21ch + 24px))">'
        f'<span style="{_least(count_width)}text-align:right">'
        f"{done_of_total(line)}</span> "
        f'<span style="{_least(7)}text-align:right;{MUTED}">'
        f"{format_elapsed(line.elapsed(taken))}</span></span> "
        '<span style="flex:none;box-sizing:border-box;width:100%;font-size:12px;'
        "line-height:18px;overflow-wrap:anywhere;padding-left:2em;"
        f'padding-left:clamp(0px,var(--rja-above-440),23px)">{told}</span></span>'
    )


def _least(digits: int) -> str:
    return f"min-width:{0.63 * digits:.3g}em;min-width:{digits}ch;"


def _bar(line: LineProgress) -> str:
    parts = "".join(
        f'<span style="flex:none;width:{100 * count / line.total:.4g}%;'
        f'min-width:3px;{background(state)}"></span>'
        for state, count in (
            ("resolved", line.done),
            ("failed", line.failed),
            ("cancelled", line.cancelled),
            ("running", line.running),
        )
        if count
    )
    return (
        '<span aria-hidden="true" style="display:flex;flex:1 1 120px;'
        "flex:1 1 max(60px,var(--rja-below-440));min-width:60px;height:10px;"
        f'overflow:hidden;border-radius:5px;{TRACK}">{parts}</span>'
    )


def _errors(line: LineProgress, _tasks: list[Task]) -> str:
    groups = [group for group in line.errors if group.message or group.full]
    told = [_error(group) for group in groups[:_MOST_GROUPS]]
    if len(groups) > _MOST_GROUPS:
        told.append(f"<div>… {len(groups) - _MOST_GROUPS:,} more</div>")
    return "\n".join(told)


def _error(group: ErrorGroup) -> str:
    title = (
        f'<div>{group.count:,} × <span style="{colour("failed")}">'
        f"{markup(error_title(group))}</span></div>"
    )
    if not group.full:
        return title
    traceback = traceback_text(group.short).strip("\n")
    if len(traceback) > _LONGEST_TRACEBACK:
        traceback = "…" + traceback[1 - _LONGEST_TRACEBACK :]
    # Written so that it is one line of the file: in Markdown, an empty line ends
    # a block of HTML.
    escaped = markup(traceback).replace("\n", "&#10;")
    return (
        f'{title}\n<pre style="margin:0 0 6px;padding:6px 8px;overflow:auto;'
        f"border-radius:4px;white-space:pre;line-height:17px;font-size:12px;{RAISED}"
        f'{CODE_FONT}">{escaped}</pre>'
    )


def _timeline(_line: LineProgress, tasks: list[Task]) -> str:
    return timeline_html(tasks)
