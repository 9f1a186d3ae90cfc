"""Tables and colours of static outputs, inline: a saved cell has no style sheet.

Text and code look as the front end draws them; bars, timelines and the signs of states
have colours. The variables are those of VS Code and JupyterLab, in this order, because
VS Code's widget manager brings JupyterLab's of a light theme. JupyterLab removes
variables from a notebook that it does not trust, so a plain value stands before each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_COLOURS = {
    "resolved": ("#2e9e4f", "--vscode-charts-green", "--jp-success-color1"),
    "running": ("#1976d2", "--vscode-charts-blue", "--jp-brand-color1"),
    "failed": ("#d32f2f", "--vscode-charts-red", "--jp-error-color1"),
    "cancelled": ("#e08600", "--vscode-charts-orange", "--jp-warn-color1"),
    "track": ("#8884", "--vscode-editorWidget-border", "--jp-border-color2"),
}
# The states whose colour has enough contrast for text on every background.
_FOR_TEXT = ("resolved", "failed")

#: For the outermost element. Repeated, the variables would be most of a saved cell.
ROOT = (
    "".join(
        f"--rja-{name}:var({code},var({jupyter},{plain}));"
        for name, (plain, code, jupyter) in _COLOURS.items()
    )
    + "padding:4px 8px;font-size:13px;font-variant-numeric:tabular-nums;"
    # Browsers omit backgrounds in print by default.
    "overflow-wrap:break-word;-webkit-print-color-adjust:exact;print-color-adjust:exact"
)

_ROW = "display:flex;align-items:center;column-gap:8px;padding:3px 6px"


def table(rows: Iterable[str]) -> str:
    """Return a table of rows in HTML."""
    style = "table-layout:fixed;width:100%;margin:0 0 4px;border-collapse:collapse"
    return "\n".join([f'<table style="{style}">', *rows, "</table>"])


def row(*cells: str, wrap: bool = True) -> str:
    """Return a row. Its cells keep to their columns, and wrap on a narrow page."""
    wrapped = ";flex-wrap:wrap" if wrap else ""
    return f'<tr style="{_ROW}{wrapped}">{"".join(cells)}</tr>'


def cell(content: str, width: int, grow: int, role: str = "") -> str:
    """Return a cell with a width in em, and a share of what is left of the row."""
    # nbconvert's sanitizer moves every <th> out of its table.
    role = f' role="{role}"' if role else ""
    style = f"flex:{grow} 1 {width}em;min-width:0;padding:0;text-align:left"
    return f'<td{role} style="{style}">{content}</td>'


def coloured(state: str, escaped: str) -> str:
    """Return escaped text in the colour of a state."""
    if state not in _FOR_TEXT:
        return escaped
    return f'<span style="{_themed("color", state)}">{escaped}</span>'


def background(state: str) -> str:
    """Return the style of a piece of a bar, or of its "track"."""
    return _themed("background", state)


def fill(state: str) -> str:
    """Return the style of a shape in an SVG."""
    return f"fill:var(--rja-{state},{_COLOURS[state][0]})"


def _themed(name: str, state: str) -> str:
    return f"{name}:{_COLOURS[state][0]};{name}:var(--rja-{state})"
