"""Values and errors over Ray Client, and cancelled awaits: as in a local session."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import weakref

import pytest
import ray

from harness.client_tasks import MANY, echo, map_echo, run_for, settled, unloadable
from harness.loops import run, until_read
from harness.polling import poll
from ray_jupyter_async import (
    UnknownRefError,
    as_future,
    cancel,
    gather,
    patched,
    wait,
)

pytestmark = [pytest.mark.client, pytest.mark.usefixtures("connection")]


@ray.remote
def fail(error):
    raise error


@ray.remote(num_cpus=0, max_retries=0)
def die():
    import os

    os._exit(1)


def ids(refs):
    return [ref.binary() for ref in refs]


# Values and errors


def test_value_is_returned():
    async def main():
        return await as_future(echo.remote({"key1": ["value"]}))

    assert run(main()) == {"key1": ["value"]}


def test_await_of_a_ref_is_routed_here():
    async def main():
        with patched():
            return await echo.remote(1), await asyncio.gather(*map_echo(range(3)))

    assert run(main()) == (1, [0, 1, 2])


@pytest.mark.parametrize("count", [1, MANY])
def test_raises_the_task_s_error_as_its_own_class(count):
    async def main():
        refs = await settled([fail.remote(ValueError("no")), *map_echo(range(count))])
        await gather(refs)

    with pytest.raises(ValueError, match="no") as caught:
        run(main())
    assert isinstance(caught.value, ray.exceptions.RayTaskError)


@pytest.mark.parametrize("count", [1, MANY])
def test_returned_exception_is_a_value(count):
    async def main():
        return await gather(
            await settled([echo.remote(ValueError("mine")) for _ in range(count)])
        )

    values = run(main())
    assert [type(value) for value in values] == [ValueError] * count


def test_errors_among_many_affect_no_value():
    async def main():
        refs = [
            fail.remote(KeyError(i)) if i % 30 == 7 else echo.remote(i)
            for i in range(MANY)
        ]
        return await gather(await settled(refs), return_exceptions=True)

    values = run(main())
    wrong = [i for i, value in enumerate(values) if isinstance(value, KeyError)]
    assert wrong == [7, 37, 67, 97]
    assert all(value == i for i, value in enumerate(values) if i not in wrong)


def test_values_beside_an_error_are_read():
    # Ray stops reading at an error. Here objects of the store and small ones are in one
    # request to the server.
    async def main():
        refs = [
            fail.remote(KeyError(i)) if i % 3 == 1 else ray.put((i, bytes(size)))
            for i in range(15)
            for size in (10, 300_000)
        ]
        await settled(refs)
        return await gather(refs, return_exceptions=True)

    values = run(main())
    told = [v.cause.args[0] if isinstance(v, KeyError) else v[0] for v in values]
    assert told == [i for i in range(15) for _ in range(2)]
    assert all(isinstance(values[i], KeyError) == (told[i] % 3 == 1) for i in range(30))


def test_dead_worker_is_reported():
    async def main():
        await as_future(die.remote())

    with pytest.raises(ray.exceptions.WorkerCrashedError):
        run(main(), timeout=60)


def test_cancelled_task_is_reported():
    async def main():
        ref = run_for.remote(30)
        future = as_future(ref)
        await cancel(ref)
        await future

    with pytest.raises(ray.exceptions.TaskCancelledError):
        run(main())


def test_each_awaiter_gets_its_own_copy():
    async def main():
        ref = echo.remote([1])
        many = await settled(map_echo([[i] for i in range(MANY)]))
        return await gather(ref, ref), await gather(*many, *many)

    (one, other), values = run(main())
    assert one == other
    assert one is not other
    assert all(values[i] is not values[i + MANY] for i in range(MANY))


def test_large_objects_are_returned():
    async def main():
        refs = await settled([ray.put(bytes([i]) * 12_000_000) for i in range(3)])
        return await gather(refs), await as_future(refs[0])

    values, first = run(main())
    assert [len(value) for value in values] == [12_000_000] * 3
    assert [value[0] for value in values] == [0, 1, 2]
    assert first == values[0]


def test_unknown_ref_fails_alone(gate):
    def made_up():
        return type(known[0])(bytes(range(28)))

    known = map_echo(range(20))

    async def main():
        await settled(known)
        with pytest.raises(UnknownRefError):
            await as_future(made_up())
        with pytest.raises(UnknownRefError):
            await wait([*known, made_up()], num_returns=21)
        with pytest.raises(UnknownRefError):
            await wait([made_up()], timeout=0)
        return await gather(*known, made_up(), return_exceptions=True)

    values = run(main())
    assert values[:-1] == list(range(20))
    assert isinstance(values[-1], UnknownRefError)


@pytest.mark.parametrize("count", [0, MANY])
def test_unloadable_object_fails_alone(count):
    async def main():
        refs = await settled([*map_echo(range(count)), unloadable()])
        return await gather(refs, return_exceptions=True)

    *values, error = run(main())
    assert values == list(range(count))
    assert str(error) == "cannot be loaded here"


# Cancelling


@pytest.mark.parametrize("count", [1, MANY])
def test_cancelled_await_logs_and_keeps_nothing(gate, count, caplog, connection):
    caplog.set_level(logging.WARNING)
    kept = weakref.WeakSet()

    async def main():
        refs = [gate.hold(i) for i in range(count)]
        keys = set(await asyncio.to_thread(ids, refs))
        futures = [as_future(ref) for ref in refs]
        kept.update(futures)
        await until_read()
        for future in futures:
            future.cancel()
        del refs, futures, future
        await asyncio.sleep(0)
        gc.collect()
        poll(lambda: not keys & set(connection.reference_count))
        # Now the server pushes the answers that it was asked for.
        gate.open()
        unanswered = connection.data_client.asyncio_waiting_data
        await asyncio.to_thread(poll, lambda: not unanswered)

    run(main())
    poll(lambda: gc.collect() is None or not kept)
    assert caplog.records == []


def test_cancelling_leaves_the_task_running(gate):
    async def main():
        ref = gate.hold("done")
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(as_future(ref), 0.2)
        gate.open()
        return await as_future(ref)

    assert run(main()) == "done"


def test_cancel_task_cancels_the_task(tmp_path):
    begun = tmp_path / "begun"

    async def main():
        ref = run_for.remote(60, str(begun))
        future = as_future(ref, cancel_task=True)
        await asyncio.to_thread(poll, begun.exists)
        future.cancel()
        with pytest.raises(ray.exceptions.TaskCancelledError):
            await as_future(ref)

    run(main())


def test_repeated_awaits_request_the_value_once(gate, connection):
    async def main():
        ref = gate.hold(1)
        for _ in range(5):
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(as_future(ref), 0.05)
        asked = len(connection.data_client.asyncio_waiting_data)
        gate.open()
        return asked, await as_future(ref)

    assert run(main()) == (1, 1)
