"""Progress in terminals: scripts, and IPython with its own prompt.

Each runs in a pseudo-terminal with an emulator behind it, whose screen is asserted.
The screen without Ray is tested in ``test_terminal_screen.py``.
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

def wait(path):
    while not os.path.exists(path):
        time.sleep(0.01)

def speak(path):
    wait(path)
    print("from a thread")
    print("to stderr", file=sys.stderr)
    logging.getLogger("kept").error("logged")
    kept_write("by a kept write\\n")
    sys.stdout.buffer.write(b"as bytes\\n")
    sys.stdout.flush()

logging.getLogger("kept").addHandler(handler)
"""

LOUD_INIT = rays.init_source(log_to_driver=True)

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

        def run(source):
            path = short_path / "script.py"
            path.write_text(textwrap.dedent(source), encoding="utf-8")
            command = [sys.executable, str(path)]
            return stack.enter_context(running_program(command, short_path))

        yield run


def test_script_shows_rows_below_what_is_printed(script, short_path):
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
    assert rows[5] == "ValueError: [red]not[/red] so (1 × bad)"
    assert "raise error" in "".join(rows)
    assert rows[-1] == "after the block"


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
        made.type("from ray_jupyter_async import progress, terminal_progress\r")
        made.wait_to_see(r"In \[3\]:", 60)
        made.type("%run -i setup.py\r")
        made.wait_to_see(r"In \[4\]:", 180)
        yield made


ROW = r"^\S  hold +[▒·]+ +0/1 "


def wait_for_row(terminal):
    # Lines like it may stand above: what earlier cells have left.
    poll(lambda: re.search(ROW, (terminal.screen or [""])[-1]), what="a row")


def prompt(terminal):
    """Return the number of the prompt at the end of the screen, 0 without one."""
    lines = terminal.screen
    found = re.fullmatch(r"In \[(\d+)\]:", lines[-1]) if lines else None
    return int(found[1]) if found else 0


def wait_for_prompt(terminal, after):
    poll(lambda: prompt(terminal) > after, what=f"a prompt after {after}")


@pytest.mark.parametrize(
    "code",
    ["await hold.remote({0!r})", "ray.get(hold.remote({0!r}))",
     "refs = [hold.remote({0!r})]; progress(refs); done = ray.wait(refs)"],
    ids=["await", "get", "progress"],
)  # fmt: skip
def test_waiting_cell_ends_as_plain_lines(ipython, code, request):
    number = prompt(ipython)
    gate = ipython.folder / request.node.callspec.id
    ipython.type(code.format(str(gate)) + "\r")
    wait_for_row(ipython)
    gate.touch()
    wait_for_prompt(ipython, number)
    last = [line for line in ipython.screen[:-1] if line][-1]
    assert re.fullmatch(r"✓  hold  █+  1/1  +\d+(\.\d)? s", last)


def since(terminal, number):
    """Return the lines below the cell with this number, without empty ones."""
    lines = terminal.screen
    start = next(i for i, x in enumerate(lines) if x.startswith(f"In [{number}]:"))
    return [line for line in lines[start + 1 :] if line]


def test_ctrl_c_message_is_whole(ipython):
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
    assert running.startswith(
        "Still running: 1 Ray task (1 × hold). To cancel: %ray_cancel "
    )
    assert re.fullmatch(r"◦  hold .* 1 (pending|running)", row)
    gate.touch()


def test_traceback_stands_whole_above_the_rows(ipython):
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


def test_output_stands_above_the_rows(ipython):
    number = prompt(ipython)
    gates = [str(ipython.folder / name) for name in ("spoken", "worked", "heard")]
    ipython.type(f"threading.Thread(target=speak, args=[{gates[0]!r}]).start(); "
                 f"said = say.remote({gates[1]!r}); "
                 f"value = await hold.remote({gates[2]!r})\r")  # fmt: skip
    wait_for_row(ipython)
    # One after the other: unbuffered, two prints at a time mix by themselves.
    (ipython.folder / "spoken").touch()
    ipython.wait_to_see("as bytes")
    (ipython.folder / "worked").touch()
    ipython.wait_to_see("from a worker")
    said = {
        "(say pid=N) from a worker", "as bytes", "by a kept write", "from a thread",
        "logged", "to stderr",
    }  # fmt: skip

    def above(rows):
        lines = [re.sub("pid=[0-9]+", "pid=N", x) for x in since(ipython, number)]
        return set(lines[-len(said) - rows : -rows])

    # Below them the rows of say and hold, then what these have become and the prompt.
    poll(lambda: above(2) == said, what="what was written above two rows")
    (ipython.folder / "heard").touch()
    wait_for_prompt(ipython, number)
    assert above(4) == said


def test_debugger_has_the_terminal_to_itself(ipython):
    number = prompt(ipython)
    gate, shown = ipython.folder / "debugged", ipython.folder / "shown"
    ipython.type(f"progress([hold.remote({str(gate)!r})]); wait({str(shown)!r}); "
                 "set_trace(); print(input('Name? '))\r")  # fmt: skip
    wait_for_row(ipython)
    shown.touch()
    ipython.wait_to_see("^ipdb>$")
    ipython.type("p 40 + 2\r")
    poll(lambda: ipython.screen[-3:] == ["ipdb> p 40 + 2", "42", "ipdb>"])
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
    # IPython 9 keeps outputs, 8 does not.
    outputs = "getattr(get_ipython().history_manager, 'outputs', {}).values()"
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


def test_terminal_progress_leaves_a_cell_to_the_extension(ipython):
    number = prompt(ipython)
    gate = ipython.folder / "within"
    ipython.type(
        "block = terminal_progress(delay=0); block.__enter__(); "
        f"value = await hold.remote({str(gate)!r}); "
        "block.__exit__(None, None, None); print('after the ' 'block')\r"
    )
    wait_for_row(ipython)
    gate.touch()
    wait_for_prompt(ipython, number)
    *_, printed, row, _ = since(ipython, number)
    assert printed == "after the block"
    assert re.fullmatch(r"✓  hold  █+  1/1  +\d+(\.\d)? s", row)


def test_background_await_leaves_the_prompt_alone(ipython):
    number = prompt(ipython)
    gate, seen = ipython.folder / "background", ipython.folder / "seen"
    ipython.type(f"later = asyncio.ensure_future(hold.remote({str(gate)!r})); "
                 f"await asyncio.to_thread(wait, {str(seen)!r})\r")  # fmt: skip
    wait_for_row(ipython)
    seen.touch()
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
