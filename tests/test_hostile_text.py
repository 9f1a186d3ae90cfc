"""Hostile names, messages, classes, resources and source lines, in a real kernel.

What `test_plain_text.py` shows of each form by itself is shown here of all that
stands between `.options(name=...)` and a page.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from harness import hostile, rays
from harness.hostile import problem, problem_in, problem_in_html
from harness.progress_cells import WIDGET, Gates, shown

pytestmark = pytest.mark.skipif(os.name == "nt", reason="sends SIGINT")

SETUP = f"""
%load_ext ray_jupyter_async
{rays.RAY_INIT};
import asyncio, os, time
import hostile

@ray.remote(num_cpus=0)
class Actor:
    # One process for all that waits and fails.
    async def hold(self, path, text="", kind="ValueError"):
        while not os.path.exists(path):
            await asyncio.sleep(0.01)
        if text:
            raise type(kind, (ValueError,), {{}})(text)

@ray.remote(num_cpus=0, max_retries=0)
def function(path, text=""):
    while not os.path.exists(path):
        time.sleep(0.01)
    if text:
        raise ValueError(text)

odd = hostile.HostileStr("odd")
actor = Actor.remote()

def submit(path, names=tuple(hostile.NAMES.values())):
    return [actor.hold.options(name=name).remote(path, name) for name in names]

def submit_others(path):
    texts = hostile.MARKUP, FRAMES
    kinds = "ValueError", hostile.MARKUP, hostile.DIRECTIONS
    made = [actor.hold.remote(path, text, kind) for text in texts for kind in kinds]
    # Not of an actor: its process would end, for Ray 2.60 cannot encode this.
    made.append(function.remote(path, hostile.SURROGATES))
    return [*made, function.options(name=odd).remote(path)]

hostile.called.clear()
"""


@pytest.fixture(scope="module")
def ready(kernel):
    folder = kernel.folder
    shutil.copy(Path(hostile.__file__), folder / "hostile.py")
    os.mkfifo(folder / "pipe")
    (folder / "secret.py").write_text("password = 'hunter2'\n" * 4)
    frames = "\n".join(
        f'  File "{folder / name}", line {line}, in f'
        for name in ("pipe", "secret.py")
        for line in (1, "9" * 50)
    )
    kernel.ok(SETUP.replace("FRAMES", repr(f"no\n{frames}")))
    kernel.gates = Gates(folder)
    yield kernel
    kernel.gates.open_all()


def problem_of(output):
    """Return what is wrong in an output's HTML and text."""
    data = {kind: text for kind, text in output.data.items() if kind != WIDGET}
    return problem_in_html(data.pop("text/html", "")) or problem_in(data)


@pytest.mark.kernel_since(
    "7.4", "it reads a page's messages on the main shell after the cell"
)
def test_a_cells_progress_is_text_while_it_runs_and_after(ready):
    path, touch = ready.gates.new()
    result = ready.submit(
        f"refs = submit({path}) + submit_others({path})\n"
        "done = await asyncio.gather(*refs, return_exceptions=True)\n"
        "del done"
    )
    (widget,) = ready.poll(lambda: shown(ready), 60, of=result)
    assert problem_in(widget.state["state"]) is None
    (output,) = ready.poll(lambda: result.displays, of=result)
    assert problem_of(output) is None
    names = [line["name"] for line in widget.state["state"]["lines"]]
    assert {"odd", "Actor.hold"} <= set(names)
    assert len(names) == len(hostile.NAMES) + 3
    for number, name in enumerate(names):
        content = {"do": "open", "line": name, "view": "v", "request": f"{number}"}
        ready.send_comm(widget.comm_id, {"method": "custom", "content": content})
    touch()

    def failed():
        groups = [sent for sent, _ in widget.custom if sent.get("groups")]
        return {sent["errors"] for sent in groups} >= set(names) - {"odd"}

    ready.poll(failed, 60, of=result, what="the errors of all lines")
    sent = [content for content, _ in widget.custom]
    assert problem_in(sent) is None
    for number, name in enumerate(names):
        content = {"do": "close", "line": name, "view": "v", "request": f"c{number}"}
        ready.send_comm(widget.comm_id, {"method": "custom", "content": content})
    ready.wait(result)
    ready.poll(lambda: WIDGET not in output.data, of=result)
    assert problem_of(output) is None
    # A message names a file, and a pipe, which would be read for ever.
    assert "secret.py" in str(sent)
    assert "hunter2" not in str(sent) + str(output.data)
    assert ready.ok("hostile.called").value == "[]"


def test_magics_print_text(ready):
    path, touch = ready.gates.new()
    # No node has this, which is the reason for which it waits.
    needs = "function.options(name=hostile.MARKUP, resources={'<b>x</b>': 1})"
    result = ready.submit(
        f"refs = [*submit({path}), {needs}.remote({path})]\n"
        "waits = asyncio.gather(*refs)\n"
        "while not os.path.exists('explained'): await asyncio.sleep(0.05)\n"
        "waits.cancel()"
    )
    ready.poll(
        lambda: "<b>x</b>" in str([w.state["state"] for w in shown(ready)]), 60,
        of=result, what="the reason for which the task waits",
    )  # fmt: skip
    (ready.folder / "explained").touch()
    ready.wait(result)
    table = ready.ok("%ray_refs").stdout
    assert problem(table) is None
    assert "<b>x</b>" in table
    assert "hunter2" not in table
    assert problem(ready.ok("%ray_async").stdout) is None
    cancelled = ready.ok("%ray_cancel --all").stdout
    assert "Ray task" in cancelled
    assert problem(cancelled) is None
    touch()
    ready.ok("del refs, waits")
    ready.poll(lambda: not shown(ready))


def test_what_stop_says_is_text(ready):
    path, touch = ready.gates.new()
    line = f"await run(*submit(path, four)) # \x1b[31m \u202e \x9b0m {hostile.MARKUP}"
    result = ready.submit(
        f"path, run, four = {path}, asyncio.gather, list(hostile.NAMES.values())[:4]\n"
        f"{line}"
    )
    ready.poll(lambda: result.displays, of=result)
    ready.interrupt()
    ready.wait(result, 30)
    assert "stopped after" in result.traceback
    assert "at line 2: await run(*submit(path, four)) # " in result.traceback
    assert problem(result.traceback) is None
    (html,) = ready.poll(lambda: ready.widgets(_model_name="HTMLModel"), of=result)
    assert "still running" in html.state["value"]
    assert "&lt;img" in html.state["value"]
    assert problem_in_html(html.state["value"]) is None
    notice = result.displays[-1]
    assert problem_of(notice) is None
    touch()
    ready.poll(lambda: "No Ray task of this cell is running" in notice.text, of=result)
    ready.poll(lambda: not shown(ready))


def test_stop_shows_no_line_of_a_file(ready):
    code = (
        "import asyncio\n"
        "async def wait():\n"
        "    asyncio.get_running_loop().call_later(0.3, print, 'begun')\n"
        "    await asyncio.sleep(60)\n"
    )
    (ready.folder / "pipe.py").write_text(code)
    result = ready.submit(
        f"exec(compile({code!r}, {str(ready.folder / 'secret.py')!r}, 'exec'))\n"
        "await wait()"
    )
    ready.poll(lambda: "begun" in result.stdout, of=result)
    ready.interrupt()
    ready.wait(result, 30)
    assert result.traceback.endswith("secret.py")
    assert "hunter2" not in result.traceback
