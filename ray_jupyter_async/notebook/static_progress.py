"""Progress as static HTML and as plain text.

What a cell shows once all has settled, what a saved notebook shows without a
kernel, and what a front end without widgets shows. No script, no style sheet,
no external request. It must also read well where a site strips every style:
one line per name, in words.
"""

from __future__ import annotations

import html
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..tracking.progress import CellProgress, LineProgress

_LONGEST_NAME = 48
# The column of names, in characters, as in progress.js.
_WIDEST_NAMES = 28

# The colours of progress.css; a style attribute cannot take them from there.
_TEXT = "var(--jp-ui-font-color1,var(--vscode-foreground,inherit))"
_MUTED = "var(--jp-ui-font-color2,var(--vscode-descriptionForeground,#6b7280))"
_TRACK = "var(--jp-border-color2,var(--vscode-editorWidget-border,#8884))"
_COLOURS = {
    "resolved": "var(--jp-success-color1,var(--vscode-charts-green,#2e9e4f))",
    "failed": "var(--jp-error-color1,var(--vscode-charts-red,#d32f2f))",
    "cancelled": "var(--jp-warn-color1,var(--vscode-charts-orange,#e08600))",
}
_UI_FONT = (
    "font-family:var(--jp-ui-font-family,var(--vscode-font-family,"
    "system-ui,-apple-system,'Segoe UI',sans-serif))"
)
_CODE_FONT = (
    "font-family:var(--jp-code-font-family,var(--vscode-editor-font-family,"
    "ui-monospace,monospace))"
)


def format_elapsed(seconds: float) -> str:
    """Return a duration in the words of the widget; progress.js has the twin.

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
        said.append(("pending", f"{line.pending:,} pending"))
    if line.failed:
        said.append(("failed", f"{line.failed:,} failed ({error_names(line)})"))
    if line.cancelled:
        said.append(("cancelled", f"{line.cancelled:,} cancelled"))
    return said


def error_names(line: LineProgress) -> str:
    """Return the most frequent error classes of a line, in a few words."""
    classes: Counter[str] = Counter()
    for group in line.errors:
        classes[group.kind] += group.count
    if len(classes) == 1:
        return next(iter(classes))
    shown = [f"{name} ×{times:,}" for name, times in classes.most_common(3)]
    if len(classes) > 3:
        shown.append("…")
    return ", ".join(shown)


def progress_text(progress: CellProgress) -> str:
    """Return one readable line per name, in columns.

    Parameters
    ----------
    progress
        The counts of one cell.

    Returns
    -------
    str
        A line is, for example, ``"g  3/4  0.8 s  1 failed (ValueError)"``.
    """
    rows = [
        (
            _shortened(line.name),
            _done_of_total(line),
            format_elapsed(line.elapsed(progress.taken)),
            ", ".join(note for _, note in notes(line)),
        )
        for line in progress.lines
    ]
    if not rows:
        return "no refs"
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    name, done, elapsed = widths
    return "\n".join(
        f"{row[0]:<{name}}  {row[1]:>{done}}  {row[2]:>{elapsed}}  {row[3]}".rstrip()
        for row in rows
    )


def progress_html(progress: CellProgress) -> str:
    """Return the lines as HTML that needs nothing but itself.

    Parameters
    ----------
    progress
        The counts of one cell.

    Returns
    -------
    str
        A ``<div>``; every name in it is escaped.
    """
    longest = max((len(line.name) for line in progress.lines), default=0)
    counts = max((len(_done_of_total(line)) for line in progress.lines), default=0)
    rows = "\n".join(
        _row(
            line,
            progress.taken,
            name_width=min(longest, _WIDEST_NAMES),
            count_width=counts,
        )
        for line in progress.lines
    )
    return (
        f'<div class="rja-static" style="{_UI_FONT};font-size:13px;line-height:20px;'
        f'color:{_TEXT};padding:2px 0">\n{rows}\n</div>'
    )


def progress_bundle(progress: CellProgress) -> dict[str, str]:
    """Return both forms as a MIME bundle."""
    return {
        "text/plain": progress_text(progress),
        "text/html": progress_html(progress),
    }


def _row(line: LineProgress, taken: float, *, name_width: int, count_width: int) -> str:
    mark, mark_colour = _mark(line)
    said = " ".join(
        f'<span style="color:{_COLOURS.get(state, _MUTED)}">{html.escape(note)}</span>'
        for state, note in notes(line)
    )
    # The spaces between the spans are what is left of the columns where a site
    # strips the styles.
    return (
        '<div style="display:flex;flex-wrap:wrap;align-items:flex-start;'
        'column-gap:10px;padding:1px 0">'
        f'<span style="flex:none;width:1em;text-align:center;color:{mark_colour}">'
        f"{mark}</span> "
        f'<span style="{_CODE_FONT};flex:0 1 {name_width}ch;min-width:0;'
        'overflow:hidden;text-overflow:ellipsis;white-space:nowrap" '
        f'title="{html.escape(line.name)}">'
        f"{html.escape(_shortened(line.name))}</span> "
        f"{_bar(line)} "
        f'<span style="flex:none;min-width:{count_width}ch;text-align:right;'
        f'font-variant-numeric:tabular-nums">{_done_of_total(line)}</span> '
        '<span style="flex:none;min-width:6ch;text-align:right;'
        f'font-variant-numeric:tabular-nums;color:{_MUTED}">'
        f"{format_elapsed(line.elapsed(taken))}</span> "
        '<span style="flex:1 1 0;min-width:12ch;display:flex;flex-wrap:wrap;'
        'column-gap:10px">'
        f"{said}</span></div>"
    )


def _bar(line: LineProgress) -> str:
    parts = "".join(
        f'<span style="display:block;flex:none;width:{100 * count / line.total:.4g}%;'
        f'min-width:2px;background:{_COLOURS[state]}"></span>'
        for state, count in (
            ("resolved", line.done),
            ("failed", line.failed),
            ("cancelled", line.cancelled),
        )
        if count
    )
    return (
        '<span aria-hidden="true" style="display:flex;flex:1000 1 120px;'
        "max-width:260px;height:8px;margin:6px 0;border-radius:4px;overflow:hidden;"
        f'background:{_TRACK}">'
        f"{parts}</span>"
    )


def _mark(line: LineProgress) -> tuple[str, str]:
    if line.failed:
        return "✕", _COLOURS["failed"]
    if line.pending:
        return "◦", _MUTED
    if line.cancelled:
        return "⊘", _COLOURS["cancelled"]
    return "✓", _COLOURS["resolved"]


def _done_of_total(line: LineProgress) -> str:
    return f"{line.done:,}/{line.total:,}"


def _shortened(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"
