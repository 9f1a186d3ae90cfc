"""What a front end sends to a widget: on which thread it is answered, and how.

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
    _handle_without_events(comm)


def _handle_without_events(comm: Any) -> None:
    """Have what comes in on our own comm trigger no `pre_execute`, `post_execute`.

    Pages send by themselves, also while a cell awaits, and `post_execute` has
    matplotlib show and close the figures that this cell is building (ipykernel
    #1564). What triggers the events is `handle_msg`, the only thing that the comm
    manager calls (comm 0.2, under ipykernel 6.29 to 7.4); it is shadowed on this one
    object, by the widget's own handler.
    """
    handler = getattr(comm, "_msg_callback", None)
    if callable(handler):
        comm.handle_msg = handler
