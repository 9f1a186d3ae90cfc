"""The widget in use: lines opened, looked through and cancelled by click and key.

In a real JupyterLab and Notebook 7, on a real Ray. What it looks like is in
``test_browser.py``.
"""

from __future__ import annotations

import json
import re
from importlib.resources import files

import pytest

from harness import rays
from harness.notebooks import write_notebook
from harness.open_lines import open_table, wait_for_rows

WIDGET = ".rja-progress"
AXE = files("axe_playwright_python") / "axe.min.js"

LOAD = f"%load_ext ray_jupyter_async\n{rays.RAY_INIT};"

TASKS = """
import asyncio, os, signal, time

def wait_for(path):
    while not os.path.exists(path):
        time.sleep(0.01)

@ray.remote(num_cpus=0)
def fetch(path, title="a title"):
    wait_for(path)
    if not title:
        raise ValueError("no title")
    return title

@ray.remote(num_cpus=0)
def stubborn(path):
    # Ray asks it to end as Ctrl-C does; Python then does nothing.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    wait_for(path)

one, rest = os.path.abspath("widget-one"), os.path.abspath("widget-rest")

async def settle(refs):
    await asyncio.gather(*refs, return_exceptions=True);
"""

AWAITS = """
refs = [fetch.remote(one), fetch.remote(one, ""), fetch.remote(one, "")]
refs += [fetch.remote(rest) for _ in range(3)]
await settle(refs)
"""

BLOCKS = """
refs = [fetch.remote(rest) for _ in range(2)] + [stubborn.remote(rest)]
ray.wait(refs, num_returns=3)
"""

# Hand-made records: so many real tasks would take minutes.
MANY = """
import asyncio, os, time
from ray_jupyter_async._awaiting.events import AwaitEvent, Outcome, origin
from ray_jupyter_async._notebook import extension

one, rest = os.path.abspath("widget-one"), os.path.abspath("widget-rest")
tracker, cell = extension._loaded.tracker, origin.get()
keys = [number.to_bytes(28, "little") for number in range(100_000)]

def record(kind, keys, outcome=None):
    now = time.monotonic()
    tracker.record([AwaitEvent(kind, key, cell, now, outcome) for key in keys])

async def exists(path):
    while not os.path.exists(path):
        await asyncio.sleep(0.05)

record("awaited", keys)
await exists(one)
record("settled", keys[:-1], Outcome.RESOLVED)
await exists(rest)
record("settled", keys[-1:], Outcome.RESOLVED)
"""

NEXT = "print('the next cell')"


def open_notebook(lab, *cells, **options):
    """Open these cells as a notebook."""
    path = write_notebook(lab.root / "widget.ipynb", *cells)
    for name in ("widget-one", "widget-rest"):
        (lab.root / name).unlink(missing_ok=True)
    return lab.open(path.name, **options)


def row(notebook, name):
    """Return a line of the widget."""
    return notebook.page.locator(f'.rja-row[data-name="{name}"]')


def wait_for_counts(notebook, name, **counts):
    """Wait until a line has these counts."""

    def look():
        found = row(notebook, name)
        if not found.count():
            return None
        data = json.loads(found.evaluate("e => JSON.stringify(e.dataset)"))
        return all(data[key] == str(value) for key, value in counts.items())

    notebook.poll(look, 90, what=f"{name}: {counts}")
    return row(notebook, name)


def violations(notebook):
    """Return what axe-core finds wrong in the widget."""
    if not notebook.evaluate("() => 'axe' in window"):
        notebook.page.add_script_tag(content=AXE.read_text(encoding="utf-8"))
    found = notebook.evaluate(
        "async selector => (await axe.run(selector)).violations", WIDGET
    )
    return [
        f"{problem['id']}: {node['html']} {node['failureSummary']}"
        for problem in found
        for node in problem["nodes"]
    ]


def assert_accessible(notebook):
    assert violations(notebook) == []


def table_rows(notebook):
    """Return the texts of the table's rows that are in the page, by index."""
    texts = notebook.evaluate(
        """() => [...document.querySelectorAll('.rja-body > .rja-ref')]
          .filter((row) => !row.hidden)
          .map((row) => [Number(row.dataset.index), row.innerText])"""
    )
    return dict(texts)


