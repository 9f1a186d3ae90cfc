"""`map` and `stream`: sources without end, with bounded work in flight."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time

import pytest
import ray

from harness.loops import run, until_read
from harness.polling import poll
from ray_jupyter_async import map as ray_map
from ray_jupyter_async import patched, stream
from ray_jupyter_async._awaiting.events import add_observer, origin, remove_observer


@ray.remote(num_cpus=0)
def square(x):
    if x < 0:
        raise ValueError(f"{x} is negative")
    return x * x


@ray.remote(num_cpus=0)
def add(x, y):
    return x + y


@ray.remote(num_cpus=0)
def nap(seconds):
    time.sleep(seconds)
    return seconds


@ray.remote(num_cpus=0)
def count_to(end, fail_at=None):
    for i in range(end):
        if i == fail_at:
            raise ValueError("broke off")
        yield i


async def listed(iterator):
    return [item async for item in iterator]


@pytest.mark.parametrize("ordered", [True, False])
def test_every_input_is_mapped(ray_session, ordered):
    values = run(listed(ray_map(square, range(40), max_in_flight=4, ordered=ordered)))
    assert sorted(values) == [i * i for i in range(40)]
    if ordered:
        assert values == sorted(values)


def test_unordered_results_come_as_they_complete(ray_session):
    values = run(listed(ray_map(nap, [1.0, 0.0], max_in_flight=2, ordered=False)))
    assert values == [0.0, 1.0]


def test_iterables_advance_in_step(ray_session):
    values = run(listed(ray_map(add, range(100), [10, 20], max_in_flight=4)))
    assert values == [10, 21]


def test_async_iterables_are_accepted(ray_session):
    async def numbers():
        for i in range(3):
            await asyncio.sleep(0)
            yield i

    values = run(listed(ray_map(add, numbers(), range(3), max_in_flight=4)))
    assert values == [0, 2, 4]


def test_actor_method_is_mapped(ray_session):
    @ray.remote(num_cpus=0)
    class Adder:
        def add_one(self, x):
            return x + 1

    adder = Adder.remote()
    assert run(listed(ray_map(adder.add_one, range(3), max_in_flight=2))) == [1, 2, 3]


def test_the_loop_has_turns_while_many_inputs_are_taken(ray_session):
    turns_at = []

    def inputs():
        for i in range(200):
            time.sleep(0.0005)
            turns_at.append(turns)
            yield i

    async def turn():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def main():
        turning = asyncio.ensure_future(turn())
        await asyncio.sleep(0)
        values = await listed(ray_map(square, inputs(), max_in_flight=200))
        turning.cancel()
        return values

    turns = 0
    assert run(main()) == [i * i for i in range(200)]
    # Slices of 4 ms hold eight inputs; without them all were taken in one turn.
    assert len(set(turns_at)) >= 5


@pytest.mark.parametrize("source", ["stream", "async inputs"])
def test_an_item_is_awaited_by_the_cell_that_asks_for_it(ray_session, source):
    count, first = 40, 3
    seen = []

    @ray.remote(num_cpus=0)
    def slowly():
        # Slower than the consumer, so that the source is always waited for.
        for i in range(count):
            time.sleep(0.01)
            yield i

    async def inputs():
        for i in range(count):
            await asyncio.sleep(0.01)
            yield i

    async def main():
        origin.set("cell 1")
        if source == "stream":
            values = stream(slowly.remote())
        else:
            values = ray_map(square, inputs(), max_in_flight=8)
        for _ in range(first):
            await anext(values)
        origin.set("cell 2")
        await listed(values)

    add_observer(seen.extend)
    try:
        run(main())
    finally:
        remove_observer(seen.extend)
    origins = [event.origin for event in seen if event.kind == "awaited"]
    assert len(origins) == count
    # What was asked for before the cell changed, eight at most, is the first one's.
    assert first <= origins.count("cell 1") <= first + 8


def test_an_input_may_close_the_iteration(ray_session):
    def inputs():
        yield 1
        values.close()
        yield 2

    values = ray_map(square, inputs(), max_in_flight=4)
    assert run(listed(values)) == []


def test_stop_in_an_input_loses_no_value(ray_session):
    def inputs():
        yield 1
        yield 2
        raise KeyboardInterrupt

    async def main():
        values = ray_map(square, inputs(), max_in_flight=4)
        with pytest.raises(KeyboardInterrupt):
            await anext(values)
        assert [await anext(values), await anext(values)] == [1, 4]
        # Not an end: the inputs after it were never taken.
        with pytest.raises(KeyboardInterrupt):
            await anext(values)

    run(main())


@pytest.mark.parametrize("ordered", [True, False])
def test_inputs_are_taken_only_up_to_the_limit(ray_session, ordered):
    taken, given, most = 0, 0, 0

    def endless():
        nonlocal taken
        for i in itertools.count():
            taken += 1
            yield i

    async def main():
        nonlocal given, most
        results = ray_map(square, endless(), max_in_flight=5, ordered=ordered)
        async with contextlib.aclosing(results):
            async for _ in results:
                given += 1
                most = max(most, taken - given)
                await asyncio.sleep(0.001)
                if given == 60:
                    break

    run(main())
    assert most <= 5


def test_default_limit_is_twice_the_cpus(ray_session):
    taken = 0

    def endless():
        nonlocal taken
        for _ in itertools.count():
            taken += 1
            yield 0.3

    async def main():
        results = ray_map(nap, endless())
        async with contextlib.aclosing(results):
            await anext(results)

    run(main())
    assert taken == 2 * 2  # the shared session has two


@pytest.mark.parametrize("ordered", [True, False])
def test_slow_source_delays_no_result(ray_session, ordered):
    async def slow(left):
        yield 3
        try:
            await asyncio.sleep(60)
        finally:
            left.set()

    async def main():
        left = asyncio.Event()
        results = ray_map(square, slow(left), max_in_flight=4, ordered=ordered)
        async with contextlib.aclosing(results):
            value = await asyncio.wait_for(anext(results), 15)
        await asyncio.wait_for(left.wait(), 5)
        return value

    assert run(main()) == 9


@pytest.mark.parametrize("ordered", [True, False])
def test_source_error_ends_the_iteration(ray_session, ordered):
    async def broken():
        yield 3
        raise ZeroDivisionError

    async def main():
        results = ray_map(square, broken(), max_in_flight=1, ordered=ordered)
        first = await anext(results)
        with pytest.raises(ZeroDivisionError):
            await anext(results)
        return first

    assert run(main()) == 9


@pytest.mark.parametrize("ordered", [True, False])
def test_late_source_error_is_not_reported(ray_session, ordered):
    async def broken(taken, raised):
        yield 3
        await taken.wait()
        raised.set()
        raise ZeroDivisionError

    async def main():
        taken, raised = asyncio.Event(), asyncio.Event()
        source = broken(taken, raised)
        results = ray_map(square, source, max_in_flight=2, ordered=ordered)
        async with contextlib.aclosing(results):
            await anext(results)
            taken.set()
            await raised.wait()

    run(main())


@pytest.mark.parametrize("ordered", [True, False])
def test_error_ends_the_iteration(ray_session, ordered):
    async def main():
        results = ray_map(square, [2, -1, 3], max_in_flight=1, ordered=ordered)
        first = await anext(results)
        with pytest.raises(ValueError, match="-1 is negative"):
            await anext(results)
        return [first, *[value async for value in results]]

    assert run(main()) == [4]


@pytest.mark.parametrize("ordered", [True, False])
def test_errors_are_returned_as_results(ray_session, ordered):
    results = ray_map(
        square, [2, -1, 3], max_in_flight=1, ordered=ordered, return_exceptions=True
    )
    four, error, nine = run(listed(results))
    assert (four, nine) == (4, 9)
    assert isinstance(error, ValueError)


@pytest.mark.parametrize("ordered", [True, False])
def test_leaving_early_can_cancel_tasks(ray_session, gate, ordered):
    class Held:
        def __init__(self):
            self.refs = []

        def remote(self, value):
            self.refs.append(gate.hold(value))
            return self.refs[-1]

    async def leave(held, cancel_task):
        results = ray_map(
            held, range(2), max_in_flight=2, ordered=ordered, cancel_task=cancel_task
        )
        async with contextlib.aclosing(results):
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(anext(results), 0.2)

    left, cancelled = Held(), Held()
    run(leave(left, False))
    run(leave(cancelled, True))
    for ref in cancelled.refs:
        with pytest.raises(ray.exceptions.TaskCancelledError):
            ray.get(ref, timeout=60)
    gate.open()
    assert ray.get(left.refs, timeout=60) == [0, 1]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((len, [1]), TypeError, "remote function"),
        ((square,), TypeError, "at least one iterable"),
        ((square, 5), TypeError, "not iterable"),
    ],
)
def test_invalid_arguments_are_refused(ray_session, arguments, error, message):
    with pytest.raises(error, match=message):
        ray_map(*arguments)
    with pytest.raises(ValueError, match="max_in_flight"):
        ray_map(square, [1], max_in_flight=0)


class TestStream:
    """The values of a streaming generator."""

    def test_values_come_in_order(self, ray_session):
        assert run(listed(stream(count_to.remote(20)))) == list(range(20))

    def test_generator_error_comes_after_its_values(self, ray_session):
        async def main():
            results = stream(count_to.remote(10, fail_at=3))
            values = [await anext(results) for _ in range(3)]
            with pytest.raises(ValueError, match="broke off"):
                await anext(results)
            return values

        assert run(main()) == [0, 1, 2]

    def test_prefetch_limits_what_is_fetched(self, ray_session, tmp_path):
        ended = tmp_path / "ended"

        @ray.remote(num_cpus=0)
        def count():
            for i in range(30):  # noqa: UP028 - Ray does not run `yield from` of a range
                yield i
            ended.touch()

        generator = count.remote()

        async def main():
            values = stream(generator, prefetch=3)
            async with contextlib.aclosing(values):
                first = await anext(values)
                # All could have been fetched by then.
                await asyncio.to_thread(poll, ended.exists)
                await until_read()
            # The generator still yields the rest.
            with patched():
                return first, await (await anext(generator))

        first, following = run(main())
        assert first == 0
        assert following <= 4

    def test_refs_can_still_be_iterated(self, ray_session):
        async def main():
            with patched():
                return [await ref async for ref in count_to.remote(5)]

        assert run(main()) == [0, 1, 2, 3, 4]

    def test_non_generators_are_refused(self, ray_session):
        with pytest.raises(TypeError, match="ObjectRefGenerator"):
            stream(ray.put(1))
        with pytest.raises(ValueError, match="prefetch"):
            stream(count_to.remote(1), prefetch=0)
