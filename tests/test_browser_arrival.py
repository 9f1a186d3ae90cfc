"""What a cell keeps of its display, whatever its page has been through meanwhile.

In a real JupyterLab. Refs are records made by hand, so that no Ray is needed.
Screenshots are for people, in the folder of `harness.browser`.
"""

from __future__ import annotations

import nbformat
import pytest

from harness.notebooks import write_notebook
from harness.open_lines import open_table

WIDGET = ".rja-progress"
STATIC = ".rja-static"
VIEW = "application/vnd.jupyter.widget-view+json"

SETUP = """
%load_ext ray_jupyter_async
import asyncio, os, time
import ipywidgets
from IPython.display import clear_output, display
from ray_jupyter_async._awaiting.events import AwaitEvent, Outcome, origin
from ray_jupyter_async._notebook import extension

tracker = extension._loaded.tracker

class Refs:
    def __init__(self, count):
        self.cell = origin.get()
        # Ids as `ray.put` makes them, so that all have one name.
        self.pending = [os.urandom(24) + bytes([255] * 4) for _ in range(count)]
        self.record("awaited", self.pending)

    def settle(self, count):
        keys, self.pending = self.pending[:count], self.pending[count:]
        self.record("settled", keys, Outcome.RESOLVED)

    def record(self, kind, keys, outcome=None):
        now = time.monotonic()
        tracker.record([AwaitEvent(kind, key, self.cell, now, outcome) for key in keys])

async def exists(path):
    while not os.path.exists(path):
        await asyncio.sleep(0.05)
"""

LOOP = """
refs = Refs(5)
for i in range(5):
    await asyncio.sleep(0.5)
    refs.settle(1)
    clear_output(wait=True)
    print("value", i)
"""

OUTPUT_WIDGET = """
out = ipywidgets.Output()
display(out)
with out:
    print("before")
    refs = Refs(4)
    await exists("arrival-one")
    refs.settle(4)
    print("after")
"""

CLEARED_ONCE = """
refs = Refs(3)
await exists("arrival-rest")
clear_output()
print("cleared")
await exists("arrival-go")
refs.settle(3)
"""

HELD = """
refs = Refs(3)
await exists("arrival-one")
refs.settle(1)
await exists("arrival-rest")
refs.settle(2)
"""


@pytest.fixture
def files(lab):
    """The files that the cells wait for, which are not there yet."""
    made = {name: lab.root / f"arrival-{name}" for name in ("go", "one", "rest")}
    for path in made.values():
        path.unlink(missing_ok=True)
    return made


def saved(path, cell):
    """Return the display's output in a saved cell, which must have one."""
    outputs = nbformat.read(path, as_version=4).cells[cell].outputs
    (found,) = [o for o in outputs if "ray_jupyter_async" in o.get("metadata", {})]
    return found.data


def wait_for_file(notebook, path, cell, words):
    """Save until the display's text in the file has these words."""

    def save():
        notebook.save()
        return words in saved(path, cell)["text/plain"]

    notebook.poll(save, what=f"{words} in the file")


def wait_for_row(notebook, cell, **counts):
    """Wait until the one line of a cell's widget has these counts."""
    row = notebook.cell(cell).locator(".rja-row")
    wanted = {name: str(count) for name, count in counts.items()}
    notebook.poll(
        lambda: (
            row.count() == 1
            and wanted.items() <= row.evaluate("e => ({...e.dataset})").items()
        ),
        90,
        what=f"cell {cell} to show {counts}",
    )
    return row


