"""The tracker's counts: records in, totals per cell and name out. No Ray runs."""

from __future__ import annotations

import threading
import tracemalloc

import pytest

from ray_jupyter_async._awaiting.error_text import VALUE, Description
from ray_jupyter_async._awaiting.events import AwaitEvent, Outcome
from ray_jupyter_async._ray_api.object_ids import return_id
from ray_jupyter_async._tracking import inbox as inbox_module
from ray_jupyter_async._tracking.counts.cell import MAX_LINES
from ray_jupyter_async._tracking.events import Submission, WatchEvent
from ray_jupyter_async._tracking.tracker import Tracker

STATES = (
    *("resolved", "ready", "failed", "cancelled", "released", "unknown", "pending"),
)
DIED = Description("worker died", "", "")


class Ref:
    def __init__(self, key):
        self.key = key

    def binary(self):
        return self.key


def name_of(key):
    return key.decode().split("-")[0]


@pytest.fixture
def tracker():
    return Tracker(name_of)


def awaited(key, at=0.0, cell="cell"):
    return AwaitEvent("awaited", key, cell, at)


def settled(key, outcome=Outcome.RESOLVED, error=None, at=1.0, cell="cell"):
    return AwaitEvent("settled", key, cell, at, outcome, error)


def line(tracker, cell="cell", name="f"):
    lines = {line.name: line for line in tracker.read_cell(cell).lines}
    return lines[name]


def counts(tracker, cell="cell", name="f"):
    read = line(tracker, cell, name)
    return {state: count for state in STATES if (count := getattr(read, state))}


def errors(tracker, cell="cell", name="f"):
    return {group.kind: group.count for group in line(tracker, cell, name).errors}


def test_await_is_pending(tracker):
    tracker.record([awaited(b"f-1"), awaited(b"f-2")])
    assert counts(tracker) == {"pending": 2}


@pytest.mark.parametrize(
    ("outcome", "error", "state"),
    [
        (Outcome.RESOLVED, None, "resolved"),
        (Outcome.FAILED, "ValueError", "failed"),
        (Outcome.CANCELLED, None, "released"),
        (Outcome.FAILED, "TaskCancelledError", "cancelled"),
    ],
)
def test_outcome_is_counted(tracker, outcome, error, state):
    tracker.record([awaited(b"f-1"), settled(b"f-1", outcome, error)])
    assert counts(tracker) == {state: 1}


def test_lines_are_by_name(tracker):
    tracker.record([awaited(b"f-1"), awaited(b"g-1"), settled(b"g-1")])
    assert counts(tracker, name="f") == {"pending": 1}
    assert counts(tracker, name="g") == {"resolved": 1}


def test_cells_are_apart(tracker):
    tracker.record([awaited(b"f-1", cell="a"), awaited(b"f-1", cell="b")])
    tracker.record([settled(b"f-1", cell="a")])
    assert counts(tracker, "a") == {"resolved": 1}
    assert counts(tracker, "b") == {"pending": 1}


def test_errors_are_counted_most_frequent_first(tracker):
    for key, error in ((b"f-1", "KeyError"), (b"f-2", "OSError"), (b"f-3", "OSError")):
        tracker.record([awaited(key), settled(key, Outcome.FAILED, error)])
    assert errors(tracker) == {"OSError": 2, "KeyError": 1}


def test_ref_awaited_twice_at_once_counts_once(tracker):
    tracker.record([awaited(b"f-1"), awaited(b"f-1")])
    assert line(tracker).total == 1
    tracker.record([settled(b"f-1"), settled(b"f-1")])
    assert counts(tracker) == {"resolved": 1}


def test_resolved_ref_awaited_again_counts_once(tracker):
    tracker.record([awaited(b"f-1"), settled(b"f-1")] * 3)
    assert counts(tracker) == {"resolved": 1}


def test_ref_with_another_await_stays_pending(tracker):
    tracker.record([awaited(b"f-1"), awaited(b"f-1")])
    tracker.record([settled(b"f-1", Outcome.CANCELLED)])
    assert counts(tracker) == {"pending": 1}


def test_ref_whose_await_was_dropped_can_be_awaited(tracker):
    tracker.record([awaited(b"f-1"), settled(b"f-1", Outcome.CANCELLED)])
    tracker.record([awaited(b"f-1")])
    assert counts(tracker) == {"pending": 1}
    tracker.record([settled(b"f-1")])
    assert counts(tracker) == {"resolved": 1}


