"""What pages are sent of a display's place, and what follows from their answers.

The widget only remembers what it sends. What a real page does with it is in
``test_browser_arrival.py``.
"""

from __future__ import annotations

import contextvars
import time

import pytest

from ray_jupyter_async._display.cell import Cell
from ray_jupyter_async._display.widget import arrival as arrival_module
from ray_jupyter_async._display.widget.arrival import (
    MOST_KEPT,
    Arrival,
    KeptWidgets,
    cell_id_of,
)
from ray_jupyter_async._display.widget.display import CellDisplay
from ray_jupyter_async._display.widget.page_messages import RefusedError, parse
from ray_jupyter_async._tracking.tracker import Tracker

BUNDLE = {"text/plain": "f  1/2", "text/html": "<div>f 1/2</div>"}


class Widget:
    """A widget that remembers what it sent."""

    model_id = "model"

    def __init__(self):
        self.sent = []
        self.closed = False

    def send(self, content):
        self.sent.append(content)

    def close(self):
        self.closed = True


class Clock:
    """The clock of the module under test, moved on by hand."""

    def __init__(self, monkeypatch):
        self.now = time.monotonic()
        monkeypatch.setattr(arrival_module.time, "monotonic", lambda: self.now)


class Display:
    """A display that a page shows, and its widget."""

    def __init__(self, clock):
        self.clock = clock
        self.widget = Widget()
        self.arrival = Arrival("display", "cell")
        self.arrival.receive(parse({"do": "here", "page": "p", "writes": True}))

    def tell(self, seconds=0.0, *, pending=1, code_finished=False):
        """Go on for some seconds and give what was sent then; at the usual pace."""
        before = len(self.widget.sent)
        end = self.clock.now + seconds
        while True:
            self.arrival.tell(
                self.widget,
                lambda: BUNDLE,
                settled=not pending,
                code_finished=code_finished,
            )
            if self.clock.now >= end:
                return self.widget.sent[before:]
            self.clock.now += 0.1

    def lose(self):
        gone = {"do": "gone", "page": "p", "view": "p-1", "found": False}
        assert self.arrival.receive(parse(gone)) == ""


@pytest.fixture
def display(monkeypatch):
    return Display(Clock(monkeypatch))


def test_pages_are_sent_a_state_to_save_now_and_then(display):
    sent = display.tell(10)
    assert 5 <= len(sent) <= 6
    assert all(content["data"] == BUNDLE for content in sent)
    assert not any(content["add"] for content in sent)


def test_pages_that_cannot_save_are_sent_nothing(display):
    display.arrival.receive(parse({"do": "here", "page": "p", "writes": False}))
    assert display.tell(10) == []


def test_settled_states_are_sent_while_workers_report(display):
    display.tell(1)
    assert len(display.tell(1, pending=0)) == 1
    # Complete, once their reports are in.
    assert len(display.tell(60, pending=0)) == 1


def test_cleared_display_returns_after_a_pause(display):
    display.tell(1)
    display.lose()
    assert not any(content["add"] for content in display.tell(1.5))
    assert [content["add"] for content in display.tell(1)].count(True) == 1


def test_display_cleared_in_a_loop_returns_once(display):
    display.tell(1)
    added = 0
    for _ in range(20):
        display.lose()
        added += [content["add"] for content in display.tell(2.5)].count(True)
    assert added == 1
    # And once more when the loop has ended.
    assert [content["add"] for content in display.tell(0, code_finished=True)] == [True]


def test_display_cleared_after_its_cell_stays_away(display):
    display.tell(1)
    display.tell(10, code_finished=True)
    display.lose()
    assert not any(c["add"] for c in display.tell(10, code_finished=True))
    display.arrival.finish(display.widget, BUNDLE)
    assert not display.widget.sent[-1]["add"]


def test_final_form_is_added_where_it_is_missing(display):
    display.arrival.finish(display.widget, BUNDLE)
    last = display.widget.sent[-1]
    assert last["add"]
    assert last["view"] is None
    assert last["metadata"] == {"ray_jupyter_async": {"display": "display"}}


def test_final_form_of_an_earlier_run_is_not_added(display):
    display.arrival.receive(parse({"do": "rerun", "page": "p"}))
    display.arrival.finish(display.widget, BUNDLE)
    assert not display.widget.sent[-1]["add"]


def test_only_the_last_form_is_acknowledged(display):
    display.arrival.finish(display.widget, BUNDLE)
    first = display.widget.sent[-1]["place"]
    display.arrival.finish(display.widget, BUNDLE)
    answer = {"do": "arrived", "page": "p", "number": first, "stands": True}
    assert display.arrival.receive(parse(answer)) == ""
    answer["number"] = display.widget.sent[-1]["place"]
    assert display.arrival.receive(parse(answer)) == "stands"


@pytest.mark.parametrize(
    "content",
    [
        {"do": "here"},
        {"do": "here", "page": ["p"], "writes": True},
        {"do": "gone", "page": "p", "found": "no"},
        {"do": "arrived", "page": "p", "number": [1], "stands": True},
        {"do": "arrived", "page": "p", "number": 0, "stands": "yes"},
        {"do": ["here"], "page": "p"},
    ],
)
def test_malformed_report_is_refused(content):
    with pytest.raises(RefusedError):
        parse(content)


def test_too_many_unacknowledged_widgets_are_closed():
    kept, widgets = KeptWidgets(), [Widget() for _ in range(MOST_KEPT + 2)]
    for widget in widgets:
        kept.keep(widget)
    assert [widget.closed for widget in widgets[:3]] == [True, True, False]
    kept.close_all()
    assert all(widget.closed for widget in widgets)


def test_cell_id_is_unknown_outside_a_kernel():
    assert cell_id_of(contextvars.copy_context()) == ""


def test_display_with_a_waiting_request_is_held():
    cell = Cell(1, 1, contextvars.copy_context(), lambda: True)
    display = CellDisplay(cell, Tracker(str), lambda: None, lambda: None)
    assert not display.held
    # The page opened a line just before all of it settled.
    display._received({"do": "open", "request": "1", "view": "v-1", "line": "f"})
    assert display.held
