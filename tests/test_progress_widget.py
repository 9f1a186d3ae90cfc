"""The messages of real cells to a front end, and their answers.

Records are made by hand, so that no Ray is needed, and the test takes the page's part.
Real pages are in the browser tests.
"""

from __future__ import annotations

import itertools
import json
import time

import pytest

from harness.malformed import MALFORMED, WHO
from harness.notebooks import execute_notebook, write_notebook
from ray_jupyter_async._display.widget.bundle import front_end_module
from ray_jupyter_async._tracking.snapshots import RefState

WIDGET = "application/vnd.jupyter.widget-view+json"

ANSWERS = pytest.mark.kernel_since(
    "7.4", "it reads a page's messages on the main shell after the cell"
)

# `wait` and `settle` stand for awaits.
SETUP = """
import asyncio, contextvars, logging, os, threading, time
from ray_jupyter_async._awaiting.events import AwaitEvent, Outcome
from ray_jupyter_async._display.widget.display import CellDisplay
from ray_jupyter_async._display.cell import Cell
from ray_jupyter_async._display.pump import Pump
from ray_jupyter_async._tracking.tracker import Tracker

asked = []

def key(name, actor=b"\\xff" * 12):
    return name.encode().ljust(8) + actor + b"jobs" + b"\\1\\0\\0\\0"

def name_of(key):
    return key[:8].decode().strip()

def cancel_tasks(tasks, force):
    asked.append((sorted(map(name_of, tasks)), force))
    return [(task, "it is g") for task in tasks if task.startswith(b"g")]

def display(cell):
    wake = lambda: pump.look_at(cell.id)
    claim = lambda: claimed.append(cell.id)
    displays[cell.id] = CellDisplay(cell, tracker, wake, claim)
    return displays[cell.id]

claimed, displays = [], {}
tracker = Tracker(lambda key: name_of(key).split("-")[0], cancel_tasks=cancel_tasks)
pump = Pump(tracker, display)
pump.start()
cell = 0

def pre_run_cell(info):
    global cell
    cell += 1
    pump.cell_started(Cell(cell, cell, contextvars.copy_context(), lambda: True))

def wait(*names, **actor):
    now = time.monotonic()
    keys = [key(name, **actor) for name in names]
    tracker.record([AwaitEvent("awaited", key, cell, now) for key in keys])

def settle(*names, outcome=Outcome.RESOLVED, error=None, **actor):
    now = time.monotonic()
    keys = [key(name, **actor) for name in names]
    tracker.record(
        [AwaitEvent("settled", key, cell, now, outcome, error) for key in keys]
    )

async def until(path):
    while not os.path.exists(path):
        await asyncio.sleep(0.01)

def block_until(condition):
    while not condition():
        time.sleep(0.01)

def shown():
    return cell in displays and displays[cell].live

class Log(logging.Handler):
    def emit(self, record):
        logged.append(record.getMessage())

logged = []
logging.getLogger("ray_jupyter_async").addHandler(Log())
get_ipython().events.register("pre_run_cell", pre_run_cell)
get_ipython().events.register("post_run_cell", lambda r: pump.cell_finished(cell))
"""

# A cell that blocks until it is shown, and until two files are there.
BLOCKED = """
wait("f-1", "f-2", "g-1")
block_until(shown)
block_until(lambda: os.path.exists({0!r}))
settle("f-1")
settle("g-1", outcome=Outcome.FAILED, error="KeyError")
block_until(lambda: os.path.exists({1!r}))
settle("f-2")
"""
UNHINDERED = BLOCKED.format("/", "/")


# Two lines; the cell awaits a first file, and after something happened another.
AWAITING = """
wait("f-1", "f-2", "g-1")
await until({0!r})
settle("f-1")
settle("g-1", outcome=Outcome.FAILED, error="KeyError")
await until({1!r})
settle("f-2")
"""


@pytest.fixture(scope="module")
def cell_kernel(kernel):
    kernel.ok(SETUP)
    return kernel


