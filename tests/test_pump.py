"""The pump: when a cell shows progress, how often, and when it becomes static.

Its displays only remember what they were told. What real ones send is in
``test_progress_widget.py``.
"""

from __future__ import annotations

import contextvars
import logging
import threading
import time

import pytest

from harness.polling import poll
from ray_jupyter_async._awaiting.events import AwaitEvent, Outcome
from ray_jupyter_async._display.cell import Cell
from ray_jupyter_async._display.pump import Pump
from ray_jupyter_async._tracking.events import TaskEvent
from ray_jupyter_async._tracking.snapshots import RefState
from ray_jupyter_async._tracking.tracker import Tracker

#: What workers tell of a task, about a second after its end.
ENDED = TaskEvent(
    task=b"1", state=RefState.READY, status="FINISHED", at=2.0, started=1.0, ended=2.0,
    node="n", worker=7, attempt=0, failure=None, retried_for="", resources={},
    actor=b"",
)  # fmt: skip


class Remembering:
    """A display that remembers what it was told, and on which thread."""

    def __init__(self, cell):
        self.cell = cell
        self.live = False
        self.held = False
        self.behind = False
        self.shown = []
        self.finished = []
        self.completed = []
        self.left = []
        self.threads = set()

    def show(self, progress):
        self.live = True
        self.threads.add(threading.current_thread().name)
        self.shown.append((time.monotonic(), progress))
        return self.behind

    def leave(self, progress):
        self.left.append(progress)

    def finish(self, progress):
        self.live = False
        self.finished.append(progress)

    def complete(self, progress):
        self.completed.append(progress)


class Cells:
    """A tracker, a pump and what its cells show."""

    def __init__(self, make=Remembering, **options):
        self.displays = {}
        self.tracker = Tracker(lambda key: "f")

        def make_display(cell):
            self.displays[cell.id] = make(cell)
            return self.displays[cell.id]

        self.pump = Pump(self.tracker, make_display, **options)
        self.pump.start()

    def start(self, cell_id="cell", *, is_current=lambda: True):
        context = contextvars.copy_context()
        self.pump.cell_started(Cell(cell_id, 1, context, is_current))

    def awaited(self, key=b"1", cell="cell"):
        self.tracker.record([AwaitEvent("awaited", key, cell, time.monotonic())])

    def settled(self, key=b"1", cell="cell"):
        event = AwaitEvent("settled", key, cell, time.monotonic(), Outcome.RESOLVED)
        self.tracker.record([event])

    def display(self, cell="cell"):
        return poll(lambda: self.displays.get(cell), what=f"a display of {cell}")


@pytest.fixture
def start_pump():
    started = []

    def start(**options):
        started.append(Cells(**options))
        return started[-1]

    yield start
    for cells in started:
        cells.pump.stop()


@pytest.fixture
def cells(start_pump):
    cells = start_pump(delay=0.05, rate=50)
    cells.start()
    return cells


def test_a_cell_that_waits_shows_its_progress(cells):
    cells.awaited()
    assert cells.display().shown[0][1].pending == 1


def test_nothing_is_shown_before_the_delay(start_pump):
    cells = start_pump(delay=0.4)
    cells.start()
    began = time.monotonic()
    cells.awaited()
    shown = cells.display().shown[0][0]
    assert shown - began >= 0.4


def test_a_quick_cell_shows_nothing(start_pump):
    cells = start_pump(delay=0.5)
    cells.start()
    cells.awaited()
    cells.settled()
    cells.pump.cell_finished("cell")
    assert not cells.displays


def test_many_short_waits_add_up_to_the_delay(start_pump):
    cells = start_pump(delay=0.2)
    cells.start()
    for i in range(200):
        if cells.displays:
            break
        cells.awaited(b"%d" % i)
        time.sleep(0.02)
        cells.settled(b"%d" % i)
    assert cells.displays


