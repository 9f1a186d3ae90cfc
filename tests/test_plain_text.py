"""Text from elsewhere stays text in every form in which it is shown.

Without Ray or a kernel, which `test_hostile_text.py` has.
"""

from __future__ import annotations

import ast
import dataclasses
import io
import os
import re
import threading
import time
from array import array
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

import ray_jupyter_async
from harness import hostile
from harness.hostile import HostileStr, problem, problem_in, problem_in_html
from ray_jupyter_async._display import cell_names, plain_text
from ray_jupyter_async._display.static.page import progress_bundle
from ray_jupyter_async._display.terminal import display as terminal_progress
from ray_jupyter_async._display.terminal.refs_table import refs_table
from ray_jupyter_async._display.widget.ref_messages import OpenLine
from ray_jupyter_async._display.widget.widget import widget_state
from ray_jupyter_async._notebook.task_words import count, did_not_stop
from ray_jupyter_async._tracking.cluster.reasons import Reason, ReasonKind
from ray_jupyter_async._tracking.cluster.running_tasks import RunningTask
from ray_jupyter_async._tracking.counts.error_groups import ErrorGroups
from ray_jupyter_async._tracking.counts.short_tracebacks import short_traceback
from ray_jupyter_async._tracking.events import Failure
from ray_jupyter_async._tracking.foreign_text import LONGEST_NAME, clean, clean_name
from ray_jupyter_async._tracking.refs.columns import RefColumns
from ray_jupyter_async._tracking.snapshots import CellProgress, LineProgress, RefState

PACKAGE = Path(ray_jupyter_async.__file__).parent
MODULES = sorted(
    path
    for room in ("_display", "_notebook")
    for path in (PACKAGE / room).rglob("*.py")
)
SCRIPTS = sorted((PACKAGE / "_display" / "widget" / "frontend").glob("*.js"))

each_text = pytest.mark.parametrize(
    "text", hostile.TEXTS.values(), ids=hostile.TEXTS.keys()
)


def line_of(text):
    """Return a line that the tracker makes of this text alone."""
    groups = ErrorGroups()
    groups.add(Failure.of(text, text, f"Traceback\n{text}\n{text}: {text}"), b"task")
    return LineProgress(
        name=clean_name(text), total=3, resolved=0, ready=0, failed=1, cancelled=0,
        pending=2, first_awaited=0.0, last_change=1.0, finished=None,
        errors=groups.read(),
        reasons=(Reason(ReasonKind.TOO_LARGE, ((clean_name(text), 1.0),)),),
    )  # fmt: skip


def cell_of(text):
    lines = (line_of(text), dataclasses.replace(line_of("f"), name="f"))
    return CellProgress("cell", lines, 4, 1.0, code_finished=False, taken=2.0)


def refs_of(text):
    """Return two refs: one ran on a node with this name and failed with this error."""
    return RefColumns(
        array("I", [0, 1]), array("B", [RefState.FAILED] * 2), array("d", [0.0] * 2),
        array("d", [0.5] * 2), array("d", [1.0] * 2), array("H", [1, 2]),
        array("I", [7, 8]), array("B", [0, 0]), array("d", [1.0] * 2),
        array("H", [3, 3]), ["", text, "other", f"E: {text}"],
    )  # fmt: skip


@each_text
def test_widget_state_is_text(text):
    assert problem_in(widget_state(cell_of(text))) is None


@each_text
def test_messages_of_an_open_line_are_text(text):
    line = line_of(text)
    opened = OpenLine(line.name, lambda _since: (refs_of(text), 1))
    messages = opened.messages(line, 1.0)
    assert len(messages) == 2
    assert problem_in([message.content for message in messages]) is None


@each_text
def test_static_html_and_text_are_text(text):
    bundle = progress_bundle(cell_of(text), lambda _name: refs_of(text))
    assert problem(bundle["text/plain"]) is None
    assert problem_in_html(bundle["text/html"]) is None
    assert "pid 7" in bundle["text/html"]
    assert sum(map(len, bundle.values())) < 30_000


@each_text
def test_table_of_refs_is_text(text):
    assert problem(refs_table(cell_of(text).lines)) is None


@each_text
def test_words_about_tasks_are_text(text):
    tasks = [RunningTask(b"", clean_name(text), None, None)]
    words = count(tasks) + " ".join(did_not_stop(tasks, {}, "`--force` kills"))
    assert problem(words) is None
    assert len(words) < 250


@each_text
def test_terminal_lines_are_text(text):
    cell = cell_of(text)
    own = re.compile(r"\x1b\[[0-9;]*m")  # rich's colours
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    for now in (3.0, None):
        with console.capture() as shown:
            console.print(terminal_progress.rendered(cell, 80, now), soft_wrap=True)
        assert problem(own.sub("", shown.get())) is None


@each_text
def test_escaping_functions_return_text(text):
    assert problem(plain_text.printable(text)) is None
    shown = plain_text.one_line(text)
    assert problem(shown) is None
    assert "\n" not in shown
    assert problem_in_html(plain_text.markup(text)) is None
    assert problem_in_html(f'<b title="{plain_text.attribute(text)}">') is None


@pytest.mark.parametrize(
    "text", ["train", "naïve ünïcode", "数据处理", "👩\u200d💻 work", "می\u200cخواهم"]
)
def test_ordinary_text_is_unchanged(text):
    assert clean_name(text) == text
    assert plain_text.one_line(text) == text
    assert plain_text.markup(text) == text


