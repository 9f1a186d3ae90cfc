"""Stop beside debugpy, JupyterLab's debugger, which is to outlive it."""

from __future__ import annotations

import importlib
import logging
import sys
import threading

logger = logging.getLogger("ray_jupyter_async")

#: What ipykernel, too, sets on its own threads (6.29 to 7.4): while a thread is at
#: a breakpoint, pydevd, which is in debugpy, holds all others that it knows.
_NOT_FOR_DEBUGGERS = ("pydev_do_not_trace", "is_pydev_daemon_thread")


def hide_from_debuggers(thread: threading.Thread) -> None:
    """Keep a thread running that must also do so at a breakpoint; before its start."""
    for mark in _NOT_FOR_DEBUGGERS:
        setattr(thread, mark, True)


def have_breakpoints_work_again() -> None:
    """Undo what an exception does that was raised at a breakpoint; main thread.

    It was raised in the debugger's trace function: Python (before 3.12) takes away
    one that fails, and pydevd goes on to hold the threads that it held. Stands on
    pydevd's own function for the latter (seen in debugpy 1.8).
    """
    debugpy = sys.modules.get("debugpy")
    try:
        if debugpy is None or not debugpy.is_client_connected():
            return
        lifecycle = importlib.import_module("_pydevd_bundle.pydevd_thread_lifecycle")
        lifecycle.resume_threads("*")
        debugpy.trace_this_thread(True)
    except Exception:
        logger.debug("breakpoints may not work any more", exc_info=True)
