"""`gather` and `get`."""

from __future__ import annotations

import asyncio
import gc
import time
import weakref

import pytest
import ray

from harness.loops import run, until_read
from harness.polling import poll
from harness.references import local_references
from ray_jupyter_async import UnknownRefError, gather, get, patched
from ray_jupyter_async._awaiting.many.sweep import CHUNK, FEWEST_TO_SWEEP


@ray.remote(num_cpus=0)
def fail(error):
    raise error


@ray.remote(num_cpus=0)
def spin(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.01)
    return seconds


def test_values_come_in_order(ray_session):
    async def main():
        return await gather(*[ray.put(i) for i in range(700)])

    assert run(main()) == list(range(700))


def test_one_iterable_is_accepted(ray_session):
    async def main():
        return await gather(ray.put(i) for i in range(3))

    assert run(main()) == [0, 1, 2]


def test_empty_gather_is_done(ray_session):
    async def main():
        return await gather(), await gather([])

    assert run(main()) == ([], [])


def test_refs_mix_with_coroutines_and_futures(ray_session, gate):
    async def double(x):
        await asyncio.sleep(0)
        return 2 * x

    async def main():
        future = asyncio.get_running_loop().create_future()
        pending = gate.hold("task")
        everything = gather(double(1), pending, future, ray.put("put"), double(2))
        await until_read()
        future.set_result("future")
        gate.open()
        return await everything

    assert run(main()) == [2, "task", "future", "put", 4]


def test_repeated_ref_has_separate_values(ray_session):
    ref = ray.put([])

    async def main():
        return await gather(ref, ref)

    first, second = run(main())
    assert first == second == []
    assert first is not second


def test_first_error_is_raised_at_once(ray_session, gate):
    async def main():
        with pytest.raises(ValueError, match="no"):
            await gather(gate.hold(), fail.remote(ValueError("no")))

    run(main())


def test_errors_are_returned_among_the_results(ray_session):
    async def main():
        return await gather(
            ray.put(1), fail.remote(ValueError("no")), return_exceptions=True
        )

    one, error = run(main())
    assert one == 1
    assert isinstance(error, ValueError)
    assert isinstance(error, ray.exceptions.RayTaskError)


def test_values_beside_an_error_are_read(ray_session):
    # Ray stops reading several objects at one that is an error.
    failed = fail.remote(ValueError("no"))
    ray.wait([failed])

    async def main():
        refs = [ray.put(1), failed, ray.put(2), failed, ray.put(3)]
        return await gather(refs, return_exceptions=True)

    first, error, second, _, third = run(main())
    assert (first, second, third) == (1, 2, 3)
    assert isinstance(error, ValueError)


def test_many_refs_leave_the_loop_its_turns(ray_session, gate):
    pending = gate.hold("done")
    turns = 0

    async def main():
        nonlocal turns
        loop = asyncio.get_running_loop()

        def turn():
            nonlocal turns
            turns += 1
            if not everything.done():
                loop.call_soon(turn)

        everything = gather([pending] * 40_000)
        loop.call_soon(turn)
        await until_read()
        gate.open()
        return await everything

    assert run(main(), timeout=60) == ["done"] * 40_000
    assert turns > 50


def test_early_cancel_cancels_tasks_not_yet_awaited(ray_session, gate):
    async def main():
        last = gate.hold()
        everything = gather([*[gate.hold()] * 40_000, last], cancel_task=True)
        everything.cancel()
        with pytest.raises(ray.exceptions.TaskCancelledError):
            await get(last, timeout=60)

    run(main(), timeout=90)


def test_error_drops_the_other_refs(ray_session, gate):
    async def main():
        pending = gate.hold()
        key = pending.binary()
        with pytest.raises(ValueError, match="no"):
            await gather(pending, fail.remote(ValueError("no")))
        del pending
        await asyncio.to_thread(poll, lambda: local_references(key) == 0)

    run(main())


def test_cancelling_drops_refs_and_leaves_tasks(ray_session, gate):
    async def main():
        ref = gate.hold("ran on")
        everything = gather(ref, gate.hold())
        await until_read()
        everything.cancel()
        with pytest.raises(asyncio.CancelledError):
            await everything
        gate.open()
        return await get(ref)

    assert run(main()) == "ran on"


def test_cancelling_can_cancel_the_tasks(ray_session):
    refs = [spin.remote(30), spin.remote(30)]

    async def main():
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(gather(refs, cancel_task=True), 0.2)

    run(main())
    for ref in refs:
        with pytest.raises(ray.exceptions.TaskCancelledError):
            ray.get(ref, timeout=60)


