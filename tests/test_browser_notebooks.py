"""The demo notebooks as a person runs them: *Run All* in JupyterLab.

What each cell gives is told by ``test_notebooks.py``; here is what only a front end
shows. Screenshots are for people. The quickstart is in ``test_browser.py``.
"""

from __future__ import annotations

import nbformat
import pytest

from harness.demo import read_demo

# The longest that a notebook may take in a browser, in seconds.
LONGEST = 200


def run_in_browser(lab, name):
    """Run a notebook to its end, and give its page and its cells by their ids."""
    path = lab.copy(f"{name}.ipynb")
    notebook = lab.open(path.name)
    notebook.run_all(LONGEST)
    ids = [cell.id for cell in read_demo(name).cells]
    return notebook, {cell_id: notebook.cell(i) for i, cell_id in enumerate(ids)}


def take_screenshots(notebook, name, cells):
    for theme in ("light", "dark"):
        notebook.set_theme(theme)
        for cell_id, cell in cells.items():
            cell.scroll_into_view_if_needed()
            notebook.screenshot(f"{name}-{cell_id}-{theme}")


@pytest.mark.timeout(300)
def test_run_all_goes_on_after_the_cell_that_stops_itself(lab):
    name = "03_progress_stop_cancel"
    notebook, cells = run_in_browser(lab, name)
    assert "CancelledError: stopped" in cells["stop"].inner_text()
    assert "Cancelled." in cells["cancelled"].inner_text()
    # What outlived its cell has become plain when its tasks had ended.
    notebook.poll(lambda: notebook.page.locator(".rja-progress").count() == 0)
    assert "1 cancelled" in cells["pending"].inner_text()
    take_screenshots(
        notebook, name, {key: cells[key] for key in ("failures", "pending", "stop")}
    )
    notebook.save()
    saved = nbformat.read(lab.root / f"{name}.ipynb", as_version=4)
    assert "widget-view" not in nbformat.writes(saved)
    assert lab.console_errors == []
    assert lab.outside_requests == []


@pytest.mark.timeout(300)
def test_the_kernel_serves_while_its_notebook_is_used(lab):
    name = "05_serving"
    notebook, cells = run_in_browser(lab, name)
    assert "half a second later" in cells["usable"].inner_text()
    assert "on uvloop" in cells["script"].inner_text()
    take_screenshots(
        notebook, name, {key: cells[key] for key in ("app", "compare", "script")}
    )
    assert lab.console_errors == []
    assert lab.outside_requests == []