@pytest.mark.timeout(300)
def test_open_line_is_used_by_keyboard(lab):
    notebook = open_notebook(lab, LOAD, TASKS, AWAITS)
    page = notebook.page
    notebook.start_all()
    wait_for_counts(notebook, "fetch", total=6, pending=6)
    (lab.root / "widget-one").touch()
    line = wait_for_counts(notebook, "fetch", resolved=1, failed=2, pending=3)

    toggle = line.locator(".rja-toggle")
    toggle.focus()
    # JupyterLab would delete the cell.
    page.keyboard.press("d")
    page.keyboard.press("d")
    page.keyboard.press("Enter")
    assert page.locator(".jp-Notebook .jp-Cell").count() == 3
    assert toggle.get_attribute("aria-expanded") == "true"
    timeline = line.locator(".rja-canvas")
    notebook.poll(
        lambda: "worker" in (timeline.get_attribute("aria-label") or ""),
        what="the timeline to know where tasks ran",
    )
    timeline.focus()
    page.keyboard.press("ArrowRight")
    readout = line.locator(".rja-readout")
    notebook.poll(lambda: re.match(r"ref \d · .* worker \d+", readout.inner_text()))
    assert_accessible(notebook)
    notebook.screenshot("widget-timeline-light", of=notebook.cell(2))

    line.get_by_role("tab", name="Timeline").focus()
    page.keyboard.press("ArrowRight")
    assert line.get_by_role("tab", name="Refs").get_attribute("aria-selected") == "true"
    rows = notebook.poll(
        lambda: len(table_rows(notebook)) == 6 and table_rows(notebook)
    )
    assert "✓ resolved" in rows[0]
    assert "✕ failed" in rows[1]
    assert "ValueError: no title" in rows[1]
    notebook.screenshot("widget-refs-light", of=notebook.cell(2))
    line.get_by_label("State", exact=True).select_option("failed")
    notebook.poll(lambda: set(table_rows(notebook)) == {1, 2})
    line.get_by_label("State", exact=True).select_option("all states")
    line.get_by_role("searchbox").fill("NO TITLE")
    notebook.poll(lambda: set(table_rows(notebook)) == {1, 2})
    line.get_by_role("searchbox").fill("")
    head = line.get_by_role("button", name="Ref", exact=True)
    head.click()
    notebook.poll(lambda: next(iter(ordered_rows(notebook))) == 5)
    assert line.locator('[aria-sort="descending"]').inner_text().startswith("Ref")
    assert_accessible(notebook)

    line.get_by_role("button", name="Cancel ref 4").click()
    wait_for_counts(notebook, "fetch", cancelled=1, pending=2)
    notebook.poll(lambda: "⊘ cancelled" in table_rows(notebook)[4])

    line.get_by_role("tab", name="Errors (2)").click()
    group = line.locator(".rja-error")
    assert group.count() == 1
    assert group.locator(".rja-error-toggle").inner_text().split() == [
        "2", "×", "ValueError", "no", "title",
    ]  # fmt: skip
    traceback = group.locator(".rja-traceback")
    short = traceback.inner_text()
    assert "raise ValueError" in short
    assert "ray/" not in short
    assert re.search(r"^ *Cell In\[\d+\], line \d+, in fetch$", short, re.MULTILINE)
    group.get_by_role("button", name="Full traceback").click()
    full = traceback.inner_text()
    assert len(full) > len(short)
    assert "Cell In[" in full
    assert "ipykernel" not in full
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    group.get_by_role("button", name="Copy error").click()
    copied = notebook.poll(lambda: notebook.evaluate("navigator.clipboard.readText()"))
    assert copied.startswith("ValueError: no title\n")
    assert_accessible(notebook)
    notebook.screenshot("widget-errors-light", of=notebook.cell(2))

    notebook.set_theme("dark")
    for tab in ("Errors (2)", "Refs", "Timeline"):
        line.get_by_role("tab", name=tab).click()
        assert_accessible(notebook)
        name = tab.split()[0].lower()
        notebook.screenshot(f"widget-{name}-dark", of=notebook.cell(2))

    line.get_by_role("button", name="Retry failed fetch").focus()
    page.keyboard.press("Enter")
    again = wait_for_counts(notebook, "fetch (retry)", failed=2, pending=0)
    again.get_by_role("button", name="Retry failed fetch (retry)").wait_for()
    line.get_by_role("button", name="Retry failed fetch").wait_for(state="hidden")
    notebook.poll(lambda: toggle.evaluate("e => e === document.activeElement"))
    assert_accessible(notebook)

    page.get_by_role("button", name="Cancel all").click()
    wait_for_counts(notebook, "fetch", cancelled=3, pending=0)
    notebook.wait_all()
    # Open, it stays; closed, it becomes static.
    assert page.locator(WIDGET).count() == 1
    toggle.click()
    static = notebook.outputs(2).locator(".rja-static")
    static.wait_for()
    assert "3 cancelled" in static.inner_text()
    assert lab.console_errors == []
    assert lab.outside_requests == []


