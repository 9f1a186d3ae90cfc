"""Cells that are run by cells, and pages that send while a cell runs."""

from __future__ import annotations

import pytest

from harness.progress_cells import SETUP, gated, prepared, wait_for_widget

INSIDE = """
from ray_jupyter_async._awaiting.events import origin
from ray_jupyter_async._notebook import extension

shell = get_ipython()
loaded = extension._loaded

def names(cell):
    progress = loaded.tracker.read_cell(cell)
    return [] if progress is None else [line.name for line in progress.lines]

def numbered(cell):
    return loaded.interrupted.number_of(cell)
"""


@pytest.fixture(scope="module")
def ready(kernel):
    prepared(kernel, SETUP)
    kernel.ok("%matplotlib inline\nimport matplotlib.pyplot as plt")
    kernel.ok(INSIDE)
    return kernel


@pytest.fixture
def cells(ready):
    with gated(ready) as kernel:
        yield kernel


@pytest.mark.parametrize("code", ["''", "'  \\n'", "'1'", "'1 +'", "'%%time\\n1'"])
def test_outer_cell_stays_the_one_that_runs(cells, code):
    result = cells.ok(
        "outer = origin.get()\n"
        f"shell.run_cell({code})\n"
        "ref = hold.options(name='submitted').remote('/')\n"
        "print(origin.get() == outer, loaded._cells.current().id == outer)\n"
        "ray.get(ref)\n"
        "print(names(outer))"
    )
    assert result.stdout.splitlines()[-2:] == ["True True", "['submitted']"]
    assert cells.ok("len(loaded._cells._running)").value == "1"


def test_inner_cell_has_its_own_record(cells):
    result = cells.ok(
        "outer = origin.get()\n"
        "code = '''inner = origin.get()\n"
        "ray.get(hold.options(name='in').remote('/'))'''\n"
        "_ = shell.run_cell(code)\n"
        "ray.get(hold.options(name='out').remote('/'))\n"
        "print(names(outer), names(inner), numbered(inner) - numbered(outer))"
    )
    assert result.stdout == "['out'] ['in'] 0\n"


def test_async_cell_run_by_a_cell_ends_with_it(cells):
    cells.ok(
        "code = '1'\n"
        "_ = await shell.run_cell_async(code, transformed_cell=code)\n"
        "print(origin.get())"
    )
    assert cells.ok(
        "[len(runs) for runs in loaded._cells._running.values()]"
    ).value == ("[1]")


def test_stop_in_an_inner_cell_is_not_the_outer_ones(cells):
    result = cells.submit(
        "outer = origin.get()\n"
        "_ = shell.run_cell('inner = origin.get(); print(\"begun\"); time.sleep(60)')\n"
        "print('went on', loaded.interrupts.interrupted)\n"
        "print(loaded.interrupted.last == inner)"
    )
    cells.poll(lambda: "begun" in result.stdout, of=result)
    cells.interrupt()
    cells.wait(result, 20)
    assert result.stdout.splitlines()[-2:] == ["went on False", "True"]
    assert cells.ok("loaded.interrupted.last == inner").value == "True"


def test_inner_cell_leaves_the_outer_one_interrupted(cells):
    result = cells.submit(
        "try:\n"
        "    print('begun'); time.sleep(60)\n"
        "except KeyboardInterrupt:\n"
        "    outer = origin.get()\n"
        "_ = shell.run_cell('inside = loaded.interrupts.interrupted')\n"
        "print(inside, loaded.interrupts.interrupted)"
    )
    cells.poll(lambda: "begun" in result.stdout, of=result)
    cells.interrupt()
    cells.wait(result, 20)
    assert result.stdout.splitlines()[-1] == "False True"
    assert cells.ok("loaded.interrupted.last == outer").value == "True"


@pytest.mark.kernel_since(
    "7.4", "it reads a page's messages on the main shell after the cell"
)
def test_figure_is_not_shown_by_messages_of_a_page(cells):
    path, touch = cells.gates.new()
    result = cells.submit(
        "figure, axes = plt.subplots(figsize=(1, 1))\n"
        f"await hold.remote({path})\n"
        "print(plt.get_fignums() == [figure.number])\n"
        "axes.set_title('finished');"
    )
    widget = wait_for_widget(cells, pending=1)
    for number in range(3):
        content = {"do": "renew", "request": str(number), "view": "page"}
        cells.send_comm(widget.comm_id, {"method": "custom", "content": content})
    cells.poll(lambda: len(widget.custom) == 3, what="the answers")
    touch()
    cells.wait(result)
    assert result.stdout == "True\n"
    assert sum("image/png" in output.data for output in result.displays) == 1
