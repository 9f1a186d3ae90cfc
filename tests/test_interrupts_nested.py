"""Stop in a `run_until_complete` that has made the kernel's loop re-entrant."""

from __future__ import annotations

import os

import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="sends SIGINT")

SETUP = """
%load_ext ray_jupyter_async
import asyncio, time

async def nap(seconds, tell=False):
    if tell:
        asyncio.get_running_loop().call_later(0.1, print, "begun")
    await asyncio.sleep(seconds)
    resumed.append(seconds)

resumed = []
run = asyncio.get_event_loop().run_until_complete
run(nap(0))
resumed.clear()
"""


@pytest.fixture(scope="module")
def nested(kernel):
    kernel.ok(SETUP)
    return kernel


def stopped(kernel, code):
    result = kernel.submit(code)
    kernel.poll(lambda: "begun" in result.stdout, of=result)
    pressed = kernel.interrupt()
    kernel.wait(result, 20)
    return result, result.replied - pressed


@pytest.mark.parametrize(
    "before", ["", "await asyncio.sleep(0)\n"], ids=["sync", "async"]
)
def test_a_nested_coroutine_is_interrupted(nested, before):
    result, seconds = stopped(nested, before + "run(nap(60, True))")
    assert result.ename in ("KeyboardInterrupt", "CancelledError")
    assert seconds < 1
    assert nested.ok("await asyncio.sleep(0.01, 2)").value == "2"


def test_an_interrupted_nested_coroutine_does_not_resume(nested):
    stopped(nested, "run(nap(0.4, True))")
    nested.ok("await asyncio.sleep(0.6)")
    assert nested.ok("resumed").value == "[]"


def test_a_blocking_nested_coroutine_is_interrupted(nested):
    nested.ok("async def block():\n    print('begun')\n    time.sleep(60)")
    result, seconds = stopped(nested, "run(block())")
    assert result.ename in ("KeyboardInterrupt", "CancelledError")
    assert seconds < 1


def test_an_await_after_nesting_is_interrupted(nested):
    result, seconds = stopped(nested, "await nap(60, True)")
    assert (result.ename, seconds < 1) == ("CancelledError", True)


def test_queued_cells_all_run_after_an_interrupt(nested):
    for _ in range(10):
        cell = nested.submit("run(nap(60, True))")
        queued = [nested.submit(f"run(nap(0)) or {i}") for i in range(4)]
        nested.poll(lambda cell=cell: "begun" in cell.stdout, of=cell)
        nested.interrupt()
        assert [nested.wait(one, 10).value for one in queued] == list("0123")
        assert nested.wait(cell).status == "error"


def test_the_notice_names_the_cell_that_caused_nesting(fresh_kernel):
    fresh_kernel.ok("%load_ext ray_jupyter_async")
    fresh_kernel.ok("import asyncio")
    result = fresh_kernel.ok(
        "asyncio.get_event_loop().run_until_complete(asyncio.sleep(0))"
    )
    assert f"by In [{result.reply['execution_count']}]." in result.stderr


def test_an_unsafe_nesting_is_told_of_once_with_the_cure(fresh_kernel):
    # What nest-asyncio 1.6.0 leaves as its mark.
    fresh_kernel.ok("import asyncio; asyncio._nest_patched = True")
    first = fresh_kernel.ok("%load_ext ray_jupyter_async")
    later = fresh_kernel.ok("1")
    seven = fresh_kernel.ok("import ipykernel; ipykernel.version_info[0] >= 7")
    told = "nest-asyncio is active" in first.stderr and "nest-asyncio2" in first.stderr
    assert told == (seven.value == "True")
    assert later.stderr == ""
