"""The tracker in real cells: cells that block, and what outlives its cell."""

from __future__ import annotations

import pytest

from harness import rays

SETUP = """
import asyncio, os, threading, time, gc

@ray.remote(num_cpus=0)
def hold(path, value=None):
    while not os.path.exists(path):
        time.sleep(0.01)
    if isinstance(value, Exception):
        raise value
    return value

@ray.remote(num_cpus=0)
def fails(n):
    raise KeyError(n)

def lines():
    from ray_jupyter_async.notebook import extension
    progress = extension._loaded.tracker.snapshot()
    return {line.name: line for line in progress.totals}
"""


@pytest.fixture(scope="module")
def cells(kernel):
    kernel.ok(f"{rays.RAY_INIT};")
    kernel.ok("%load_ext ray_jupyter_async")
    kernel.ok("from ray_jupyter_async import progress")
    kernel.ok(SETUP)
    kernel.ok("await asyncio.gather(*[hold.remote('/') for _ in range(3)]);")
    return kernel


def shown(kernel):
    return [w for w in kernel.widgets(_model_name="AnyModel") if "state" in w.state]


def shown_line(kernel, name, **counts):
    def look():
        for widget in shown(kernel):
            for line in widget.state["state"]["lines"]:
                if line["name"] == name and all(
                    line[key] == count for key, count in counts.items()
                ):
                    return line
        return None

    return kernel.poll(look, 20, what=f"a line {name} with {counts}")


def static(result):
    (output,) = result.displays
    return output.text


@pytest.mark.parametrize(
    "call",
    [
        "ray.get(refs)",
        "ray.get(refs[0])",
        "ray.wait(refs, num_returns=3)",
        "ray.get(refs, timeout=60)",
        "from ray.util import ActorPool; list(map(ray.get, refs))",
    ],
)
def test_a_cell_that_blocks_shows_what_it_waits_for(cells, tmp_path, call):
    path = tmp_path / "end"
    result = cells.submit(
        f"refs = [hold.options(name='held').remote({str(path)!r}) for _ in range(3)]\n"
        f"_ = {call}"
        if not call.startswith("from")
        else f"refs = [hold.options(name='held').remote({str(path)!r}) for _ in range(3)]\n"
        f"{call}"
    )
    shown_line(cells, "held", total=3, pending=3)
    path.touch()
    cells.wait(result)
    text = static(result)
    assert text.startswith("held  3/3")
