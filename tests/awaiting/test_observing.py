"""The events of awaits that other rooms observe."""

from __future__ import annotations

import asyncio

import pytest
import ray

from harness.loops import run, until_read
from harness.polling import poll
from ray_jupyter_async import as_future
from ray_jupyter_async._awaiting.events import (
    Outcome,
    add_observer,
    origin,
    remove_observer,
)
from ray_jupyter_async._awaiting.many.given_up import TIDY_STEP
from ray_jupyter_async._ray_api.shutdown_gate import ClosedError


@pytest.fixture
def events():
    seen = []
    add_observer(seen.extend)
    yield seen
    remove_observer(seen.extend)


@ray.remote(num_cpus=0)
def fail():
    raise KeyError("k")


def test_await_and_its_end_are_observed(ray_session, events):
    ref, bad = ray.put(1), fail.remote()

    async def main():
        origin.set("cell 1")
        await asyncio.gather(as_future(ref), as_future(bad), return_exceptions=True)

    run(main())
    awaited = [event for event in events if event.kind == "awaited"]
    settled = {event.key: event for event in events if event.kind == "settled"}
    assert {event.key for event in awaited} == {ref.binary(), bad.binary()}
    assert {event.origin for event in events} == {"cell 1"}
    assert settled[ref.binary()].outcome is Outcome.RESOLVED
    assert settled[bad.binary()].outcome is Outcome.FAILED
    assert settled[bad.binary()].error == "KeyError"


def test_cancelled_await_is_observed(ray_session, events, gate):
    ref = gate.hold()

    async def main():
        future = as_future(ref)
        await until_read()
        future.cancel()
        # A reader reports it.
        await until_read()

    run(main())
    outcomes = [event.outcome for event in events if event.key == ref.binary()]
    assert outcomes == [None, Outcome.CANCELLED]


def test_many_awaits_given_up_are_each_reported_once(ray_session, events, gate):
    ref = gate.hold()
    count = 3 * TIDY_STEP

    def cancelled():
        return [event for event in events if event.outcome is Outcome.CANCELLED]

    async def main():
        futures = [as_future(ref) for _ in range(count)]
        await until_read()
        for future in futures[:-1]:
            future.cancel()
        await asyncio.to_thread(poll, lambda: len(cancelled()) >= count - 1)
        futures[-1].cancel()
        await asyncio.to_thread(poll, lambda: len(cancelled()) >= count)

    run(main())
    assert len(cancelled()) == count


def test_a_watch_that_cannot_be_ended_holds_up_no_other(ray_session, events, gate):
    def closed():
        raise ClosedError

    def cancelled():
        return [event for event in events if event.outcome is Outcome.CANCELLED]

    def reported(number):
        poll(lambda: len(cancelled()) == number)

    refs = [gate.hold() for _ in range(3)]

    async def main():
        futures = [as_future(ref) for ref in refs]
        await until_read()
        real, futures[0].unwatch = futures[0].unwatch, closed
        for number, future in enumerate(futures, 1):
            future.cancel()
            await asyncio.to_thread(reported, number)
        if real is not None:
            real()

    run(main(), timeout=60)


def test_failing_observer_affects_no_await(ray_session, caplog):
    def broken(_events):
        raise ZeroDivisionError

    async def main():
        return await as_future(ray.put(1))

    add_observer(broken)
    try:
        assert run(main()) == 1
    finally:
        remove_observer(broken)
    assert "an observer of awaits failed" in caplog.text


def test_origin_is_that_of_the_awaiting_task(ray_session, events):
    async def awaits(name):
        origin.set(name)
        await asyncio.sleep(0)
        await as_future(ray.put(name))

    async def main():
        await asyncio.gather(awaits("a"), awaits("b"))

    run(main())
    assert {event.origin for event in events} == {"a", "b"}
