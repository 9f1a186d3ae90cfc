"""What a load imports, and when the rest follows."""

from __future__ import annotations

from harness.rays import RAY_INIT

NAMES = """
import sys
def imported():
    return sorted({"ipywidgets", "anywidget", "rich"} & set(sys.modules))
"""


def test_a_load_imports_no_widgets(kernel):
    kernel.ok(NAMES + "import ray\nbefore = imported()")
    kernel.ok("%load_ext ray_jupyter_async")
    # Ray itself may import ipywidgets.
    assert kernel.ok("imported() == before").value == "True"
    assert kernel.ok("'anywidget' in imported()").value == "False"


def test_widgets_are_imported_while_a_cell_begins_to_wait(fresh_kernel):
    fresh_kernel.ok(NAMES + "%load_ext ray_jupyter_async\nimport asyncio")
    # Nothing shows: the delay is far longer than this cell.
    fresh_kernel.ok("%config RayAsync.progress_delay = 1000.0\n" + RAY_INIT)
    fresh_kernel.ok("@ray.remote(num_cpus=0)\ndef hold():\n    while True: pass")
    waits = fresh_kernel.ok(
        "ref = hold.remote()\n"
        "awaited = asyncio.ensure_future(asyncio.wait([asyncio.ensure_future(ref)]))\n"
        "while 'anywidget' not in imported(): await asyncio.sleep(0.05)\n"
        "awaited.cancel();"
    )
    assert waits.outputs == []
    fresh_kernel.ok("ray.cancel(ref, force=True)")
