"""Stop, on a real kernel: how soon a cell ends, and that only user code is hit.

What the cell then shows is in ``test_interrupted.py``, interrupts at random
moments in ``test_interrupts_stress.py``, Ctrl-C in ``test_terminal.py``, who else
looks at signals in ``test_interrupts_coexist.py``.
"""

from __future__ import annotations

import os
import statistics
import time

import pytest

from harness import rays

pytestmark = pytest.mark.skipif(os.name == "nt", reason="sends SIGINT")

# A cell tells that it waits: from a timer of its loop, or right before it blocks.
BEGUN = "begun\n"
WHEN_IDLE = "asyncio.get_running_loop().call_later(0.1, print, 'begun')\n"

AWAITS = {
    "asyncio.sleep": "await asyncio.sleep(60)",
    "a ref": "await hold.remote()",
    "gather": "await rja.gather([hold.remote() for _ in range(4)])",
    "asyncio.gather": "await asyncio.gather(*[hold.remote() for _ in range(4)])",
    "as_completed": "async for _ in rja.as_completed([hold.remote()]): pass",
    "stream": "async for _ in rja.stream(holder.stream.remote()): pass",
    "map": "async for _ in rja.map(hold, range(2)): pass",
}

BLOCKS = {
    "ray.get": "ray.get(hold.remote())",
    "ray.wait": "ray.wait([hold.remote()])",
    "time.sleep": "time.sleep(60)",
    "busy loop": "while True: pass",
}

# Tasks that wait for ever, without a process for each.
SETUP = f"""
%load_ext ray_jupyter_async
import asyncio, threading, time
import ray_jupyter_async as rja
{rays.RAY_INIT};

@ray.remote(num_cpus=0, max_concurrency=1000)
class Holder:
    async def hold(self, value=None):
        await asyncio.sleep(3600)

    async def stream(self):
        await asyncio.sleep(3600)
        yield 1

holder = Holder.remote()
hold = holder.hold
await holder.__ray_ready__.remote()
"""


@pytest.fixture(scope="module")
def ready(kernel):
    """The module's kernel with the extension and a Ray with a task that waits."""
    kernel.ok(SETUP)
    return kernel


def interrupt_by_signal(kernel):
    return kernel.interrupt()


def interrupt_by_message(kernel):
    # For kernels with `"interrupt_mode": "message"`.
    pressed = time.monotonic()
    kernel.control("interrupt_request", {})
    return pressed


def stopped(kernel, code, interrupt=interrupt_by_signal):
    """Run a cell, interrupt it once it waits; the result and how long it took."""
    result = kernel.submit(code)
    kernel.poll(lambda: BEGUN in result.stdout, of=result)
    pressed = interrupt(kernel)
    kernel.wait(result, 20)
    return result, result.replied - pressed


def median(kernel, code, times=10, **options):
    results = [stopped(kernel, code, **options) for _ in range(times)]
    assert all(result.status == "error" for result, _ in results), results[0][0]
    took = [seconds for _, seconds in results]
    told = f"median {statistics.median(took):.3f} s, longest {max(took):.3f} s"
    print(f"{told}: {code.splitlines()[-1]}")
    return statistics.median(took), {result.ename for result, _ in results}


@pytest.mark.parametrize("code", AWAITS.values(), ids=AWAITS)
def test_an_await_ends_at_once(ready, code):
    seconds, names = median(ready, WHEN_IDLE + code)
    assert seconds < 1
    assert names == {"CancelledError"}


def test_an_await_ends_at_once_by_interrupt_request(ready):
    code = WHEN_IDLE + "await hold.remote()"
    seconds, names = median(ready, code, interrupt=interrupt_by_message)
    assert seconds < 1
    assert names == {"CancelledError"}


@pytest.mark.parametrize("code", BLOCKS.values(), ids=BLOCKS)
@pytest.mark.parametrize(
    "after", ["", "await asyncio.sleep(0)\n"], ids=["sync", "async"]
)
def test_blocking_code_gets_a_keyboard_interrupt(ready, after, code):
    seconds, names = median(ready, f"{after}print('begun')\n{code}")
    assert seconds < 1
    assert names == {"KeyboardInterrupt"}


@pytest.mark.parametrize("call", ["ray.get(ref)", "ray.wait([ref])"])
def test_calls_that_block_in_ray_end_as_soon_as_others(ready, call):
    # Ray itself looks for signals a second after a call's start, and every second.
    ready.ok("ref = hold.remote()")
    other, _ = median(ready, "print('begun')\ntime.sleep(60)")
    seconds, _ = median(ready, f"print('begun')\n{call}")
    assert seconds < other + 0.35


