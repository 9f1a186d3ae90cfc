"""Benchmark of what a user waits for first: `%load_ext`, and a display's first frame.

A real kernel, which has imported Ray, in a real JupyterLab. As in `display`, the awaits
are recorded in the tracker directly, without Ray. When the display's first row is in
the page, two animation frames are requested; the frame with that row has been painted
when the second one begins.
"""

from __future__ import annotations

import os
import statistics
from pathlib import Path
from typing import TYPE_CHECKING

from harness import rays
from harness.browser import open_browser
from harness.lab import running_server
from harness.notebooks import write_notebook

if TYPE_CHECKING:
    from harness.browser import Lab

_NOTEBOOKS = 5
_DISPLAYS = 3

_LOAD = """
import time
import ray
began = time.perf_counter()
get_ipython().run_line_magic("load_ext", "ray_jupyter_async")
print("RESULT", 1e3 * (time.perf_counter() - began))
"""

# The wait's time counts on the wall clock, as the page's does.
_WAIT = """
import time
from ray_jupyter_async._awaiting.events import AwaitEvent, Outcome, origin
from ray_jupyter_async._notebook import extension

record, cell = extension._loaded.tracker.record, origin.get()
key = time.time_ns().to_bytes(28, "little")
due = time.time() + extension._loaded.config.progress_delay
record([AwaitEvent("awaited", key, cell, time.monotonic())])
time.sleep(2)
record([AwaitEvent("settled", key, cell, time.monotonic(), Outcome.RESOLVED)])
print("RESULT", 1e3 * due)
"""

_WATCH = """
window.painted = [];
const seen = new Set();
new MutationObserver(() => {
  for (const row of document.querySelectorAll(".rja-row")) {
    const display = row.closest(".rja-progress");
    if (seen.has(display)) continue;
    seen.add(display);
    const note = () => painted.push(performance.timeOrigin + performance.now());
    requestAnimationFrame(() => requestAnimationFrame(note));
  }
}).observe(document, { childList: true, subtree: true });
"""


def first_display_table() -> str:
    """Measure loading and first frames; return Markdown."""
    # As it is after an installation; the first notebook, which compiles, is
    # not counted.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with (
        rays.short_folder() as folder,
        running_server(folder) as server,
        open_browser(server, Path(__file__).parent) as lab,
    ):
        found = [_measured(lab) for _ in range(_NOTEBOOKS + 1)][1:]
    loads = [load for load, _ in found]
    firsts = [frames[0] for _, frames in found]
    later = [frame for _, frames in found for frame in frames[1:]]
    return "\n".join(
        [
            "## Until a display is seen",
            "",
            f"Medians of {_NOTEBOOKS} pages of JupyterLab, and the longest.",
            "",
            "| | ms | longest |",
            "| --- | ---: | ---: |",
            _row("`%load_ext`, where Ray is imported", loads),
            _row("from the delay's end to the first frame, a page's first", firsts),
            _row("the same, later displays of the page", later),
            "",
        ]
    )


def _row(name: str, took: list[float]) -> str:
    return f"| {name} | {statistics.median(took):.0f} | {max(took):.0f} |"


def _measured(lab: Lab) -> tuple[float, list[float]]:
    """Return the milliseconds of loading, and of each display's first frame."""
    write_notebook(lab.root / "first.ipynb", _LOAD, *[_WAIT] * _DISPLAYS)
    notebook = lab.open("first.ipynb")
    notebook.page.evaluate(_WATCH)
    notebook.run_all()
    load, *due = [
        float(notebook.outputs(index).inner_text().split("RESULT ")[1].split()[0])
        for index in range(_DISPLAYS + 1)
    ]
    painted: list[float] = notebook.page.evaluate("window.painted")
    assert len(painted) == _DISPLAYS, "each cell shows one display"
    notebook.page.context.close()
    lab.server.end_kernels()
    return load, [at - then for at, then in zip(painted, due, strict=True)]


if __name__ == "__main__":
    rays.set_environment()
    print(first_display_table())
