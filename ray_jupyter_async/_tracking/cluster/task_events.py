"""Tasks as the GCS knows them: states, times, places, attempts and errors.

Every process reports about once a second, so this is late by up to two seconds. And it
has gaps: the GCS keeps 100,000 attempts by default and drops the oldest, and a process
that dies takes its last reports along. A missing event means nothing.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ..._awaiting.error_text import LONGEST_TRACEBACK, cut_middle, describe_text
from ..._ray_api.gcs import read_tasks
from ..events import Failure, TaskEvent
from ..foreign_text import clean_name
from ..snapshots import RefState

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from ..._ray_api.gcs import TaskReport


def read_task_events(wanted: Collection[bytes]) -> dict[bytes, TaskEvent]:
    """Ask the GCS about tasks; see `read_tasks`."""
    wall_to_ours = time.monotonic() - time.time()
    return {
        task: _event(task, report, wall_to_ours)
        for task, report in read_tasks(wanted).items()
    }


def _event(task: bytes, report: TaskReport, wall_to_ours: float) -> TaskEvent:
    times = {status: at + wall_to_ours for status, at in report.times.items()}
    state, status = _state(times)
    failure = None
    if state is RefState.FAILED:
        failure = _failure(report.error or "UNKNOWN_ERROR", report.message)
        if report.error == "TASK_CANCELLED":
            state = RefState.CANCELLED
    return TaskEvent(
        task,
        state,
        status,
        times.get(status, time.monotonic()),
        times.get("RUNNING"),
        times.get("FINISHED", times.get("FAILED")),
        clean_name(report.node),
        report.worker,
        report.attempt,
        failure,
        report.error_before,
        report.resources,
        report.actor,
    )


def _state(times: Mapping[str, float]) -> tuple[RefState, str]:
    if "FAILED" in times:
        return RefState.FAILED, "FAILED"
    if "FINISHED" in times:
        return RefState.READY, "FINISHED"
    running = [status for status in times if status.startswith("RUNNING")]
    if running:
        return RefState.RUNNING, max(running, key=times.__getitem__)
    status = max(times, key=times.__getitem__, default="")
    if status == "PENDING_ARGS_AVAIL":
        return RefState.PENDING_ARGS, status
    return RefState.PENDING_NODE, status


def _failure(error_type: str, text: str) -> Failure:
    # First: its length is up to the code that raised the error.
    text = cut_middle(text, LONGEST_TRACEBACK)
    if error_type == "TASK_EXECUTION_EXCEPTION":
        # "User exception:\n", then the same text as the error's own.
        text = text.partition("\n")[2] or text
    return Failure.of(*describe_text(error_type, text))
