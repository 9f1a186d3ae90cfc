"""The tracker in real cells: cells that block, and what outlives its cell."""

from __future__ import annotations

import pytest

from harness.progress_cells import HOLD, prepared, shown
from ray_jupyter_async._ray_api.objects import HAS_ON_READY

SETUP = f"""{HOLD}
import gc, inspect, threading
from ray_jupyter_async._display.cell_names import with_cell_names

@ray.remote(num_cpus=0)
def fails(n):
    raise KeyError(n)

@ray.remote(num_cpus=0)
class Napper:
    def nap(self):
        time.sleep(0.15)

napper = Napper.remote()

def lines():
    from ray_jupyter_async._notebook import extension
    progress = extension._loaded.tracker.snapshot()
    return {{line.name: line for line in progress.totals}}

def tracebacks(name):
    return [with_cell_names(group.short) for group in lines()[name].errors]
"""


@pytest.fixture(scope="module")
def cells(kernel):
    return prepared(kernel, SETUP)


def shown_line(kernel, name, **counts):
    def look():
        for widget in shown(kernel):
            for line in widget.state["state"]["lines"]:
                if line["name"] == name and all(
                    line[key] == count for key, count in counts.items()
                ):
                    return line
        return None

    return kernel.poll(look, what=f"a line {name} with {counts}")


def static(result):
    (output,) = result.displays
    return output.text


@pytest.mark.parametrize(
    "call",
    [
        "ray.get(refs)",
        "ray.get(refs[0], timeout=60)",
        "ray.get(timeout=60, object_refs=refs)",
        "ray.wait(refs, num_returns=3)",
        "ray.wait(ray_waitables=refs, num_returns=3)",
        "[ref.future().result(60) for ref in refs]",
        "[ray.get(ref) for ref in refs]",
    ],
)
def test_blocking_cell_shows_what_it_waits_for(cells, tmp_path, call):
    path = tmp_path / "end"
    task = f"hold.options(name='held').remote({str(path)!r})"
    result = cells.submit(f"refs = [{task} for _ in range(3)]\n{call};")
    shown_line(cells, "held", total=3, pending=3)
    path.touch()
    cells.wait(result)
    # The call may have waited for one of them alone; the others follow.
    cells.poll(lambda: static(result).startswith("held  3/3"), of=result)


@pytest.mark.parametrize("wait", ["await asyncio.gather(*refs)", "ray.get(refs);"])
def test_cell_that_loads_shows_progress(cells, tmp_path, wait):
    path = tmp_path / "end"
    cells.ok("%unload_ext ray_jupyter_async")
    task = f"hold.options(name='loading').remote({str(path)!r})"
    result = cells.submit(
        f"%load_ext ray_jupyter_async\nrefs = [{task} for _ in range(3)]\n{wait}"
    )
    shown_line(cells, "loading", total=3, pending=3)
    path.touch()
    cells.wait(result)
    assert static(result).startswith("loading  3/3")
    # The cell has ended, for the extension, too.
    assert cells.ok("await asyncio.sleep(0)").status == "ok"
    current = "from ray_jupyter_async._notebook import extension as e\n"
    assert cells.ok(f"{current}print(e._loaded._cells.nested)").stdout == "False\n"


@pytest.mark.parametrize(
    "loop",
    [
        pytest.param(
            "while refs:\n    _, refs = ray.wait(refs, num_returns=1)",
            marks=pytest.mark.skipif(
                not HAS_ON_READY,
                reason="oldest Ray: refs are polled, and one may be dropped before",
            ),
        ),
        "while refs:\n    done, refs = ray.wait(refs)\n    ray.get(done)",
        "for ref in refs:\n    ray.get(ref)",
    ],
    ids=["wait", "wait and get", "get"],
)
def test_loop_of_short_calls_shows_progress(cells, loop):
    result = cells.ok(f"refs = [napper.nap.remote() for _ in range(12)]\n{loop}")
    assert static(result).startswith("Napper.nap  12/12")


