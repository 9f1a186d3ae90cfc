"""Make the pictures of README and docs, from a real JupyterLab: `make pictures`.

Each picture is made twice, for light and dark pages, at twice the size in which it is
shown. What they show happens on a real Ray; nothing is drawn or edited.

Usage: ``PYTHONPATH=tests python docs/pictures.py [NAME...]``
"""

from __future__ import annotations

import re
import sys
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from harness import rays
from harness.browser import open_browser
from harness.lab import running_server
from harness.notebooks import write_notebook

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Locator

    from harness.browser import Lab, NotebookPage

IMAGES = Path(__file__).parent / "images"

#: What the display of `PIPELINE` says when its bars are half full.
HALF = re.compile(r"3[0-4] of 48 refs done")

STOP = '[data-command="notebook:interrupt-kernel"]:visible'

SETUP = f"""
%load_ext ray_jupyter_async
{rays.init_source(num_cpus=4)}
import asyncio, time

def work(seconds):
    # Python code in small steps, which a cancel can end.
    for _ in range(int(seconds * 100)):
        time.sleep(0.01)

@ray.remote
def load(day):
    work(0.5 + day % 4 / 10)
    return day

@ray.remote
def train(data):
    work(2 + data % 5 / 2)
    return data

@ray.remote
def evaluate(model):
    work(0.6)
    return model

@ray.remote
def parse(page):
    work(0.2)
    if page == 7:
        raise ValueError("page 7 has no title")
    return page

@ray.remote(num_cpus=64)
def simulate():
    return 1
"""

PIPELINE = """\
data = [load.remote(day) for day in range(16)]
models = [train.remote(day) for day in data]
scores = [evaluate.remote(model) for model in models]

await asyncio.gather(*data, *models, *scores);"""


def stopped(notebook: NotebookPage) -> Locator:
    """Show a cell that was stopped half way, whose tasks run on."""
    output = notebook.outputs(1)
    notebook.poll(lambda: HALF.search(output.inner_text()), 120, what="half-full bars")
    notebook.page.locator(STOP).first.click()
    cell = notebook.cell(1)
    cell.get_by_role("button", name="Cancel them").wait_for()
    prompt = cell.locator(".jp-InputPrompt")
    notebook.poll(lambda: "[*]" not in prompt.inner_text(), what="the cell's end")
    return cell


def running(notebook: NotebookPage) -> Locator:
    """Show a line that is open, with its timeline."""
    output = notebook.outputs(1)
    notebook.poll(lambda: "train" in output.inner_text(), 120, what="the display")
    output.locator(".rja-toggle").nth(1).click()
    notebook.poll(lambda: HALF.search(output.inner_text()), 120, what="half-full bars")
    return output


def listed(notebook: NotebookPage) -> Locator:
    """Show a line that is open, with the table of its refs."""
    output = notebook.outputs(1)
    notebook.poll(lambda: "train" in output.inner_text(), 120, what="the display")
    output.locator(".rja-toggle").nth(1).click()
    output.get_by_role("tab", name="Refs").click()
    notebook.poll(lambda: HALF.search(output.inner_text()), 120, what="half-full bars")
    return output


def printed(notebook: NotebookPage) -> Locator:
    """Show what %ray_refs prints while tasks run."""
    notebook.wait_all(120)
    return notebook.cell(1)


def failed(notebook: NotebookPage) -> Locator:
    """Show one failed task among many, with its traceback, while others run."""
    output = notebook.outputs(1)
    notebook.poll(lambda: "1 failed" in output.inner_text(), 120, what="an error")
    output.locator(".rja-toggle").first.click()
    output.get_by_role("tab", name="Errors").click()
    notebook.poll(lambda: "has no title" in output.inner_text(), what="its message")
    done = re.compile(r"[4-9]\d of 200")
    notebook.poll(lambda: done.search(output.inner_text()), 60, what="half a bar")
    return output


def waiting(notebook: NotebookPage) -> Locator:
    """Show a task that no node can run beside others that wait for a CPU."""
    output = notebook.outputs(1)
    notebook.poll(lambda: "64" in output.inner_text(), 120, what="the reason")
    return output


def saved(notebook: NotebookPage) -> Locator:
    """Show what the notebook keeps."""
    notebook.wait_all(120)
    output = notebook.outputs(1)
    notebook.poll(lambda: output.locator(".rja-static").count() == 1, what="its end")
    return output


#: By picture: the cell that is run, and what is shown of the page.
PICTURES: dict[str, tuple[str, Callable[[NotebookPage], Locator]]] = {
    "cell": (PIPELINE, stopped),
    "timeline": (PIPELINE, running),
    "errors": (
        """\
pages = [parse.remote(page) for page in range(200)]
await asyncio.gather(*pages, return_exceptions=True);""",
        failed,
    ),
    "waiting": (
        """\
models = [train.remote(day) for day in range(12)]
await asyncio.gather(simulate.remote(), *models)""",
        waiting,
    ),
    "saved": (PIPELINE, saved),
    "refs": (PIPELINE, listed),
    "ray_refs": (
        """\
models = [train.remote(day) for day in range(12)]
ray.wait(models, num_returns=4)
%ray_refs""",
        printed,
    ),
}


def save(shown: Locator, path: Path) -> None:
    """Save a picture with no more colours than it needs."""
    picture = Image.open(BytesIO(shown.screenshot())).convert("RGB")
    picture.quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)


def take(lab: Lab, name: str, theme: str) -> None:
    """Make one picture."""
    cell, show = PICTURES[name]
    path = write_notebook(lab.root / f"{name}-{theme}.ipynb", SETUP, cell)
    notebook = lab.open(path.name, theme=theme, width=1000, height=1400, scale=2)
    notebook.command("application:toggle-left-area")
    notebook.start_all()
    save(show(notebook), IMAGES / f"{name}-{theme}.png")


def main(names: list[str]) -> None:
    """Make the pictures of these names, or all."""
    rays.set_environment()
    IMAGES.mkdir(exist_ok=True)
    for name in names or PICTURES:
        for theme in ("light", "dark"):
            with rays.short_folder() as folder, running_server(folder) as server:
                with open_browser(server, folder) as lab:
                    take(lab, name, theme)
                server.end_kernels()
            print(f"{name}-{theme}.png", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
