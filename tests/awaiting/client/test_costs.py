"""The costs of awaits over Ray Client, and a loop that never stalls."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time

import pytest
import ray

from harness.client_tasks import MANY, echo, map_echo
from harness.loops import run
from harness.polling import poll
from ray_jupyter_async import (
    as_completed,
    as_future,
    cancel,
    gather,
    get,
    wait,
)

pytestmark = [pytest.mark.client, pytest.mark.usefixtures("connection")]


def test_a_new_await_ends_the_round_of_many_slow_ones(gate, monkeypatch):
    # Longer than `run` takes at most. By name: the module needs grpcio.
    rounds = "ray_jupyter_async._awaiting.fetch.client_readiness.ROUND_SECONDS"
    monkeypatch.setattr(rounds, (120.0, 120.0))

    async def main():
        many = gather([gate.hold() for _ in range(2 * MANY)])
        # The first may arrive before the round has begun.
        for i in range(3):
            refs = map_echo([i] * 2 * MANY)
            assert await gather(refs) == [i] * 2 * MANY
        many.cancel()

    run(main())


def test_many_pending_awaits_cost_little(gate):
    async def main():
        many = gather([gate.hold() for _ in range(1000)])
        await asyncio.sleep(4)  # the rounds have grown
        began, used = time.monotonic(), time.process_time()
        await asyncio.sleep(4)
        share = (time.process_time() - used) / (time.monotonic() - began)
        many.cancel()
        return share

    # Of a core. About 0.01 on an idle machine of two cores.
    assert run(main()) < 0.05


def test_own_threads_end_with_the_work(gate):
    async def main():
        refs = [gate.hold() for _ in range(MANY)]
        many = gather(refs)
        await asyncio.to_thread(poll, own_threads)
        gate.open()
        await many

    run(main())
    poll(lambda: not own_threads())


def own_threads():
    return [
        thread.name
        for thread in threading.enumerate()
        if thread.name.startswith("ray-await")
    ]


# The loop while the network hangs


@contextlib.asynccontextmanager
async def turning_loop(longest=0.3):
    """Fail if the loop stalled for longer than this, in seconds."""
    gaps = []

    async def turn():
        last = time.monotonic()
        while True:
            await asyncio.sleep(0.01)
            now = time.monotonic()
            gaps.append(now - last)
            last = now

    turning = asyncio.ensure_future(turn())
    await asyncio.sleep(0.05)
    yield
    await asyncio.sleep(0.05)
    turning.cancel()
    assert max(gaps) < longest


@contextlib.contextmanager
def hanging(server):
    """Yield refs whose ids arrive only after the block."""
    ray.get(echo.remote(0))  # the function is on the server
    with server.paused():
        yield


HANGING = {
    "as_future": as_future,
    "gather": lambda ref: gather(ref, ref),
    "wait": lambda ref: wait([ref]),
    "wait_now": lambda ref: wait([ref], timeout=0),
    "get": get,
    "get_now": lambda ref: get([ref], timeout=0),
    "as_completed": lambda ref: anext(as_completed([ref])),
    "cancel": cancel,
}


@pytest.mark.parametrize("name", HANGING)
def test_loop_turns_while_the_network_hangs(server, name):
    async def main():
        async with turning_loop():
            with hanging(server):
                awaiting = asyncio.ensure_future(HANGING[name](echo.remote(1)))
                await asyncio.sleep(0.5)
                assert not awaiting.done()
        with contextlib.suppress(ray.exceptions.GetTimeoutError):
            await awaiting

    run(main())


@pytest.mark.parametrize("turns", [0, 0.2])
def test_cancelling_does_not_wait_for_an_id(server, turns):
    async def main():
        async with turning_loop():
            with hanging(server):
                future = as_future(echo.remote(1))
                await asyncio.sleep(turns)
                future.cancel()
                del future
                await asyncio.sleep(0.2)

    run(main())


def test_awaits_during_a_hang_occupy_no_thread(server):
    async def main():
        with hanging(server):
            futures = []
            for i in range(30):
                futures.append(as_future(echo.remote(i)))
                await asyncio.sleep(0.01)
            threads = len(own_threads())
        return threads, await asyncio.gather(*futures)

    threads, values = run(main())
    assert threads <= 2
    assert values == list(range(30))
