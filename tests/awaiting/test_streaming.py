"""The sweep of `as_completed`, which delivers results while others are loaded."""

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
from ray_jupyter_async import as_completed
from ray_jupyter_async._awaiting.events import (
    Outcome,
    add_observer,
    origin,
    remove_observer,
)
from ray_jupyter_async._awaiting.many.sweep import CHUNK


async def pairs_of(refs, **options):
    options = {"with_results": True, "return_exceptions": True, **options}
    return [pair async for pair in as_completed(refs, **options)]


def test_every_ready_ref_comes_once(ray_session):
    refs = [ray.put(i) for i in range(2 * CHUNK + 100)]
    pairs = run(pairs_of(refs))
    assert len(pairs) == len(refs)
    assert dict(pairs) == dict(zip(refs, range(len(refs)), strict=True))


def test_each_mention_of_a_ref_has_its_own_value(ray_session):
    ref = ray.put([])
    pairs = run(pairs_of([ref] * 100))
    assert pairs == [(ref, [])] * 100
    assert len({id(value) for _, value in pairs}) == 100


def test_pending_and_failed_refs_come_among_the_others(ray_session, gate):
    refs = [ray.put((i,)) if i % 2 else ray.put(i) for i in range(CHUNK + 100)]
    held = {5: gate.hold("a"), CHUNK - 1: gate.hold("b"), CHUNK + 50: gate.hold("c")}
    for index, ref in held.items():
        refs[index] = ref
    refs[7] = failed("seven")

    async def main():
        values = {}
        async for ref, value in as_completed(
            refs, with_results=True, return_exceptions=True
        ):
            values[refs.index(ref)] = value
            if len(values) == len(refs) - len(held):
                assert not values.keys() & held.keys()
                gate.open()
        return values

    values = run(main())
    assert [values[i] for i in held] == ["a", "b", "c"]
    assert isinstance(values[7], ValueError)
    others = [i for i in range(len(refs)) if i != 7 and i not in held]
    assert [values[i] for i in others] == [(i,) if i % 2 else i for i in others]


def test_errors_are_raised_and_the_iteration_goes_on(ray_session):
    refs = [ray.put(i) for i in range(100)]
    refs[50] = failed("raised")

    async def main():
        values = []
        completed = as_completed(refs, with_results=True)
        while True:
            try:
                values.append((await anext(completed))[1])
            except ValueError as error:
                values.append(str(error.args[0]))
            except StopAsyncIteration:
                return values

    values = run(main())
    assert len(values) == 100
    assert sum("raised" in str(value) for value in values) == 1


def test_exception_that_is_a_value_is_not_raised(ray_session):
    kept = ValueError("kept")
    pairs = run(pairs_of([ray.put(kept) for _ in range(20)], return_exceptions=False))
    assert [value.args for _, value in pairs] == [("kept",)] * 20


@pytest.mark.parametrize("count", [1, 3])
def test_slow_objects_delay_no_others(slow, count):
    slow_ones = [slow, *[ray.put(Slow()) for _ in range(count - 1)]]
    # Between the others, which are loaded with pickle and without.
    others = [ray.put((i,)) if i % 2 else ray.put(i) for i in range(CHUNK + 100)]
    refs = others.copy()
    for place, ref in enumerate(slow_ones):
        refs.insert(200 * place, ref)

    async def main():
        completed = as_completed(refs, with_results=True)
        early = [(await anext(completed))[0] for _ in others]
        go_on.set()
        return early, [value async for _, value in completed]

    early, late = run(main())
    assert set(early) == set(others)
    assert late == ["slow"] * count


def test_refs_can_be_added_to_a_sweep(slow):
    refs = [slow, *[ray.put(i) for i in range(CHUNK)]]
    more = [ray.put(-i) for i in range(100)]

    async def main():
        completed = as_completed(refs, with_results=True)
        await asyncio.to_thread(poll, lambda: loads)
        completed.add(more)
        completed.add(ray.put("one"))
        assert len(completed) == CHUNK + 1 + 100 + 1
        early = [(await anext(completed))[1] for _ in range(len(completed) - 1)]
        go_on.set()
        return early, [value async for _, value in completed]

    early, late = run(main())
    assert set(early) == {*range(CHUNK), *range(-99, 1), "one"}
    assert late == ["slow"]


def test_delivered_objects_are_let_go_behind_a_slow_one(slow):
    async def main():
        refs = [slow, *[ray.put((i,)) for i in range(100)]]
        keys = [ref.binary() for ref in refs[1:]]
        completed = as_completed(refs, with_results=True)
        del refs
        for _ in keys:
            await anext(completed)
        await asyncio.to_thread(
            poll, lambda: not any(local_references(key) for key in keys)
        )
        go_on.set()
        assert [value async for _, value in completed] == ["slow"]

    run(main())