def test_error_of_ray_get_shows_the_cells_lines(cells, tmp_path):
    path = tmp_path / "end"
    result = cells.submit(
        "@ray.remote(num_cpus=0)\n"
        "def divide(path):\n"
        "    while not os.path.exists(path):\n"
        "        time.sleep(0.01)\n"
        "    return 1 / 0  # in a cell\n"
        f"ray.get(divide.remote({str(path)!r}))"
    )
    shown_line(cells, "divide", pending=1)
    path.touch()
    cells.wait(result)
    assert result.status == "error"
    cells.poll(
        lambda: cells.ok("print(*tracebacks('divide'))").stdout.count("in a cell"),
        what="the traceback",
    )
    told = cells.ok("print(*tracebacks('divide'))").stdout
    assert "return 1 / 0  # in a cell" in told
    assert told.rstrip().endswith("ZeroDivisionError: division by zero")


def test_awaited_error_has_its_traceback_at_once(cells):
    cells.ok(
        "refs = [fails.options(name='failing').remote(n % 2) for n in range(4)]\n"
        "_ = await asyncio.gather(*refs, return_exceptions=True)\n"
        "del refs, _"
    )
    told = cells.ok(
        "for e, shown in zip(lines()['failing'].errors, tracebacks('failing')):\n"
        "    print(e.kind, e.message, e.count, 'raise KeyError(n)' in shown)"
    ).stdout
    assert told.splitlines() == ["KeyError 0 2 True", "KeyError 1 2 True"]


