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
import logging, sys, threading

handler, kept_write = logging.StreamHandler(), sys.stdout.write

@ray.remote(num_cpus=0)
def hold(path, error=None):
    while not os.path.exists(path):
        time.sleep(0.01)
    if error:
        raise error
    return path

@ray.remote(num_cpus=0)
def say(path):
    ray.get(hold.remote(path))
    print("from a worker")

def speak(path):
    while not os.path.exists(path):
        time.sleep(0.01)
    print("from a thread")
    print("to stderr", file=sys.stderr)
    logging.getLogger("kept").error("logged")
    kept_write("by a kept write\\n")
    sys.stdout.buffer.write(b"as bytes\\n")
    sys.stdout.flush()

logging.getLogger("kept").addHandler(handler)
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
print("half a line ", end="", flush=True)
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
files = [getattr(s.buffer, "raw", s.buffer) for s in (sys.stdout, kept)]
print([vars(file).get("write") for file in files], builtins.input is reads)
"""

# No Ray: writers and readers that pass by the `write` of `sys.stdout`.
PASSING_BY = """
import getpass, os, sys
from ray_jupyter_async.notebook.terminal_screen import TerminalScreen

kept = sys.stdout.write
sys.stdout.write = lambda text: kept(text.upper())
screen = TerminalScreen(sys.stdout)
screen.show("a", lambda: ["line one", "line two"])
print("by another write")
kept("by a kept write\\n")
sys.stdout.buffer.write(b"as bytes\\n")
sys.stdout.flush()
os.set_blocking(1, False)
print("x" * 20_030 + "\\nlong")
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
screen.end("a", "final")
print(os.pread(file, 100, 0))
"""

LOUD_INIT = rays.RAY_INIT.replace("log_to_driver=False", "log_to_driver=True")

SCRIPT = f"""
import asyncio, os, time
import ray_jupyter_async
{LOUD_INIT}
{HOLD}
async def main():
    error = ValueError("[red]not[/red] \\x1b[31mso")
    bad = hold.options(name="bad").remote("one", error)
    refs = [hold.remote("one"), hold.remote("two"), bad]
    await say.remote("said")
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

        def run(source, **env):
            path = short_path / "script.py"
            path.write_text(textwrap.dedent(source), encoding="utf-8")
            command = [sys.executable, str(path)]
            return stack.enter_context(running_program(command, short_path, env))

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
        "Name? Ann", "Hello Ann", "from a fork", "final", "[None, None] True",
    ]  # fmt: skip


def test_writers_below_the_streams_stand_above_the_lines(script):
    terminal = script(PASSING_BY, PYTHONUNBUFFERED="")
    terminal.wait_to_see("line two", 90)

    def wait_for_last(*lines):
        poll(lambda: terminal.screen[-len(lines) :] == [*lines], 20, what=str(lines))

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


def test_a_script_shows_what_it_waits_for_below_what_is_printed(script, short_path):
    terminal = script(SCRIPT)
    terminal.wait_to_see(r"hold +·+ +0/2 .* 2 (running|pending)", 120)
    (short_path / "said").touch()
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
            "from IPython.terminal.debugger import set_trace\n"
            f"import asyncio, os, time\n{LOUD_INIT}\n{HOLD}",
            encoding="utf-8",
        )
        made.type("%load_ext ray_jupyter_async\r")
        made.wait_to_see(r"In \[2\]:", 60)
        made.type("from ray_jupyter_async import progress\r")
        made.wait_to_see(r"In \[3\]:", 60)
        made.type("%run -i setup.py\r")
        made.wait_to_see(r"In \[4\]:", 90)
        yield made


ROW = r"^\S  hold +[▒·]+ +0/1 "


def wait_for_row(terminal):
    # Lines like it may stand above: what earlier cells have left.
    poll(lambda: re.search(ROW, (terminal.screen or [""])[-1]), 30, what="a row")


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
    wait_for_row(ipython)
    gate.touch()
    wait_for_prompt(ipython, number)
    last = [line for line in ipython.screen[:-1] if line][-1]
    assert re.fullmatch(r"✓  hold  █+  1/1  +\d+(\.\d)? s", last)


def since(terminal, number):
    """Give the lines below the cell with this number, without empty ones."""
    lines = terminal.screen
    start = next(i for i, x in enumerate(lines) if x.startswith(f"In [{number}]:"))
    return [line for line in lines[start + 1 :] if line]


