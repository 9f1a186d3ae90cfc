"""Benchmark of the live display: the kernel's CPU time, and the page's tasks.

A cell of a real kernel in a real JupyterLab feeds the tracker with 100,000 refs at
10,000 changes a second, as the converter would, without Ray. The kernel's figure is the
CPU time, from the first change to the last, of the threads that serve the display
alone: the pump, which also does the tracker's counting, the cluster poller, and
ipykernel's thread that sends. The feed runs on the cell's own thread and is not
counted.

The page's long tasks are taken from the browser's trace.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import rays
from harness.browser import open_browser
from harness.lab import running_server
from harness.notebooks import write_notebook

if TYPE_CHECKING:
    from harness.browser import Lab, NotebookPage

REFS = 100_000
CHANGES_PER_SECOND = 10_000

_LOAD = "%load_ext ray_jupyter_async"

# Each ref begins and ends: two changes.
_FEED = f"""
import json, threading, time
from ray_jupyter_async._awaiting.events import AwaitEvent, Outcome, origin
from ray_jupyter_async._notebook import extension

tracker, cell = extension._loaded.tracker, origin.get()
keys = [number.to_bytes(28, "little") for number in range({REFS})]

def cpu_seconds(*names):
    found = [t for t in threading.enumerate() if t.name in names]
    return sum(time.clock_gettime(time.pthread_getcpuclockid(t.ident)) for t in found)

def feed(kind, keys, **ended):
    chunk, began = {CHANGES_PER_SECOND} // 100, time.monotonic()
    for first in range(0, len(keys), chunk):
        now = time.monotonic()
        part = keys[first : first + chunk]
        tracker.record([AwaitEvent(kind, key, cell, now, **ended) for key in part])
        time.sleep(max(0, began + (first + chunk) / {CHANGES_PER_SECOND} - now))
    return time.monotonic() - began

THREADS = ("ray_jupyter_async pump", "ray_jupyter_async view", "IOPub")
before = cpu_seconds(*THREADS)
took = feed("awaited", keys[:-1])
took += feed("settled", keys[:-1], outcome=Outcome.RESOLVED)
shares = {{"CPU": (cpu_seconds(*THREADS) - before) / took, "seconds": took}}
# One stays, so that the page can be looked at: `origin` is this cell's.
tracker.record([AwaitEvent("awaited", keys[-1], cell, time.monotonic())])
time.sleep(3)
tracker.record(
    [AwaitEvent("settled", keys[-1], cell, time.monotonic(), Outcome.RESOLVED)]
)
print("RESULT", json.dumps(shares))
"""

_HEAD = (
    "| | kernel CPU, % of a core | longest task of the page, ms of CPU "
    "| tasks over 50 ms of CPU |"
)

# Chromium's trace, with the CPU time of each task: its wall-clock time depends on the
# machine's load.
_TRACED = ["disabled-by-default-devtools.timeline", "toplevel"]


def display_table() -> str:
    """Measure closed lines, an open timeline and an open table; return Markdown."""
    rows = []
    with (
        rays.short_folder() as folder,
        running_server(folder) as server,
        open_browser(server, Path(__file__).parent) as lab,
    ):
        for name, tab in (
            ("lines closed", None),
            ("the line's timeline open", "Timeline"),
            ("its table of refs open", "Refs"),
        ):
            rows.append(_row(name, _measured(lab, tab)))
    return "\n".join(
        [
            f"## A live display of {REFS:,} refs, {CHANGES_PER_SECOND:,} changes/s",
            "",
            _HEAD,
            "| --- | ---: | ---: | ---: |",
            *rows,
            "",
        ]
    )


def _row(name: str, figures: dict[str, Any]) -> str:
    tasks = figures["tasks"]
    long = sum(task > 50 for task in tasks)
    return f"| {name} | {100 * figures['CPU']:.1f} | {max(tasks):.0f} | {long} |"


def _tasks(trace: bytes) -> list[float]:
    """Return the CPU time of each task of the page's main thread, in milliseconds."""
    events = json.loads(trace)["traceEvents"]
    main = {
        (event["pid"], event["tid"])
        for event in events
        if event["name"] == "thread_name" and event["args"]["name"] == "CrRendererMain"
    }
    return [
        event["tdur"] / 1000
        for event in events
        # Events of similar names are parts of it.
        if event["name"] == "RunTask"
        and "tdur" in event
        and (event["pid"], event["tid"]) in main
    ]


def _measured(lab: Lab, tab: str | None) -> dict[str, Any]:
    write_notebook(lab.root / "display.ipynb", _LOAD, _FEED)
    notebook = lab.open("display.ipynb")
    notebook.start_all()
    widget = notebook.page.locator(".rja-progress")
    widget.wait_for(timeout=60_000)
    if tab is not None:
        widget.locator(".rja-toggle").click()
        widget.get_by_role("tab", name=tab).click()
    # Earlier tasks belong to the front end's start.
    notebook.page.wait_for_timeout(1_000)
    browser = notebook.page.context.browser
    assert browser is not None
    browser.start_tracing(page=notebook.page, categories=_TRACED)
    _wait_for_all(notebook)
    figures: dict[str, Any] = {"tasks": _tasks(browser.stop_tracing())}
    if tab is not None:
        widget.locator(".rja-toggle").click()
    notebook.wait_all()
    output = notebook.outputs(1).inner_text()
    figures.update(json.loads(output.split("RESULT ")[1].splitlines()[0]))
    # Its tasks must not count for the next measurement.
    notebook.page.context.close()
    lab.server.end_kernels()
    return figures


def _wait_for_all(notebook: NotebookPage) -> None:
    """Wait until all refs but the last have settled."""
    notebook.page.wait_for_function(
        f"document.querySelector('.rja-row').dataset.resolved === '{REFS - 1}'",
        timeout=120_000,
    )


if __name__ == "__main__":
    rays.set_environment()
    print(display_table())