def test_shown_cell_follows_tasks_left_behind(cells, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    result = cells.submit(
        f"left = hold.options(name='left').remote({str(second)!r})\n"
        f"await hold.options(name='awaited').remote({str(first)!r})"
    )
    shown_line(cells, "awaited", pending=1)
    first.touch()
    cells.wait(result)
    shown_line(cells, "awaited", resolved=1)
    assert shown_line(cells, "left", pending=1)
    second.touch()
    cells.poll(lambda: not shown(cells), what="the display to end")
    assert "left" in static(result)
    cells.ok("del left")


def test_generator_counts_its_task_and_its_items(cells):
    cells.ok(
        "@ray.remote(num_cpus=0)\n"
        "def items(n):\n"
        "    for i in range(n):\n"
        "        yield i\n"
        "async for item in items.remote(3):\n"
        "    await item\n"
        "del item"
    )

    def counts():
        told = cells.ok(
            "%ray_refs items\n"
            "line = lines()['items']\n"
            "print(line.total, line.done, line.failed, line.pending)"
        )
        return told.stdout.splitlines()[-1]

    cells.poll(lambda: counts() == "4 4 0 0", what="4 refs to be done")


@pytest.mark.kernel_since("7.0", "no output reaches a cell that has ended")
def test_progress_without_refs_shows_all_that_runs(cells, tmp_path):
    path = tmp_path / "end"
    cells.ok(f"a = hold.options(name='early').remote({str(path)!r}); del a")
    result = cells.ok("progress()")
    shown_line(cells, "early", pending=1)
    path.touch()
    cells.poll(lambda: not shown(cells), what="the display to end")
    # Its ref was dropped: only the task's event says that it is a value.
    cells.poll(lambda: "early  1/1" in static(result), what="the outcome")


def test_ray_refs_prints_a_table(cells, tmp_path):
    path = tmp_path / "end"
    cells.ok(
        f"b = hold.options(name='listed').remote({str(path)!r})\n"
        "c = [fails.options(name='broken').remote(7) for _ in range(2)]"
    )
    table = cells.poll(
        lambda: (
            text
            if "2 × KeyError: 7" in (text := cells.ok("%ray_refs listed broken").stdout)
            else None
        ),
        20,
        what="the failures",
    )
    head, listed, broken, total = table.splitlines()[:4]
    assert head.split() == [
        "name",
        "refs",
        "done",
        "running",
        "waiting",
        "failed",
        "cancelled",
        "unknown",
    ]
    assert listed.split()[:3] == ["listed", "1", "-"]
    assert broken.split() == ["broken", "2", "-", "-", "-", "2", "-", "-"]
    assert total.split()[:2] == ["all", "3"]
    path.touch()
    cells.ok("ray.get(b); del b, c")


def test_tracking_pins_nothing(cells):
    cells.ok(
        "core = ray._private.worker.global_worker.core_worker\n"
        "array = ray.put(bytes(40_000_000))\n"
        "made = hold.options(name='big').remote('/', bytes(10_000_000))\n"
        "key = array.hex().encode(), made.hex().encode()\n"
        "await asyncio.gather(array, made)\n"
        "progress([array, made])\n"
        "ray.get([array, made]);\n"
        "ray.wait([array, made], num_returns=2);\n"
        "del array, made"
    )
    cells.poll(
        lambda: (
            cells.ok(
                "gc.collect()\n"
                "left = core.get_all_reference_counts()\n"
                "print(any(k in left for k in key))"
            ).stdout.strip()
            == "False"
        ),
        20,
        what="both objects to be released",
    )


def test_object_store_frees_what_was_tracked(cells, tmp_path):
    def stored():
        return int(cells.ok("print(stored())").stdout)

    cells.ok(
        "import numpy as np\n"
        "from ray._private.internal_api import node_stats\n"
        "def stored():\n"
        "    (node,) = ray.nodes()\n"
        "    at = node['NodeManagerAddress'], node['NodeManagerPort']\n"
        "    return node_stats(*at, False).store_stats.object_store_bytes_used\n"
        "@ray.remote(num_cpus=0)\n"
        "def make(path):\n"
        "    while not os.path.exists(path):\n"
        "        time.sleep(0.01)\n"
        "    return np.ones(10_000_000, np.uint8)"
    )
    # Earlier tests have dropped theirs a moment ago.
    cells.poll(lambda: stored() < 1_000_000, what="an empty store")
    path = tmp_path / "end"
    result = cells.submit(
        f"arrays = [make.remote({str(path)!r}) for _ in range(20)]\n"
        "arrays += [ray.put(np.ones(10_000_000, np.uint8)) for _ in range(20)]\n"
        "progress(arrays)\n"
        "values = await asyncio.gather(*arrays)\n"
        "print(sum(value.nbytes for value in values), stored())\n"
        "del values"
    )
    shown_line(cells, "make", pending=20)
    path.touch()
    cells.wait(result)
    total, most = map(int, result.stdout.split())
    assert total == 400_000_000
    assert most > 400_000_000
    # Blocking calls, and a watch that ends before its refs do.
    cells.ok("ray.get(arrays); ray.wait(arrays, num_returns=40); progress(arrays);")
    assert stored() > 400_000_000
    cells.ok("del arrays; gc.collect();")
    cells.poll(lambda: stored() < 1_000_000, what="the store to give back 400 MB")
    # The records are still there, in both cells; each ref counts once.
    assert cells.ok("print(lines()['make'].done)").stdout == "20\n"


def test_tracking_can_be_turned_off(cells):
    told = cells.ok(
        "import ray.remote_function\n"
        "def hooks():\n"
        "    called = ray._private.worker.get.__closure__\n"
        "    return [*(cell.cell_contents for cell in called),\n"
        "            ray.remote_function.RemoteFunction._remote]\n"
        "def made_by_us():\n"
        "    found = [f.__code__ for f in hooks() if inspect.isfunction(f)]\n"
        "    files = {code.co_filename for code in found}\n"
        "    return [file for file in files if 'ray_jupyter_async' in file]\n"
        "on, public = len(made_by_us()), ray.get\n"
        "%config RayAsync.tracking = False\n"
        "off = len(made_by_us())\n"
        "await hold.options(name='unseen').remote('/')\n"
        "%config RayAsync.tracking = True\n"
        "print(on, off, len(made_by_us()), ray.get is public, 'unseen' in lines())"
    ).stdout
    assert told.split() == ["2", "0", "2", "True", "False"]
