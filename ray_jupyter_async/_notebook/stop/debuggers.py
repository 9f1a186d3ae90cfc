"""Keeps debugpy, JupyterLab's debugger, working after a Stop."""

from __future__ import annotations

import importlib
import sys

from ..._log import logger


def leave_breakpoint() -> None:
    """Resume the threads that the debugger has suspended, from a signal's handler.

    Uses pydevd's own function (debugpy 1.8). From Python 3.12 on the debugger sees each
    step of an exception's way, and would suspend the thread there again.
    """
    debugpy = sys.modules.get("debugpy")
    try:
        if debugpy is not None and debugpy.is_client_connected():
            name = "_pydevd_bundle.pydevd_thread_lifecycle"
            importlib.import_module(name).resume_threads("*")
    except Exception:
        logger.debug("the debugger may stop here again", exc_info=True)


def have_breakpoints_work_again() -> None:
    """Restore the debugger after an exception at a breakpoint; on the main thread.

    The exception was raised in the debugger's trace function. Python before 3.12
    removes a trace function that raises.
    """
    leave_breakpoint()
    debugpy = sys.modules.get("debugpy")
    try:
        if debugpy is not None and debugpy.is_client_connected():
            debugpy.trace_this_thread(True)
    except Exception:
        logger.debug("breakpoints may no longer work", exc_info=True)
