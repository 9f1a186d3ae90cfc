"""The records of refs, their changes, the pace of a line and its errors; no Ray."""

from __future__ import annotations

import pytest

from ray_jupyter_async.awaiting.observing import AwaitEvent, Outcome
from ray_jupyter_async.tracking.error_groups import (
    MAX_GROUPS,
    OTHER_ERRORS,
    ErrorGroups,
    Failure,
    short_traceback,
)
from ray_jupyter_async.tracking.estimating import Pace
from ray_jupyter_async.tracking.progress import RefState
from ray_jupyter_async.tracking.task_events import TaskEvent
from ray_jupyter_async.tracking.tracker import Tracker
from ray_jupyter_async.tracking.waiting_reasons import Node, why_waiting


def key(number):
    return b"f".ljust(24, b"\0") + number.to_bytes(4, "little")


@pytest.fixture
def tracker():
    return Tracker(lambda _key: "f", limit=100)


def awaited(number, at=0.0, cell="cell"):
    return AwaitEvent("awaited", key(number), cell, at)


def settled(number, at=1.0, outcome=Outcome.RESOLVED, cell="cell", **error):
    return AwaitEvent("settled", key(number), cell, at, outcome, **error)


def event(state, status="RUNNING", **known):
    values = {
        "task": key(0)[:24],
        "state": state,
        "status": status,
        "at": 2.0,
        "started": None,
        "ended": None,
        "node": "",
        "worker": 0,
        "attempt": 0,
        "failure": None,
        "retried_for": "",
        "resources": {},
        "actor": b"",
    }
    return TaskEvent(**{**values, **known})


def explain(tracker, number, what, running=()):
    tracker.explain({"cell": [key(number)]}, {key(number)[:24]: what}, running)


def test_only_what_has_changed_is_read(tracker):
    tracker.record([awaited(0), awaited(1, at=2.0)])
    rows, version = tracker.read_refs("cell", "f")
    assert [(row.index, row.key, row.submitted) for row in rows] == [
        (0, key(0), 0.0),
        (1, key(1), 2.0),
    ]
    assert tracker.read_refs("cell", "f", version) == ([], version)
    tracker.record([settled(1, at=3.0, size=100)])
    (row,), later = tracker.read_refs("cell", "f", version)
    assert (row.index, row.state, row.ended) == (1, RefState.RESOLVED, 3.0)
    assert row.size == 100
    assert tracker.read_refs("cell", "f", later) == ([], later)
    assert len(tracker.read_refs("cell", "f", 0)[0]) == 2


def test_a_version_of_long_ago_gives_all(tracker):
    tracker.record([awaited(0), awaited(1)])
    _, version = tracker.read_refs("cell", "f")
    for _ in range(5000):
        cancelled = settled(1, outcome=Outcome.CANCELLED)
        tracker.record([cancelled, awaited(1)])
    rows, _ = tracker.read_refs("cell", "f", version)
    assert {row.index for row in rows} == {0, 1}


def test_an_unknown_line_has_no_refs(tracker):
    assert tracker.read_refs("cell", "f") == ([], 0)


def test_old_cells_give_their_records_back():
    tracker = Tracker(lambda _key: "f", keep_cells=2)
    for cell in range(10):
        tracker.record([awaited(i, cell=cell) for i in range(50)])
        tracker.record([settled(i, cell=cell) for i in range(50)])
        tracker.drain()
    assert len(tracker._records) == 100
    assert tracker.read_refs(0, "f") == ([], 0)
    assert [row.key for row in tracker.read_refs(9, "f")[0]] == [
        key(i) for i in range(50)
    ]


def test_events_tell_where_and_when_a_task_ran(tracker):
    tracker.record([awaited(0, at=10.0)])
    explain(tracker, 0, event(RefState.RUNNING, started=11.0, node="n", worker=7))
    (row,), _ = tracker.read_refs("cell", "f")
    assert (row.state, row.started, row.node, row.worker) == (
        RefState.RUNNING,
        1.0,
        "n",
        7,
    )
    tracker.record([settled(0, at=14.0)])
    explain(tracker, 0, event(RefState.READY, started=11.0, ended=13.0))
    (row,), _ = tracker.read_refs("cell", "f")
    assert (row.state, row.ended) == (RefState.RESOLVED, 3.0)


def test_a_failed_attempt_of_a_task_that_runs_on_settles_nothing(tracker):
    tracker.adopt("cell", [key(0)])
    failed = event(RefState.FAILED, "FAILED", failure=Failure("worker died"))
    explain(tracker, 0, failed, running={key(0)[:24]})
    assert tracker.read_cell("cell").pending == 1
    explain(tracker, 0, failed)
    assert tracker.read_cell("cell").lines[0].failed == 1


def test_an_error_that_only_ray_has_named_is_told_better_by_events(tracker):
    tracker.adopt("cell", [key(0)])
    tracker.end_finished(
        {"cell": [key(0)]}, set(), {key(0): "TASK_EXECUTION_EXCEPTION"}
    )
    (error,) = tracker.read_cell("cell").lines[0].errors
    assert error.kind == "task execution exception"
    better = Failure("ValueError", "no", "ValueError: no")
    explain(tracker, 0, event(RefState.FAILED, "FAILED", failure=better))
    (error,) = tracker.read_cell("cell").lines[0].errors
    assert (error.kind, error.message, error.count) == ("ValueError", "no", 1)


