"""The words for tasks that did not end when cancelled, and for old states."""

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
    ("tasks", "begun", "words"),
    [
        ([task(FUNCTION, "f")], {}, "1 Ray task (1 × f) did not stop; it may be"),
        ([task(METHODS[0], "A.m")], {METHODS[0]: True}, "did not stop; Ray interrupts"),
        ([task(METHODS[0], "A.m")], {METHODS[0]: False}, "did not begin. "),
        ([task(METHODS[0], "A.m")], {}, "does not report whether actor methods run or"),
    ],
    ids=["function", "running", "queued", "unknown"],
)
def test_task_that_did_not_end_is_explained(tasks, begun, words):
    (sentence,) = did_not_stop(tasks, begun, "`--force` kills")
    assert words in sentence


def test_each_reason_has_its_own_sentences():
    tasks = [task(FUNCTION, "f"), *(task(method, "A.m") for method in METHODS)]
    begun = {METHODS[0]: True, METHODS[1]: False}
    assert len(did_not_stop(tasks, begun, "The button kills")) == 4


def test_old_states_of_pending_refs_are_marked():
    tracker = Tracker(lambda key: "f")
    tracker.record([AwaitEvent("awaited", b"f-1", "cell", 0.0)])
    tracker.set_stale(OLD)
    (line,) = tracker.snapshot().totals
    assert notes(line) == [("pending", f"1 pending: {SAID}")]
    assert f"f: {SAID}" in refs_table([line])
    tracker.set_stale(None)
    (line,) = tracker.snapshot().totals
    assert notes(line) == [("pending", "1 pending")]