class Page:
    """A front end that shows the widget of a cell which awaits."""

    numbers = itertools.count()

    def __init__(self, kernel):
        self.kernel = kernel
        number = next(self.numbers)
        self._paths = [kernel.folder / f"{number}-{i}" for i in range(2)]
        self.result = kernel.submit(AWAITING.format(*map(str, self._paths)))
        # A page has a view, and something to ask, from the display on.
        kernel.poll(lambda: self.result.displays, of=self.result)
        (self.widget,) = progress_widgets(kernel)
        self.view = f"view-{number}"

    def go_on(self, step):
        self._paths[step].touch()

    def end(self):
        for path in self._paths:
            path.touch()
        self.kernel.wait(self.result)

    def line(self, name):
        lines = self.widget.state["state"]["lines"]
        return next(line for line in lines if line["name"] == name)

    def sent(self, what):
        """Return the custom messages with this key."""
        return [content for content, _ in self.widget.custom if what in content]

    def tell(self, content):
        """Send a message that has no answer."""
        self.kernel.send_comm(
            self.widget.comm_id, {"method": "custom", "content": content}
        )

    def ask(self, what, **fields):
        """Ask for something, and return what the answer says."""
        request = f"{self.view}-{next(self.numbers)}"
        self.tell({"do": what, "request": request, "view": self.view, **fields})
        (answer,) = self.kernel.poll(
            lambda: [a for a in self.sent("answer") if a["answer"] == request],
            what=f"an answer to {what}",
        )
        return answer["said"]

    def states(self):
        """Return the state of each ref, by index, as it arrived."""
        found = {}
        for content, buffers in self.widget.custom:
            count = content.get("count", 0)
            if count:
                (data,) = buffers
                index = memoryview(data)[8 * count : 12 * count].cast("I")
                found.update(zip(index, data[-2 * count : -count], strict=True))
        return found


@pytest.fixture
def page(cell_kernel):
    page = Page(cell_kernel)
    yield page
    page.end()
    cell_kernel.poll(lambda: not page.widget.open, what="the widget to be closed")


def progress_widgets(kernel):
    return [w for w in kernel.widgets(_model_name="AnyModel") if "state" in w.state]


def test_widget_changes_while_its_cell_blocks(cell_kernel):
    paths = [cell_kernel.folder / f"blocked-{i}" for i in range(2)]
    result = cell_kernel.submit(BLOCKED.format(*map(str, paths)))
    (widget,) = cell_kernel.poll(lambda: progress_widgets(cell_kernel))
    assert [line["pending"] for line in widget.state["state"]["lines"]] == [2, 1]
    paths[0].touch()
    cell_kernel.poll(
        lambda: [line["pending"] for line in widget.state["state"]["lines"]] == [1, 0]
    )
    assert not result.done
    assert set(widget.parents) == {result.msg_id}
    paths[1].touch()
    cell_kernel.wait(result)


def test_text_and_html_stand_beside_the_widget(cell_kernel):
    path = cell_kernel.folder / "beside"
    result = cell_kernel.submit(BLOCKED.format(str(path), "/"))
    (output,) = cell_kernel.poll(lambda: result.displays)
    assert set(output.data) == {WIDGET, "text/plain", "text/html"}
    assert output.text.splitlines()[0].startswith("f  0/2")
    path.touch()
    cell_kernel.wait(result)


def test_cell_ends_with_static_output_and_no_widget(cell_kernel):
    result = cell_kernel.ok(UNHINDERED)
    (output,) = result.displays
    assert set(output.data) == {"text/plain", "text/html"}
    f, g, blank, summary, *_errors = output.text.splitlines()
    assert f.split("  ")[:2] == ["f", "2/2"]
    assert g.split("  ")[:2] == ["g", "0/1"]
    assert not blank
    assert summary.startswith("2 of 3 refs done in ")
    assert summary.endswith(", 1 failed")
    assert "1 failed (KeyError)" in output.text
    assert not progress_widgets(cell_kernel)


def test_quick_cell_sends_nothing(cell_kernel):
    result = cell_kernel.ok('wait("f-9")\nsettle("f-9")')
    assert not result.displays
    assert not [m for m in result.messages if m["msg_type"].startswith("comm")]


