"""The sweep of many refs, which reads the objects that exist."""

from __future__ import annotations

import asyncio

import pytest
import ray

from harness.failed_refs import failed
from harness.loops import run, until_read
from harness.polling import poll
from harness.rays import RAY_INIT, run_script
from harness.references import local_references
from harness.slow_objects import Slow, go_on, loads
from ray_jupyter_async import as_future, gather, get
from ray_jupyter_async._awaiting.events import (
    Outcome,
    add_observer,
    origin,
    remove_observer,
)
from ray_jupyter_async._awaiting.fetch.pool import readers
from ray_jupyter_async._awaiting.many.sweep import CHUNK


def test_every_chunk_is_put_in_its_place(ray_session):
    count = 2 * CHUNK + 100
    refs = [ray.put(i) for i in range(count)]
    assert run(get(refs)) == list(range(count))


def test_pending_refs_keep_their_places(ray_session, gate):
    refs = [ray.put(i) for i in range(CHUNK + 100)]
    pending = {5: gate.hold("a"), CHUNK - 1: gate.hold("b"), CHUNK + 50: gate.hold("c")}
    for index, ref in pending.items():
        refs[index] = ref
    refs[7] = failed("seven")

    async def main():
        everything = gather(refs, return_exceptions=True)
        await until_read()
        assert not everything.done()
        gate.open()
        return await everything

    values = run(main())
    assert isinstance(values[7], ValueError)
    assert [values[i] for i in pending] == ["a", "b", "c"]
    others = [i for i in range(len(refs)) if i != 7 and i not in pending]
    assert [values[i] for i in others] == others


def test_each_mention_of_a_ref_has_its_own_value(ray_session):
    values = run(get([ray.put([])] * 100))
    assert values == [[]] * 100
    assert len({id(value) for value in values}) == 100


@pytest.mark.parametrize("place", [60, CHUNK + 60], ids=["same chunk", "another"])
def test_error_does_not_wait_for_slow_objects(slow, place):
    refs = [slow, *[ray.put(i) for i in range(CHUNK + 100)]]
    refs[place] = failed("at once")

    async def main():
        with pytest.raises(ValueError, match="at once"):
            await gather(refs)

    run(main())
    assert not go_on.is_set()


def test_later_error_does_not_wait_for_slow_objects(slow, gate):
    refs = [slow, *[ray.put(i) for i in range(100)], gate.hold(ValueError("later"))]

    async def main():
        everything = gather(refs)
        await asyncio.to_thread(poll, lambda: loads)
        gate.open()
        with pytest.raises(ValueError, match="later"):
            await everything

    run(main())


def test_slow_object_delays_no_other_await(slow):
    async def main():
        everything = gather([slow, *[ray.put(i) for i in range(CHUNK)]])
        await asyncio.to_thread(poll, lambda: loads)
        assert await as_future(ray.put("quick")) == "quick"
        assert await gather([ray.put(i) for i in range(100)]) == list(range(100))
        assert not everything.done()
        go_on.set()
        return await everything

    assert run(main()) == ["slow", *range(CHUNK)]


def test_cancelled_sweep_loads_no_more(slow):
    others = [ray.put(Slow()) for _ in range(2 * CHUNK)]
    keys = [ref.binary() for ref in (others[CHUNK - 2], others[-1])]

    async def main():
        everything = gather([slow, *others])
        others.clear()
        await asyncio.to_thread(poll, lambda: loads)
        everything.cancel()
        with pytest.raises(asyncio.CancelledError):
            await everything
        # Also those behind the one that is being loaded.
        await asyncio.to_thread(
            poll, lambda: not any(local_references(key) for key in keys)
        )
        begun = len(loads)
        go_on.set()
        await asyncio.to_thread(poll, lambda: readers._threads == 0)
        return begun

    begun = run(main())
    # The reader that was loading finished its step.
    assert len(loads) < begun + CHUNK


def test_cancelled_sweep_can_cancel_the_tasks(slow, gate):
    held = gate.hold()

    async def main():
        everything = gather(
            [slow, *[ray.put(i) for i in range(CHUNK)], held], cancel_task=True
        )
        await asyncio.to_thread(poll, lambda: loads)
        everything.cancel()
        with pytest.raises(ray.exceptions.TaskCancelledError):
            await get(held, timeout=60)

    run(main(), timeout=90)


def test_cancelling_reaches_tasks_of_which_the_loop_has_not_heard(ray_session, gate):
    held = gate.hold()

    async def main():
        everything = gather([*[ray.put(i) for i in range(20)], held], cancel_task=True)
        # The reader has ended its only job; the loop has no turn.
        poll(lambda: readers._threads == 0)
        everything.cancel()
        with pytest.raises(ray.exceptions.TaskCancelledError):
            await asyncio.to_thread(ray.get, held, timeout=60)

    run(main(), timeout=90)


def test_each_ref_is_observed_once(ray_session, gate):
    seen = []
    refs = [*[ray.put(b"x" * i) for i in range(100)], gate.hold(), failed("no")]

    async def main():
        origin.set("cell 1")
        everything = gather(refs, return_exceptions=True)
        await asyncio.to_thread(poll, lambda: len(seen) == 2 * len(refs) - 1)
        gate.open()
        await everything

    add_observer(seen.extend)
    try:
        run(main())
    finally:
        remove_observer(seen.extend)
    keys = [ref.binary() for ref in refs]
    awaited = [event for event in seen if event.kind == "awaited"]
    settled = {event.key: event for event in seen if event.kind == "settled"}
    assert sorted(event.key for event in awaited) == sorted(keys)
    assert len(seen) == 2 * len(refs)
    assert {event.origin for event in seen} == {"cell 1"}
    assert [settled[key].outcome for key in keys[:-1]] == [Outcome.RESOLVED] * 101
    assert settled[keys[-1]].error == "ValueError"
    assert settled[keys[99]].size > settled[keys[1]].size > 0


def test_sweep_ends_with_its_session_and_loop():
    done = run_script(
        RAY_INIT
        + """
import asyncio, os, threading
from harness.polling import poll
from ray_jupyter_async import SessionEndedError, gather

class Slow:
    def __reduce__(self):
        return os.system, ("touch loading; sleep 2",)

refs = [ray.put(Slow()), *[ray.put(i) for i in range(5000)]]

async def leave():
    gather(refs)
    await asyncio.to_thread(poll, lambda: os.path.exists("loading"))
    os.unlink("loading")

asyncio.run(leave())

async def main():
    everything = gather(refs)
    await asyncio.to_thread(poll, lambda: os.path.exists("loading"))
    ray.shutdown()
    try:
        await everything
    except SessionEndedError:
        print("ended")

asyncio.run(main())
def own_threads():
    return [t.name for t in threading.enumerate() if t.name.startswith("ray-await")]

poll(lambda: not own_threads())
""",
        clean_stderr=True,
    )
    assert done.stdout == "ended\n"
