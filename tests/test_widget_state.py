"""The words and buttons of the widget, and which tasks may be ended by force."""

from __future__ import annotations

import contextvars
import json
import queue
import time

import pytest

from ray_jupyter_async._awaiting.events import AwaitEvent, Outcome
from ray_jupyter_async._display.cell import Cell
from ray_jupyter_async._display.widget import ray_requests
from ray_jupyter_async._display.widget.page_messages import Request
from ray_jupyter_async._display.widget.ray_requests import Overdue, RayRequests
from ray_jupyter_async._display.widget.widget import widget_state
from ray_jupyter_async._tracking.snapshots import CellProgress
from ray_jupyter_async._tracking.tracker import Tracker


def ref(name, number, *, actor=False):
    task = f"{name}{number}".encode().ljust(8)
    return task + (b"a" if actor else b"\xff") * 12 + b"jobs" + b"\1\0\0\0"


class Cancelled:
    """A cell whose refs were all cancelled in vain; names of actors are upper case."""

    def __init__(self, *names):
        self.asked = []
        self.tracker = Tracker(
            lambda key: key[:1].decode(), cancel_tasks=self.cancel_tasks
        )
        self.keys = [
            ref(name, number, actor=name.isupper()) for number, name in enumerate(names)
        ]
        self.tracker.record([AwaitEvent("awaited", key, "c", 0.0) for key in self.keys])
        self.overdue = Overdue(self.tracker, "c")
        self.overdue.asked(self.progress, None)
        self.tracker.cancel("c")

    def cancel_tasks(self, tasks, force):
        self.asked.append(([task[:2].decode() for task in tasks], force))
        return []

    @property
    def progress(self):
        return self.tracker.read_cell("c")

    def state(self):
        progress = self.progress
        return widget_state(progress, overdue=self.overdue.read(progress))

    def buttons(self):
        state = self.state()
        return [button["cancel"]["text"] for button in (*state["lines"], state)]


@pytest.fixture
def _impatient(monkeypatch):
    monkeypatch.setattr(ray_requests, "PATIENCE", 0.0)


def test_force_is_offered_after_a_while():
    assert Cancelled("f").buttons() == ["Cancelling", "Cancel all"]


@pytest.mark.usefixtures("_impatient")
def test_force_is_offered_where_it_ends_something():
    assert Cancelled("f").buttons() == ["Force", "Force all"]
    # Ray refuses to force methods of actors.
    assert Cancelled("A").buttons() == ["Cancelling", "Cancel all"]
    assert Cancelled("f", "A").buttons() == ["Force", "Cancelling", "Force all"]


@pytest.mark.usefixtures("_impatient")
def test_force_is_not_offered_without_a_cancel():
    cell = Cancelled("f")
    cell.tracker.record([AwaitEvent("awaited", ref("f", 7), "c", 0.0)])
    assert cell.buttons() == ["Cancel", "Cancel all"]
    assert cell.state()["lines"][0]["force"]


@pytest.mark.usefixtures("_impatient")
def test_force_ends_with_the_last_cancelled_task():
    cell = Cancelled("f", "g")
    cell.tracker.record(
        [AwaitEvent("settled", cell.keys[0], "c", 1.0, Outcome.CANCELLED, None)]
    )
    assert cell.buttons() == ["Cancel", "Force", "Force all"]
    assert [line["force"] for line in cell.state()["lines"]] == [False, True]


@pytest.mark.parametrize(
    ("line", "refs", "tasks"),
    [(None, None, ["f0"]), ("f", None, ["f0"]), ("A", {0}, ["A1"])],
)
def test_force_leaves_methods_unless_they_are_named(line, refs, tasks):
    cell = Cancelled("f", "A")
    answers = queue.Queue()
    where = Cell("c", 1, contextvars.copy_context(), lambda: True)
    requests = RayRequests(where, cell.tracker, None, answers.put)
    requests.ask(Request("force", "v", "v-1", line, refs))
    assert answers.get(timeout=10) == {"answer": "v-1", "said": ""}
    assert cell.asked[1:] == [(tasks, True)]


def test_words_of_a_line_are_finished():
    tracker = Tracker(lambda key: "f")
    keys = [ref("f", number) for number in range(2_000)]
    tracker.record([AwaitEvent("awaited", key, "c", 0.0) for key in keys])
    tracker.record(
        [AwaitEvent("settled", keys[0], "c", 1.0, Outcome.FAILED, "KeyError")]
    )
    state = widget_state(tracker.read_cell("c"), retryable={"f": 1})
    (line,) = state["lines"]
    assert line["done"] == "0/2,000"
    assert (line["mark"], line["sign"]) == ("failed", "✕")
    assert line["spoken"] == "0 of 2,000 done, 1 failed (KeyError)"
    assert [note for _, note in line["notes"]] == [
        "1 failed (KeyError)",
        "1,999 pending",
    ]
    assert line["cancel"] == {"do": "cancel", "text": "Cancel", "label": "Cancel f"}
    assert line["retry"] == 1
    assert state["summary"] == "0 of 2,000 refs done, 1 failed"
    assert state["widths"] == (1, 11)
    # Read out at the end only.
    assert state["spoken"] == ""
    tracker.record(
        [AwaitEvent("settled", key, "c", 2.0, Outcome.RESOLVED) for key in keys[1:]]
    )
    state = widget_state(tracker.read_cell("c"))
    assert state["spoken"] == "Ray: 1,999 of 2,000 refs done, 1 failed"
    (line,) = state["lines"]
    assert (line["rate"], line["left"]) == ("", "")
    assert json.loads(json.dumps(state))["lines"][0]["notes"] == [
        ["failed", "1 failed (KeyError)"]
    ]


def test_cell_without_refs_has_a_state():
    state = widget_state(CellProgress("c", (), 0, 0.0, True, time.monotonic()))
    assert (state["summary"], state["lines"]) == ("no refs", [])


def test_columns_are_as_wide_as_their_longest_texts():
    names = {b"1": "f", b"2": "a_function_whose_name_tells_all"}
    tracker = Tracker(names.__getitem__)
    tracker.record([AwaitEvent("awaited", key, "c", 0.0) for key in names])
    assert widget_state(tracker.read_cell("c"))["widths"] == (28, 3)
