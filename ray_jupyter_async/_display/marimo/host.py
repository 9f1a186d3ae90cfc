"""marimo's API: whether a cell of it runs here, and what the cell shows.

marimo is never imported: where its cells run, it is loaded. Seen in marimo 0.25.2, all
of it public but `is_closed`. Without `running_in_notebook`, no cell counts as one.
"""

from __future__ import annotations

import sys
from typing import Any

NO_CELL = (
    "progress() shows under a running cell of a marimo notebook, and none runs here. "
    "Call it in a cell, not in a thread or a background task. In a script, call it "
    "within `with terminal_progress():`."
)


def runs_cells() -> bool:
    """Whether this thread runs the cells of a marimo notebook.

    False in a notebook that runs as a script, and in other threads than `mo.Thread`.
    """
    check = getattr(sys.modules.get("marimo"), "running_in_notebook", None)
    return callable(check) and bool(check())


def is_loaded() -> bool:
    """Whether marimo is loaded and no IPython shell runs, as in a marimo notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return "marimo" in sys.modules and shell is None


def append_output(widget: Any) -> bool:
    """Show a widget below what the running cell shows; False if no cell runs."""
    output = _Output(widget)
    sys.modules["marimo"].output.append(output)
    return output.is_shown


def is_closed(widget: Any) -> bool:
    """Whether marimo has closed a widget, because its cell was run again or deleted.

    False where the flag is gone: updates then go to a page that ignores them.
    """
    return bool(getattr(widget.comm, "_closed", False))


class _Output:
    """An output that notes whether it is shown: without a cell, `append` is a no-op."""

    def __init__(self, widget: Any) -> None:
        self._widget = widget
        self.is_shown = False

    def _display_(self) -> Any:
        self.is_shown = True
        return self._widget
