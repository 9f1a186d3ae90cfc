"""Helpers for tests of the live display: tasks that wait, and what a cell shows.

The kernel is `harness.kernel.Kernel`; no fixture is here.
"""

from __future__ import annotations

import contextlib
import itertools
from typing import TYPE_CHECKING, Any

from . import rays
from .polling import poll

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from harness.kernel import Kernel
    from harness.results import Comm, Result

#: The MIME type of a widget's view.
WIDGET = "application/vnd.jupyter.widget-view+json"

#: Code after `ray.init`: a task that waits for a file.
HOLD = """
import asyncio, os, time

@ray.remote(num_cpus=0)
def hold(path, value=None):
    while not os.path.exists(path):
        time.sleep(0.01)
    if isinstance(value, Exception):
        raise value
    return value
"""

#: The same, an actor whose method does, and counts of references.
SETUP = f"""{HOLD}
@ray.remote(num_cpus=0)
class Worker:
    def hold(self, path):
        while not os.path.exists(path):
            time.sleep(0.01)

def references(key):
    # Ray's own count of an object, by the hex of its id.
    core = ray._private.worker.global_worker.core_worker
    return core.get_all_reference_counts().get(key, {{}}).get("local", 0)
"""


class Gates:
    """Files for which the kernel's tasks wait."""

    _numbers = itertools.count()

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: list[Path] = []

    def new(self) -> tuple[str, Callable[[], None]]:
        """Return a path as source code, and a function that makes the file."""
        path = self._folder / f"gate-{next(self._numbers)}"
        self._made.append(path)
        return repr(str(path)), path.touch

    def open_all(self) -> None:
        """Make all files, so that no task outlives its test."""
        for path in self._made:
            path.touch()


def prepared(kernel: Kernel, setup: str = SETUP) -> Kernel:
    """Start a Ray in a kernel, load the extension, and run `setup`, with `HOLD`."""
    kernel.ok(f"{rays.RAY_INIT};")
    kernel.ok("%load_ext ray_jupyter_async")
    kernel.ok("from ray_jupyter_async import progress")
    kernel.ok(setup)
    # Workers that are there already, so that no test waits for their start.
    kernel.ok("await asyncio.gather(*[hold.remote('/') for _ in range(3)]);")
    return kernel


@contextlib.contextmanager
def gated(kernel: Any) -> Iterator[Any]:
    """Set `gates` of a prepared kernel; check that it has no open widget, twice."""
    kernel.gates = Gates(kernel.folder)
    assert not shown(kernel)
    yield kernel
    kernel.gates.open_all()
    poll(lambda: not shown(kernel), what="all widgets to be closed")
    kernel.ok("import gc; gc.collect();")


def shown(kernel: Kernel) -> list[Comm]:
    """Return the open progress widgets."""
    return [w for w in kernel.widgets(_model_name="AnyModel") if "state" in w.state]


def wait_for_widget(kernel: Kernel, **counts: int) -> Comm:
    """Wait until one widget is there and its first line has these counts."""

    def look() -> Comm | None:
        open_ones = shown(kernel)
        assert len(open_ones) <= 1
        if not open_ones:
            return None
        line = open_ones[0].state["state"]["lines"][0]
        same = all(line[name] == count for name, count in counts.items())
        return open_ones[0] if same else None

    found = kernel.poll(look, what=f"a progress widget with {counts}")
    assert found is not None  # for mypy
    return found


def lines_of(widget: Comm) -> dict[str, Any]:
    """Return a widget's lines by name."""
    return {line["name"]: line for line in widget.state["state"]["lines"]}


def static(result: Result) -> str:
    """Return the lines of the one static output of a cell, as plain text."""
    (output,) = result.displays
    assert set(output.data) == {"text/plain", "text/html"}
    return output.text.partition("\n\n")[0]