@pytest.mark.timeout(200)
def test_cleared_displays_arrive(lab, files):
    path = write_notebook(
        lab.root / "arrival.ipynb", SETUP, LOOP, OUTPUT_WIDGET, CLEARED_ONCE
    )
    notebook = lab.open(path.name)
    notebook.start_all()
    wait_for_row(notebook, 2, total=4, pending=4)
    files["one"].touch()
    wait_for_row(notebook, 3, total=3, pending=3)
    files["rest"].touch()
    # Cleared, it comes back while the cell goes on.
    notebook.poll(lambda: "cleared" in notebook.outputs(3).inner_text())
    wait_for_row(notebook, 3, total=3, pending=3)
    assert "cleared" in notebook.outputs(3).inner_text()
    files["go"].touch()
    notebook.wait_all()
    for cell, counts in ((1, "5/5"), (2, "4/4"), (3, "3/3")):
        static = notebook.cell(cell).locator(STATIC)
        static.wait_for()
        assert counts in static.inner_text()
        assert notebook.cell(cell).locator(WIDGET).count() == 0
    assert notebook.outputs(1).inner_text().startswith("value 4")
    notebook.screenshot("arrival-cleared")
    notebook.save()
    assert "5/5" in saved(path, 1)["text/plain"]
    assert "3/3" in saved(path, 3)["text/plain"]
    assert lab.console_errors == []


@pytest.mark.timeout(200)
def test_files_hold_what_was_true_when_saved(lab, files):
    path = write_notebook(lab.root / "arrival.ipynb", SETUP, HELD)
    notebook = lab.open(path.name)
    notebook.start_all()
    row = wait_for_row(notebook, 1, pending=3)
    open_table(notebook, row, 3)
    files["one"].touch()
    wait_for_row(notebook, 1, pending=2, resolved=1)

    # A line that is open stays open.
    wait_for_file(notebook, path, 1, "1/3")
    assert set(saved(path, 1)) == {"text/plain", "text/html"}
    assert "not yet complete" in saved(path, 1)["text/plain"]
    assert row.locator(".rja-details").count() == 1

    # Reloaded, the page shows it live again.
    notebook.page.reload()
    row = wait_for_row(notebook, 1, pending=2, resolved=1)
    open_table(notebook, row, 3)
    files["rest"].touch()
    wait_for_row(notebook, 1, pending=0, resolved=3)
    wait_for_file(notebook, path, 1, "3/3")
    assert "not yet complete" not in saved(path, 1)["text/plain"]
    assert row.count() == 1
    row.locator(".rja-toggle").click()
    notebook.cell(1).locator(STATIC).wait_for()
    assert "3/3" in notebook.cell(1).locator(STATIC).inner_text()
    assert lab.console_errors == []


@pytest.mark.timeout(200)
def test_pages_get_what_they_missed(lab, files):
    path = write_notebook(lab.root / "arrival.ipynb", SETUP, HELD)
    notebook = lab.open(path.name)
    notebook.start_all()
    wait_for_row(notebook, 1, pending=3)
    notebook.page.context.close()
    files["one"].touch()
    files["rest"].touch()
    notebook = lab.open(path.name)
    static = notebook.cell(1).locator(STATIC)
    static.wait_for()
    notebook.poll(lambda: "3/3" in static.inner_text())
    notebook.save()
    assert set(saved(path, 1)) == {"text/plain", "text/html"}

    # Another run shows nothing of the first; then its kernel is restarted.
    files["one"].unlink()
    files["rest"].unlink()
    notebook.start_all()
    row = wait_for_row(notebook, 1, pending=3)
    assert static.count() == 0
    files["one"].touch()
    wait_for_row(notebook, 1, pending=2, resolved=1)
    wait_for_file(notebook, path, 1, "1/3")
    # The restart itself is logged: it ends the cell's execution.
    assert lab.console_errors == []
    notebook.evaluate(
        "() => { window.jupyterapp.commands.execute('notebook:restart-kernel'); }"
    )
    notebook.page.locator(".jp-Dialog .jp-mod-accept").click()
    widget = notebook.cell(1).locator(WIDGET)
    notebook.poll(lambda: "The kernel was restarted" in widget.inner_text())
    assert widget.locator("button:visible:not(:disabled)").count() == 0
    clock = row.locator(".rja-time").inner_text()
    notebook.screenshot("arrival-restarted-light", of=notebook.cell(1))
    notebook.set_theme("dark")
    notebook.resize(436)
    notebook.command("application:toggle-left-area")
    notebook.screenshot("arrival-restarted-dark-narrow", of=notebook.cell(1))
    assert row.locator(".rja-time").inner_text() == clock
    notebook.save()
    assert "1/3" in saved(path, 1)["text/plain"]
    assert "not yet complete" in saved(path, 1)["text/plain"]
