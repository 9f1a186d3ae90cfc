"""Show the display in front ends that the tests do not run: `make front-ends`.

Each runs for real, with its own server and kernel, in a headless Chromium. Pictures go
to ``docs/images/front_ends``; what docs/front_ends.md says of a front end is checked
here, and an error ends the run. VS Code's widget manager has tests of its own
(tests/test_front_ends.py); its picture is made here.

Usage: ``PYTHONPATH=tests python docs/front_ends.py [NAME...]``
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image
from playwright.sync_api import sync_playwright

from harness import rays
from harness.browser import chromium_path, open_browser
from harness.lab import running_server
from harness.notebooks import write_notebook
from harness.polling import poll
from harness.terminal import running_program
from harness.vscode import vscode_output

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Page

IMAGES = Path(__file__).parent / "images" / "front_ends"

RAY = f"""
{rays.init_source(num_cpus=4)}
import asyncio, time

@ray.remote
def train(number):
    # Python code in small steps, which a cancel can end.
    for _ in range(30 * (number % 4) + 60):
        time.sleep(0.01)
    if number == 7:
        raise ValueError("no data for 7")
    return number
"""
SETUP = f"%load_ext ray_jupyter_async\n{RAY}"
AWAITS = """\
refs = [train.remote(number) for number in range(24)]
values = await asyncio.gather(*refs, return_exceptions=True)
"""
SHOWS = """\
from ray_jupyter_async import progress
refs = [train.remote(number) for number in range(40)]
progress(refs)
"""
MARIMO = """
import marimo
app = marimo.App()

@app.cell
def _():
    import ray_jupyter_async as rja
    rja.patch()
{setup}
    return asyncio, rja, train

@app.cell
def _(rja, train):
    refs = [train.remote(number) for number in range(40)]
    rja.progress(refs)
    return (refs,)

@app.cell
async def _(asyncio, refs):
    values = await asyncio.gather(*refs, return_exceptions=True)
    return

if __name__ == "__main__":
    app.run()
"""
#: Cells run when the page opens.
MARIMO_SETTINGS = """
[tool.marimo.runtime]
auto_instantiate = true
"""
#: Where there is no cell.
MARIMO_SCRIPT = """
import marimo
import ray_jupyter_async
ray_jupyter_async.progress([])
"""
HALF = re.compile(r"\b1\d of (24|40) refs done")


@contextlib.contextmanager
def serving(folder: Path, *command: str) -> Iterator[str]:
    """Run a server, and give its address once it accepts connections."""
    port = rays.free_port()
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", *command, f"--port={port}"],
            cwd=folder,
            env=rays.process_environment(folder),
            stdout=log,
            stderr=log,
        )
    try:
        poll(lambda: listens(port), 60, what=f"{command[0]} to listen")
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.terminate()
        server.wait(30)


def listens(port: int) -> bool:
    """Whether a server accepts connections."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def page_at(url: str) -> Iterator[Page]:
    """Open a page in an empty browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium_path(), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 900, "height": 460})
        page.set_default_timeout(120_000)
        page.goto(url)
        yield page
        browser.close()


def keep(page: Page, name: str, **options: Any) -> None:
    """Write a picture of what the page shows, with options of `Page.screenshot`."""
    image = Image.open(BytesIO(page.screenshot(**options)))
    IMAGES.mkdir(parents=True, exist_ok=True)
    image.convert("RGB").save(IMAGES / f"{name}.webp", quality=80)


def voila(folder: Path) -> None:
    """Run a page of Voila: a cell that has ended, and one whose tasks run."""
    write_notebook(folder / "page.ipynb", SETUP, AWAITS, SHOWS)
    command = ("voila", "page.ipynb", "--no-browser")
    with serving(folder, *command) as url, page_at(url) as page:
        page.locator(".rja-progress").get_by_text(HALF).wait_for()
        page.get_by_text("23/24").wait_for()  # static
        keep(page, "voila")
        page.get_by_role("button", name="Cancel all").click()
        page.get_by_text(re.compile("cancelled")).first.wait_for()


def nbclassic(folder: Path) -> None:
    """Run a cell in the classic notebook of nbclassic."""
    write_notebook(folder / "cells.ipynb", SETUP, AWAITS)
    options = ("--no-browser", "--allow-root", "--IdentityProvider.token=")
    command = ("jupyter", "nbclassic", *options)
    path = "nbclassic/notebooks/cells.ipynb"
    with serving(folder, *command) as url, page_at(f"{url}{path}") as page:
        page.wait_for_function("window.Jupyter?.notebook?.kernel?.is_connected()")
        page.evaluate("Jupyter.notebook.execute_all_cells()")
        page.locator(".rja-progress").get_by_text(HALF).wait_for()
        page.locator(".rja-progress").scroll_into_view_if_needed()
        keep(page, "nbclassic")
        page.locator("table").get_by_text("23/24").wait_for()
        page.evaluate("Jupyter.notebook.execute_cells([1])")
        page.locator(".rja-progress").get_by_text(HALF).wait_for()
        page.evaluate("Jupyter.notebook.kernel.interrupt()")
        page.get_by_role("button", name="Cancel them").click()
        page.get_by_text(re.compile("No Ray task of this cell")).wait_for()


def marimo(folder: Path) -> None:
    """Show and interrupt a display in marimo's editor, and show one in its app."""
    setup = "\n".join(f"    {line}" for line in RAY.splitlines())
    (folder / "cells.py").write_text(MARIMO.replace("{setup}", setup))
    (folder / "pyproject.toml").write_text(MARIMO_SETTINGS)
    options = ("cells.py", "--headless", "--no-token")
    with serving(folder, "marimo", "edit", *options) as url, page_at(url) as page:
        page.set_viewport_size({"width": 900, "height": 760})
        display = page.locator(".rja-progress")
        display.get_by_text(HALF).wait_for()
        # Without the first cell.
        code = page.locator(".cm-content").nth(1)
        top = code.evaluate("e => e.getBoundingClientRect().top")
        below = {"x": 90, "y": top - 15, "width": 727, "height": 235}
        keep(page, "marimo", clip=below)
        # It ends the cell that awaits; the display is live in the one above.
        page.get_by_test_id("interrupt-button").click()
        page.get_by_text("This cell was interrupted").wait_for()
        display.get_by_text(re.compile("running")).wait_for()
        display.get_by_role("button", name="Cancel all").click()
        display.get_by_text(re.compile(r"\d+ cancelled$")).first.wait_for()
        # A new run of the cell has a new display, and the cell below it awaits.
        page.locator(".cm-content").nth(1).click()
        page.keyboard.press("Control+Enter")
        display.get_by_text("39 of 40 refs done, 1 failed").first.wait_for()
        assert display.count() == 1
        display.locator(".rja-toggle").click()
        display.get_by_role("tab", name="Errors").click()
        display.get_by_text("no data for 7").first.wait_for()
    with serving(folder, "marimo", "run", *options) as url, page_at(url) as page:
        display = page.locator(".rja-progress")
        display.get_by_text(HALF).wait_for()
        display.get_by_text("39 of 40 refs done, 1 failed").first.wait_for()
    script = [sys.executable, "-c", MARIMO_SCRIPT]
    ended = subprocess.run(script, capture_output=True, text=True, check=False)
    assert "under a running cell of a marimo notebook" in ended.stderr, ended.stderr


