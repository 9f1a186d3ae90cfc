"""Make the moving picture of README from a real JupyterLab: `make pictures`.

A cell starts, its bars fill, Stop is pressed, and a click on the button of Stop's
message cancels the tasks. Each frame is a screenshot, shown for as long as the page
looked like this. Only the circle at the pointer is added: screenshots have none.

Usage: ``PYTHONPATH=tests python docs/live_picture.py``
"""

from __future__ import annotations

import itertools
import re
import time
from io import BytesIO
from typing import TYPE_CHECKING

from pictures import IMAGES, PIPELINE, SETUP, STOP
from PIL import Image, ImageChops

from harness import rays
from harness.browser import open_browser
from harness.lab import running_server
from harness.notebooks import write_notebook

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import FloatRect, Locator

    from harness.browser import Lab, NotebookPage

# All workers are there before the cell starts.
WARM_UP = "\nray.get([train.remote(4) for _ in range(4)]);"

#: What the display says when Stop is pressed.
STARTED = re.compile(r"(1[5-9]|2\d) of 48 refs done")

#: CSS pixels of the picture, from the toolbar with the Stop button downwards.
HEIGHT = 420

#: Seconds between frames, and for which the last one is shown.
STEP, LAST = 0.2, 2.5

POINTER = """() => {
    const circle = document.createElement("div");
    circle.style.cssText = "position: fixed; width: 22px; height: 22px; left: -99px;"
        + "margin: -11px; border-radius: 50%; background: rgb(255 152 0 / 45%);"
        + "border: 2px solid rgb(230 81 0); box-sizing: border-box; z-index: 99999;"
        + "pointer-events: none";
    document.body.append(circle);
    document.addEventListener("mousemove", (event) => {
        circle.style.left = event.clientX + "px";
        circle.style.top = event.clientY + "px";
    }, true);
}"""


class Recording:
    """Frames of a cell below the toolbar, with the times at which they were taken."""

    def __init__(self, notebook: NotebookPage, cell: Locator, part: FloatRect) -> None:
        self._notebook = notebook
        self._cell = cell
        self._part = part
        self._frames: list[tuple[float, Image.Image]] = []

    def until(self, done: Callable[[], object], timeout: float = 60) -> None:
        """Take frames until `done` returns something true."""
        end = time.monotonic() + timeout
        while not done():
            assert time.monotonic() < end, "what the picture is to show did not happen"
            self._take()

    def linger(self, seconds: float) -> None:
        """Take frames for some seconds."""
        end = time.monotonic() + seconds
        self.until(lambda: time.monotonic() >= end)

    def click(self, button: Locator) -> None:
        """Move the pointer to a button, let the viewer see it, and click."""
        button.hover()
        self.linger(0.8)
        button.click()

    def save(self, path: str) -> None:
        """Save a moving picture that repeats itself."""
        times: list[float] = []
        frames: list[Image.Image] = []
        for taken, frame in self._frames:
            same = frames and not ImageChops.difference(frame, frames[-1]).getbbox()
            if not same:
                times.append(taken)
                frames.append(frame)
        lengths = [round((b - a) * 1000) for a, b in itertools.pairwise(times)]
        frames[0].save(
            IMAGES / path,
            save_all=True,
            append_images=frames[1:],
            duration=[*lengths, round(LAST * 1000)],
            loop=0,
            lossless=True,
            quality=80,
            method=4,
        )

    def _take(self) -> None:
        # JupyterLab scrolls when outputs appear.
        self._cell.evaluate("cell => cell.scrollIntoView({ block: 'start' })")
        taken = time.monotonic()
        picture = self._notebook.page.screenshot(clip=self._part)
        frame = Image.open(BytesIO(picture)).convert("RGB")
        self._frames.append((taken, frame))
        left = taken + STEP - time.monotonic()
        if left > 0:
            self._notebook.page.wait_for_timeout(left * 1000)


def ended(words: str) -> bool:
    """Whether an output says in all places that the tasks have ended."""
    return "No Ray task of this cell" in words and "cancelling" not in words.lower()


def record(lab: Lab, theme: str) -> None:
    """Make the picture for one theme."""
    path = write_notebook(lab.root / f"live-{theme}.ipynb", SETUP + WARM_UP, PIPELINE)
    notebook = lab.open(path.name, theme=theme, width=1000, height=700, scale=1.5)
    notebook.command("application:toggle-left-area")
    page, cell, output = notebook.page, notebook.cell(1), notebook.outputs(1)
    page.evaluate(POINTER)
    notebook.cell(0).locator(".cm-content").click()
    notebook.command("notebook:run-cell-and-select-next")
    notebook.wait_idle(120)
    bar = page.locator(".jp-NotebookPanel-toolbar:visible").bounding_box()
    assert bar is not None
    part: FloatRect = {**bar, "height": HEIGHT}
    # Not in the picture.
    page.mouse.move(0, 0)
    recording = Recording(notebook, cell, part)
    recording.linger(0.6)
    page.keyboard.press("Control+Enter")
    recording.until(lambda: STARTED.search(output.inner_text()))
    recording.click(page.locator(STOP).first)
    button = cell.get_by_role("button", name="Cancel them")
    recording.until(lambda: button.count() == 1)
    recording.linger(1.5)
    recording.click(button)
    recording.until(lambda: ended(output.inner_text()))
    recording.linger(0.5)
    recording.save(f"live-{theme}.webp")


def main() -> None:
    """Make the picture for light and dark pages."""
    rays.set_environment()
    IMAGES.mkdir(exist_ok=True)
    for theme in ("light", "dark"):
        with rays.short_folder() as folder, running_server(folder) as server:
            with open_browser(server, folder) as lab:
                record(lab, theme)
            server.end_kernels()
        print(f"live-{theme}.webp", flush=True)


if __name__ == "__main__":
    main()
