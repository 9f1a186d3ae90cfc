"""Loops of every kind: in threads, several on one ref, closed, idle."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import weakref

import pytest
import ray

from harness.loops import run, until_read
from harness.polling import poll
from harness.references import local_references
from ray_jupyter_async import as_future, patched
from ray_jupyter_async._awaiting.fetch.pool import readers


def test_loop_in_another_thread_can_await(ray_session):
    ref = ray.put("x")

    async def main():
        return await as_future(ref)

    results = []
    thread = threading.Thread(target=lambda: results.append(run(main())))
    thread.start()
    thread.join(30)
    assert results == ["x"]


def test_many_loops_await_one_ref(ray_session, gate):
    ref = gate.hold([1])
    waiting = threading.Barrier(9)
    results = []

    async def main():
        future = as_future(ref)
        await until_read()
        await asyncio.get_running_loop().run_in_executor(None, waiting.wait)
        results.append(await future)

    threads = [threading.Thread(target=lambda: run(main())) for _ in range(8)]
    for thread in threads:
        thread.start()
    waiting.wait(30)
    gate.open()
    for thread in threads:
        thread.join(30)
    assert results == [[1]] * 8
    assert len({id(value) for value in results}) == 8


def test_four_loops_await_a_thousand_refs_each(ray_session):
    refs = [ray.put(i) for i in range(1000)]

    async def main():
        with patched():
            return await asyncio.gather(*refs)

    results = []
    threads = [
        threading.Thread(target=lambda: results.append(run(main()))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert results == [list(range(1000))] * 4


def test_current_loop_is_used_if_none_runs(ray_session):
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        future = as_future(ray.put(2))
        assert future.get_loop() is loop
        assert loop.run_until_complete(future) == 2
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def test_thread_without_a_loop_is_an_error(ray_session):
    ref, errors = ray.put(1), []

    def make():
        try:
            as_future(ref)
        except RuntimeError as error:
            errors.append(str(error))

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    assert len(errors) == 1
    assert "no current event loop" in errors[0]


def test_closed_loop_is_refused(ray_session):
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.close()
    try:
        with pytest.raises(RuntimeError, match="closed"):
            as_future(ray.put(1))
    finally:
        asyncio.set_event_loop(None)


def test_closing_a_loop_drops_its_pending_awaits(ray_session, gate):
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    ref = gate.hold()
    key = ref.binary()
    future = as_future(ref)
    loop.run_until_complete(until_read())
    watch = weakref.ref(future)
    asyncio.set_event_loop(None)
    loop.close()
    del ref, future, loop

    def gone():
        gc.collect()
        return watch() is None and local_references(key) == 0

    poll(gone, what="the future and its ref are gone")


def test_result_for_a_closed_loop_is_dropped(ray_session, gate):
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    future = as_future(gate.hold(1))
    loop.run_until_complete(until_read())
    asyncio.set_event_loop(None)
    loop.close()
    gate.open()

    async def main():
        return await as_future(gate.hold(2))

    assert run(main()) == 2
    assert not future.done()


def test_finished_loop_leaves_no_converter(ray_session):
    loops = []

    async def main():
        loops.append(weakref.ref(asyncio.get_running_loop()))
        return await as_future(ray.put(1))

    def gone():
        gc.collect()  # the loop, its converter and a timer are a cycle
        return loops[0]() is None

    run(main())
    # The reader that woke the loop drops it a moment later.
    poll(gone)


def test_threads_end_within_a_second_of_the_work(ray_session):
    async def main():
        return await as_future(ray.put(1))

    run(main())
    poll(lambda: readers._threads == 0, what="the readers have ended")

    def ours():
        return [t.name for t in threading.enumerate() if t.name.startswith("ray-await")]

    poll(lambda: not ours(), what="all our threads have ended")


@pytest.mark.leaks("libuv's first loop opens a pipe for signals")
def test_uvloop(ray_session):
    uvloop = pytest.importorskip("uvloop")

    async def main():
        with patched():
            return await asyncio.gather(ray.put(1), ray.put(2))

    assert run(main(), loop_factory=uvloop.new_event_loop) == [1, 2]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks are of Python 3.12")
def test_eager_tasks(ray_session):
    async def value(ref):
        return await ref

    async def main():
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        refs = [ray.put(1), ray.put(2)]
        with patched():
            return await asyncio.gather(*refs, *map(value, refs))

    assert run(main()) == [1, 2, 1, 2]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="TaskGroup is of Python 3.11")
def test_task_group_and_timeout(ray_session):
    async def value(ref):
        return await ref

    async def main():
        with patched():
            async with asyncio.timeout(10), asyncio.TaskGroup() as group:
                tasks = [group.create_task(value(ray.put(i))) for i in range(3)]
        return [task.result() for task in tasks]

    assert run(main()) == [0, 1, 2]


def test_loop_runs_while_objects_load(ray_session):
    class Slow:
        def __reduce__(self):
            import time

            return (time.sleep, (0.5,))

    refs = [ray.put(Slow()) for _ in range(3)]
    turns = 0

    async def main():
        nonlocal turns
        futures = asyncio.gather(*map(as_future, refs))
        while not futures.done():
            turns += 1
            await asyncio.sleep(0.01)

    run(main())
    assert turns > 10
