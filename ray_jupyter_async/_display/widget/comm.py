"""The thread on which a page's messages are handled, and their events.

Private parts of ipykernel's comms are used here and nowhere else.
"""

from __future__ import annotations

from typing import Any


def answer_at_once(widget: Any) -> None:
    """Have a widget's messages handled also while a cell blocks the main thread.

    ipykernel 7.4 hands replies to the thread that last sent, which is the main one;
    JupyterLab offers a subshell, and 7.0 to 7.3 use it. On 6.x, without subshells, a
    message waits for the end of the cell that blocks.
    """
    comm = widget.comm
    if hasattr(comm, "_reply_subshell_for"):
        comm._reply_subshell_for = None
    _handle_without_events(comm)


def _handle_without_events(comm: Any) -> None:
    """Keep messages on this comm from triggering `pre_execute` and `post_execute`.

    Pages send by themselves, also while a cell awaits, and `post_execute` has
    matplotlib show and close the figures that this cell is building (ipykernel #1564).
    `handle_msg` triggers the events, and is all that the comm manager calls (comm 0.2,
    under ipykernel 6.29 to 7.4): on this object the widget's own handler shadows it.
    """
    handler = getattr(comm, "_msg_callback", None)
    if callable(handler):
        comm.handle_msg = handler
