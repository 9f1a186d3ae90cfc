"""Interrupts at random moments, of everything that a kernel does.

The seed is fixed: what runs and when it is interrupted is the same each time, as
far as the machine's own timing allows.
"""

from __future__ import annotations

import os
import random
import time

import pytest

from harness import rays
from harness.polling import poll

pytestmark = [
    pytest.mark.skipif(os.name == "nt", reason="sends SIGINT"),
    pytest.mark.timeout(300),
]

INTERRUPTS = 200
SEED = 20190405
# A moment for a short cell to be hit before, in, and after its code; in seconds.
LONGEST_WAIT = 0.12

SETUP = f"""
%load_ext ray_jupyter_async
import asyncio, os, signal, threading, time
import ipywidgets
import ray_jupyter_async as rja
{rays.RAY_INIT};

@ray.remote(num_cpus=0, max_concurrency=1000)
class Actor:
    async def nap(self, seconds=0.05):
        await asyncio.sleep(seconds)
        return seconds

    async def stream(self):
        for i in range(20):
            await asyncio.sleep(0.01)
            yield i

actor = Actor.remote()
nap = actor.nap
await nap.remote()

async def step():
    until = time.monotonic() + 0.005
    while time.monotonic() < until:
        pass
    await asyncio.sleep(0.01)

slider = ipywidgets.IntSlider()
slider.observe(lambda change: time.sleep(0.002), "value")
"""

# Each ends by itself, soon.
CELLS = [
    "await asyncio.sleep(0.2)",
    "await nap.remote(0.2)",
    "await rja.gather([nap.remote() for _ in range(20)])",
    "await asyncio.gather(*[nap.remote() for _ in range(20)])",
    "async for _ in rja.as_completed([nap.remote() for _ in range(10)]): pass",
    "async for _ in rja.stream(actor.stream.remote()): pass",
    "async for _ in rja.map(nap, [0.01] * 20): pass",
    "ray.get([nap.remote() for _ in range(5)])",
    "time.sleep(0.2)",
    "await asyncio.sleep(0)\ntime.sleep(0.2)",
    "for i in range(300): print(i)",
    "sum(range(3_000_000))",
    "await asyncio.gather(*[step() for _ in range(10)])",
    "asyncio.get_event_loop().run_until_complete(nap.remote())",
    "1",
]

LOOKS_OF_THE_PROCESS = """
print(len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0)
print(threading.active_count())
print(signal.getsignal(signal.SIGINT).__qualname__)
print(sorted(name for name in vars(get_ipython().kernel) if "handler_hook" in name))
"""


def wait_for_reply(kernel, cell):
    # For the reply alone: of a cell during which a comm message comes, ipykernel
    # 7.4.0 now and then says "idle" for another cell, also without interrupts.
    kernel.poll(lambda: cell.reply is not None, what="the reply", of=cell)


def looks(kernel):
    result = kernel.submit(LOOKS_OF_THE_PROCESS)
    wait_for_reply(kernel, result)
    kernel.poll(lambda: result.stdout.count("\n") == 4, of=result)
    return result.stdout.split("\n")


def test_a_kernel_survives_interrupts_at_random_moments(kernel):
    kernel.ok(SETUP)
    # What comes with the first use of each is there before we look.
    for code in CELLS:
        kernel.ok(code)
    before = looks(kernel)
    (slider,) = kernel.widgets(_model_name="IntSliderModel")
    chance = random.Random(SEED)
    cells = []
    for number in range(INTERRUPTS):
        for _ in range(chance.randint(1, 3)):
            code = chance.choice(CELLS)
            cells.append(kernel.submit(code, stop_on_error=chance.random() < 0.3))
        kernel.send_comm(
            slider.comm_id, {"method": "update", "state": {"value": number % 100}}
        )
        # Not a wait for something: the moment is what is drawn.
        time.sleep(chance.uniform(0, LONGEST_WAIT))
        kernel.interrupt()
        if number % 5 == 4:  # the queue must not only grow
            wait_for_reply(kernel, cells[-1])
    for cell in cells:
        wait_for_reply(kernel, cell)

    told = {}
    for cell in cells:
        how = cell.ename or cell.status
        told[how] = told.get(how, 0) + 1
    print(f"{INTERRUPTS} interrupts, {len(cells)} cells: {told}")
    assert set(told) <= {"ok", "aborted", "KeyboardInterrupt", "CancelledError"}
    assert told["KeyboardInterrupt"] > 10
    assert told["CancelledError"] > 10
    assert "Exception in message handler" not in kernel.log
    kernel.ok("%ray_cancel --all")
    assert kernel.ok("await nap.remote(0.01)").value == "0.01"

    # What an interrupt leaks it leaks each time. Ray opens some (an epoll, three
    # eventfds and a connection together) when it first talks to one more worker.
    not_leaked = int(before[0]) + INTERRUPTS // 10

    def settled():
        # Readers and notices have threads that end by themselves.
        after = looks(kernel)
        ended = int(after[1]) <= int(before[1])
        return after if ended and int(after[0]) < not_leaked else None

    after = poll(settled, what=f"the process to look as before: {before}")
    assert after[2:] == before[2:]
    kernel.ok("%unload_ext ray_jupyter_async")
    assert looks(kernel)[2:4] == ["default_int_handler", "[]"]
