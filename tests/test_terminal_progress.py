"""Progress in terminals: scripts, and IPython with its own prompt.

Each in a pseudo-terminal with an emulator behind it: what is asserted is what is
to be seen.
"""

from __future__ import annotations

import re
import sys
import textwrap

import pytest

from harness import rays
from harness.polling import poll

pytest.importorskip("pty", reason="no pseudo-terminals here")

from harness.terminal import COLUMNS, running_ipython, running_program

pytestmark = pytest.mark.timeout(240)

HOLD = """
@ray.remote(num_cpus=0)
def hold(path, error=None):
    while not os.path.exists(path):
        time.sleep(0.01)
    if error:
        raise error
    return path
"""

# No Ray: what the screen does with all that can happen on a terminal.
SCREEN = """
import builtins, os, sys, threading, time
from ray_jupyter_async.notebook.terminal_screen import TerminalScreen

kept, reads = sys.stderr, builtins.input
print("partial", end="", flush=True)
screen = TerminalScreen(sys.stdout)
said = ["line one", "line two"]
screen.show("a", lambda: said)
print("printed")
kept.write("kept\\n")
print("half a line ", end="")
os.read(0, 1)
print("and the other")
os.write(1, b"past Python!\\n")
said[0] = "line 1"
os.read(0, 1)
print("Hello", input("Name? "))
child = os.fork()
if not child:
    print("from a fork")
    os._exit(0)
os.waitpid(child, 0)
os.read(0, 1)
screen.end("a", "final")
print(vars(sys.stdout).get("write"), vars(kept).get("write"), builtins.input is reads)
"""

SCRIPT = f"""
import asyncio, os, time
import ray_jupyter_async
{rays.RAY_INIT.replace("'log_to_driver': False", "")}
{HOLD}
@ray.remote(num_cpus=0)
def say():
    print("from a worker")

async def main():
    error = ValueError("[red]not[/red] \\x1b[31mso")
    bad = hold.options(name="bad").remote("one", error)
    refs = [hold.remote("one"), hold.remote("two"), bad]
    await say.remote()
    return await ray_jupyter_async.gather(*refs, return_exceptions=True)

with ray_jupyter_async.terminal_progress():
    assert len(asyncio.run(main())) == 3
    print("gathered")
    ray.get(hold.options(name="got").remote("three"))
print("after the block")
"""


@pytest.fixture
def script(short_path):
    """Run a script at a terminal: ``script(source)``."""
    from contextlib import ExitStack

    with ExitStack() as stack:

        def run(source):
            path = short_path / "script.py"
            path.write_text(textwrap.dedent(source), encoding="utf-8")
            command = [sys.executable, str(path)]
            return stack.enter_context(running_program(command, short_path))

        yield run


def test_the_last_lines_leave_the_terminal_to_everybody_else(script):
    terminal = script(SCREEN)
    terminal.wait_to_see("half a line", 90)
    assert terminal.screen == ["partial", "printed", "kept", "half a line"]

    def wait_for_last(*lines):
        poll(lambda: terminal.screen[-len(lines) :] == [*lines], 20, what=str(lines))

    # The terminal answers the return key by itself, and some write past Python.
    terminal.type("\n")
    wait_for_last("past Python!", "", "line 1", "line two")
    terminal.type("\n")
    terminal.wait_to_see("Name\\?")
    terminal.type("Ann\n")
    wait_for_last("Hello Ann", "from a fork", "", "line 1", "line two")
    terminal.type("\n")
    assert terminal.wait_for_end() == 0
    written = [line for line in terminal.screen if line]
    assert written == [
        "partial", "printed", "kept", "half a line", "and the other", "past Python!",
        "Name? Ann", "Hello Ann", "from a fork", "final", "None None True",
    ]  # fmt: skip


def test_a_script_shows_what_it_waits_for_below_what_is_printed(script, short_path):
    terminal = script(SCRIPT.replace("log_to_driver=False", "log_to_driver=True"))
    terminal.wait_to_see(r"hold +·+ +0/2 .* 2 (running|pending)", 120)
    terminal.wait_to_see("from a worker")
    lines = terminal.screen
    above = next(i for i, x in enumerate(lines) if "from a worker" in x)
    assert [x.split()[1] for x in lines[above + 2 :]] == ["bad", "hold", "say"]
    (short_path / "one").touch()
    terminal.wait_to_see(r"hold +█.*1/2 ")
    terminal.wait_to_see(r"bad +x+ +0/1 .* 1 failed \(ValueError\)")
    (short_path / "two").touch()
    terminal.wait_to_see("gathered")
    terminal.wait_to_see(r"got +[▒·]+ +0/1 ")
    (short_path / "three").touch()
    assert terminal.wait_for_end() == 0
    lines = terminal.screen
    assert len(max(lines, key=len)) < COLUMNS
    start = lines.index("gathered") + 1
    rows = [re.sub(r"\s+", " ", x) for x in lines[start:]]
    assert [re.sub(r"\d+(\.\d)? s", "T", x) for x in rows[:5]] == [
        "✕ bad xxxxxxxxxxxxxxxxxxxx 0/1 T 1 failed (ValueError)",
        "✓ hold ████████████████████ 2/2 T",
        "✓ say ████████████████████ 1/1 T",
        "✓ got ████████████████████ 1/1 T",
        "4 of 5 refs done in T, 1 failed",
    ]
    assert rows[5] == "ValueError: [red]not[/red] �[31mso (1 × bad)"
    assert "raise error" in "".join(rows)
    assert rows[-1] == "after the block"


