"""The patch that saves asyncio's functions a task for each ref."""

from __future__ import annotations

import asyncio
import pickle

import pytest
import ray

from harness.loops import run
from ray_jupyter_async import patch, patched, unpatch
from ray_jupyter_async._awaiting.patching import asyncio_gather


def _tasks():
    """Return the number of tasks, with the one or two of the test."""
    return len(asyncio.all_tasks())


def _functions():
    return {name: vars(asyncio.tasks).get(name) for name in asyncio_gather._NAMES}


#: The name of the function that `gather` calls, in its own code.
(CALLED,) = filter(asyncio_gather._is_called, asyncio_gather._NAMES)


def _called():
    return getattr(asyncio.tasks, CALLED)


def test_refs_make_no_tasks(ray_session, gate):
    refs = [gate.hold(0), gate.hold(1)]

    async def main():
        before = _tasks()
        with patched():
            gathering = asyncio.gather(*refs)
            shielded = asyncio.shield(refs[0])
            assert _tasks() == before
            gate.open()
            completed = [await one for one in asyncio.as_completed(refs)]
            return await gathering, await shielded, sorted(completed)

    assert run(main()) == ([0, 1], 0, [0, 1])


def test_refs_mix_with_other_awaitables(ray_session):
    async def coroutine():
        return "coroutine"

    async def main():
        future = asyncio.get_running_loop().create_future()
        future.set_result("future")
        before = _tasks()
        with patched():
            gathering = asyncio.gather(ray.put("ref"), coroutine(), future)
            assert _tasks() == before + 1, "the coroutine's"
            with pytest.raises(TypeError):
                asyncio.gather("nothing to await")
            return await gathering

    assert run(main()) == ["ref", "coroutine", "future"]


def test_repeated_ref_is_awaited_once(ray_session):
    # As asyncio treats any awaitable.
    ref = ray.put([1])

    async def main():
        with patched():
            return await asyncio.gather(ref, ref)

    first, second = run(main())
    assert first is second


def test_cancelling_leaves_the_tasks_running(ray_session, gate):
    ref = gate.hold("ran on")

    async def main():
        with patched():
            gathering = asyncio.gather(ref, ref)
            gathering.cancel()
            with pytest.raises(asyncio.CancelledError):
                await gathering

    run(main())
    gate.open()
    assert ray.get(ref) == "ran on"


def test_errors_are_raised_or_returned(ray_session, gate):
    gate.open()
    refs = [gate.hold(ValueError("bad")), gate.hold(1)]

    async def main():
        with patched():
            with pytest.raises(ValueError, match="bad"):
                await asyncio.gather(*refs)
            return await asyncio.gather(*refs, return_exceptions=True)

    error, value = run(main())
    assert isinstance(error, ValueError)
    assert value == 1


def test_asyncio_chooses_the_loop_if_none_runs(ray_session):
    refs = [ray.put(1), ray.put(2)]
    loop = asyncio.new_event_loop()
    try:
        with patched():
            other = _called()(refs[0], loop=loop)
            assert isinstance(other, asyncio.Task)
            assert other.get_loop() is loop
            assert loop.run_until_complete(other) == 1
    finally:
        loop.close()


def test_function_is_restored_with_the_patch(ray_session):
    before = _functions()

    async def tasks_of_a_gather():
        before = _tasks()
        gathering = asyncio.gather(ray.put(1), ray.put(2))
        made = _tasks() - before
        await gathering
        return made

    with patched():
        patch()
        unpatch()
        assert run(tasks_of_a_gather()) == 0
    assert _functions() == before
    assert run(tasks_of_a_gather()) == 2


def test_public_ensure_future_stays_and_pickles(ray_session):
    before = asyncio.ensure_future, asyncio.ensure_future.__module__
    with patched():
        assert asyncio.ensure_future is before[0]
        assert pickle.loads(pickle.dumps(before[0])) is before[0]
        assert pickle.loads(pickle.dumps(_called())) is _called()
        # Its parameter has asyncio's name.
        with pytest.raises(TypeError, match="awaitable"):
            _called()(coro_or_future=1)
    assert asyncio.ensure_future.__module__ == before[1]


def test_replacement_of_another_library_stays(ray_session, monkeypatch):
    asyncios = getattr(asyncio.tasks, CALLED)

    def theirs(given, *, loop=None):
        return asyncios(given, loop=loop)

    monkeypatch.setattr(asyncio.tasks, CALLED, theirs)
    with patched():
        assert getattr(asyncio.tasks, CALLED) is theirs

    monkeypatch.setattr(asyncio.tasks, CALLED, asyncios)
    patch()
    monkeypatch.setattr(asyncio.tasks, CALLED, theirs)
    unpatch()
    assert getattr(asyncio.tasks, CALLED) is theirs


def test_replaced_gather_awaits_refs_by_tasks(ray_session, monkeypatch):
    asyncios = asyncio.gather

    def theirs(*awaitables):
        return asyncios(*awaitables)

    monkeypatch.setattr(asyncio, "gather", theirs)
    before = _functions()

    async def main():
        return await asyncio.gather(ray.put(1), ray.put(2))

    with patched():
        assert _functions() == before
        assert run(main()) == [1, 2]