def test_ctrl_c_is_prompt_while_it_shows_and_its_message_is_whole(ipython):
    number = prompt(ipython)
    gate = ipython.folder / "never"
    ipython.type(f"await hold.remote({str(gate)!r})\r")
    wait_for_row(ipython)
    ipython.press_ctrl_c()
    wait_for_prompt(ipython, number)
    stopped, awaited, running, row = since(ipython, number)[:-1]
    assert re.fullmatch(
        r"CancelledError: stopped after .* at line 1: await .*", stopped
    )
    assert re.fullmatch(r"Awaited for [\d.]+ s: 1 × hold", awaited)
    assert running.startswith("Still running: 1 Ray task (1 × hold); %ray_cancel ")
    assert re.fullmatch(r"◦  hold .* 1 (pending|running)", row)
    gate.touch()


def test_a_traceback_stands_whole_above_the_lines(ipython):
    number = prompt(ipython)
    gate = ipython.folder / "failing"
    ipython.type(f"await hold.remote({str(gate)!r}, ValueError('no'))\r")
    wait_for_row(ipython)
    gate.touch()
    wait_for_prompt(ipython, number)
    lines = since(ipython, number)[:-1]
    assert re.fullmatch("-+", lines[0])
    assert re.fullmatch(r"RayTaskError\(ValueError\) +Traceback .*last\)", lines[1])
    assert lines[2] == f"Cell In[{number}], line 1"
    end = lines.index("ValueError: no")
    assert lines[end - 1] == "    raise error"
    assert re.fullmatch(r"✕  hold  x+  0/1 .* 1 failed \(ValueError\)", lines[end + 1])


def test_what_is_written_meanwhile_stands_above_the_lines(ipython):
    number = prompt(ipython)
    gates = [str(ipython.folder / name) for name in ("spoken", "heard")]
    ipython.type(f"threading.Thread(target=speak, args=[{gates[0]!r}]).start(); "
                 f"said = say.remote({gates[0]!r}); "
                 f"value = await hold.remote({gates[1]!r})\r")  # fmt: skip
    wait_for_row(ipython)
    (ipython.folder / "spoken").touch()
    ipython.wait_to_see("from a worker")
    ipython.wait_to_see("as bytes")
    said = {
        "(say pid=N) from a worker", "as bytes", "by a kept write", "from a thread",
        "logged", "to stderr",
    }  # fmt: skip

    def above(rows):
        lines = [re.sub("pid=[0-9]+", "pid=N", x) for x in since(ipython, number)]
        return set(lines[-len(said) - rows : -rows])

    # Below them the rows of say and hold, then what these have become and the prompt.
    poll(lambda: above(2) == said, 20, what="what was written above two rows")
    (ipython.folder / "heard").touch()
    wait_for_prompt(ipython, number)
    assert above(4) == said


def test_a_debugger_has_the_terminal_to_itself(ipython):
    number = prompt(ipython)
    gate = ipython.folder / "debugged"
    ipython.type(f"progress([hold.remote({str(gate)!r})]); time.sleep(1); "
                 "set_trace(); print(input('Name? '))\r")  # fmt: skip
    wait_for_row(ipython)
    ipython.wait_to_see("^ipdb>$")
    ipython.type("p 40 + 2\r")
    poll(lambda: ipython.screen[-3:] == ["ipdb> p 40 + 2", "42", "ipdb>"], 20)
    ipython.type("c\r")
    ipython.wait_to_see(r"^Name\?")
    ipython.type("Ann\r")
    wait_for_prompt(ipython, number)
    *_, asked, answer, row, _ = since(ipython, number)
    assert [asked, answer] == ["Name? Ann", "Ann"]
    assert re.search(ROW, row.replace("◦", "x"))
    gate.touch()


def test_ipython_keeps_its_streams_and_history(ipython):
    number = prompt(ipython)
    outputs = "get_ipython().history_manager.outputs.values()"
    for line in (
        "below = lambda stream: getattr(stream.buffer, 'raw', stream.buffer)",
        "files = [below(sys.stdout), below(sys.stderr)]",
        f"shown = repr([[output.bundle for output in x] for x in {outputs}])",
        "print(['write' in vars(file) for file in files], 'hold  ' in shown)",
    ):
        ipython.type(f"{line}\r")
        number += 1
        wait_for_prompt(ipython, number - 1)
    assert since(ipython, number - 1)[-2] == "[False, False] False"


def test_what_runs_on_after_its_cell_leaves_the_prompt_alone(ipython):
    number = prompt(ipython)
    gate = ipython.folder / "background"
    ipython.type(f"later = asyncio.ensure_future(hold.remote({str(gate)!r})); "
                 "await asyncio.sleep(1.2)\r")  # fmt: skip
    wait_for_row(ipython)
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
