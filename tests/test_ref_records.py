"""The records of refs, their changes, the pace of a line and its errors; no Ray."""

from __future__ import annotations

import pytest

from ray_jupyter_async._awaiting.error_text import describe_text
from ray_jupyter_async._awaiting.events import AwaitEvent, Outcome
from ray_jupyter_async._display.reason_words import reason_words
from ray_jupyter_async._ray_api.gcs import Actor, Node
from ray_jupyter_async._tracking.cluster.pending_reasons import why_waiting
from ray_jupyter_async._tracking.cluster.reasons import Reason, ReasonKind
from ray_jupyter_async._tracking.counts.error_groups import (
    MAX_GROUPS,
    OTHER_ERRORS,
    ErrorGroups,
)
from ray_jupyter_async._tracking.counts.line import Line
from ray_jupyter_async._tracking.counts.pace import Pace
from ray_jupyter_async._tracking.counts.short_tracebacks import short_traceback
from ray_jupyter_async._tracking.events import Failure, TaskEvent, WatchEvent
from ray_jupyter_async._tracking.refs.store import AWAITED, Records
from ray_jupyter_async._tracking.snapshots import RefRecord, RefState
from ray_jupyter_async._tracking.tracker import Tracker


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


def test_read_returns_only_changes(tracker):
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


def test_old_version_reads_all(tracker):
    tracker.record([awaited(0), awaited(1)])
    _, version = tracker.read_refs("cell", "f")
    for _ in range(5000):
        cancelled = settled(1, outcome=Outcome.CANCELLED)
        tracker.record([cancelled, awaited(1)])
    rows, _ = tracker.read_refs("cell", "f", version)
    assert {row.index for row in rows} == {0, 1}


def test_unknown_line_has_no_refs(tracker):
    assert tracker.read_refs("cell", "f") == ([], 0)


def test_ref_that_is_pending_again_is_not_evicted():
    tracker = Tracker(lambda _key: "f", limit=10)
    tracker.record([awaited(0), settled(0, outcome=Outcome.CANCELLED), awaited(0)])
    for number in range(1, 50):
        tracker.record([awaited(number), settled(number)])
    rows, _ = tracker.read_refs("cell", "f")
    assert len(rows) == 10
    assert rows[0].key == key(0)
    assert not rows[0].state.settled


def test_reused_slot_has_nothing_of_its_last_record():
    records = Records(limit=1)
    line = Line("f", 0.0)
    (old,), _ = records.new(line, {key(0): 0.0}, RefState.PENDING_NODE)
    records.flags[old] |= AWAITED
    records.size[old] = 100
    records.set_error(old, "E", "old")
    run = event(RefState.FAILED, started=1.0, ended=2.0, node="n", worker=7, attempt=1)
    records.set_run(old, run)
    records.set_state(old, RefState.FAILED, 1.0)
    (new,), _ = records.new(line, {key(1): 5.0}, RefState.PENDING_NODE)
    assert new == old
    assert records.flags[new] == 0
    columns, _ = records.read(line, 0)
    (row,) = columns.rows(records.read_keys(line, 0))
    assert row == RefRecord(
        1, key(1), RefState.PENDING_NODE, 5.0, None, None, "", 0, 0, None, ""
    )


def test_freed_slots_are_no_longer_queued():
    records = Records(limit=100)
    line = Line("f", 0.0)
    times = {key(number): 0.0 for number in range(10)}
    slots, _ = records.new(line, times, RefState.PENDING_NODE)
    for slot in slots:
        records.set_state(slot, RefState.RESOLVED, 1.0)
    records.remove_all([line])
    assert len(records) == len(records.settled) == 0


def test_texts_and_attempts_are_bounded():
    records = Records(limit=10)
    line = Line("f", 0.0)
    (slot,), _ = records.new(line, {key(0): 0.0}, RefState.FAILED)
    for number in range(25_000):
        records.set_error(slot, "E", f"{number}")
    assert len(records._words) < 20_010
    assert records.error(slot) == "E"
    run = event(RefState.RUNNING, worker=1, attempt=70_000)
    for number in range(70_000):
        records.set_run(slot, run._replace(node=f"node {number}"))
    assert len(records._words) <= 2**16
    columns, _ = records.read(line, 0)
    assert list(columns.attempt) == [255]


def test_old_cells_free_their_records():
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


def test_event_says_where_and_when_a_task_ran(tracker):
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


def test_failed_attempt_settles_nothing(tracker):
    tracker.adopt("cell", [key(0)])
    failed = event(RefState.FAILED, "FAILED", failure=Failure("worker died"))
    explain(tracker, 0, failed, running={key(0)[:24]})
    assert tracker.read_cell("cell").pending == 1
    explain(tracker, 0, failed)
    assert tracker.read_cell("cell").lines[0].failed == 1