def test_printing_to_a_stream_without_unicode_succeeds(tmp_path):
    with (tmp_path / "out").open("w", encoding="ascii") as stream:
        plain_text.print_text("3 × f …", stream)
    assert (tmp_path / "out").read_text() == "3 ? f ?\n"


def test_no_method_of_a_hostile_string_runs():
    hostile.called.clear()
    text = HostileStr("a name")
    failure = Failure.of(text, text, text)
    cleaned = clean_name(text), clean(text, 10), plain_text.one_line(text)
    for made in (*cleaned, *failure):
        assert type(made) is str
        assert made == "a name"
    assert clean_name(HostileStr("x" * 10_000))[:-1] == "x" * (LONGEST_NAME - 1)
    assert hostile.called == []


def test_name_that_is_no_string_is_empty():
    class Pretends:
        __class__ = str

    assert clean_name(Pretends()) == clean_name(7) == clean(None, 10) == ""


def test_ordinary_name_is_cheap_to_clean():
    def seconds(function):
        began = time.perf_counter()
        for _ in range(10_000):
            function("train_model")
        return time.perf_counter() - began

    # About 0.1 us on an idle machine; the best of several on a busy one.
    assert min(seconds(clean_name) for _ in range(20)) / 10_000 < 1e-6


# Tracebacks.


def test_frame_in_a_message_opens_no_file(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    secret = tmp_path / "secret.py"
    secret.write_text("password = 'hunter2'\n")
    text = "\n".join(
        f'  File "{file}", line {line}, in f'
        for file in (pipe, secret)
        for line in (1, "9" * 500)
    )
    shown = []
    thread = threading.Thread(
        target=lambda: shown.append(progress_bundle(cell_of(text))), daemon=True
    )
    thread.start()
    thread.join(20)
    assert shown, "it still waits for the pipe"
    assert "secret.py" in shown[0]["text/html"]
    assert "hunter2" not in str(shown)


class Compiler:
    """The part of IPython's compiler that names cells."""

    def format_code_name(self, name):
        return ("Cell", "In[5]") if name == "/tmp/ipykernel_7/1.py" else None


@pytest.fixture
def cell(monkeypatch):
    """A kernel in which one cell was compiled, and a file was read."""
    lines = ["def f():\n", "    raise ValueError\n"]
    monkeypatch.setitem(
        cell_names.linecache.cache, "/tmp/ipykernel_7/1.py", (9, None, lines, "")
    )
    monkeypatch.setitem(cell_names.linecache.cache, "/tmp/read.py", (9, 1.0, lines, ""))
    shell = SimpleNamespace(compile=Compiler())
    monkeypatch.setitem(
        cell_names.sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell)
    )


def test_missing_lines_of_cells_are_added(cell):
    frame = '  File "/tmp/ipykernel_7/1.py", line {}, in f'
    named = cell_names.with_cell_names
    assert named(frame.format(2)) == (
        "  Cell In[5], line 2, in f\n    raise ValueError"
    )
    assert named(f"{frame.format(1)}\n    as sent\nE") == (
        "  Cell In[5], line 1, in f\n    as sent\nE"
    )
    for absurd in (0, 3, 9_999_999):
        assert named(frame.format(absurd)) == f"  Cell In[5], line {absurd}, in f"
    too_long = frame.format("9" * 5_000)
    assert named(too_long) == too_long


def test_cached_lines_of_files_are_not_shown(cell):
    text = '  File "/tmp/read.py", line 1, in f'
    assert cell_names.with_cell_names(text) == text
    assert cell_names.cell_line("/tmp/read.py", 1) is None
    assert cell_names.cell_line("/tmp/ipykernel_7/1.py", 1) == "def f():"


@pytest.mark.parametrize(
    "text",
    [
        " " * 20_000,
        '  File "' * 3_000,
        '  File "a", line ' + "9" * 20_000,
        '  File "a", line 1, in x\n' * 1_000,
        "\n   " * 5_000,
        " | " * 7_000,
    ],
    ids=["blanks", "files", "digits", "frames", "lines", "bars"],
)
def test_adversarial_text_is_parsed_fast(text, cell):
    short_traceback.cache_clear()
    began = time.thread_time()
    cell_names.with_cell_names(short_traceback(text))
    cell_names.with_cell_names(text)
    # Some milliseconds each; one that backtracks takes minutes.
    assert time.thread_time() - began < 0.5


def test_counting_errors_parses_no_traceback(monkeypatch):
    monkeypatch.setattr(
        "ray_jupyter_async._tracking.snapshots.short_traceback", lambda full: 1 / 0
    )
    line_of("counted")
    with pytest.raises(ZeroDivisionError):
        _ = line_of("x").errors[0].short


# The sources: no module escapes by itself.


def calls(tree, name):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == name:
            yield node


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_module_uses_plain_text_alone(path):
    if path.stem == "plain_text":
        return
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not list(calls(tree, "print"))
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    } | {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not imported & {"html", "html.escape", "escape", "xml.sax.saxutils"}
    for made in calls(tree, "ipywidgets.HTML"):
        assert [ast.unparse(argument.func) for argument in made.args] == ["markup"]


def test_no_module_reads_source_lines_from_files():
    for path in PACKAGE.rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        found = re.search(r"linecache\.(?!cache\b)\w+|inspect\.getsource", source)
        assert found is None, f"{path.name}: {found}"


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_front_end_writes_no_markup(path):
    forbidden = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|srcdoc|DOMParser"
        r"|createContextualFragment|\beval\(|new Function|\.href\b"
    )
    found = re.search(forbidden, path.read_text(encoding="utf-8"))
    assert found is None, found