# No Ray: the same lines on terminals that can do less.
LESSER = """
import sys
from ray_jupyter_async.notebook.terminal_progress import final_text
from ray_jupyter_async.notebook.terminal_screen import is_screen
from ray_jupyter_async.tracking.progress import CellProgress, LineProgress

line = LineProgress(
    name="f", total=2, resolved=1, ready=0, failed=1, cancelled=0, pending=0,
    first_awaited=0.0, last_change=1.0, finished=1.0, errors=(),
)
told = CellProgress("cell", (line,), 0, 1.0, True, 1.0)
print(ascii(final_text(told)), is_screen(sys.stdout))
"""


@pytest.mark.parametrize(
    ("env", "told"),
    [
        ({"NO_COLOR": "1", "PYTHONIOENCODING": "ascii"}, r"'x  f  #+x+  1/2 .*' True"),
        ({"NO_COLOR": "1", "PYTHONIOENCODING": "utf-8"}, r"'\\u2715  f .*' True"),
        ({"PYTHONIOENCODING": "utf-8"}, r"'\\x1b.*' True"),
        ({"TERM": "dumb"}, r"'.*' False"),
    ],
    ids=["ascii", "no colour", "colour", "dumb"],
)
def test_a_terminal_gets_what_it_can_show(tmp_path, env, told):
    command = [sys.executable, "-c", LESSER]
    with running_program(command, tmp_path, env) as terminal:
        assert terminal.wait_for_end() == 0
        shown = "".join(terminal.screen)
    assert re.fullmatch(told, shown), shown


@pytest.fixture(scope="module")
def ipython():
    with (
        rays.short_folder() as folder,
        # IPython's own prompt, which reads keys and paints by itself.
        running_ipython(folder, "--TerminalInteractiveShell.term_title=False") as made,
    ):
        made.folder = folder
        (folder / "setup.py").write_text(
            f"import asyncio, os, time\n{rays.RAY_INIT}\n{HOLD}", encoding="utf-8"
        )
        made.type("%load_ext ray_jupyter_async\r")
        made.wait_to_see(r"In \[2\]:", 60)
        made.type("from ray_jupyter_async import progress\r")
        made.wait_to_see(r"In \[3\]:", 60)
        made.type("%run -i setup.py\r")
        made.wait_to_see(r"In \[4\]:", 90)
        yield made


def prompt(terminal):
    """Give the number of the prompt at the end of the screen, if it is there."""
    lines = terminal.screen
    found = re.fullmatch(r"In \[(\d+)\]:", lines[-1]) if lines else None
    return int(found[1]) if found else 0


def wait_for_prompt(terminal, after):
    poll(lambda: prompt(terminal) > after, 30, what=f"a prompt after {after}")


@pytest.mark.parametrize(
    "code",
    ["await hold.remote({0!r})", "ray.get(hold.remote({0!r}))",
     "refs = [hold.remote({0!r})]; progress(refs); done = ray.wait(refs)"],
    ids=["await", "get", "progress"],
)  # fmt: skip
def test_a_cell_that_waits_shows_it_and_ends_as_plain_lines(ipython, code, request):
    number = prompt(ipython)
    gate = ipython.folder / request.node.callspec.id
    ipython.type(code.format(str(gate)) + "\r")
    ipython.wait_to_see(r"^\S  hold +[▒·]+ +0/1 ")
    gate.touch()
    wait_for_prompt(ipython, number)
    last = [line for line in ipython.screen[:-1] if line][-1]
    assert re.fullmatch(r"✓  hold  █+  1/1  +\d+(\.\d)? s", last)


def test_ctrl_c_is_prompt_while_it_shows_and_the_prompt_is_left_alone(ipython):
    number = prompt(ipython)
    gate = ipython.folder / "never"
    ipython.type(f"await hold.remote({str(gate)!r})\r")
    ipython.wait_to_see(r"^\S  hold +[▒·]+ +0/1 ")
    ipython.press_ctrl_c()
    wait_for_prompt(ipython, number)
    shown = "\n".join(ipython.screen)
    assert "CancelledError: stopped after" in shown
    assert re.search(r"^◦  hold .* 1 (pending|running)$", shown, re.MULTILINE)
    gate.touch()


def test_what_runs_on_after_its_cell_leaves_the_prompt_alone(ipython):
    number = prompt(ipython)
    gate = ipython.folder / "background"
    ipython.type(f"later = asyncio.ensure_future(hold.remote({str(gate)!r})); "
                 "await asyncio.sleep(1.2)\r")  # fmt: skip
    ipython.wait_to_see(r"^\S  hold +[▒·]+ +0/1 ")
    wait_for_prompt(ipython, number)
    before = ipython.screen
    assert re.search(r"hold .* 0/1 ", "\n".join(before))
    ipython.type("'typed at ' 'leisure'")
    ipython.wait_to_see("leisure")
    ipython.type("\r")
    ipython.wait_to_see("'typed at leisure'$")
    gate.touch()
    wait_for_prompt(ipython, number + 1)
    ipython.type("value = await later\r")
    wait_for_prompt(ipython, number + 2)
