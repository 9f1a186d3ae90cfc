"""Combinators over Ray Client: as in a local session."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
import ray

from harness.client_tasks import MANY, echo, map_echo, run_for, settled, unloadable
from harness.loops import run, until_read
from ray_jupyter_async import (
    as_completed,
    as_future,
    cancel,
    gather,
    get,
    map,  # noqa: A004
    patched,
    wait,
)

pytestmark = [pytest.mark.client, pytest.mark.usefixtures("connection")]


@pytest.mark.parametrize("fetch_local", [True, False])
def test_wait_returns_ready_refs_unfetched(gate, fetch_local):
    async def main():
        refs = [unloadable(), gate.hold()]
        looked = await wait(refs, timeout=60, fetch_local=fetch_local)
        again = await wait(refs, timeout=0, fetch_local=fetch_local)
        return refs, looked, again

    refs, looked, again = run(main())
    assert looked == again == ([refs[0]], [refs[1]])


def test_wait_awaits_num_returns_refs(gate):
    refs = [gate.hold(i) for i in range(MANY)]

    async def main():
        waiting = asyncio.ensure_future(wait(refs, num_returns=MANY))
        await until_read()
        assert not waiting.done()
        gate.open()
        return await waiting

    assert run(main()) == (refs, [])


def test_as_completed_returns_refs_when_ready(gate):
    async def main():
        slow = gate.hold("slow")
        quick = map_echo(range(3))
        given = []
        async for ref in as_completed([slow, *quick]):
            given.append(ref)
            if len(given) == 3:
                gate.open()
        return slow, quick, given

    slow, quick, given = run(main())
    assert given[-1] == slow
    assert sorted(ref.hex() for ref in given[:3]) == sorted(ref.hex() for ref in quick)


def test_as_completed_returns_values():
    async def main():
        refs = map_echo(range(MANY))
        return [value async for _, value in as_completed(refs, with_results=True)]

    assert sorted(run(main())) == list(range(MANY))


def test_as_completed_returns_errors_and_pending_refs_among_many(gate):
    async def main():
        refs = [*map_echo(range(MANY)), unloadable(), gate.hold("held")]
        await settled(refs[:-1])
        values = {}
        async for ref, value in as_completed(
            refs, with_results=True, return_exceptions=True
        ):
            values[refs.index(ref)] = value
            if len(values) == MANY + 1:
                gate.open()
        return values

    values = run(main())
    assert [values[i] for i in range(MANY)] == list(range(MANY))
    assert "cannot be loaded here" in str(values[MANY])
    assert values[MANY + 1] == "held"


@pytest.mark.parametrize("patch", [True, False], ids=["patched", "own"])
def test_ready_refs_are_fetched_with_one_request(patch, connection, monkeypatch):
    requests = []
    get_objects = connection.server.GetObject

    def count(request, **options):
        requests.append(len(request.ids))
        return get_objects(request, **options)

    async def main():
        refs = await settled(map_echo(range(MANY)))
        await gather(refs)  # until the size of an object is known
        monkeypatch.setattr(connection.server, "GetObject", count)
        with patched() if patch else contextlib.nullcontext():
            return await (asyncio.gather if patch else gather)(*refs)

    assert run(main()) == list(range(MANY))
    assert requests == [MANY]


def test_each_mention_of_a_ref_among_many_has_its_own_value():
    async def main():
        (ref,) = await settled([echo.remote([])])
        return await gather([ref] * 20)

    values = run(main())
    assert values == [[]] * 20
    assert len({id(value) for value in values}) == 20


def test_gather_keeps_the_order_of_pending_refs():
    async def main():
        return await gather(map_echo(range(300)))

    assert run(main()) == list(range(300))


def test_get_has_a_timeout(gate):
    async def main():
        pending, ready = gate.hold(), echo.remote(1)
        await settled([ready])
        assert await get([ready, ready], timeout=0) == [1, 1]
        for timeout in (0, 0.2):
            with pytest.raises(ray.exceptions.GetTimeoutError):
                await get([ready, pending], timeout=timeout)

    run(main())


@pytest.mark.parametrize("ordered", [True, False])
def test_map_submits_and_returns_results(ordered):
    async def main():
        return [value async for value in map(echo, range(20), ordered=ordered)]

    assert sorted(run(main())) == list(range(20))


def test_cancel_returns_each_outcome():
    async def main():
        ready, running = echo.remote(1), run_for.remote(60)
        await settled([ready])
        outcomes = [each.outcome.value for each in await cancel([ready, running])]
        with pytest.raises(ray.exceptions.TaskCancelledError):
            await as_future(running)
        return outcomes

    assert run(main()) == ["ready", "requested"]


def test_results_of_actors_come_in_order():
    @ray.remote(num_cpus=0)
    class Counter:
        def __init__(self):
            self.count = 0

        def add(self):
            self.count += 1
            return self.count

    async def main():
        counter = Counter.remote()
        return await gather([counter.add.remote() for _ in range(30)])

    assert run(main()) == list(range(1, 31))
