"""Words about running Ray tasks, for the notice of a Stop and for `%ray_cancel`."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from .._display.words import shortened
from .._ray_api.objects import HAS_ON_READY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .._tracking.cluster.running_tasks import RunningTask

_QUEUED = (
    "An actor drops cancelled methods when their turn comes."
    if HAS_ON_READY
    # Seen in 2.40.0.
    else "Ray before 2.60 may run cancelled methods of actors all the same."
)


def count(tasks: Iterable[RunningTask]) -> str:
    """Return a number of tasks in words: ``"3 Ray tasks (2 × f, 1 × g)"``."""
    names = Counter(task.name for task in tasks)
    total = sum(names.values())
    shown = [f"{times:,} × {shortened(name)}" for name, times in names.most_common(5)]
    if len(names) > len(shown):
        shown.append("…")
    return f"{total:,} Ray task{'s' if total != 1 else ''} ({', '.join(shown)})"


def did_not_stop(
    tasks: Iterable[RunningTask], begun: Mapping[bytes, bool], by_force: str
) -> list[str]:
    """Return why cancelled tasks have not ended, in two sentences for each reason.

    Parameters
    ----------
    tasks
        Functions and methods of actors, which Ray cancels in different ways.
    begun
        Whether a method runs, by task id; unknown for those that are missing.
    by_force
        What ends functions at once, with its verb: ``"`--force` kills"``.
    """
    tasks = list(tasks)
    functions = [task for task in tasks if not task.of_actor]
    methods = [task for task in tasks if task.of_actor]
    running = [task for task in methods if begun.get(task.id) is True]
    queued = [task for task in methods if begun.get(task.id) is False]
    unknown = [task for task in methods if task.id not in begun]
    reasons = []
    if functions:
        it, workers = ("it", "its worker")
        if len(functions) > 1:
            it, workers = ("they", "their workers")
        reasons.append(
            f"{count(functions)} did not stop; {it} may be inside C code. "
            f"{by_force} {workers}."
        )
    if running:
        reasons.append(
            f"{count(running)} did not stop; Ray interrupts methods of async actors "
            "only, and only where they await. `ray.kill` ends an actor."
        )
    if queued:
        reasons.append(f"{count(queued)} did not begin. {_QUEUED}")
    if unknown:
        reasons.append(
            f"{count(unknown)} did not end yet. Ray does not report whether actor "
            "methods run or are queued."
        )
    return reasons
