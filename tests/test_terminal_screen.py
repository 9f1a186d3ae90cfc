"""The last lines of a terminal, below all that is written to it; without Ray.

In scripts at a pseudo-terminal with an emulator behind it.
"""

from __future__ import annotations

import re
import sys

import pytest

from harness.polling import poll

pytest.importorskip("pty", reason="no pseudo-terminals here")

from harness.terminal import running_program

pytestmark = pytest.mark.timeout(240)

# What may happen on a terminal while the lines are there.
SCREEN = r"""
import builtins, os, sys, threading, time, warnings
from ray_jupyter_async._display.terminal.screen import TerminalScreen

kept, reads = sys.stderr, builtins.input
print("partial", end="", flush=True)
screen = TerminalScreen(sys.stdout)
said = ["line one", "line two"]
screen.show("a", lambda _, now: "\n".join(said) if now else "final")
print("printed")
kept.write("kept\n")
print("half a line ", end="", flush=True)
os.read(0, 1)
print("and the other")
os.write(1, b"past Python!\n")
said[0] = "line 1"
os.read(0, 1)
print("Hello", input("Name? "))
rendering, go_on = threading.Event(), threading.Event()
def render_slowly(columns, now):
    rendering.set()
    go_on.wait()
    return "slow"
other = threading.Thread(target=screen.show, args=("b", render_slowly))
other.start()
rendering.wait()
warnings.simplefilter("ignore")  # Python 3.12 warns of a fork beside threads
child = os.fork()  # while another thread has the screen's lock
if not child:
    print("from a fork")
    os._exit(0)
os.waitpid(child, 0)
go_on.set()
other.join()
screen.end("b")
os.read(0, 1)
screen.end("a")
files = [getattr(s.buffer, "raw", s.buffer) for s in (sys.stdout, kept)]
print([vars(file).get("write") for file in files], builtins.input is reads)
"""

# Writers and readers that pass by the `write` of `sys.stdout`.
PASSING_BY = r"""
import getpass, os, sys
from ray_jupyter_async._display.terminal.screen import TerminalScreen

kept = sys.stdout.write
sys.stdout.write = lambda text: kept(text.upper())
screen = TerminalScreen(sys.stdout)
screen.show("a", lambda _, now: "line one\nline two" if now else "final")
print("by another write")
kept("by a kept write\n")
sys.stdout.buffer.write(b"as bytes\n")
sys.stdout.flush()
os.set_blocking(1, False)
print("x" * 20_030 + "\nlong")
os.set_blocking(1, True)
os.read(0, 1)
was, file = os.dup(1), os.open("file", os.O_CREAT | os.O_RDWR)
os.dup2(file, 1)
print("to a file")
os.read(0, 1)
os.dup2(was, 1)
print("back")
print(len(getpass.getpass()))
os.read(0, 1)
screen.end("a")
print(os.pread(file, 100, 0))
"""


@pytest.fixture
def script(short_path):
    """Run a script at a terminal: ``script(source)``."""
    from contextlib import ExitStack

    with ExitStack() as stack:

        def run(source, **env):
            path = short_path / "script.py"
            path.write_text(source, encoding="utf-8")
            command = [sys.executable, str(path)]
            return stack.enter_context(running_program(command, short_path, env))

        yield run


def test_lines_make_way_for_output_and_input(script):
    terminal = script(SCREEN)
    terminal.wait_to_see("half a line", 90)
    assert terminal.screen == ["partial", "printed", "kept", "half a line"]

    def wait_for_last(*lines):
        poll(lambda: terminal.screen[-len(lines) :] == [*lines], what=str(lines))

    # The terminal answers the return key by itself, and some write past Python.
    terminal.type("\n")
    wait_for_last("past Python!", "", "line 1", "line two")
    terminal.type("\n")
    terminal.wait_to_see("Name\\?")
    terminal.type("Ann\n")
    wait_for_last("Hello Ann", "from a fork", "slow", "", "line 1", "line two")
    terminal.type("\n")
    assert terminal.wait_for_end() == 0
    written = [line for line in terminal.screen if line]
    assert written == [
        "partial", "printed", "kept", "half a line", "and the other", "past Python!",
        "Name? Ann", "Hello Ann", "from a fork", "slow", "final",
        "[None, None] True",
    ]  # fmt: skip


