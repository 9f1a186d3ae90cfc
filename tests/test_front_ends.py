"""The display in VS Code's widget manager."""

from __future__ import annotations

import re

import pytest

from harness import rays
from harness.vscode import COLOURS, vscode_output

pytestmark = [pytest.mark.browser, pytest.mark.kernel]

SETUP = f"""
%load_ext ray_jupyter_async
{rays.RAY_INIT}
import asyncio, os, time

@ray.remote(num_cpus=0)
def train(number, path):
    while not os.path.exists(path):
        time.sleep(0.01)
    return number
"""
AWAITS = "await asyncio.gather(*[train.remote(n, {!r}) for n in range(3)]);"


def rgb(colour):
    return f"rgb({', '.join(str(int(colour[at : at + 2], 16)) for at in (1, 3, 5))})"


@pytest.mark.parametrize("theme", ["vscode-light", "vscode-dark"])
def test_display_is_live_in_the_colours_of_vs_code_and_ends_static(
    lab, theme, tmp_path
):
    with vscode_output(lab, theme) as vscode:
        assert vscode.run(SETUP) == "ok"
        vscode.start(AWAITS.format(str(tmp_path / "trained")))
        display = vscode.frame.locator(".rja-progress")
        display.get_by_text("0 of 3 refs done").wait_for()

        # A line opens while the cell runs.
        vscode.frame.locator(".rja-toggle").click()
        display.get_by_role("tab", name="Refs").click()
        rows = display.get_by_role("row").filter(has_text="running")
        vscode.notebook.poll(lambda: rows.count() == 3, what="three refs that run")
        style = "e => [getComputedStyle(e).color, getComputedStyle(e).colorScheme]"
        scheme = theme.removeprefix("vscode-")
        assert display.evaluate(style) == [rgb(COLOURS[theme]["foreground"]), scheme]
        panel = display.locator(".rja-details").first
        ground = panel.evaluate("e => getComputedStyle(e).backgroundColor")
        assert ground == rgb(COLOURS[theme]["editor-background"])
        vscode.notebook.screenshot(theme)

        vscode.frame.locator(".rja-toggle").click()
        (tmp_path / "trained").touch()
        assert vscode.wait() == "ok"
        vscode.frame.locator("table").get_by_text("3/3").wait_for()
        assert (vscode.errors, lab.outside_requests) == ([], [])


def test_interrupt_ends_the_cell_and_a_button_cancels_its_tasks(lab, tmp_path):
    with vscode_output(lab, "vscode-dark") as vscode:
        assert vscode.run(SETUP) == "ok"
        vscode.start(AWAITS.format(str(tmp_path / "trained")))
        vscode.frame.get_by_text("0 of 3 refs done").first.wait_for()
        vscode.interrupt()
        assert vscode.wait(10) == "error"
        vscode.frame.get_by_role("button", name="Cancel them").click()
        vscode.frame.get_by_text(re.compile("No Ray task of this cell")).wait_for()
        assert (vscode.errors, lab.outside_requests) == ([], [])