def test_background_task_updates_its_own_cell(cell_kernel):
    first = cell_kernel.ok(
        "mine = cell\n"
        'wait("late-1")\n'
        "block_until(shown)\n"
        "done = lambda: tracker.record([AwaitEvent(\n"
        '    "settled", key("late-1"), mine, time.monotonic(), Outcome.RESOLVED)])'
    )
    cell_kernel.ok("done()")
    (output,) = first.displays
    cell_kernel.poll(lambda: WIDGET not in output.data)
    assert output.text.startswith("late  1/1")


@ANSWERS
def test_refs_are_sent_for_open_lines_only(page, cell_kernel):
    assert not page.sent("refs")
    assert page.ask("open", line="f") == ""
    pending = {0: RefState.PENDING_NODE, 1: RefState.PENDING_NODE}
    assert cell_kernel.poll(page.states) == pending
    page.go_on(0)
    cell_kernel.poll(lambda: page.states() == {**pending, 0: RefState.RESOLVED})
    assert {message["refs"] for message in page.sent("refs")} == {"f"}
    assert [message["seq"] for message in page.sent("refs")] == [0, 1]
    assert page.ask("close", line="f") == ""
    page.end()
    assert len(page.sent("refs")) == 2


@ANSWERS
def test_errors_are_sent_for_open_lines(page, cell_kernel):
    page.ask("open", line="g")
    page.go_on(0)
    cell_kernel.poll(lambda: page.sent("groups") and page.sent("groups")[-1]["groups"])
    (group,) = page.sent("groups")[-1]["groups"]
    assert (group["kind"], group["count"]) == ("KeyError", 1)
    page.ask("close", line="g")


@ANSWERS
def test_reloaded_page_is_sent_everything_again(page, cell_kernel):
    page.ask("open", line="f")
    page.go_on(0)
    cell_kernel.poll(lambda: page.states().get(0) == RefState.RESOLVED)
    old = page.view
    page.view, page.widget.custom[:] = "reloaded", []
    page.ask("open", line="f")
    cell_kernel.poll(lambda: len(page.states()) == 2)
    assert page.sent("refs")[0]["start"]
    assert page.states() == {0: RefState.RESOLVED, 1: RefState.PENDING_NODE}
    page.ask("close", line="f")
    page.view = old
    page.ask("close", line="f")


@ANSWERS
def test_front_end_is_sent_until_a_page_has_it(cell_kernel):
    def carried(page):
        return set(page.widget.state["front_end"]) - {"name"}

    first = Page(cell_kernel)
    assert first.widget.state["front_end"]["code"] == front_end_module()
    first.tell({"do": "here", "page": "p", "writes": False})
    first.tell({"do": "left", "page": "p"})
    first.ask("pause", on=False)  # these have been read
    first.end()
    cell_kernel.poll(lambda: not first.widget.open)

    second = Page(cell_kernel)
    assert not carried(second)
    assert len(json.dumps(second.widget.state)) < 10_000
    # A page that was opened since then has nothing.
    second.tell({"do": "load"})
    cell_kernel.poll(lambda: carried(second) == {"code", "styles"})
    assert second.widget.state["front_end"] == first.widget.state["front_end"]
    second.end()
    cell_kernel.poll(lambda: not second.widget.open)


@ANSWERS
def test_cancel_asks_for_what_was_clicked(page, cell_kernel):
    assert page.ask("cancel", line="f", refs=[1]) == ""
    assert page.ask("cancel", line="f") == ""
    assert page.ask("cancel") == "Ray refuses to cancel 1: it is g"
    cell_kernel.poll(lambda: page.line("f")["cancelling"] == 2)
    page.end()
    asked = cell_kernel.ok("asked").value
    assert asked == (
        "[(['f-2'], False), (['f-1', 'f-2'], False), (['f-1', 'f-2', 'g-1'], False)]"
    )
    cell_kernel.ok("asked.clear()")


