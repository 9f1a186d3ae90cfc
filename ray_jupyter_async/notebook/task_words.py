"""What is said of running Ray tasks, in a notice and by `%ray_cancel`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from .progress_words import shortened

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..tracking.running_tasks import RunningTask


def count(tasks: Iterable[RunningTask]) -> str:
    """Give a number of tasks in words: ``"3 Ray tasks (2 × f, 1 × g)"``."""
    names = Counter(task.name for task in tasks)
    total = sum(names.values())
    told = [f"{times:,} × {shortened(name)}" for name, times in names.most_common(5)]
    if len(names) > len(told):
        told.append("…")
    return f"{total:,} Ray task{'s' if total != 1 else ''} ({', '.join(told)})"


def does_not_yield(tasks: list[RunningTask]) -> str:
    """Say why tasks that were cancelled still run."""
    methods = [task for task in tasks if task.of_actor]
    others = [task for task in tasks if not task.of_actor]
    told = []
    if others:
        told.append(f"Do not yield, being in C code perhaps: {count(others)}")
    if methods:
        told.append(f"Methods, which only their actor's end ends: {count(methods)}")
    return ". ".join(told)
