"""Keeps debugpy, JupyterLab's debugger, working after a Stop."""

from __future__ import annotations

import importlib
import sys

from ..._log import logger


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