def test_event_names_an_error_better_than_ray(tracker):
    tracker.adopt("cell", [key(0)])
    unnamed = describe_text("TASK_EXECUTION_EXCEPTION", "")
    tracker.end_finished({"cell": [key(0)]}, set(), {key(0): unnamed})
    (error,) = tracker.read_cell("cell").lines[0].errors
    assert error.kind == "RayTaskError"
    better = Failure("ValueError", "no", "ValueError: no")
    explain(tracker, 0, event(RefState.FAILED, "FAILED", failure=better))
    (error,) = tracker.read_cell("cell").lines[0].errors
    assert (error.kind, error.message, error.count) == ("ValueError", "no", 1)


def test_event_without_an_error_is_no_value_after_a_cancel(tracker):
    tracker.adopt("cell", [key(0)])
    tracker.record([WatchEvent("cancelling", key(0), None, 1.0)])
    explain(tracker, 0, event(RefState.READY, "FINISHED", ended=1.0))
    line = tracker.read_cell("cell").lines[0]
    assert (line.unknown, line.ready) == (1, 0)
    explain(tracker, 0, event(RefState.READY, "FINISHED", ended=1.0))
    assert tracker.read_cell("cell").lines[0].unknown == 1


def test_event_says_that_a_task_was_cancelled(tracker):
    tracker.adopt("cell", [key(0)])
    tracker.record([WatchEvent("cancelling", key(0), None, 1.0)])
    tracker.end_finished({"cell": [key(0)]}, set(), {})
    assert tracker.read_cell("cell").lines[0].unknown == 1
    failure = Failure("TASK_CANCELLED")
    explain(tracker, 0, event(RefState.CANCELLED, "FAILED", failure=failure))
    line = tracker.read_cell("cell").lines[0]
    assert (line.cancelled, line.unknown) == (1, 0)


def test_rate_is_of_the_last_seconds(tracker):
    pace = Pace(0.0)
    assert pace.estimate(1.0, pending=5) == (None, None)
    for tenth in range(600):
        pace.settled(tenth / 10, [0])
    assert pace.estimate(60.0, pending=50) == (pytest.approx(10.0), pytest.approx(5.0))
    assert pace.estimate(60.0, pending=0) == (pytest.approx(10.0, rel=0.01), None)


def test_time_left_is_at_least_the_silence():
    pace = Pace(0.0)
    for _ in range(1000):
        pace.settled(1.0, [0])
    assert pace.estimate(1.0, pending=1)[1] == pytest.approx(0.001)
    assert pace.estimate(21.0, pending=1)[1] == pytest.approx(20.0)
    rate, left = pace.estimate(100.0, pending=1)
    assert (rate, left) == (0.0, None)


def test_pace_is_bounded():
    pace = Pace(0.0)
    for second in range(10_000):
        pace.settled(float(second), [second])
    assert len(pace._buckets) < 40


def test_straggler_has_siblings_and_runs_for_a_second():
    pace = Pace(0.0)
    pace.ran(9, 0.0, None)
    for number in range(2):
        pace.ran(number, 0.0, 0.01)
    assert pace.stragglers(100.0) == 0
    pace.ran(2, 0.0, 0.01)
    assert pace.stragglers(0.9) == 0
    assert pace.stragglers(1.1) == 1


def test_straggler_is_measured_by_the_median():
    pace = Pace(0.0)
    pace.ran(9, 0.0, None)
    for number, seconds in enumerate([1.0, 1.0, 1.0, 100.0]):
        pace.ran(number, 0.0, seconds)
    assert pace.stragglers(3.1) == 1


def test_straggler_runs_for_three_medians():
    pace = Pace(0.0)
    pace.ran(9, 0.0, None)
    assert pace.stragglers(100.0) == 0
    for number in range(5):
        pace.ran(number, 0.0, 2.0)
    assert pace.stragglers(5.9) == 0
    assert pace.stragglers(6.1) == 1
    pace.settled(7.0, [9])
    assert pace.stragglers(100.0) == 0


def test_late_event_makes_no_straggler(tracker):
    tracker.record([awaited(number) for number in range(5)])
    for number in range(3):
        tracker.record([settled(number)])
        explain(tracker, number, event(RefState.READY, started=0.0, ended=0.1))
    tracker.record([settled(3)])
    explain(tracker, 3, event(RefState.RUNNING, started=0.0))
    explain(tracker, 4, event(RefState.RUNNING, started=0.0))
    (line,) = tracker.read_cell("cell").lines
    assert (line.running, line.stragglers) == (1, 1)


def test_error_groups_are_bounded():
    groups = ErrorGroups()
    for number in range(1000):
        groups.add(Failure("ValueError", f"{number}"), None)
        groups.add(Failure(f"Error{number}"), None)
    told = groups.read()
    assert len(told) <= 2 * MAX_GROUPS + 1
    assert sum(group.count for group in told) == 2000
    assert {group.kind for group in told} >= {"ValueError", OTHER_ERRORS}


def test_error_is_removed_from_its_group():
    groups = ErrorGroups()
    for number in range(MAX_GROUPS + 2):
        groups.add(Failure("ValueError", f"{number}"), None)
    groups.remove("ValueError", f"{MAX_GROUPS + 1}")
    assert sum(group.count for group in groups.read()) == MAX_GROUPS + 1
    groups.remove("ValueError", f"{MAX_GROUPS}")
    assert "" not in {group.message for group in groups.read()}


