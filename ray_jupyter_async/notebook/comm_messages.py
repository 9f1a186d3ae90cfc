"""What a front end sends to a widget: on which thread it is answered, and where.

Private parts of ipykernel's comms are touched here and nowhere else.
"""

from __future__ import annotations

from typing import Any


def answer_at_once(widget: Any) -> None:
    """Have a widget's messages answered also while a cell blocks the main thread.

    ipykernel 7.4 sends what comes back to the thread that last sent, which is
    the main one; JupyterLab offers a subshell, and 7.0 to 7.3 use it. On 6.x,
    without subshells, a message waits for the end of the cell that blocks.

    Parameters
    ----------
    widget
        An ipywidgets widget with an open comm.
    """
    comm = widget.comm
    if hasattr(comm, "_reply_subshell_for"):
        comm._reply_subshell_for = None