def test_closing_lets_go_what_has_not_come(slow):
    async def main():
        # One chunk: each reader loads one of its first refs.
        refs = [slow, *[ray.put(Slow()) for _ in range(CHUNK - 1)]]
        keys = [ref.binary() for ref in refs]
        completed = as_completed(refs, with_results=True)
        del refs
        await asyncio.to_thread(poll, lambda: loads)
        begun = {slow.binary(), *keys[:70]}
        completed.close()
        assert len(completed) == 0
        assert [pair async for pair in completed] == []
        await asyncio.to_thread(
            poll,
            lambda: not any(local_references(key) for key in keys if key not in begun),
        )
        go_on.set()

    run(main())


def test_closing_can_cancel_the_tasks(slow, gate):
    held = gate.hold()
    refs = [slow, *[ray.put(i) for i in range(CHUNK)], held]

    async def main():
        completed = as_completed(refs, with_results=True, cancel_task=True)
        await asyncio.to_thread(poll, lambda: loads)
        completed.close()
        with pytest.raises(ray.exceptions.TaskCancelledError):
            await asyncio.to_thread(ray.get, held, timeout=30)

    run(main(), timeout=90)


def test_closing_cancels_tasks_of_which_the_loop_has_not_heard(slow, gate):
    held = gate.hold()

    async def main():
        refs = [slow, *[ray.put(i) for i in range(20)], held]
        completed = as_completed(refs, with_results=True, cancel_task=True)
        poll(lambda: loads)  # `held` is left over by now; the loop has no turn
        completed.close()
        with pytest.raises(ray.exceptions.TaskCancelledError):
            await asyncio.to_thread(ray.get, held, timeout=30)

    run(main(), timeout=90)


def test_each_ref_is_observed_once(ray_session, gate):
    seen = []
    refs = [ray.put(b"x" * i) if i % 2 else ray.put((i,)) for i in range(100)]
    refs += [gate.hold(), failed("no")]

    async def main():
        origin.set("cell 1")
        completed = as_completed(refs, with_results=True, return_exceptions=True)
        await asyncio.to_thread(poll, lambda: len(seen) == 2 * len(refs) - 1)
        gate.open()
        return [pair async for pair in completed]

    add_observer(seen.extend)
    try:
        run(main())
    finally:
        remove_observer(seen.extend)
    keys = [ref.binary() for ref in refs]
    assert sorted(e.key for e in seen if e.kind == "awaited") == sorted(keys)
    settled = {event.key: event for event in seen if event.kind == "settled"}
    assert len(seen) == 2 * len(refs)
    assert {event.origin for event in seen} == {"cell 1"}
    assert {settled[key].outcome for key in keys[:-1]} == {Outcome.RESOLVED}
    assert settled[keys[-1]].error == "ValueError"


def test_timeout_leaves_the_pending_ones(ray_session, gate):
    refs = [*[ray.put(i) for i in range(100)], gate.hold("late")]

    async def main():
        completed = as_completed(refs, with_results=True, timeout=0.5)
        early = [(await anext(completed))[1] for _ in range(100)]
        with pytest.raises(asyncio.TimeoutError, match="1 of 101 refs"):
            await anext(completed)
        await until_read()
        return early

    assert run(main()) == list(range(100))


def test_every_ref_fails_with_its_session():
    done = run_script(
        RAY_INIT
        + """
import asyncio, threading, time
from harness.polling import poll
from ray_jupyter_async import SessionEndedError, as_completed

class Slow:
    def __reduce__(self):
        return time.sleep, (0.5,)

@ray.remote
def never():
    time.sleep(1000)

quick = [ray.put(i) for i in range(2000)]
refs = [never.remote(), *[ray.put(Slow()) for _ in range(200)], *quick]

async def main():
    completed = as_completed(refs, with_results=True, return_exceptions=True)
    pairs = [await anext(completed) for _ in quick]
    ray.shutdown()
    pairs += [pair async for pair in completed]
    assert len(pairs) == len(refs) and {ref for ref, _ in pairs} == set(refs)
    values = dict(pairs)
    assert isinstance(values[refs[0]], SessionEndedError)
    slow = [values[ref] for ref in refs[1:201]]
    ended = sum(isinstance(value, SessionEndedError) for value in slow)
    print(ended > 0, ended + slow.count(None))

asyncio.run(main())
def own_threads():
    return [t.name for t in threading.enumerate() if t.name.startswith("ray-await")]

poll(lambda: not own_threads())
""",
        clean_stderr=True,
    )
    assert done.stdout == "True 200\n"
