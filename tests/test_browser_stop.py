"""JupyterLab's Stop button, pressed by a person's means, and what the cell says."""

from __future__ import annotations

import pytest

from harness import hostile, rays
from harness.notebooks import write_notebook

STOP = '[data-command="notebook:interrupt-kernel"]:visible'

CELLS = [
    f"%load_ext ray_jupyter_async\n{rays.RAY_INIT};",
    """
import asyncio, time

@ray.remote(num_cpus=0)
def train(step):
    for _ in range(6000):
        time.sleep(0.01)
""",
    "await asyncio.gather(*[train.remote(step) for step in range(4)])",
]


@pytest.mark.timeout(300)
def test_stop_ends_the_cell_and_its_button_ends_the_tasks(lab):
    path = write_notebook(lab.root / "stop.ipynb", *CELLS)
    notebook = lab.open(path.name)
    notebook.start_all()
    cell, output = notebook.cell(2), notebook.outputs(2)
    notebook.poll(
        lambda: "0/4" in output.inner_text(), 90, what="the tasks to be awaited"
    )
    prompt = cell.locator(".jp-InputPrompt")
    assert "[*]" in prompt.inner_text()

    notebook.page.locator(STOP).first.click()
    notebook.poll(lambda: "[*]" not in prompt.inner_text())
    button = cell.get_by_role("button", name="Cancel them")
    button.wait_for()
    words = output.inner_text()
    assert "CancelledError" in words
    assert "4 × train" in words
    assert "still running" in words
    notebook.screenshot("stopped", of=cell)

    button.click()
    notebook.poll(
        lambda: "No Ray task of this cell is running" in output.inner_text(),
        what="the tasks to have ended",
    )
    notebook.poll(lambda: button.count() == 0)
    notebook.screenshot("stopped-and-cancelled", of=cell)
    assert lab.console_errors == []
    assert lab.outside_requests == []


NAMED = f"""
names = {hostile.MARKUP!r}, {hostile.ESCAPES!r}
await asyncio.gather(*[train.options(name=name).remote(0) for name in names])
"""


@pytest.mark.timeout(300)
def test_a_hostile_name_is_text_in_widget_notice_and_afterwards(lab):
    path = write_notebook(lab.root / "hostile.ipynb", *CELLS[:2], NAMED)
    notebook = lab.open(path.name)
    notebook.start_all()
    cell, output = notebook.cell(2), notebook.outputs(2)

    def is_text(words):
        notebook.poll(
            lambda: words in output.inner_text() and "<img" in output.inner_text(),
            90,
            what=f"{words} and the name",
        )
        # An image that cannot be loaded would run the handler in the name.
        assert output.locator("img, script").count() == 0
        assert notebook.evaluate("() => window.pwned ?? 0") == 0

    is_text("0/1")
    for toggle in output.locator(".rja-toggle").all():
        toggle.click()
    is_text("Timeline")
    for toggle in output.locator(".rja-toggle").all():
        toggle.click()
    notebook.page.locator(STOP).first.click()
    button = cell.get_by_role("button", name="Cancel them")
    button.wait_for()
    is_text("of this cell are still running")
    button.click()
    notebook.poll(lambda: output.locator(".rja-static").count() == 1)
    is_text("No Ray task of this cell is running")
    assert lab.console_errors == []
    assert lab.outside_requests == []