def test_error_never_cancels_tasks(ray_session):
    other = spin.remote(0.5)

    async def main():
        with pytest.raises(ValueError, match="no"):
            await gather(other, fail.remote(ValueError("no")), cancel_task=True)

    run(main())
    assert ray.get(other) == 0.5


def test_cancelling_waits_for_coroutines(ray_session, gate):
    cleaned = []

    async def careful():
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.05)
            cleaned.append(True)

    async def main():
        everything = gather(careful(), gate.hold())
        await until_read()
        everything.cancel()
        with pytest.raises(asyncio.CancelledError):
            await everything

    run(main())
    assert cleaned == [True]


def test_non_awaitables_are_refused(ray_session):
    ref = ray.put(1)

    async def main():
        with pytest.raises(TypeError, match=r"builtins\.int"):
            gather(ref, 5)
        with pytest.raises(TypeError, match=r"builtins\.int"):
            gather(5)

    run(main())


def test_refs_make_no_tasks(ray_session, gate):
    async def main():
        before = len(asyncio.all_tasks())
        everything = gather([gate.hold() for _ in range(20)])
        await until_read()
        during = len(asyncio.all_tasks())
        everything.cancel()
        return during - before

    assert run(main()) == 0


def test_unknown_ref_fails_it(ray_session):
    async def main():
        with pytest.raises(UnknownRefError):
            await gather(ray.put(1), ray.ObjectRef.from_random())

    run(main())


def test_done_gather_keeps_no_ref(ray_session):
    async def main():
        ref = ray.put(1)
        key = ref.binary()
        everything = gather([ref])
        assert await everything == [1]
        del ref
        await asyncio.to_thread(poll, lambda: local_references(key) == 0)
        return everything

    run(main())


class TestGet:
    """The contract of `ray.get`, awaitable."""

    def test_one_ref_returns_its_value(self, ray_session):
        assert run(get(ray.put(1))) == 1

    def test_list_returns_a_list(self, ray_session):
        assert run(get([ray.put(1), ray.put(2)])) == [1, 2]
        assert run(get([])) == []

    def test_timeout_raises_rays_error(self, ray_session, gate):
        ref = gate.hold("later")

        async def main():
            with pytest.raises(ray.exceptions.GetTimeoutError, match=r"0\.1 s"):
                await get(ref, timeout=0.1)
            with pytest.raises(TimeoutError):
                await get([ref], timeout=0)
            gate.open()
            return await get(ref, timeout=30)

        assert run(main()) == "later"

    def test_zero_timeout_returns_ready_values(self, ray_session):
        assert run(get([ray.put(1), ray.put(2)], timeout=0)) == [1, 2]

    def test_timeout_error_of_a_task_is_its_own(self, ray_session):
        async def main():
            with pytest.raises(asyncio.TimeoutError) as caught:
                await get(fail.remote(asyncio.TimeoutError("theirs")), timeout=30)
            return caught.value

        assert not isinstance(run(main()), ray.exceptions.GetTimeoutError)

    def test_invalid_refs_are_refused(self, ray_session):
        async def main():
            for given in (5, [5], "ref"):
                with pytest.raises(TypeError, match=r"expected a ray\.ObjectRef"):
                    await get(given)
            with pytest.raises(ValueError, match="negative"):
                await get(ray.put(1), timeout=-1)

        run(main())


class Value:
    """What can be weakly referred to."""


@pytest.mark.parametrize("count", [2, FEWEST_TO_SWEEP, 2 * CHUNK])
@pytest.mark.parametrize("gathering", [gather, asyncio.gather], ids=["own", "asyncio"])
@pytest.mark.parametrize("pending", [False, True])
def test_values_are_freed_without_the_garbage_collector(
    ray_session, gate, gathering, count, pending
):
    refs = [ray.put(Value()) for _ in range(count)]
    if pending:
        refs[0] = gate.hold(Value())

    async def watched():
        gathered = gathering(*refs)
        await asyncio.sleep(0)
        gate.open()
        values = await gathered
        return [weakref.ref(value) for value in values]

    async def all_freed():
        # Nothing but the list has held them; a reader may still be leaving its frame.
        watches = await watched()
        await asyncio.to_thread(poll, lambda: not any(one() for one in watches))

    gc.disable()
    try:
        with patched():
            run(all_freed(), timeout=60)
    finally:
        gc.enable()
