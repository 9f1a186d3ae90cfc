"""The threads of this package."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

# Attributes that ipykernel, too, sets on its threads (6.29 to 7.4): at a breakpoint,
# debugpy's pydevd suspends all other threads that lack them, wherever they are.
# The message of an interrupt would wait for ever for a lock that one of them holds.
_NOT_FOR_DEBUGGERS = ("pydev_do_not_trace", "is_pydev_daemon_thread")


def start_thread(
    target: Callable[..., object], *arguments: object, name: str
) -> threading.Thread:
    """Start a daemon thread that runs on while a debugger is at a breakpoint.

    Raises
    ------
    RuntimeError
        If no thread can be started: from Python 3.12 on also while the interpreter
        exits.
    """
    thread = threading.Thread(target=target, args=arguments, name=name, daemon=True)
    for mark in _NOT_FOR_DEBUGGERS:
        setattr(thread, mark, True)
    thread.start()
    return thread
