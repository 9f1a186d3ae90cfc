"""The output of a VS Code notebook: its published widget manager, in a page.

Only the manager is VS Code's (npm: @vscode/jupyter-ipywidgets8). The page, the
connection to the kernel and the place of each output are ours.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import FrameLocator

    from harness.browser import Lab, NotebookPage

# Filled by `make test-newest`; folders are named by version.
_PACKAGES = Path(__file__).parents[2] / "build" / "vscode"
# Where pip puts what anywidget brings for front ends that load by RequireJS.
_EXTENSIONS = Path(sys.prefix) / "share" / "jupyter" / "nbextensions"
_FILES = {
    "ipywidgets.js": (_PACKAGES, "vscode-*/package/dist/ipywidgets.js"),
    "require.js": (_PACKAGES, "requirejs-*/package/require.js"),
    "anywidget.js": (_EXTENSIONS, "anywidget/index.js"),
}

#: Colours of VS Code's themes "Light Modern" and "Dark Modern".
COLOURS = {
    "vscode-light": {
        "foreground": "#3b3b3b",
        "descriptionForeground": "#3b3b3b",
        "editor-background": "#ffffff",
        "editorWidget-background": "#f8f8f8",
        "editorWidget-border": "#c8c8c8",
        "charts-blue": "#1a85ff",
        "charts-green": "#388a34",
        "charts-red": "#e51400",
        "charts-orange": "#d18616",
        "font-family": "sans-serif",
    },
    "vscode-dark": {
        "foreground": "#cccccc",
        "descriptionForeground": "#9d9d9d",
        "editor-background": "#1f1f1f",
        "editorWidget-background": "#202020",
        "editorWidget-border": "#454545",
        "charts-blue": "#3794ff",
        "charts-green": "#89d185",
        "charts-red": "#f14c4c",
        "charts-orange": "#d18616",
        "font-family": "sans-serif",
    },
}


class VSCodeOutput:
    """The outputs of cells, one below the other.

    Attributes
    ----------
    notebook : NotebookPage
        The page that lends the kernel's connection.
    frame : playwright.sync_api.FrameLocator
        The outputs.
    """

    def __init__(self, notebook: NotebookPage, theme: str) -> None:
        self.notebook = notebook
        self.frame: FrameLocator = notebook.page.frame_locator("iframe").last
        files = notebook.evaluate("new URL('files/', location.origin).href")
        colours = COLOURS[theme].items()
        notebook.evaluate(
            Path(__file__).with_suffix(".js").read_text(encoding="utf-8"),
            {
                "files": files,
                "theme": theme,
                "colours": "; ".join(f"--vscode-{key}: {of}" for key, of in colours),
            },
        )

    def run(self, code: str) -> str:
        """Run a cell to its end, and return the status of its reply."""
        return str(self.notebook.evaluate("code => window.vscode.run(code)", code))

    def start(self, code: str) -> None:
        """Run a cell, without waiting for it."""
        self.notebook.evaluate(
            "code => { window.vscode.ended = undefined;"
            " window.vscode.run(code).then(s => { window.vscode.ended = s; }); }",
            code,
        )

    def wait(self, timeout: float = 60.0) -> str:
        """Wait until the cell that was started has ended; return its status."""
        self.notebook.page.wait_for_function(
            "window.vscode.ended", timeout=timeout * 1000
        )
        return str(self.notebook.evaluate("window.vscode.ended"))

    def interrupt(self) -> None:
        """Interrupt the kernel, as VS Code's button does."""
        self.notebook.evaluate("window.vscode.interrupt()")

    @property
    def errors(self) -> list[Any]:
        """What could not be loaded or shown."""
        return list(self.notebook.evaluate("window.vscode.errors"))


@contextlib.contextmanager
def vscode_output(lab: Lab, theme: str = "vscode-dark") -> Iterator[VSCodeOutput]:
    """Open the output in a page of JupyterLab that shows no notebook."""
    for name, (folder, pattern) in _FILES.items():
        found = list(folder.glob(pattern))
        assert len(found) == 1, f"{folder} has no {pattern}: run `make test-newest`"
        shutil.copy(found[0], lab.root / name)
    output = VSCodeOutput(lab.open(""), theme)
    try:
        yield output
    finally:
        output.notebook.evaluate("window.vscode.end()")
