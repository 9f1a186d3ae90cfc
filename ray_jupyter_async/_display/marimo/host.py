"""marimo's API: whether a cell of it runs here, and what the cell shows.

marimo is never imported: where its cells run, it is loaded. Seen in marimo 0.25.2, all
of it public but what `runs_now` and `is_closed` look at. Without `running_in_notebook`,
no cell counts as one.
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


def runs_now() -> bool:
    """Whether a cell runs now, so that output has a place.

    For a thread for which `runs_cells` holds. True where this cannot be known: marimo
    then raises an error of its own, or shows nothing.
    """
    context = getattr(sys.modules.get("marimo._runtime.context"), "get_context", None)
    if context is None:
        return True
    return getattr(context(), "execution_context", context) is not None


def append_output(widget: Any) -> None:
    """Show a widget below what the running cell shows."""
    sys.modules["marimo"].output.append(widget)


def is_closed(widget: Any) -> bool:
    """Whether marimo has closed a widget, because its cell was run again or deleted.

    False where the flag is gone: the display is then updated until all has settled.
    """
    return bool(getattr(widget.comm, "_closed", False))
