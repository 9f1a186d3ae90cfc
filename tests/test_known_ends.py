"""What the tracker knows of the end of a ref, at once or later. No Ray runs."""

from __future__ import annotations

import pytest

from ray_jupyter_async._awaiting.error_text import VALUE, Description
from ray_jupyter_async._awaiting.events import AwaitEvent, Outcome
from ray_jupyter_async._display.terminal.refs_table import refs_table
from ray_jupyter_async._ray_api.object_ids import return_id
from ray_jupyter_async._tracking.events import Failure, Submission, TaskEvent
from ray_jupyter_async._tracking.snapshots import RefState
from ray_jupyter_async._tracking.tracker import Tracker

TASK = b"t" * 24
REF = return_id(TASK)
STATES = ("resolved", "ready", "failed", "cancelled", "released", "unknown", "pending")
BOOM = Description("ValueError", "boom", "ValueError: boom")


def awaited(cell="cell", at=0.0):
    return AwaitEvent("awaited", REF, cell, at)


def settled(outcome, error=None, cell="cell", kind="settled", at=1.0):
    return AwaitEvent(kind, REF, cell, at, outcome, error)


def tracker_of(*submitted_in):
    fresh = [Submission(REF, 1, "f", cell, 0.0, True) for cell in submitted_in]
    taken = iter([fresh])
    return Tracker(lambda _key: "f", take_submitted=lambda: next(taken, ()))


def counts(line):
    return {state: count for state in STATES if (count := getattr(line, state))}


def in_cell(tracker, cell="cell"):
    return counts(tracker.read_cell(cell).lines[0])


def in_all(tracker):
    (line,) = tracker.snapshot().totals
    return counts(line)


def event(state, failure=None):
    return TaskEvent(
        TASK, state, "FINISHED", 1.0, 0.5, 1.0, "", 0, 0, failure, "", {}, b""
    )


def test_unknown_outcome_is_asked_about_however_old():
    tracker = tracker_of()
    tracker.record([awaited(), settled(Outcome.EXISTS)])
    assert tracker.unexplained(["cell"], 100.0, 9) == {"cell": [REF]}
    tracker.explain({"cell": [REF]}, {TASK: event(RefState.READY)}, ())
    assert in_cell(tracker) == {"ready": 1}
    assert tracker.unexplained(["cell"], 100.0, 9) == {"cell": []}


def test_existing_object_is_not_done():
    tracker = tracker_of()
    tracker.record([awaited(), settled(Outcome.EXISTS)])
    assert in_cell(tracker) == {"unknown": 1}
    assert tracker.snapshot().totals[0].done == 0
    assert tracker.read_cell("cell").settled


@pytest.mark.parametrize(
    ("outcome", "error", "state"),
    [
        (Outcome.READY, None, "ready"),
        (Outcome.FAILED, "ValueError", "failed"),
        (Outcome.FAILED, "TASK_CANCELLED", "cancelled"),
    ],
)
@pytest.mark.parametrize("first", ["settled", "known"])
def test_existing_object_counts_as_what_it_is(outcome, error, state, first):
    tracker = tracker_of()
    events = [settled(Outcome.EXISTS), settled(outcome, error, kind="known")]
    tracker.record([awaited(), *(events if first == "settled" else events[::-1])])
    assert in_cell(tracker) == {state: 1}


def test_late_knowledge_does_not_lengthen_a_line():
    tracker = tracker_of()
    tracker.record([awaited(), settled(Outcome.EXISTS, at=1.0)])
    tracker.record([settled(Outcome.READY, kind="known", at=9.0)])
    assert tracker.read_cell("cell").lines[0].elapsed(99.0) == 1.0


@pytest.mark.parametrize(
    ("event_of_task", "state"),
    [
        (event(RefState.READY), "ready"),
        (event(RefState.FAILED, Failure("ValueError")), "failed"),
        (event(RefState.CANCELLED, Failure("TASK_CANCELLED")), "cancelled"),
    ],
)
def test_event_says_how_a_dropped_ref_ended(event_of_task, state):
    tracker = tracker_of("cell")
    tracker.end_finished({"cell": [REF]}, set(), {})
    assert in_cell(tracker) == {"unknown": 1}
    tracker.explain({"cell": [REF]}, {TASK: event_of_task}, set())
    assert in_cell(tracker) == {state: 1}


@pytest.mark.parametrize(("what", "state"), [(VALUE, "ready"), (BOOM, "failed")])
def test_object_says_how_a_task_ended(what, state):
    tracker = tracker_of("cell")
    tracker.end_finished({"cell": [REF]}, set(), {})
    assert tracker.ended_unknown() == {"cell": [REF]}
    tracker.reveal({REF: what})
    assert in_cell(tracker) == {state: 1}
    assert tracker.ended_unknown() == {}


def test_error_after_readiness_is_a_failure():
    tracker = tracker_of()
    tracker.record([awaited(), settled(Outcome.EXISTS)])
    tracker.record([awaited(), settled(Outcome.FAILED, "ValueError")])
    assert in_cell(tracker) == {"failed": 1}