def test_the_pace_is_what_settled_lately(tracker):
    pace = Pace(0.0)
    assert pace.estimate(1.0, pending=5) == (None, None)
    for tenth in range(600):
        pace.settled(tenth / 10, [key(0)])
    assert pace.estimate(60.0, pending=50) == (pytest.approx(10.0), pytest.approx(5.0))
    assert pace.estimate(60.0, pending=0) == (pytest.approx(10.0, rel=0.01), None)


def test_what_keeps_us_waiting_is_expected_to_do_so_for_as_long_again():
    pace = Pace(0.0)
    for _ in range(1000):
        pace.settled(1.0, [key(0)])
    assert pace.estimate(1.0, pending=1)[1] == pytest.approx(0.001)
    assert pace.estimate(21.0, pending=1)[1] == pytest.approx(20.0)
    rate, left = pace.estimate(100.0, pending=1)
    assert (rate, left) == (0.0, None)


def test_a_straggler_runs_for_three_times_the_median():
    pace = Pace(0.0)
    pace.ran(key(9), 0.0, None)
    assert pace.stragglers(100.0) == 0
    for number in range(5):
        pace.ran(key(number), 0.0, 2.0)
    assert pace.stragglers(5.9) == 0
    assert pace.stragglers(6.1) == 1
    pace.settled(7.0, [key(9)])
    assert pace.stragglers(100.0) == 0


def test_error_groups_are_bounded():
    groups = ErrorGroups()
    for number in range(1000):
        groups.add(Failure("ValueError", f"{number}"), None)
        groups.add(Failure(f"Error{number}"), None)
    told = groups.read()
    assert len(told) <= 2 * MAX_GROUPS + 1
    assert sum(group.count for group in told) == 2000
    assert {group.kind for group in told} >= {"ValueError", OTHER_ERRORS}


def test_a_long_traceback_is_cut():
    groups = ErrorGroups()
    groups.add(Failure("E", "m", "x" * 10**6), None)
    (group,) = groups.read()
    assert len(group.full) < 10_000
    assert len(group.short) < 3_000


def test_the_short_traceback_has_the_users_frames_only():
    full = (
        "\x1b[36mray::f()\x1b[39m (pid=1, ip=127.0.0.1)\n"
        '  File "/home/me/work.py", line 3, in f\n'
        "    return g()\n"
        "           ^^^\n"
        '  File "/x/lib/python3.11/site-packages/numpy/core.py", line 9, in g\n'
        "    raise ValueError\n"
        '  File "python/ray/_raylet.pyx", line 9, in ray._raylet.execute\n'
        "ValueError: no\nsecond line"
    )
    assert short_traceback(full).splitlines() == [
        '  File "/home/me/work.py", line 3, in f',
        "    return g()",
        "ValueError: no",
        "second line",
    ]


ONE_NODE = [Node("1", "a", {"CPU": 4.0, "memory": 2.0**31}, {"CPU": 1.0})]


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ([], ""),
        ([event(RefState.RUNNING)], ""),
        ([{"CPU": 1.0}], ""),
        ([{"CPU": 2.0}] * 1200, "all 4 CPUs busy, 1,200 queued"),
        ([{"CPU": 8.0}], "no node has 8 CPUs (cluster: 4)"),
        ([{"GPU": 0.5}], "no node has 0.5 GPU (cluster: 0)"),
        (
            [{"memory": 2.0**32}],
            "no node has 4 GiB of memory (cluster: 2 GiB)",
        ),
        (
            [{"CPU": 2.0}, {"GPU": 1.0}, {"GPU": 1.0}],
            "no node has 1 GPU (cluster: 0); all 4 CPUs busy, 1 queued",
        ),
        ([event(RefState.PENDING_ARGS)], "waits for 3 other tasks"),
        (
            [event(RefState.PENDING_NODE, attempt=2, retried_for="worker died")],
            "worker died, retrying (attempt 3)",
        ),
        ([event(RefState.PENDING_NODE, actor=b"a")], "actor is busy"),
    ],
)
def test_the_reason_is_said_in_words(events, reason):
    given = [
        event(RefState.PENDING_NODE, "PENDING_NODE_ASSIGNMENT", resources=known)
        if isinstance(known, dict)
        else known
        for known in events
    ]
    said = why_waiting(given, ONE_NODE, lambda _actor: ("ALIVE", {}), lambda _tasks: 3)
    assert said == reason


def test_a_task_that_no_node_can_hold_by_itself_says_so():
    nodes = [Node("1", "a", {"CPU": 4.0}, {}), Node("2", "b", {"GPU": 1.0}, {})]
    wants = event(
        RefState.PENDING_NODE,
        "PENDING_NODE_ASSIGNMENT",
        resources={"CPU": 1.0, "GPU": 1.0},
    )
    said = why_waiting([wants], nodes, lambda _actor: None, lambda _tasks: 0)
    assert said == "no node has 1 CPU and 1 GPU together"