def test_writers_below_the_streams_are_watched(script):
    terminal = script(PASSING_BY, PYTHONUNBUFFERED="")
    terminal.wait_to_see("line two", 90)

    def wait_for_last(*lines):
        poll(lambda: terminal.screen[-len(lines) :] == [*lines], what=str(lines))

    wait_for_last("LONG", "", "line one", "line two")
    assert terminal.screen[-5] == "X" * 30
    terminal.type("\n")
    # Also while file descriptor 1 leads elsewhere.
    wait_for_last("LONG", "", "", "line one", "line two")
    terminal.type("\n")
    terminal.wait_to_see("Password:")
    terminal.type("secret\n")
    wait_for_last("BACK", "Password:", "6", "", "line one", "line two")
    terminal.type("\n")
    assert terminal.wait_for_end() == 0
    written = [line for line in terminal.screen if line and set(line) != {"X"}]
    assert written == [
        "LONG", "BACK", "Password:", "6", "final", "B'TO A FILE\\N'",
    ]  # fmt: skip


# Others that draw, or replace `sys.stdout`.
OTHERS = r"""
import contextlib, io, os, sys
from rich.live import Live
from ray_jupyter_async._display.terminal.screen import TerminalScreen

stdout = sys.stdout
screen = TerminalScreen(sys.stdout)
screen.show("a", lambda _, now: "line one\nline two" if now else "final")
with Live("theirs 1\ntheirs 2") as live:
    os.read(0, 1)
    live.update("theirs 3\ntheirs 4")
captured = io.StringIO()
with contextlib.redirect_stdout(captured):
    screen.end("a")
    print("captured")
print([captured.getvalue()], sys.stdout is stdout)
"""


def test_others_may_draw_and_redirect(script):
    terminal = script(OTHERS)
    terminal.wait_to_see("theirs 2", 90)
    poll(lambda: terminal.screen == ["theirs 1", "theirs 2"])
    terminal.type("\n")
    assert terminal.wait_for_end() == 0
    written = [line for line in terminal.screen if line]
    assert written[-4:] == ["theirs 3", "theirs 4", "final", "['captured\\n'] True"]


RESIZED = r"""
import os, sys
from ray_jupyter_async._display.terminal.screen import TerminalScreen

screen = TerminalScreen(sys.stdout)
screen.show("a", lambda columns, now: "\n".join(["-" * columns] * 50))
os.read(0, 1)
"""


def test_lines_fit_a_terminal_that_is_resized(script):
    terminal = script(RESIZED)
    poll(lambda: terminal.screen == ["", *["-" * 99] * 38], 90)
    terminal.resize(20, 60)
    poll(lambda: terminal.screen == ["", *["-" * 59] * 18])


# The same lines on terminals that can do less.
LESSER = r"""
import sys
from ray_jupyter_async._display.terminal import is_screen
from ray_jupyter_async._display.terminal.display import rendered
from ray_jupyter_async._display.terminal.screen import TerminalScreen
from ray_jupyter_async._tracking.snapshots import CellProgress, LineProgress

line = LineProgress(
    name="f", total=2, resolved=1, ready=0, failed=1, cancelled=0, pending=0,
    first_awaited=0.0, last_change=1.0, finished=1.0, errors=(),
)
progress = CellProgress("cell", (line,), 0, 1.0, True, 1.0)
if is_screen(sys.stdout):
    screen = TerminalScreen(sys.stdout)
    screen.show("cell", lambda columns, now: rendered(progress, columns, now))
    screen.end("cell")
print("ended")
"""


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({"NO_COLOR": "1", "PYTHONIOENCODING": "ascii"}, "x  f  #{10}x{10}  1/2 .*"),
        ({"NO_COLOR": "1", "PYTHONIOENCODING": "utf-8"}, "✕  f  █{10}x{10}  1/2 .*"),
        ({"PYTHONIOENCODING": "utf-8"}, "\x1b\\[31m✕\x1b\\[0m  f  \x1b.*"),
        ({"TERM": "dumb"}, None),
    ],
    ids=["ascii", "no colour", "colour", "dumb"],
)
def test_terminal_gets_what_it_can_show(tmp_path, env, expected):
    command = [sys.executable, "-c", LESSER]
    with running_program(command, tmp_path, env) as terminal:
        assert terminal.wait_for_end() == 0
        assert "ended" in terminal.output
        # What is written between the last erasure and the end.
        *_, shown = terminal.output.split("\x1b[J")
    lines = shown.splitlines()[:-1]
    assert len(lines) == (expected is not None)
    assert not lines or re.fullmatch(expected, lines[0]), shown
