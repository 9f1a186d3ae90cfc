"""What is said of running Ray tasks, in a notice and by `%ray_cancel`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from .._display.words import shortened

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .._tracking.cluster.running_tasks import RunningTask


def count(tasks: Iterable[RunningTask]) -> str:
    """Give a number of tasks in words: ``"3 Ray tasks (2 × f, 1 × g)"``."""
    names = Counter(task.name for task in tasks)
    total = sum(names.values())
    told = [f"{times:,} × {shortened(name)}" for name, times in names.most_common(5)]
    if len(names) > len(told):
        told.append("…")
    return f"{total:,} Ray task{'s' if total != 1 else ''} ({', '.join(told)})"


def did_not_stop(
    tasks: Iterable[RunningTask], begun: Mapping[bytes, bool], by_force: str
) -> list[str]:
    """Say why tasks that were cancelled have not ended, in a few sentences.

    Parameters
    ----------
    tasks
        Functions and methods of actors, which Ray cancels in different ways.
    begun
        Whether a method runs, by task id. Others are not known to run or to be queued.
    by_force
        What ends functions at once, with its verb: ``"`--force` kills"``.
    """
    tasks = list(tasks)
    functions = [task for task in tasks if not task.of_actor]
    methods = [task for task in tasks if task.of_actor]
    running = [task for task in methods if begun.get(task.id) is True]
    queued = [task for task in methods if begun.get(task.id) is False]
    unknown = [task for task in methods if task.id not in begun]
    told = []
    if functions:
        it, their = ("it", "its") if len(functions) == 1 else ("they", "their")
        told.append(
            f"{count(functions)} did not stop; {it} may be inside C code. "
            f"{by_force} {their} worker{'' if it == 'it' else 's'}."
        )
    if running:
        told.append(
            f"{count(running)} did not stop; Ray interrupts methods of async actors "
            "only, and only where they await. `ray.kill` ends an actor."
        )
    if queued:
        told.append(
            f"{count(queued)} did not begin; an actor drops queued methods in their "
            "turn."
        )
    if unknown:
        told.append(
            f"{count(unknown)} did not end yet; whether actor methods run or are "
            "queued is not known now."
        )
    return told
