"""Saved notebooks: what a run without a front end keeps, and how it reads.

papermill runs a notebook; a real JupyterLab then opens its file without a kernel.
Screenshots are for people, in the folder of `harness.browser`.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys

import nbformat
import pytest

from harness import rays
from harness.notebooks import write_notebook

SETUP = f"""
%load_ext ray_jupyter_async
import asyncio, os, time
from ray_jupyter_async._awaiting.events import origin
from ray_jupyter_async._notebook import extension
{rays.RAY_INIT};

@ray.remote
def fetch(seconds):
    for _ in range(round(seconds / 0.05)):
        time.sleep(0.05)

@ray.remote
def parse(page):
    time.sleep(0.2)
    return {{"a": 1}}[page]

@ray.remote
class Scorer:
    def score(self):
        time.sleep(0.1)

@ray.remote(num_cpus=0)
def until(path):
    while not os.path.exists(path):
        time.sleep(0.05)

async def end_when_known(path, counts):
    # Workers report when and where a task ran within about a second of its end.
    tracker, cell = extension._loaded.tracker, origin.get()
    def known(name):
        records, _ = tracker.read_refs(cell, name)
        return sum(bool(record.worker) for record in records)
    while any(known(name) < count for name, count in counts.items()):
        await asyncio.sleep(0.05)
    open(path, "w").close()