def test_progress_asked_for_is_shown_at_once(start_pump):
    cells = start_pump(delay=60.0)
    cells.start()
    cells.pump.show_at_once("cell")
    cells.awaited()
    assert cells.display().shown


def test_progress_asked_for_of_what_is_done_is_shown_too(start_pump):
    cells = start_pump(delay=60.0)
    cells.start()
    cells.pump.show_at_once("cell")
    cells.awaited()
    cells.settled()
    cells.pump.cell_finished("cell")
    assert cells.displays["cell"].finished[0].lines[0].resolved == 1


def test_with_an_endless_delay_only_progress_asked_for_is_shown(start_pump):
    cells = start_pump(delay=float("inf"))
    cells.start("unasked")
    cells.awaited(cell="unasked")
    cells.start("asked")
    cells.pump.show_at_once("asked")
    cells.awaited(cell="asked")
    assert cells.display("asked").shown
    assert "unasked" not in cells.displays


def test_a_forgotten_cell_shows_nothing_more(cells):
    cells.awaited()
    display = cells.display()
    cells.pump.forget("cell")
    cells.start("other")
    cells.awaited(b"2", cell="other")
    other = cells.display("other")  # of a round after it
    shown = len(display.shown)
    cells.settled()
    cells.settled(b"2", cell="other")
    poll(lambda: other.shown[-1][1].settled, what="a round with both changes")
    assert len(display.shown) == shown


def test_changes_are_shown(cells):
    cells.awaited(b"1")
    cells.awaited(b"2")
    display = cells.display()
    cells.settled(b"1")
    poll(lambda: display.shown[-1][1].pending == 1)


def test_updates_keep_to_the_rate(start_pump):
    cells = start_pump(delay=0.0, rate=10)
    cells.start()
    cells.awaited(b"last")
    end = time.monotonic() + 1.5
    keys = iter(range(10**9))
    while time.monotonic() < end:
        key = b"%d" % next(keys)
        cells.awaited(key)
        cells.settled(key)
        time.sleep(0.001)
    times = [at for at, _ in cells.display().shown]
    assert 5 <= len(times) <= 17


def test_many_cells_share_what_the_server_lets_through(start_pump):
    cells = start_pump(delay=0.0, rate=50)
    count = 50
    for i in range(count):
        cells.start(i)
        cells.awaited(cell=i)
    poll(lambda: len(cells.displays) == count)
    began = time.monotonic()
    before = sum(len(display.shown) for display in cells.displays.values())
    keys = iter(range(10**9))
    while time.monotonic() < began + 2:
        for i in range(count):
            cells.awaited(b"%d" % next(keys), cell=i)
        time.sleep(0.01)
    shown = sum(len(display.shown) for display in cells.displays.values()) - before
    # At their rate it would be 5,000 in these two seconds.
    assert count <= shown <= 300


def test_what_a_display_could_not_show_at_once_follows_without_a_change(cells):
    cells.awaited()
    display = cells.display()
    display.behind = True
    cells.settled()
    poll(lambda: len(display.shown) >= 6)
    display.behind = False
    poll(lambda: display.shown[-1][1].settled)


def test_a_cell_that_is_asked_for_is_shown_without_a_change(cells):
    cells.awaited()
    display = cells.display()
    cells.settled()
    poll(lambda: display.shown[-1][1].settled)
    count = len(display.shown)
    cells.pump.look_at("cell")
    poll(lambda: len(display.shown) == count + 1)


def test_the_elapsed_time_is_sent_without_a_change(cells):
    cells.awaited()
    display = cells.display()
    first = display.shown[0][1].taken
    poll(lambda: display.shown[-1][1].taken >= first + 1.0)


def test_all_display_is_on_the_pumps_thread(cells):
    cells.awaited()
    assert cells.display().threads == {"ray_jupyter_async pump"}