# What blocks in a call that this package wraps, or makes for the cell.
CALLS = {
    "ray.get": "ray.get(ref)",
    "ray.wait": "ray.wait([ref])",
    "future": "ref.future().result()",
    "pool": "list(pool.map(ray.get, [ref]))",
    "remote": "hold.remote(slow)",
    "run_until_complete": "asyncio.get_event_loop().run_until_complete(ref)",
    "gathered": "asyncio.get_event_loop().run_until_complete(asyncio.gather(ref, ref))",
    "coroutine": "asyncio.get_event_loop().run_until_complete(waits(ref))",
}

LOOK = """
import concurrent.futures, contextlib, sys, types
from ray_jupyter_async._notebook.stop.frames import place_of

pool = concurrent.futures.ThreadPoolExecutor(1)
# Code that is not a cell's, slow enough to be found at work.
foreign = types.ModuleType("foreign")
exec("import time\\nclass Slow:\\n"
     " def __reduce__(self): time.sleep(0.5); return set, ()", vars(foreign))

async def waits(ref):
    await ref

def look():
    frame = sys._current_frames()[threading.main_thread().ident]
    found.append(place_of(frame, get_ipython().user_global_ns).name)
    ray.cancel(ref)
"""


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize(
    "before", ["", "await asyncio.sleep(0)\n"], ids=["sync", "async"]
)
def test_a_blocking_call_counts_as_the_cells_own_code(ready, before, call):
    # Otherwise an interrupt waits for half a second, and then for Ray's next look.
    ready.ok(LOOK + "found, ref, slow = [], hold.remote(), foreign.Slow()")
    ready.ok(
        f"{before}threading.Timer(0.2, look).start()\n"
        f"with contextlib.suppress(ray.exceptions.TaskCancelledError): {call}"
    )
    assert ready.ok("found").value == "['CELL']"


def test_blocking_code_ends_by_interrupt_request(ready):
    code = "await asyncio.sleep(0)\nprint('begun')\ntime.sleep(60)"
    seconds, names = median(ready, code, interrupt=interrupt_by_message)
    assert seconds < 1
    assert names == {"KeyboardInterrupt"}


def test_user_code_can_catch_the_keyboard_interrupt_and_go_on(ready):
    code = """
await asyncio.sleep(0)
try:
    print("begun")
    time.sleep(60)
except KeyboardInterrupt:
    print("caught")
finally:
    print("cleaned up")
print(await asyncio.sleep(0.01, "went on"))
"""
    result, _ = stopped(ready, code)
    assert result.status == "ok"
    assert result.stdout == "begun\ncaught\ncleaned up\nwent on\n"


def test_user_code_can_clean_up_with_awaits_when_cancelled(ready):
    code = (
        WHEN_IDLE
        + """
try:
    await hold.remote()
except asyncio.CancelledError:
    print("caught")
    raise
finally:
    print(await asyncio.sleep(0.05, "cleaned up"))
"""
    )
    result, _ = stopped(ready, code)
    assert result.ename == "CancelledError"
    assert result.stdout == "begun\ncaught\ncleaned up\n"


@pytest.mark.parametrize("blocks", ["time.sleep(60)", "ray.get(hold.remote())"])
def test_a_blocked_background_task_is_cancelled_with_the_cell(ready, blocks):
    code = f"""
async def block():
    try:
        print("begun")
        {blocks}
    finally:
        print("cleaned up")

blocking = asyncio.ensure_future(block())
await asyncio.sleep(60)
"""
    result, seconds = stopped(ready, code)
    # Ray looks for signals once a second.
    assert seconds < (2 if "ray" in blocks else 1)
    assert result.ename == "CancelledError"
    assert "cleaned up" in result.stdout
    assert result.stderr == ""
    assert ready.ok("blocking.cancelled()").value == "True"


WAYS_TO_WAIT = {
    "gather": "await asyncio.gather(*tasks)",
    "wait": "await asyncio.wait(tasks)",
    "sleep": "await asyncio.sleep(60)",
    "map": "async for _ in rja.map(hold, blocks()): pass",
}


@pytest.mark.parametrize("wait", WAYS_TO_WAIT.values(), ids=WAYS_TO_WAIT)
def test_one_stop_ends_all_blocking_tasks_of_the_cell(ready, wait):
    ready.ok("earlier = asyncio.ensure_future(asyncio.sleep(60))")
    code = f"""
started = []

async def block(number):
    started.append(number)
    print("begun")
    time.sleep(60)

async def blocks():
    yield await block(0)

tasks = [asyncio.ensure_future(block(i)) for i in range({0 if "map" in wait else 10})]
{wait}
"""
    result, seconds = stopped(ready, code)
    print(f"{seconds:.3f} s: {wait}")
    assert seconds < 1.2
    assert result.ename == "CancelledError"
    assert result.stderr == ""
    assert ready.ok("started").value == "[0]"
    assert ready.ok("all(task.cancelled() for task in tasks)").value == "True"
    # What an earlier cell has started is not this cell's.
    assert ready.ok("earlier.cancel()").value == "True"