def test_error_groups_are_merged_most_frequent_first():
    one, other = ErrorGroups(), ErrorGroups()
    one.add(Failure("A", "a", "first"), b"task a")
    for _ in range(2):
        other.add(Failure("B", "b", "other"), b"task b")
    other.add(Failure("A", "a", "second"), b"task c")
    one.merge(other)
    told = [(g.kind, g.count, g.full, g.task) for g in one.read()]
    assert told == [("A", 2, "first", b"task a"), ("B", 2, "other", b"task b")]
    one.merge(other)
    assert [(g.kind, g.count) for g in one.read()] == [("B", 4), ("A", 3)]


def test_short_traceback_has_the_last_frames():
    frames = [f'  File "/home/me/work.py", line {i}, in f' for i in range(1, 50)]
    told = short_traceback("\n".join([*frames, "ValueError: no"])).splitlines()
    assert told == [*frames[-6:], "ValueError: no"]


def test_long_traceback_is_cut():
    groups = ErrorGroups()
    groups.add(Failure.of("E", "m", "x" * 10**6), None)
    (group,) = groups.read()
    assert len(group.full) < 10_000
    assert len(group.short) < 3_000


def test_short_traceback_has_only_the_users_frames():
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
            [event(RefState.PENDING_NODE, attempt=2, retried_for="WORKER_DIED")],
            "worker died, retrying (attempt 3)",
        ),
        (
            [event(RefState.PENDING_NODE, attempt=1)],
            "failed, retrying (attempt 2)",
        ),
        ([event(RefState.PENDING_NODE, actor=b"a")], "actor is busy"),
        # As many CPUs are busy for a task that wants one as for one that wants two.
        ([{"CPU": 2.0}, {"CPU": 3.0}], "all 4 CPUs busy, 2 queued"),
    ],
)
def test_reasons_are_found_and_worded(events, reason):
    given = [
        event(RefState.PENDING_NODE, "PENDING_NODE_ASSIGNMENT", resources=known)
        if isinstance(known, dict)
        else known
        for known in events
    ]
    found = why_waiting(
        given, ONE_NODE, lambda _actor: Actor("ALIVE", {}), lambda _tasks: (3, False)
    )
    assert reason_words(found) == reason


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ((1, False), "waits for 1 other task"),
        ((1, True), "waits for 1+ other tasks"),
        ((12, True), "waits for 12+ other tasks"),
        ((0, True), "waits for other tasks"),
    ],
)
def test_other_tasks_are_counted_as_far_as_known(known, said):
    waits = [event(RefState.PENDING_ARGS)]
    found = why_waiting(waits, None, lambda _actor: None, lambda _tasks: known)
    assert reason_words(found) == said


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("DEPENDENCIES_UNREADY", "actor waits for its arguments"),
        ("PENDING_CREATION", "no node has 1 GPU (cluster: 0) for the actor"),
        ("RESTARTING", "no node has 1 GPU (cluster: 0) for the actor"),
        ("ALIVE", "actor is busy"),
        ("DEAD", ""),
    ],
)
def test_actor_that_cannot_start_says_so(state, said):
    needs = {} if state == "DEPENDENCIES_UNREADY" else {"GPU": 1.0}
    found = why_waiting(
        [event(RefState.PENDING_NODE, actor=b"a")],
        ONE_NODE,
        lambda _actor: Actor(state, needs),
        lambda _tasks: (0, False),
    )
    assert reason_words(found) == said


def busy(queued, *, or_more=False):
    return Reason(ReasonKind.BUSY, (("CPU", 2.0),), count=queued, or_more=or_more)


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        (busy(2), "all 2 CPUs busy, 2 queued"),
        (busy(9), "all 2 CPUs busy, 3 queued"),
        (busy(2000, or_more=True), "all 2 CPUs busy, 3 queued"),
        (
            Reason(ReasonKind.TOO_LARGE, (("CPU", 8.0),), total=2.0),
            "no node has 8 CPUs (cluster: 2)",
        ),
    ],
)
def test_queue_is_no_longer_than_what_waits_by_now(tracker, reason, said):
    tracker.record([awaited(number) for number in range(9)])
    tracker.drain()
    tracker.set_reasons("cell", {"f": (reason,)})
    tracker.record([settled(number) for number in range(6)])
    (line,) = tracker.read_cell("cell").lines
    assert reason_words(line.reasons) == said


def test_task_that_no_single_node_can_hold_says_so():
    nodes = [Node("1", "a", {"CPU": 4.0}, {}), Node("2", "b", {"GPU": 1.0}, {})]
    wants = event(
        RefState.PENDING_NODE,
        "PENDING_NODE_ASSIGNMENT",
        resources={"CPU": 1.0, "GPU": 1.0},
    )
    found = why_waiting([wants], nodes, lambda _actor: None, lambda _tasks: (0, False))
    assert reason_words(found) == "no node has 1 CPU and 1 GPU together"
