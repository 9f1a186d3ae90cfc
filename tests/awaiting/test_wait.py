"""`wait`: the contract of `ray.wait`, awaitable."""

from __future__ import annotations

import asyncio

import pytest
import ray

from harness.loops import run, until_read
from ray_jupyter_async import UnknownRefError, wait


def test_first_ready_ref_is_returned(ray_session, gate):
    pending, ready = gate.hold(), ray.put(1)

    async def main():
        return await wait([pending, ready])

    assert run(main()) == ([ready], [pending])


def test_num_returns_refs_are_awaited(ray_session, gate):
    refs = [gate.hold(i) for i in range(3)]

    async def main():
        waiting = asyncio.ensure_future(wait(refs, num_returns=3))
        await until_read()
        assert not waiting.done()
        gate.open()
        return await waiting

    assert run(main()) == (refs, [])


def test_ready_refs_are_limited_and_ordered(ray_session):
    refs = [ray.put(i) for i in range(5)]

    async def main():
        return await wait(refs, num_returns=2), await wait(
            refs, num_returns=2, timeout=0
        )

    for ready, rest in run(main()):
        assert len(ready) == 2
        assert [ref for ref in refs if ref in ready] == ready
        assert [ref for ref in refs if ref in rest] == rest


def test_timeout_returns_the_ready_refs(ray_session, gate):
    ready, pending = ray.put(1), gate.hold()

    async def main():
        return await wait([pending, ready], num_returns=2, timeout=0.3)

    assert run(main()) == ([ready], [pending])


def test_zero_timeout_returns_at_once(ray_session, gate):
    ready, pending = ray.put(1), gate.hold()

    async def main():
        return await wait([pending, ready], num_returns=2, timeout=0)

    assert run(main()) == ([ready], [pending])


@pytest.mark.parametrize("fetch_local", [True, False])
def test_failed_task_is_ready(ray_session, fetch_local):
    @ray.remote(num_cpus=0)
    def fail():
        raise ValueError

    ref = fail.remote()

    async def main():
        return await wait([ref], timeout=20, fetch_local=fetch_local)

    assert run(main()) == ([ref], [])


def test_object_must_exist_without_fetch_local(ray_session, gate):
    pending = gate.hold()

    async def main():
        waiting = asyncio.ensure_future(wait([pending], fetch_local=False))
        await until_read()
        assert not waiting.done()
        gate.open()
        return await waiting

    assert run(main()) == ([pending], [])


def test_no_refs_return_empty_lists(ray_session):
    assert run(wait([])) == ([], [])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_returns": 0}, "between 1 and the number of refs, 2"),
        ({"num_returns": 3}, "between 1 and the number of refs, 2"),
        ({"timeout": -1}, "negative"),
    ],
)
def test_impossible_arguments_are_refused(ray_session, arguments, message):
    refs = [ray.put(1), ray.put(2)]

    async def main():
        with pytest.raises(ValueError, match=message):
            await wait(refs, **arguments)

    run(main())


def test_duplicates_are_refused(ray_session):
    ref = ray.put(1)

    async def main():
        with pytest.raises(ValueError, match="twice"):
            await wait([ref, ref])

    run(main())


@pytest.mark.parametrize("timeout", [None, 0])
def test_unknown_ref_is_an_error_at_once(ray_session, timeout):
    async def main():
        with pytest.raises(UnknownRefError):
            await wait([ray.ObjectRef.from_random()], timeout=timeout)

    run(main())


def test_asyncio_wait_accepts_futures_of_refs(ray_session, gate):
    # asyncio.wait([ref]) itself raises: it accepts only futures and tasks.
    from ray_jupyter_async import as_future

    async def main():
        ready, pending = as_future(ray.put(1)), as_future(gate.hold())
        done, rest = await asyncio.wait(
            [ready, pending], return_when=asyncio.FIRST_COMPLETED
        )
        assert done == {ready}
        assert rest == {pending}
        pending.cancel()

    run(main())