def test_the_end_of_a_settled_cell_is_static_at_once(cells):
    cells.awaited()
    display = cells.display()
    cells.settled()
    cells.pump.cell_finished("cell")
    assert [progress.lines[0].resolved for progress in display.finished] == [1]


def test_a_display_in_use_stays_live_until_it_is_let_go(cells):
    cells.awaited()
    display = cells.display()
    display.held = True
    cells.settled()
    cells.pump.cell_finished("cell")
    count = len(display.shown)
    poll(lambda: len(display.shown) > count, what="a sign of life")
    assert not display.finished
    display.held = False
    cells.pump.look_at("cell")
    poll(lambda: display.finished)


def test_what_comes_in_after_the_end_is_added_to_what_is_static(cells):
    cells.awaited()
    display = cells.display()
    cells.settled()
    cells.pump.cell_finished("cell")
    assert display.finished
    assert not display.completed
    cells.tracker.explain({"cell": [b"1"]}, {b"1": ENDED}, ())
    poll(lambda: display.completed)
    assert not display.live


def test_a_settled_cell_stays_live_while_its_code_runs(cells):
    cells.awaited(b"1")
    display = cells.display()
    cells.settled(b"1")
    poll(lambda: display.shown[-1][1].settled)
    cells.awaited(b"2")
    poll(lambda: display.shown[-1][1].pending == 1)
    assert not display.finished


def test_a_background_task_keeps_the_display_live_after_the_cell(cells):
    cells.awaited()
    display = cells.display()
    cells.pump.cell_finished("cell")
    assert not display.finished
    cells.settled()
    poll(lambda: display.finished)


def test_a_background_task_that_awaits_later_is_shown_in_its_cell(cells):
    cells.pump.cell_finished("cell")
    cells.awaited()
    display = cells.display()
    cells.settled()
    poll(lambda: display.finished)
    cells.awaited(b"2")
    poll(lambda: display.live)


def test_what_is_told_just_after_the_code_ended_is_in_the_static_output(cells):
    cells.awaited()
    display = cells.display()
    threading.Timer(0.05, cells.settled).start()
    cells.pump.cell_finished("cell")
    assert display.finished


def test_a_cell_that_is_no_longer_current_is_not_shown_elsewhere(cells):
    cells.start("old", is_current=lambda: False)
    cells.awaited(cell="old")
    cells.awaited(cell="cell")
    cells.display("cell")
    assert "old" not in cells.displays


def test_a_broken_display_does_not_stop_the_others(start_pump, caplog):
    class Broken(Remembering):
        def show(self, progress):
            if self.cell.id == "broken":
                raise RuntimeError("no display")
            return super().show(progress)

    cells = start_pump(make=Broken, delay=0.0, rate=50)
    cells.start("broken")
    cells.start("cell")
    with caplog.at_level(logging.ERROR, "ray_jupyter_async"):
        for i in range(10):
            cells.awaited(b"%d" % i, cell="broken")
            cells.awaited(b"%d" % i, cell="cell")
            shown = cells.display("cell").shown
            poll(lambda i=i, shown=shown: shown[-1][1].pending == i + 1)
    assert len(caplog.records) == 1


def test_stop_makes_everything_static_and_ends_the_thread(cells):
    cells.awaited()
    display = cells.display()
    cells.pump.stop()
    assert display.finished[0].pending == 1
    assert "ray_jupyter_async pump" not in [t.name for t in threading.enumerate()]


def test_a_stopped_pump_can_start_again(cells):
    cells.pump.stop()
    cells.pump.start()
    cells.start()
    cells.awaited()
    assert cells.display().shown


def test_an_idle_pump_takes_no_time(cells):
    before = time.process_time()
    time.sleep(1)
    assert time.process_time() - before < 0.05


def test_old_cells_are_forgotten(cells):
    for i in range(100):
        cells.start(i)
        cells.awaited(cell=i)
        cells.settled(cell=i)
        cells.pump.cell_finished(i)
    assert len(cells.pump._known) < 30