def test_a_background_task_that_does_not_block_runs_on(ready):
    ready.ok("steps = 0")
    code = """
async def work():
    global steps
    while True:
        until = time.monotonic() + 0.02
        while time.monotonic() < until:
            pass
        steps += 1
        await asyncio.sleep(0)

working = asyncio.ensure_future(work())
await asyncio.sleep(60)
"""
    result, seconds = stopped(ready, WHEN_IDLE + code)
    assert seconds < 1
    assert result.ename == "CancelledError"
    try:
        assert ready.ok("working.done()").value == "False"
        before = int(ready.ok("steps").value)
        assert int(ready.ok("await asyncio.sleep(0.1); steps").value) > before
    finally:
        ready.ok("working.cancel();")


def test_stop_twice_ends_a_cell_that_blocks_in_its_clean_up(ready):
    code = (
        WHEN_IDLE
        + """
try:
    await hold.remote()
finally:
    print("cleaning up")
    time.sleep(60)
"""
    )
    result = ready.submit(code)
    ready.poll(lambda: BEGUN in result.stdout, of=result)
    ready.interrupt()
    ready.poll(lambda: "cleaning up" in result.stdout, of=result)
    ready.interrupt()
    assert ready.wait(result, 5).ename == "KeyboardInterrupt"


def test_input_is_interrupted(ready):
    result = ready.submit("print('begun'); input()", allow_stdin=True)
    ready.poll(lambda: BEGUN in result.stdout, of=result)
    ready.interrupt()
    assert ready.wait(result, 5).ename == "KeyboardInterrupt"
    assert ready.ok("1 + 1").value == "2"


def test_a_served_run_until_complete_is_interrupted(ready):
    code = "print('begun'); asyncio.get_event_loop().run_until_complete(hold.remote())"
    # The first traceback, for which IPython parses files, takes 0.6 s (IPython 8.18).
    stopped(ready, code)
    result, seconds = stopped(ready, code)
    assert (result.ename, seconds < 1) == ("KeyboardInterrupt", True)
    assert ready.ok("await asyncio.sleep(0, 2)").value == "2"


def test_a_slow_repr_is_interrupted(ready):
    code = """
class Slow:
    def __repr__(self):
        print("begun")
        time.sleep(60)
Slow()
"""
    stopped(ready, code)  # as above: it parses IPython's own files
    result, seconds = stopped(ready, code)
    assert (result.ename, seconds < 1) == ("KeyboardInterrupt", True)


def test_queued_cells_are_answered_after_an_interrupt(ready):
    result = ready.submit(WHEN_IDLE + "await asyncio.sleep(60)", stop_on_error=True)
    queued = [ready.submit(f"{i}") for i in range(3)]
    ready.poll(lambda: BEGUN in result.stdout, of=result)
    ready.interrupt()
    assert [ready.wait(cell, 5).status for cell in queued] == ["aborted"] * 3


def test_an_interrupt_of_an_idle_kernel_is_nothing(ready):
    ready.ok("1")
    ready.interrupt()
    result = ready.run("1 + 1")
    if result.status == "aborted":  # by ipykernel 6, which then goes on
        result = ready.run("1 + 1")
    assert result.value == "2"


def test_the_magic_tells_how_interrupts_are_taken(ready):
    assert "Stop          prompt" in ready.ok("%ray_async").stdout


@pytest.mark.parametrize(
    "before", ["", "await asyncio.sleep(0)\n"], ids=["sync", "async"]
)
def test_an_unload_gives_the_kernel_its_own_handling_back(ready, before):
    shows = "ZMQInteractiveShell._showtraceback"
    looks = (
        "import signal\n"
        "print(signal.getsignal(signal.SIGINT).__qualname__,"
        " {'pre_handler_hook', 'post_handler_hook'} & set(vars(get_ipython().kernel)),"
        " get_ipython()._showtraceback.__qualname__)"
    )
    try:
        ready.ok(before + "%unload_ext ray_jupyter_async")
        assert ready.ok(looks).stdout == f"default_int_handler set() {shows}\n"
        told = ready.ok("await asyncio.sleep(0)\n" + looks).stdout
        assert f"_cancel_on_sigint.<locals>.handle_sigint set() {shows}" in told
    finally:
        ready.ok(before + "%load_ext ray_jupyter_async")


def test_a_cell_with_the_load_itself_is_interrupted(ready):
    ready.ok("%unload_ext ray_jupyter_async")
    code = f"%load_ext ray_jupyter_async\n{WHEN_IDLE}await asyncio.sleep(60)"
    result, seconds = stopped(ready, code)
    assert (result.ename, seconds < 1) == ("CancelledError", True)
    result, seconds = stopped(ready, WHEN_IDLE + "await asyncio.sleep(60)")
    assert (result.ename, seconds < 1) == ("CancelledError", True)
