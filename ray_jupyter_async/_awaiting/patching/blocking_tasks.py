"""`run_until_complete` of a coroutine inside a running loop, unnested where possible.

A coroutine that awaits refs and nothing else needs no turn of the loop: its task is
stepped here, and what it waits for is completed by blocking (see `blocking`). As soon
as it waits for anything else, sets a timer or starts another task, the loop has to
run, and the task is left as it is, for a loop made re-entrant.
"""

from __future__ import annotations

import asyncio
from typing import Any

from ..._interruptible import interruptible
from ..converter import Converter
from ..events import origin
from .blocking_loop import can_serve, wait_until_done
from .task_contexts import context_of


def can_step(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether coroutines may be run while this loop stands still.

    Not while a task of some cell is pending: the coroutine may wait for it. Nor on a
    loop that does not show what is queued with it (uvloop).
    """
    if not hasattr(loop, "_ready") or not hasattr(loop, "_scheduled"):
        return False
    current = asyncio.current_task(loop)
    return not any(
        task is not current and _is_of_cell(task) for task in asyncio.all_tasks(loop)
    )


@interruptible
def step_to_end(loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> bool:
    """Run a new task while the loop is blocked.

    Parameters
    ----------
    loop : asyncio.AbstractEventLoop
        Running, in this thread; `can_step` accepts it.
    task : asyncio.Task
        Of this loop, not begun.

    Returns
    -------
    bool
        Whether it is done. If not, it needs the loop to run.

    Raises
    ------
    KeyboardInterrupt
        As any blocking call. The task is cancelled and has been stepped once more; it
        is raised only where the task did not catch its cancellation.
    """
    try:
        return _steps(loop, task)
    except KeyboardInterrupt:
        if not task.done():
            task.cancel()
            _steps(loop, task)
        if not task.done() or task.cancelled() or task.exception() is not None:
            raise
        return True


@interruptible
def _steps(loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> bool:
    while True:
        others = _others_queued(loop, task)
        stepped = _step(loop, task)
        if task.done():
            return True
        if _others_queued(loop, task) - others:
            return False
        # A private name of tasks in C and in Python (seen in 3.10 to 3.13).
        awaited = getattr(task, "_fut_waiter", None)
        if awaited is None or not can_serve(loop, awaited):
            return False
        if awaited.done() and not stepped:
            return False  # nothing moves without the loop
        wait_until_done(loop, awaited)


def _step(loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> bool:
    """Take the next step of a task, if one is queued."""
    ready: Any = getattr(loop, "_ready", ())
    for handle in list(ready):
        if getattr(handle._callback, "__self__", None) is task:
            break
    else:
        return False
    ready.remove(handle)
    if handle.cancelled():
        return True
    current = asyncio.current_task(loop)
    # asyncio's own functions for other implementations of tasks. Two tasks cannot be
    # stepped within each other.
    if current is not None:
        asyncio.tasks._leave_task(loop, current)
    try:
        # Not by the handle: its frame is that of a loop, whose tasks are interrupted
        # otherwise than the code of a cell.
        handle._context.run(handle._callback, *handle._args)
    finally:
        if current is not None:
            asyncio.tasks._enter_task(loop, current)
    return True


def _others_queued(
    loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]
) -> set[asyncio.Handle]:
    """Return what cells have queued with the loop, beside the task and converters.

    Other threads queue what they have for the kernel at any time.
    """
    handles: list[Any] = [*getattr(loop, "_ready", ())]
    handles += getattr(loop, "_scheduled", ())
    return {
        handle
        for handle in handles
        if not handle.cancelled()
        and (owner := getattr(handle._callback, "__self__", None)) is not task
        and not isinstance(owner, Converter)
        and handle._context.get(origin) is not None
    }


def _is_of_cell(task: asyncio.Task[Any]) -> bool:
    """Whether a cell has started this task, by the context that it copied then."""
    context = context_of(task)
    return context is not None and context.get(origin) is not None
