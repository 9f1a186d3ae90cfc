"""The context of a task, which has the cell that started it (`events.origin`)."""

from __future__ import annotations

import gc
from contextvars import Context
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio


def context_of(task: asyncio.Task[Any]) -> Context | None:
    """Return the context that a task runs in, or None if it cannot be found."""
    get_context = getattr(task, "get_context", None)  # Python 3.12
    context = getattr(task, "_context", None) if get_context is None else get_context()
    if isinstance(context, Context):
        return context
    # asyncio's C tasks refer to their own context before those of their callbacks
    # (Python 3.10 and 3.11).
    held = gc.get_referents(task)
    return next((found for found in held if isinstance(found, Context)), None)
