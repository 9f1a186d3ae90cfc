"""Cancelling an await, and what it leaves unchanged."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest
import ray

from harness.loops import run, until_read
from harness.polling import poll
from harness.references import local_references
from ray_jupyter_async import as_future, patched


@ray.remote(num_cpus=0)
def write_after(path, seconds):
    import pathlib
    import time

    for _ in range(int(seconds * 100)):
        time.sleep(0.01)
    pathlib.Path(path).touch()
    return "written"


def test_task_keeps_running(ray_session, tmp_path):
    ref = write_after.remote(str(tmp_path / "done"), 0.5)

    async def main():
        future = as_future(ref)
        await until_read()
        assert future.cancel()
        with pytest.raises(asyncio.CancelledError):
            await future

    run(main())
    assert ray.get(ref) == "written"


def test_cancel_task_cancels_the_task(ray_session, gate):
    ref = gate.hold()

    async def main():
        future = as_future(ref, cancel_task=True)
        await asyncio.to_thread(gate.wait_begun)
        future.cancel()

    run(main())
    with pytest.raises(ray.exceptions.TaskCancelledError):
        ray.get(ref, timeout=60)


def test_cancelled_coroutine_can_cancel_the_task(ray_session, gate):
    ref = gate.hold()

    async def main():
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(as_future(ref, cancel_task=True), 0.1)

    run(main())
    with pytest.raises(ray.exceptions.TaskCancelledError):
        ray.get(ref, timeout=60)


def test_done_future_does_not_cancel_the_task(ray_session):
    ref = ray.put(1)

    async def main():
        future = as_future(ref, cancel_task=True)
        await future
        assert not future.cancel()
        return await as_future(ref)

    assert run(main()) == 1


def test_one_of_several_awaits_is_cancelled_alone(ray_session, gate):
    async def main():
        ref = gate.hold("kept")
        first, second = as_future(ref), as_future(ref)
        await until_read()
        first.cancel()
        gate.open()
        return first.cancelled(), await second

    assert run(main()) == (True, "kept")


def test_future_can_be_cancelled_at_once(ray_session, gate):
    async def main():
        future = as_future(gate.hold())
        future.cancel()
        await until_read()
        assert future.cancelled()

    run(main())


def test_cancelled_await_drops_its_ref_at_once(ray_session, gate):
    async def main():
        ref = gate.hold()
        key = ref.binary()
        future = as_future(ref)
        del ref
        await until_read()
        assert local_references(key) > 0
        future.cancel()
        assert future.ref is None
        # On older Ray a waiter thread drops it after its round.
        await asyncio.to_thread(
            poll, lambda: local_references(key) == 0, what="the ref is dropped"
        )

    run(main())


def test_resolved_future_keeps_no_ref(ray_session):
    async def main():
        ref = ray.put([1])
        key = ref.binary()
        future = as_future(ref)
        assert await future == [1]
        del ref
        await asyncio.sleep(0)
        assert future.ref is None
        await asyncio.to_thread(
            poll, lambda: local_references(key) == 0, what="the ref is dropped"
        )

    run(main())


def test_values_are_not_kept_after_delivery(ray_session):
    class Value:
        pass

    async def main():
        value = await as_future(ray.put(Value()))
        watch = weakref.ref(value)
        del value

        def gone():
            gc.collect()
            return watch() is None

        # The reader that loaded it drops it a moment later.
        await asyncio.to_thread(poll, gone, what="the value is dropped")

    run(main())


def test_timeout_ends_the_await_in_time(ray_session, gate):
    async def main():
        with patched(), pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(gate.hold(), 0.2)

    run(main())


def test_cancelled_gather_cancels_its_awaits(ray_session, gate):
    async def main():
        refs = [gate.hold(i) for i in range(3)]
        futures = [as_future(ref) for ref in refs]
        everything = asyncio.gather(*futures)
        await until_read()
        everything.cancel()
        with pytest.raises(asyncio.CancelledError):
            await everything
        assert all(future.cancelled() for future in futures)
        gate.open()
        # The tasks were not cancelled.
        return await asyncio.gather(*map(as_future, refs))

    assert run(main()) == [0, 1, 2]
