"""Make the picture of a terminal: `make pictures`.

A real IPython runs in a pseudo-terminal; what its screen shows is drawn by Chromium.

Usage: ``PYTHONPATH=tests python docs/terminal_picture.py``
"""

from __future__ import annotations

import html
import sys
from pathlib import Path

from pictures import SETUP
from playwright.sync_api import sync_playwright

from harness import rays
from harness.browser import chromium_path
from harness.terminal import Run, running_program

IMAGE = Path(__file__).parent / "images" / "terminal.png"

CELLS = (
    "%run tasks.ipy",
    # All workers are there before the cell starts.
    "ray.get([evaluate.remote(4) for _ in range(4)]);",
    "%clear",
    "data = [load.remote(day) for day in range(16)]",
    "rows = [parse.remote(day) for day in data]",
    "models = [train.remote(day) for day in data]",
    "await asyncio.gather(*data, *rows, *models, return_exceptions=True);",
)

# What pyte calls the colours of a terminal, in a dark scheme.
COLOURS = {
    "default": "#d4d4d4",
    "black": "#767676",
    "red": "#f28b82",
    "green": "#81c995",
    "brown": "#fdd663",
    "blue": "#8ab4f8",
    "magenta": "#d7aefb",
    "cyan": "#78d9ec",
    "white": "#ffffff",
}
PAGE = """<style>
.cell {{ display: inline-block; width: 1ch; font-style: normal }}
</style><body style="margin: 0; background: #1e1e1e"><pre style="margin: 0;
padding: 14px 18px; display: inline-block; font: 13px/19px monospace">{}</pre></body>"""


def drawn(run: Run) -> str:
    """Return one run of equal characters in HTML."""
    name = run.colour.removeprefix("bright")
    colour = COLOURS.get(name, f"#{name}")
    weight = "bold" if run.bold else "normal"
    # A browser takes bars and signs from other fonts, with widths of their own.
    text = "".join(
        html.escape(sign) if sign.isascii() else f'<i class="cell">{sign}</i>'
        for sign in run.text
    )
    return f'<span style="color: {colour}; font-weight: {weight}">{text}</span>'


def main() -> None:
    """Run the cells, and draw the screen when the bars are half full."""
    with rays.short_folder() as folder:
        (folder / "tasks.ipy").write_text(SETUP)
        command = [sys.executable, "-m", "IPython", "--no-banner", "--no-tip"]
        command += ["--no-confirm-exit", "--HistoryManager.enabled=False"]
        with running_program(command, folder, {"IPYTHONDIR": str(folder)}) as terminal:
            for number, cell in enumerate(CELLS, 1):
                terminal.wait_to_see(rf"In \[{number}\]:", 60)
                terminal.type(f"{cell}\r")
            terminal.wait_to_see(r"train .* [4-7]/16", 60)
            lines = terminal.styled_screen
        shown = "\n".join("".join(map(drawn, line)) for line in lines)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=chromium_path(), args=["--no-sandbox"]
            )
            page = browser.new_page(device_scale_factor=2)
            page.set_content(PAGE.format(shown))
            page.locator("pre").screenshot(path=IMAGE)
            browser.close()


if __name__ == "__main__":
    main()
