"""What is said of tasks that a cancel has not ended, and of states that are old."""

from __future__ import annotations

import time

import pytest

from ray_jupyter_async._awaiting.events import AwaitEvent
from ray_jupyter_async._display.terminal.refs_table import refs_table
from ray_jupyter_async._display.words import notes
from ray_jupyter_async._notebook.task_words import did_not_stop
from ray_jupyter_async._tracking.cluster.reasons import Reason, ReasonKind
from ray_jupyter_async._tracking.cluster.running_tasks import RunningTask
from ray_jupyter_async._tracking.tracker import Tracker

# The layout of task ids: `object_ids`.
FUNCTION = b"f" * 8 + b"\xff" * 12 + b"j" * 4
METHODS = [bytes([number]) * 24 for number in range(3)]
OLD = Reason(
    ReasonKind.GCS_SILENT, since=time.mktime((2026, 3, 1, 14, 3, 12, 0, 0, -1))
)
SAID = "Ray's GCS has not answered since 14:03:12; states are as of then"


def task(task_id, name):
    return RunningTask(task_id, name, 1, None)


@pytest.mark.parametrize(
    ("tasks", "begun", "said"),
    [
        ([task(FUNCTION, "f")], {}, "1 Ray task (1 × f) did not stop; it may be"),
        ([task(METHODS[0], "A.m")], {METHODS[0]: True}, "did not stop; Ray interrupts"),
        ([task(METHODS[0], "A.m")], {METHODS[0]: False}, "did not begin; an actor"),
        ([task(METHODS[0], "A.m")], {}, "whether actor methods run or are queued is"),
    ],
    ids=["function", "running", "queued", "unknown"],
)
def test_a_task_that_did_not_end_is_explained(tasks, begun, said):
    (sentence,) = did_not_stop(tasks, begun, "`--force` kills")
    assert said in sentence


def test_tasks_that_did_not_end_are_told_apart():
    tasks = [task(FUNCTION, "f"), *(task(method, "A.m") for method in METHODS)]
    begun = {METHODS[0]: True, METHODS[1]: False}
    assert len(did_not_stop(tasks, begun, "The button kills")) == 4


def test_old_states_are_marked_where_something_is_pending():
    tracker = Tracker(lambda key: "f")
    tracker.record([AwaitEvent("awaited", b"f-1", "cell", 0.0)])
    tracker.set_stale(OLD)
    (line,) = tracker.snapshot().totals
    assert notes(line) == [("pending", f"1 pending: {SAID}")]
    assert f"f: {SAID}" in refs_table([line])
    tracker.set_stale(None)
    (line,) = tracker.snapshot().totals
    assert notes(line) == [("pending", "1 pending")]
