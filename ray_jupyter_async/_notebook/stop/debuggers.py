"""Keeps debugpy, JupyterLab's debugger, working after a Stop."""

from __future__ import annotations

import importlib
import sys
import threading

from ..._log import logger

#: Attributes that ipykernel, too, sets on its threads (6.29 to 7.4): while a thread is
#: at a breakpoint, debugpy's pydevd suspends all other threads without them.
_NOT_FOR_DEBUGGERS = ("pydev_do_not_trace", "is_pydev_daemon_thread")


def hide_from_debuggers(thread: threading.Thread) -> None:
    """Exempt a thread from being suspended at breakpoints; before its start."""
    for mark in _NOT_FOR_DEBUGGERS:
        setattr(thread, mark, True)


def have_breakpoints_work_again() -> None:
    """Restore the debugger after an exception at a breakpoint; on the main thread.

    The exception was raised in the debugger's trace function. Python before 3.12
    removes a trace function that raises, and pydevd keeps its threads suspended. Uses
    pydevd's own function to resume them (debugpy 1.8).
    """
    debugpy = sys.modules.get("debugpy")
    try:
        if debugpy is None or not debugpy.is_client_connected():
            return
        lifecycle = importlib.import_module("_pydevd_bundle.pydevd_thread_lifecycle")
        lifecycle.resume_threads("*")
        debugpy.trace_this_thread(True)
    except Exception:
        logger.debug("breakpoints may no longer work", exc_info=True)