def test_value_overrules_what_was_concluded():
    tracker = tracker_of("cell")
    tracker.end_finished({"cell": [REF]}, set(), {REF: BOOM})
    tracker.record([awaited(), settled(Outcome.RESOLVED)])
    assert in_cell(tracker) == {"resolved": 1}
    assert tracker.read_cell("cell").lines[0].errors == ()


@pytest.mark.parametrize("known", [Outcome.RESOLVED, Outcome.EXISTS])
def test_await_without_a_session_leaves_a_known_end(known):
    tracker = tracker_of()
    tracker.record([awaited(), settled(known)])
    before = in_cell(tracker)
    tracker.record([awaited(), settled(Outcome.UNREACHABLE, "UnknownRefError")])
    assert in_cell(tracker) == before


def test_pending_ref_fails_with_its_session():
    tracker = tracker_of()
    tracker.record([awaited(), settled(Outcome.UNREACHABLE, "SessionEndedError")])
    assert in_cell(tracker) == {"failed": 1}


@pytest.mark.parametrize(
    ("outcome", "error", "submitter", "awaiter"),
    [
        (Outcome.RESOLVED, None, "ready", "resolved"),
        (Outcome.FAILED, "ValueError", "failed", "failed"),
        (Outcome.FAILED, "TaskCancelledError", "cancelled", "cancelled"),
        (Outcome.EXISTS, None, "unknown", "unknown"),
    ],
)
def test_end_is_known_to_all_cells(outcome, error, submitter, awaiter):
    tracker = tracker_of(None)  # as by a thread
    tracker.record([awaited()])
    assert in_all(tracker) == {"pending": 1}
    tracker.record([settled(outcome, error)])
    assert in_cell(tracker, None) == {submitter: 1}
    assert in_cell(tracker) == {awaiter: 1}
    (line,) = tracker.snapshot().totals
    assert (line.total, line.pending) == (1, 0)
    assert sum(group.count for group in line.errors) == (submitter == "failed")


def test_ref_awaited_in_two_cells_is_left_to_both():
    tracker = tracker_of()
    tracker.record([awaited("first"), awaited("second")])
    tracker.record([settled(Outcome.RESOLVED, cell="first")])
    assert in_cell(tracker, "second") == {"pending": 1}
    tracker.record([settled(Outcome.RESOLVED, cell="second")])
    assert in_cell(tracker, "second") == {"resolved": 1}
    assert in_all(tracker) == {"resolved": 1}


def test_task_that_ends_settles_every_cell():
    tracker = tracker_of("first")
    tracker.record([awaited("second"), settled(Outcome.CANCELLED, cell="second")])
    assert in_cell(tracker, "second") == {"pending": 1}
    tracker.end_finished({"first": [REF]}, set(), {REF: BOOM})
    assert in_cell(tracker, "second") == {"failed": 1}
    assert in_all(tracker) == {"failed": 1}


def test_table_has_a_column_for_what_is_unknown():
    tracker = tracker_of()
    tracker.record([awaited(), settled(Outcome.EXISTS)])
    head, row = refs_table(tracker.snapshot().totals).splitlines()
    assert head.split()[-1] == "unknown"
    assert row.split() == ["f", "1", "-", "-", "-", "-", "-", "1"]


def test_loss_of_a_value_is_known_to_all_cells():
    tracker = tracker_of("first")
    tracker.end_finished({"first": [REF]}, set(), {REF: VALUE})
    tracker.record([awaited("second")])
    tracker.record([settled(Outcome.FAILED, "ObjectLostError", cell="second")])
    assert in_cell(tracker, "first") == {"failed": 1}
    assert in_all(tracker) == {"failed": 1}


def test_item_whose_await_was_given_up_is_in_no_count():
    tracker = Tracker(lambda _key: "f", is_item=lambda key: key == REF)
    tracker.record([awaited(), settled(Outcome.CANCELLED)])
    assert in_cell(tracker) == {}
    assert tracker.read_cell("cell").lines[0].total == 0
    tracker.record([awaited(), settled(Outcome.RESOLVED)])
    assert in_cell(tracker) == {"resolved": 1}


@pytest.mark.parametrize("cell", ["cell", "another"])
def test_value_of_a_blocking_call_is_no_unknown_end(cell):
    tracker = tracker_of("cell")
    tracker.end_finished({"cell": [REF]}, set(), {})
    tracker.record([settled(Outcome.RESOLVED, cell=cell, kind="got")])
    assert in_cell(tracker) == {"resolved" if cell == "cell" else "ready": 1}
    assert [known.origin for known in tracker.snapshot().cells] == ["cell"]


def test_value_of_a_blocking_call_is_known_beside_an_await():
    tracker = tracker_of()
    tracker.record([awaited("first")])
    tracker.adopt("second", [REF])
    tracker.record([settled(Outcome.RESOLVED, cell="other", kind="got")])
    assert in_cell(tracker, "first") == {"pending": 1}
    assert in_cell(tracker, "second") == {"ready": 1}