@ANSWERS
def test_malformed_messages_change_nothing(page, cell_kernel):
    def send(content):
        cell_kernel.send_comm(
            page.widget.comm_id, {"method": "custom", "content": content}
        )

    for content in MALFORMED:
        send(content)
    send({"do": "open", "line": "no such line", **WHO})
    for number in range(300):
        send({"do": "show", "view": f"{number}", "request": ""})
    written = {"state": {"lines": []}, "_esm": "evil()"}
    cell_kernel.send_comm(page.widget.comm_id, {"method": "update", "state": written})
    page.ask("open", line="f")
    assert page.line("f")["pending"] == 2
    page.ask("close", line="f")
    assert {message["refs"] for message in page.sent("refs")} == {"f"}
    assert page.line("f")["cancelling"] == 0
    assert "evil" not in page.widget.state["_esm"]
    page.end()
    (output,) = page.result.displays
    cell_kernel.poll(lambda: output.text.startswith("f  2/2"))
    assert cell_kernel.ok("asked").value == "[]"
    # Each kind once.
    logged = eval(cell_kernel.ok("logged").value)
    assert len(logged) == len(set(logged)) > 10
    assert all(text.startswith("refused a message of a page: ") for text in logged)


@ANSWERS
def test_force_is_offered_after_a_vain_cancel(page, cell_kernel):
    asked_at = time.monotonic()
    page.ask("cancel", line="f")
    cell_kernel.poll(lambda: page.line("f")["cancelling"] == 2)
    assert not page.line("f")["force"]
    cell_kernel.poll(lambda: page.line("f")["force"])
    assert time.monotonic() - asked_at >= 3
    page.ask("force", line="f")
    page.end()
    assert cell_kernel.ok("asked.pop()").value == "(['f-1', 'f-2'], True)"
    cell_kernel.ok("asked.clear()")


@ANSWERS
def test_paused_display_stands_still_until_resumed(page, cell_kernel):
    page.ask("pause", on=True)
    assert page.widget.state["state"]["paused"]
    count = len(page.widget.messages)
    page.go_on(0)
    page.ask("renew")
    page.ask("renew")
    assert page.line("f")["pending"] == 2
    # Two answers, and no counts.
    assert len(page.widget.messages) == count + 2
    page.ask("pause", on=False)
    cell_kernel.poll(lambda: page.line("f")["pending"] == 1)
    assert not page.widget.state["state"]["paused"]


@ANSWERS
def test_open_line_keeps_the_display_live(page, cell_kernel):
    page.ask("open", line="f")
    page.end()
    cell_kernel.poll(lambda: page.states().get(1) == RefState.RESOLVED)
    # The pump has seen the end, and answers still.
    page.ask("renew")
    page.ask("renew")
    assert page.widget.open
    page.ask("close", line="f")
    cell_kernel.poll(lambda: not page.widget.open)
    (output,) = page.result.displays
    assert set(output.data) == {"text/plain", "text/html"}


@ANSWERS
def test_widget_stays_until_its_end_has_arrived(page, cell_kernel):
    def report(what, **fields):
        content = {"do": what, "page": "a page", **fields}
        cell_kernel.send_comm(
            page.widget.comm_id, {"method": "custom", "content": content}
        )

    report("here", writes=True)
    cell_kernel.poll(lambda: page.sent("place"), what="a state to save")
    assert WIDGET in page.sent("place")[-1]["view"]
    assert "not yet complete" in page.sent("place")[-1]["data"]["text/plain"]
    page.end()
    last = cell_kernel.poll(lambda: [m for m in page.sent("place") if not m["view"]])
    assert last[-1]["data"]["text/plain"].startswith("f  2/2")
    # A page that opens then gets it, too.
    report("here", writes=True)
    cell_kernel.poll(lambda: page.sent("place")[-1]["place"] > last[-1]["place"])
    assert page.sent("place")[-1]["data"] == last[-1]["data"]
    assert page.widget.open
    report("arrived", number=page.sent("place")[-1]["place"], stands=True)
    cell_kernel.poll(lambda: not page.widget.open)


@ANSWERS
def test_messages_belong_to_the_cell(page, cell_kernel):
    page.ask("open", line="f")
    page.ask("close", line="f")
    assert set(page.widget.parents) == {page.result.msg_id}


def test_executed_notebook_holds_only_static_output(tmp_path):
    path = write_notebook(tmp_path / "cells.ipynb", SETUP, UNHINDERED)
    notebook = execute_notebook(path)
    (output,) = notebook.cells[1].outputs
    assert set(output.data) == {"text/plain", "text/html"}
    assert WIDGET not in json.dumps(notebook)