def submitter(key, cell="cell"):
    """Return a tracker that has seen a submission."""
    fresh = [Submission(key, 1, "f", cell, 0.0, True)]
    taken = iter([fresh])
    return Tracker(lambda _key: "f", take_submitted=lambda: next(taken, ()))


TASK = b"f-1".ljust(24, b"-")
REF, ITEM = return_id(TASK), return_id(TASK, 5)


def test_task_runs_on_when_its_await_is_dropped():
    tracker = submitter(REF)
    tracker.record([awaited(REF, at=1.0), settled(REF, Outcome.CANCELLED, at=3.0)])
    assert counts(tracker) == {"pending": 1}
    progress = tracker.read_cell("cell")
    assert (progress.waiting, progress.waited) == (0, 2.0)
    assert tracker.left_behind() == {"cell": [REF]}
    tracker.end_finished({"cell": [REF]}, {TASK}, {})
    assert counts(tracker) == {"pending": 1}
    tracker.end_finished({"cell": [REF]}, set(), {REF: VALUE})
    assert counts(tracker) == {"ready": 1}


@pytest.mark.parametrize("key", [REF, ITEM])
def test_task_of_another_cell_is_followed(key):
    tracker = submitter(REF, cell="first")
    tracker.record([awaited(key), settled(key, Outcome.CANCELLED)])
    assert counts(tracker) == {"pending": 1}
    tracker.end_finished(tracker.left_behind(), set(), {key: DIED})
    assert counts(tracker) == {"failed": 1}


@pytest.mark.parametrize(
    "error", ["ObjectRefStreamEndOfStreamError", "END_OF_STREAMING_GENERATOR"]
)
def test_end_of_a_generator_is_no_item(error):
    tracker = submitter(REF)
    tracker.record([awaited(ITEM), settled(ITEM)])
    end = return_id(TASK, 6)
    tracker.record([awaited(end), settled(end, Outcome.FAILED, error)])
    assert counts(tracker) == {"resolved": 1, "pending": 1}
    assert (line(tracker).total, errors(tracker)) == (2, {})


@pytest.mark.parametrize(
    ("outcomes", "state"),
    [
        ({}, "unknown"),
        ({REF: Description("TASK_CANCELLED", "", "")}, "cancelled"),
        ({REF: VALUE}, "ready"),
        ({REF: DIED}, "failed"),
    ],
)
def test_task_that_was_asked_to_end_is_what_its_object_is(outcomes, state):
    tracker = submitter(REF)
    tracker.record([WatchEvent("cancelling", REF, None, 1.0)])
    assert line(tracker).cancelling == 1
    tracker.end_finished({"cell": [REF]}, set(), outcomes)
    assert counts(tracker) == {state: 1}


def test_end_of_an_unknown_await_is_ignored(tracker):
    tracker.record([awaited(b"f-1"), settled(b"f-2")])
    assert counts(tracker) == {"pending": 1}


def test_totals_survive_the_end_of_the_cell(tracker):
    tracker.record([awaited(b"f-1"), settled(b"f-1")])
    tracker.finish_code("cell")
    assert counts(tracker) == {"resolved": 1}


def test_elapsed_is_from_first_await_to_last_end(tracker):
    tracker.record([awaited(b"f-1", at=10.0), awaited(b"f-2", at=11.0)])
    assert line(tracker).elapsed(now=14.0) == 4.0
    tracker.record([settled(b"f-1", at=12.0), settled(b"f-2", at=13.0)])
    assert line(tracker).elapsed(now=99.0) == 3.0


def test_waited_leaves_out_the_time_between_awaits(tracker):
    tracker.record([awaited(b"f-1", at=1.0), settled(b"f-1", at=1.25)])
    tracker.record([awaited(b"f-2", at=5.0), settled(b"f-2", at=5.25)])
    assert tracker.read_cell("cell").waited == 0.5


def test_lines_are_bounded(tracker):
    tracker.record([awaited(b"task%d-1" % i) for i in range(1000)])
    lines = tracker.read_cell("cell").lines
    assert len(lines) <= MAX_LINES + 1
    assert sum(line.total for line in lines) == 1000


