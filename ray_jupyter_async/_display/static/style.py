"""The styles of static outputs: inline, because a saved cell has no style sheet.

The colours are those of ``frontend/lines.css``. JupyterLab takes variables, and most
of what is not a plain value, out of a notebook that it does not trust; a plain value
stands before each one of the theme, which takes its place where it may. No width with
a variable may have a percentage in it: 4.6 lets such a width pass, without its
variable, and it would take the plain one's place there.
"""

from __future__ import annotations

_COLOURS = {
    "resolved": ("#2e9e4f", "--jp-success-color1", "--vscode-charts-green"),
    "running": ("#1976d2", "--jp-brand-color1", "--vscode-charts-blue"),
    "failed": ("#d32f2f", "--jp-error-color1", "--vscode-charts-red"),
    "cancelled": ("#e08600", "--jp-warn-color1", "--vscode-charts-orange"),
    "muted": ("#5f6672", "--jp-ui-font-color2", "--vscode-descriptionForeground"),
    "track": ("#8884", "--jp-border-color2", "--vscode-editorWidget-border"),
    "raised": ("#8881", "--jp-layout-color2", "--vscode-editorWidget-background"),
}

#: Once, on what holds all the rest: said in each place they would take most of a
#: saved cell. The lengths are those at which the widget moves its columns, without
#: a container query: endless on one side of a width, and nothing on the other. The
#: width is a row's, which is 16 px less than the whole's.
VARIABLES = (
    "".join(
        f"--rja-{name}:var({jupyter},var({code},{plain}));"
        for name, (plain, jupyter, code) in _COLOURS.items()
    )
    + "--rja-code:var(--jp-code-font-family,var(--vscode-editor-font-family,"
    "ui-monospace,monospace));"
    "--rja-below-440:min(100%,(424px - 100%)*999);"
    "--rja-above-440:calc((100% - 424px)*999);"
    "--rja-above-640:calc((100% - 624px)*999);"
)
TEXT = "color:var(--jp-ui-font-color1,var(--vscode-foreground,inherit));"
UI_FONT = (
    "font-family:sans-serif;"
    "font-family:var(--jp-ui-font-family,var(--vscode-font-family,"
    "system-ui,-apple-system,'Segoe UI',sans-serif));"
)
CODE_FONT = "font-family:monospace;font-family:var(--rja-code);"
#: Browsers leave backgrounds out when they print, unless they are told.
PRINTED = "-webkit-print-color-adjust:exact;print-color-adjust:exact;"

# Of the states, those whose colour is dark enough for words on every ground.
_FOR_WORDS = ("resolved", "failed")


def _themed(name: str, state: str) -> str:
    return f"{name}:{_COLOURS[state][0]};{name}:var(--rja-{state});"


MUTED = "color:var(--rja-muted);"
TRACK = _themed("background", "track")
RAISED = _themed("background", "raised")


def colour(state: str) -> str:
    """Return the style of words about a state."""
    return _themed("color", state) if state in _FOR_WORDS else MUTED


def background(state: str) -> str:
    """Return the style of a piece of a bar."""
    return _themed("background", state)


def fill(state: str) -> str:
    """Return the style of a shape in an SVG."""
    return f"fill:var(--rja-{state},{_COLOURS[state][0]})"