def console(folder: Path) -> None:
    """Await refs in Jupyter Console, which shows text of a kernel and no widgets."""
    (folder / "setup.py").write_text(RAY)
    command = [sys.executable, "-m", "jupyter_console"]
    with running_program(command, folder) as terminal:
        terminal.wait_for(r"In \[", 60)
        terminal.type("%load_ext ray_jupyter_async\r")
        terminal.wait_to_see(r"In \[2\]", 60)
        terminal.type("%run setup.py\r")
        terminal.wait_to_see(r"In \[3\]", 60)
        terminal.type(f"{'; '.join(AWAITS.splitlines())}\r")
        # The first state with its time: the console does not draw updates.
        terminal.wait_to_see(r"^train +\d+/24", 60)
        terminal.wait_to_see(r"^as of .* not yet complete", 60)
        terminal.wait_to_see(r"In \[4\]", 60)


def vscode(folder: Path) -> None:
    """Show VS Code's widget manager; see tests/test_front_ends.py."""
    with (
        running_server(folder) as server,
        open_browser(server, folder) as lab,
        vscode_output(lab, "vscode-dark") as output,
    ):
        page = output.notebook.page
        page.set_viewport_size({"width": 900, "height": 460})
        assert output.run(SETUP) == "ok"
        output.start(AWAITS)
        output.frame.locator(".rja-progress").get_by_text(HALF).wait_for()
        output.frame.locator(".rja-toggle").click()
        output.frame.get_by_role("tab", name="Refs").click()
        output.frame.get_by_role("row").filter(has_text="failed").first.wait_for()
        keep(page, "vscode")


FRONT_ENDS: dict[str, Callable[[Path], None]] = {
    "voila": voila,
    "nbclassic": nbclassic,
    "marimo": marimo,
    "jupyter_console": console,
    "vscode": vscode,
}


def main(names: list[str]) -> None:
    """Run the front ends, all by default."""
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)
    for name in names or FRONT_ENDS:
        with rays.short_folder() as folder:
            FRONT_ENDS[name](folder)
        print(name, "" if name == "vscode" else version(name), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