def test_old_cells_remain_in_the_totals_only():
    tracker = Tracker(name_of, keep_cells=3)
    for cell in range(10):
        key = b"f-%d" % cell
        tracker.record([awaited(key, cell=cell), settled(key, cell=cell)])
        tracker.drain()
    assert [cell.origin for cell in tracker.snapshot().cells] == [7, 8, 9]
    assert [line.resolved for line in tracker.snapshot().totals] == [10]


def test_ref_of_many_retired_cells_counts_once():
    tracker = Tracker(name_of, keep_cells=3)
    for cell in range(10):
        tracker.record([awaited(b"f-1", cell=cell), settled(b"f-1", cell=cell)])
        tracker.drain()
    assert [line.resolved for line in tracker.snapshot().totals] == [1]


def test_old_cell_with_pending_refs_stays():
    tracker = Tracker(name_of, keep_cells=2)
    tracker.record([awaited(b"f-1", cell="old")])
    for cell in range(5):
        tracker.record([awaited(b"f-2", cell=cell), settled(b"f-2", cell=cell)])
        tracker.drain()
    tracker.record([settled(b"f-1", cell="old")])
    assert counts(tracker, "old") == {"resolved": 1}


def test_undrained_inbox_is_bounded(tracker, monkeypatch):
    monkeypatch.setattr(inbox_module, "_DRAIN_ABOVE", 100)
    monkeypatch.setattr(inbox_module, "_DRAIN_EVERY", 0.0)
    for _ in range(1000):
        tracker.record([awaited(b"f-1"), settled(b"f-1")])
        assert len(tracker._inbox._batches) <= 60


def test_record_does_not_wait_for_the_lock(tracker):
    with tracker._lock:
        recorder = threading.Thread(target=tracker.record, args=([awaited(b"f-1")],))
        recorder.start()
        recorder.join(5)
        assert not recorder.is_alive()


def test_long_running_cell_is_bounded():
    tracker = Tracker(name_of, limit=1000)
    tracemalloc.start()
    try:
        sizes = []
        for start in (0, 20_000):
            for i in range(start, start + 20_000):
                key = b"f-%d" % i
                tracker.record([awaited(key), settled(key)])
                tracker.drain()
            sizes.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert line(tracker).resolved == 40_000
    assert sizes[1] - sizes[0] < 50_000


def test_records_of_many_threads_all_count(tracker):
    def work(thread):
        for i in range(500):
            key = b"f-%d.%d" % (thread, i)
            tracker.record([awaited(key)])
            tracker.record([settled(key)])
            tracker.drain()

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts(tracker) == {"resolved": 4000}


def test_on_record_is_called(tracker):
    called = []
    tracker.on_record = lambda: called.append(1)
    tracker.record([awaited(b"f-1")])
    assert called == [1]


def test_watched_ref_is_pending_until_it_is_ready(tracker):
    ready = []

    def watcher(refs, callback, released):
        ready.append(callback)
        return lambda: None

    tracker.watch([Ref(b"f-1"), Ref(b"f-2"), Ref(b"f-3")], watcher, "cell")
    assert counts(tracker) == {"pending": 3}
    ready[0](b"f-1", VALUE)
    ready[0](b"f-2", Description("ValueError", "", ""))
    assert counts(tracker) == {"ready": 1, "failed": 1, "pending": 1}
    assert errors(tracker) == {"ValueError": 1}


def test_watched_ref_that_was_dropped_is_released(tracker):
    def watcher(refs, callback, released):
        callback(b"f-1", VALUE)
        released(b"f-2")
        return lambda: None

    tracker.watch([Ref(b"f-1"), Ref(b"f-2")], watcher, "cell")
    assert counts(tracker) == {"ready": 1, "released": 1}
    assert tracker.read_cell("cell").settled


def test_watches_end_together(tracker):
    ended = []

    def watcher(refs, callback, released):
        return lambda: ended.append(len(refs))

    tracker.watch([Ref(b"f-1")], watcher, "cell")
    tracker.watch([Ref(b"g-1"), Ref(b"g-2")], watcher, "cell")
    tracker.end_watches()
    tracker.end_watches()
    assert ended == [1, 2]
    assert tracker.read_cell("cell").settled


