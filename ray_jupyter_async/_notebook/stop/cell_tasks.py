"""The asyncio tasks of a cell, identified by their context.

A task copies the context of the code that creates it, in which `events.origin` is the
cell's id. Tasks of earlier cells have other ids.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from ..._awaiting.events import origin
from ..._awaiting.patching.task_contexts import context_of
from .frames import is_of_kernel

if TYPE_CHECKING:
    from collections.abc import Hashable


def cancel_tasks_of(
    cell_id: Hashable, cell_task: asyncio.Task[Any], loop: asyncio.AbstractEventLoop
) -> None:
    """Cancel the tasks that a cell has started; on the loop's thread.

    A task that has not begun ends without running. The cell's own task, the current
    task and the kernel's tasks are not cancelled.

    Parameters
    ----------
    cell_id : hashable
        The cell's `events.origin`.
    cell_task : asyncio.Task
        The task that runs the cell.
    loop : asyncio.AbstractEventLoop
        The loop of both.
    """
    spared = {cell_task, asyncio.current_task(loop)}
    for task in asyncio.all_tasks(loop) - spared:
        context = context_of(task)
        if context is None or context.get(origin) != cell_id:
            continue
        if not is_of_kernel(task.get_coro()):
            task.cancel()