@pytest.mark.timeout(300)
@pytest.mark.parametrize("front_end", ["lab", "notebook"])
def test_cancel_and_force_while_the_cell_blocks(lab, front_end):
    notebook = open_notebook(lab, LOAD, TASKS, BLOCKS, NEXT, front_end=front_end)
    notebook.start_all()
    wait_for_counts(notebook, "fetch", total=2, pending=2)
    line = wait_for_counts(notebook, "stubborn", pending=1, running=1)
    row(notebook, "fetch").get_by_role("button", name="Cancel fetch").click()
    wait_for_counts(notebook, "fetch", cancelled=2, pending=0)
    # The cell blocks on: nothing of this waited for its end.
    wait_for_counts(notebook, "stubborn", pending=1)
    assert "the next cell" not in notebook.outputs(3).inner_text()

    line.get_by_role("button", name="Cancel stubborn").click()
    force = line.get_by_role("button", name="Force stubborn")
    force.wait_for()
    assert "1 cancelling" in line.inner_text()
    notebook.screenshot(f"widget-force-{front_end}", of=notebook.cell(2))
    force.click()
    notebook.wait_all()
    assert "the next cell" in notebook.outputs(3).inner_text()
    assert lab.console_errors == []
    assert lab.outside_requests == []


@pytest.mark.timeout(300)
def test_100_000_refs_in_a_page_that_is_reloaded(lab):
    notebook = open_notebook(lab, "%load_ext ray_jupyter_async", MANY)
    page = notebook.page
    notebook.start_all()
    line = wait_for_counts(notebook, "other refs", total=100_000, pending=100_000)
    open_table(notebook, line, 100_000)
    assert len(page.locator(".rja-body > .rja-ref").all()) < 40
    scroller = line.locator(".rja-scroller")
    scroller.evaluate("e => e.scrollTo(0, e.scrollHeight)")
    notebook.poll(lambda: 99_999 in table_rows(notebook))
    assert len(page.locator(".rja-body > .rja-ref").all()) < 40

    (lab.root / "widget-one").touch()
    wait_for_counts(notebook, "other refs", resolved=99_999, pending=1)
    line.get_by_label("State", exact=True).select_option("pending")
    notebook.poll(lambda: set(table_rows(notebook)) == {99_999})
    notebook.screenshot("widget-many", of=notebook.cell(1))

    notebook.save()
    page.reload()
    line = wait_for_counts(notebook, "other refs", resolved=99_999, pending=1)
    open_table(notebook, line, 100_000)
    line.get_by_label("State", exact=True).select_option("pending")
    notebook.poll(lambda: set(table_rows(notebook)) == {99_999})
    (lab.root / "widget-rest").touch()
    wait_for_counts(notebook, "other refs", resolved=100_000, pending=0)
    line.get_by_label("State", exact=True).select_option("resolved")
    notebook.poll(lambda: 0 in table_rows(notebook))
    wait_for_rows(notebook, 100_000)
    assert lab.outside_requests == []


def ordered_rows(notebook):
    """Return the refs' indices as they stand on the page, from the top."""
    return notebook.evaluate(
        """() => [...document.querySelectorAll('.rja-body > .rja-ref')]
          .filter((row) => !row.hidden)
          .sort((a, b) => a.getBoundingClientRect().top - b.getBoundingClientRect().top)
          .map((row) => Number(row.dataset.index))"""
    )
