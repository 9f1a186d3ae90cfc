"""`run_until_complete` of a coroutine inside a running loop, without nesting.

A coroutine that awaits only refs needs no turn of the loop: its task is stepped here,
and its futures are completed by blocking (see `blocking_loop`). When it awaits anything
else, sets a timer or starts another task, the loop has to run: the task is left as it
is, for the caller to make the loop re-entrant.
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
    """Whether a coroutine may run while this loop is blocked.

    Not if a task of a cell is pending, for which the coroutine may wait; nor on a loop
    whose queue is not accessible (uvloop).
    """
    if not hasattr(loop, "_ready") or not hasattr(loop, "_scheduled"):
        return False
    current = asyncio.current_task(loop)
    return not any(
        task is not current and _is_of_cell(task) for task in asyncio.all_tasks(loop)
    )


@interruptible
def step_to_end(loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> bool:
    """Run a new task while the loop is blocked; False if it needs the loop to run.

    The loop runs in this thread, and `can_step` accepts it. A KeyboardInterrupt cancels
    the task and steps it once more. It is raised unless the task caught its
    cancellation.
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
            return False  # only the loop can resume it
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
    # asyncio's functions for third-party tasks. Two tasks cannot be current at once.
    if current is not None:
        asyncio.tasks._leave_task(loop, current)
    try:
        # Not `handle._run`: Stop would take its frame for the loop's, whose tasks it
        # interrupts in another way than a cell's code.
        handle._context.run(handle._callback, *handle._args)
    finally:
        if current is not None:
            asyncio.tasks._enter_task(loop, current)
    return True


def _others_queued(
    loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]
) -> set[asyncio.Handle]:
    """Return what cells have queued with the loop, except the task and converters.

    Other threads queue work for the kernel at any time; this belongs to no cell.
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
    """Whether a cell has started this task, by its context."""
    context = context_of(task)
    return context is not None and context.get(origin) is not None