def test_watched_ref_is_resolved_by_an_await(tracker):
    def watcher(refs, callback, released):
        callback(b"f-1", None)
        return lambda: None

    tracker.watch([Ref(b"f-1")], watcher, "cell")
    tracker.record([awaited(b"f-1"), settled(b"f-1")])
    assert counts(tracker) == {"resolved": 1}


@pytest.mark.parametrize(
    ("what", "state", "said"),
    [
        (Description("TASK_CANCELLED", "", ""), "cancelled", {}),
        (DIED, "failed", {"worker died": 1}),
        (None, "unknown", {}),
    ],
)
def test_watched_object_counts_as_what_it_is(tracker, what, state, said):
    def watcher(refs, callback, released):
        callback(b"f-1", what)
        return lambda: None

    tracker.watch([Ref(b"f-1")], watcher, "cell")
    assert counts(tracker) == {state: 1}
    assert errors(tracker) == said


def test_end_of_a_watch_releases_unready_refs(tracker):
    def watcher(refs, callback, released):
        callback(b"f-1", VALUE)
        return lambda: None

    stop = tracker.watch([Ref(b"f-1"), Ref(b"f-2"), Ref(b"g-1")], watcher, "cell")
    stop()
    stop()
    assert counts(tracker) == {"ready": 1, "released": 1}
    assert tracker.read_cell("cell").settled


@pytest.mark.parametrize(
    ("outcome", "error", "state"),
    [
        (Outcome.RESOLVED, None, "ready"),
        (Outcome.READY, None, "ready"),
        (Outcome.EXISTS, None, "unknown"),
        (Outcome.FAILED, "ValueError", "failed"),
        (Outcome.FAILED, "TaskCancelledError", "cancelled"),
    ],
)
def test_end_of_a_watch_keeps_what_another_cell_knows(tracker, outcome, error, state):
    tracker.record([awaited(b"f-1", cell="first")])
    tracker.record([settled(b"f-1", outcome, error, cell="first")])
    stop = tracker.watch([Ref(b"f-1"), Ref(b"f-2")], lambda *_: lambda: None, "cell")
    stop()
    assert counts(tracker) == {state: 1, "released": 1}
    assert errors(tracker) == errors(tracker, "first")
    assert tracker.read_cell("cell").settled


def test_failed_watch_leaves_nothing_pending(tracker):
    def watcher(refs, callback, released):
        raise TypeError("not a ref")

    with pytest.raises(TypeError):
        tracker.watch([Ref(b"f-1")], watcher, "cell")
    assert tracker.read_cell("cell").settled


def test_million_refs_leave_the_last_records():
    tracker = Tracker(name_of, limit=10_000)
    pending = [b"f-pending-%d" % i for i in range(10)]
    tracker.record([awaited(key) for key in pending])
    for start in range(0, 1_000_000, 1000):
        keys = [b"f-%d" % i for i in range(start, start + 1000)]
        tracker.record([awaited(key) for key in keys])
        tracker.record([settled(key) for key in keys])
        tracker.drain()
    assert counts(tracker) == {"resolved": 1_000_000, "pending": 10}
    rows, _ = tracker.read_refs("cell", "f")
    assert [row.key for row in rows[:10]] == pending
    assert [row.index for row in rows[10:]] == list(range(990_020, 1_000_010))

    records = tracker._records
    line = tracker._cells.get("cell").lines["f"]
    assert len(records) == len(records.slot_of) == 10_000
    assert len(records.keys) <= 11_000
    assert len(records.settled) <= 11_000
    assert len(line.records.slots) <= 21_000
    assert len(line.records._log) <= 30_000
    assert len(line.pace._buckets) <= 301


def test_unexplained_refs_are_the_first_of_all_lines(tracker):
    keys = [b"%s-%d" % (name, i) for i in range(3) for name in (b"f", b"g")]
    for key in keys:
        tracker.record([awaited(key)])
    tracker.record([settled(keys[0])])
    assert tracker.unexplained(["cell"], 1.0, 3) == {"cell": keys[1:4]}


def test_reused_slots_are_in_question_once():
    tracker = Tracker(name_of, limit=2)
    for i in range(9):
        tracker.record([awaited(b"f-%d" % i), settled(b"f-%d" % i)])
    tracker.record([awaited(b"f-9"), awaited(b"f-10")])
    assert tracker.unexplained(["cell"], 1.0, 9) == {"cell": [b"f-9", b"f-10"]}