"""

CELL = """
scorer = Scorer.remote()
long = until.options(name="a_function_whose_name_tells_all_that_it_does")
unwanted = fetch.options(name="unwanted").remote(60)
asyncio.get_running_loop().call_later(1, ray.cancel, unwanted)
refs = [fetch.remote(0.3) for _ in range(6)] + [parse.remote(page) for page in "aab"]
path = os.path.abspath("known")
refs += [scorer.score.remote(), long.remote(path)]
known = end_when_known(path, {"fetch": 6, "parse": 3, "Scorer.score": 1})
await asyncio.gather(*refs, unwanted, known, return_exceptions=True);
"""

# By name: the counts, and the state.
ROWS = {
    "fetch": ("6/6", "all done"),
    "parse": ("2/3", "1 failed (KeyError)"),
    "Scorer.score": ("1/1", "all done"),
    "a_function_whose_name_tells_all_that_it_does": ("1/1", "all done"),
    "unwanted": ("0/1", "1 cancelled"),
}


@pytest.fixture(scope="module")
def saved():
    """A notebook's text, run and saved by papermill."""
    with rays.short_folder() as folder:
        write_notebook(folder / "in.ipynb", SETUP, CELL)
        command = [sys.executable, "-W", "error", "-m", "papermill"]
        command += ["--no-progress-bar", "in.ipynb", "out.ipynb"]
        done = subprocess.run(
            command,
            cwd=folder,
            env=rays.process_environment(folder),
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return (folder / "out.ipynb").read_text(encoding="utf-8")


def bundle_of(saved):
    """Return the data of the cell's one output."""
    (output,) = nbformat.reads(saved, as_version=4).cells[1].outputs
    assert output.output_type == "display_data"
    return output.data


def test_papermill_keeps_the_end_of_a_cell(saved):
    data = bundle_of(saved)
    assert set(data) == {"text/plain", "text/html"}
    text = data["text/plain"]
    assert "\n10 of 12 refs done in " in text
    assert "\nKeyError: 'b' (1 × parse)\n" in text
    assert 'return {"a": 1}[page]' in text
    assert "<svg" in data["text/html"]


def test_papermill_keeps_little_of_closed_widgets(saved):
    kept = nbformat.reads(saved, as_version=4).metadata.widgets
    (states,) = (found.state for found in kept.values())
    widgets = [m.state for m in states.values() if m.model_name == "AnyModel"]
    assert [widget.state.lines for widget in widgets] == [[]]
    assert len(json.dumps(kept)) < 4_000


@pytest.fixture
def without_kernel(saved, lab):
    """Open the notebook where its kernel is not: ``without_kernel(trusted=...)``."""

    def open_it(*, trusted):
        notebook = nbformat.reads(saved, as_version=4)
        notebook.metadata.kernelspec.name = "not-here"
        # JupyterLab would take another kernel of the same language.
        del notebook.metadata["language_info"]
        path = lab.root / f"saved-{trusted}.ipynb"
        nbformat.write(notebook, path)
        if trusted:
            lab.server.trust(path)
        return lab.open(path.name, kernel=False)

    return open_it


def rows_of(static):
    """Return the texts of the table's rows, without its titles."""
    texts = static.locator("table").first.locator("tr").all_inner_texts()
    return [" ".join(text.split()) for text in texts[1:]]


def left_edges(output, selector):
    """Return where on the page all of these begin, in CSS pixels."""
    edges = output.locator(selector).evaluate_all(
        "found => found.map((e) => Math.round(e.getBoundingClientRect().left))"
    )
    assert edges
    return set(edges)


@pytest.mark.parametrize("trusted", [False, True], ids=["untrusted", "trusted"])
def test_saved_cell_reads_well(saved, without_kernel, lab, trusted):
    notebook = without_kernel(trusted=trusted)
    output = notebook.outputs(1)
    static = output.locator(".rja-static")
    static.wait_for()
    name = "saved-trusted" if trusted else "saved-untrusted"
    rows = rows_of(static)
    assert len(rows) == len(ROWS)
    for line, (done, state) in ROWS.items():
        (row,) = (text for text in rows if text.startswith(f"{line} {done} "))
        assert row.endswith(f" {state}")
    assert static.inner_text().startswith("10 of 12 refs done in ")
    table = static.locator("table").first
    assert len(left_edges(table, "td:nth-child(1)")) == 1
    assert len(left_edges(table, "td:nth-child(2) > span")) == 1
    notebook.screenshot(f"{name}-light", of=output)
    notebook.set_theme("dark")
    notebook.screenshot(f"{name}-dark", of=output)

    # Opened by a click, without a script.
    traceback = static.locator("pre")
    assert not traceback.is_visible()
    for details in static.locator("details").all():
        details.locator("summary").click()
    assert "Cell In[1], line " in traceback.inner_text()
    assert 'return {"a": 1}[page]' in traceback.inner_text()
    assert "KeyError: 'b'" in traceback.inner_text()
    assert static.locator("text=/pid [0-9]+/").count() >= len(ROWS) - 1
    assert bool(static.locator("svg").count()) == trusted
    notebook.screenshot(f"{name}-dark-open", of=output)
    notebook.set_theme("light")
    notebook.screenshot(f"{name}-light-open", of=output)
    notebook.resize(436)
    # The file browser would take half of it.
    notebook.command("application:toggle-left-area")
    notebook.poll(lambda: static.evaluate("e => e.clientWidth") <= 322)
    assert static.evaluate("e => e.scrollWidth <= e.clientWidth")
    # JupyterLab's style sheet would scale their heights with their widths.
    heights = "found => found.map((e) => e.getBoundingClientRect().height)"
    assert set(static.locator("svg").evaluate_all(heights)) == (
        {10} if trusted else set()
    )
    notebook.screenshot(f"{name}-narrow", of=output)

    seen = notebook.page.locator("body").inner_text()
    assert "model not found" not in seen.lower()
    assert "Error displaying widget" not in seen
    assert lab.console_errors == []
    assert lab.outside_requests == []

    bare = re.sub(r' style="[^"]*"|<svg.*?</svg>', "", bundle_of(saved)["text/html"])
    notebook.page.set_content(bare)
    notebook.resize(800)
    assert rows_of(notebook.page.locator(".rja-static")) == rows
    for column in range(1, 5):
        cells = f".rja-static > table td:nth-child({column})"
        assert len(left_edges(notebook.page, cells)) == 1
    notebook.screenshot("saved-without-styles")
