"""The steps of `as_completed`, `map` and `stream`: none loses or keeps a value."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import weakref

import pytest
import ray

from harness.loops import run, until_read
from harness.polling import poll
from harness.references import local_references
from ray_jupyter_async import as_completed, stream
from ray_jupyter_async import map as ray_map


@ray.remote(num_cpus=0)
def echo(value):
    return value


@ray.remote(num_cpus=0)
def yield_when_there(path):
    import time
    from pathlib import Path

    while not Path(path).exists():
        time.sleep(0.01)
    for i in range(3):  # noqa: UP028 - Ray does not run `yield from` of a range
        yield i


class Held:
    """A remote function whose tasks end when a gate is opened."""

    def __init__(self, gate):
        self.remote = gate.hold


PINNED = pytest.mark.leaks("Ray pins an await of an item that never comes to exist")
KINDS = ["in order", "unordered", pytest.param("stream", marks=PINNED), "as_completed"]


@pytest.fixture(params=KINDS)
def iteration(request, ray_session, gate, tmp_path):
    """Make an iteration over 0, 1 and 2, which come when the gate is opened."""

    def make():
        if request.param == "stream":
            return stream(yield_when_there.remote(str(tmp_path / "open")))
        if request.param == "as_completed":
            return as_completed(map(gate.hold, range(3)), with_results=True)
        ordered = request.param == "in order"
        return ray_map(Held(gate), range(3), max_in_flight=3, ordered=ordered)

    return make


def plain(value):
    return value[1] if isinstance(value, tuple) else value


def test_timed_out_step_loses_nothing(iteration, gate):
    async def main():
        results = iteration()
        for _ in range(3):
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(anext(results), 0.05)
        gate.open()
        return sorted([plain(value) async for value in results])

    assert run(main()) == [0, 1, 2]


def test_repeatedly_cancelled_steps_lose_nothing(iteration, gate):
    async def main():
        results = iteration()
        gate.open()
        values = []
        while len(values) < 3:
            step = asyncio.ensure_future(anext(results))
            for _ in range(len(values) + 2):
                await asyncio.sleep(0)
            step.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                values.append(plain(await step))
        return sorted(values)

    assert run(main()) == [0, 1, 2]


def test_concurrent_step_raises(iteration, gate):
    async def main():
        results = iteration()
        first = asyncio.ensure_future(anext(results))
        await until_read()
        with pytest.raises(RuntimeError, match="one task at a time"):
            await anext(results)
        gate.open()
        return sorted([plain(await first), *[plain(v) async for v in results]])

    assert run(main()) == [0, 1, 2]


@pytest.mark.parametrize("way", ["close", "aclose", "async with", "aclosing"])
def test_closing_ends_the_iteration(iteration, way):
    async def main():
        results = iteration()
        step = asyncio.ensure_future(anext(results))
        await until_read()
        if way == "close":
            results.close()
        elif way == "aclose":
            await results.aclose()
        elif way == "async with":
            async with results:
                pass
        else:
            async with contextlib.aclosing(results):
                pass
        with pytest.raises(StopAsyncIteration):
            await step
        return [value async for value in results]

    assert run(main()) == []


def test_dropping_an_iteration_drops_its_refs(ray_session, gate):
    made = []

    class Noted:
        def remote(self, i):
            ref = gate.hold(i)
            made.append(ref.binary())
            return ref

    async def main():
        results = ray_map(Noted(), range(3), max_in_flight=3)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(anext(results), 0.1)
        del results
        gc.collect()
        await asyncio.to_thread(poll, lambda: not any(map(local_references, made)))

    run(main())


@pytest.mark.parametrize("kind", ["in order", "unordered", "stream"])
def test_value_is_held_no_longer_than_its_step(ray_session, kind):
    class Value:
        pass

    @ray.remote(num_cpus=0)
    def values():
        yield Value()
        yield Value()

    async def main():
        if kind == "stream":
            results = stream(values.remote(), prefetch=1)
        else:
            results = ray_map(
                echo, [Value(), Value()], max_in_flight=1, ordered=kind == "in order"
            )
        watch = weakref.ref(await anext(results))

        def gone():
            gc.collect()
            return watch() is None

        await asyncio.to_thread(poll, gone)
        assert type(await anext(results)).__name__ == "Value"

    run(main())


@pytest.mark.parametrize("ordered", [True, False])
def test_source_error_comes_in_its_turn(ray_session, gate, ordered):
    raised = asyncio.Event()

    async def broken():
        yield 1
        yield 2
        raised.set()
        raise ZeroDivisionError

    async def main():
        results = ray_map(Held(gate), broken(), max_in_flight=4, ordered=ordered)
        step = asyncio.ensure_future(anext(results))
        await raised.wait()
        gate.open()
        values = [await step, await anext(results)]
        with pytest.raises(ZeroDivisionError):
            await anext(results)
        return sorted(values), [value async for value in results]

    assert run(main()) == ([1, 2], [])


@pytest.mark.parametrize("ordered", [True, False])
def test_untaken_failure_is_not_reported(ray_session, ordered):
    @ray.remote(num_cpus=0)
    def fail(_i):
        raise ValueError(0)

    async def main():
        async with ray_map(fail, range(4), max_in_flight=4, ordered=ordered) as results:
            with pytest.raises(ValueError, match="0"):
                await anext(results)

    run(main())


class TestNoTime:
    """`as_completed(timeout=0)`."""

    @pytest.mark.parametrize("with_results", [True, False])
    def test_ready_refs_are_returned(self, ray_session, gate, with_results):
        ready = [ray.put(i) for i in range(3)]
        refs = [gate.hold(), *ready, ready[0], gate.hold()]

        async def main():
            completed = as_completed(refs, timeout=0, with_results=with_results)
            given = [await anext(completed) for _ in range(4)]
            with pytest.raises(asyncio.TimeoutError, match="2 of 6 refs"):
                await anext(completed)
            return given

        given = run(main())
        if with_results:
            assert sorted(value for _, value in given) == [0, 0, 1, 2]
        else:
            assert sorted(given, key=refs.index) == [ready[0], *ready]

    def test_many_ready_refs_are_returned(self, ray_session):
        refs = [ray.put(i) for i in range(1500)]

        async def main():
            completed = as_completed(refs, timeout=0, with_results=True)
            return [value async for _, value in completed]

        assert sorted(run(main())) == list(range(1500))

    def test_added_refs_are_returned(self, ray_session, gate):
        async def main():
            completed = as_completed([gate.hold()], timeout=0, with_results=True)
            with pytest.raises(asyncio.TimeoutError):
                await anext(completed)
            completed.add(ray.put("added"))
            return (await anext(completed))[1]

        assert run(main()) == "added"

    def test_unknown_ref_fails_alone(self, ray_session):
        refs = [ray.ObjectRef.from_random(), ray.put(1)]

        async def main():
            completed = as_completed(
                refs, timeout=0, with_results=True, return_exceptions=True
            )
            return {type(value).__name__ async for _, value in completed}

        assert run(main()) == {"UnknownRefError", "int"}
