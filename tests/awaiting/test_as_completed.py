"""`as_completed`."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path

import pytest
import ray

from harness.gate import Gate
from harness.loops import run, until_read
from harness.polling import poll
from harness.references import local_references
from ray_jupyter_async import UnknownRefError, as_completed


@ray.remote(num_cpus=0)
def fail(message):
    raise ValueError(message)


@pytest.fixture
def gates(ray_session, tmp_path):
    """Three gates, to end tasks in a chosen order."""
    made = []
    for name in "abc":
        (tmp_path / name).mkdir()
        made.append(Gate(tmp_path / name))
    yield made
    for gate in made:
        gate.open()


def test_refs_come_in_order_of_readiness(gates):
    refs = [gate.hold(i) for i, gate in enumerate(gates)]

    async def main():
        order = []
        gates[2].open()
        async for ref in as_completed(refs):
            order.append(refs.index(ref))
            if order == [2]:
                gates[0].open()
            elif order == [2, 0]:
                gates[1].open()
        return order

    assert run(main()) == [2, 0, 1]


def test_results_come_with_their_refs(ray_session):
    refs = {ray.put(i): i for i in range(300)}

    async def main():
        return {
            ref: value async for ref, value in as_completed(refs, with_results=True)
        }

    assert run(main()) == refs


def test_no_refs_end_at_once(ray_session):
    async def main():
        return [ref async for ref in as_completed([])]

    assert run(main()) == []


def test_iteration_continues_after_an_error(gates):
    async def main():
        completed = as_completed(
            [fail.remote("no"), gates[0].hold("yes")], with_results=True
        )
        with pytest.raises(ValueError, match="no"):
            await anext(completed)
        gates[0].open()
        _, value = await anext(completed)
        with pytest.raises(StopAsyncIteration):
            await anext(completed)
        return value

    assert run(main()) == "yes"


def test_errors_are_returned_with_their_refs(ray_session):
    ref = fail.remote("no")

    async def main():
        completed = as_completed([ref], with_results=True, return_exceptions=True)
        return [pair async for pair in completed]

    ((failed, error),) = run(main())
    assert failed == ref
    assert isinstance(error, ValueError)


@pytest.mark.parametrize("raise_errors", [True, False])
def test_raise_errors_warning_names_its_caller(ray_session, raise_errors):
    ref = fail.remote("no")

    async def main():
        with pytest.warns(DeprecationWarning, match="return_exceptions") as warned:
            completed = as_completed(
                [ref], with_results=True, raise_errors=raise_errors
            )
        (warning,) = warned
        assert warning.filename == __file__
        line = Path(__file__).read_text().splitlines()[warning.lineno - 1]
        assert "as_completed(" in line
        if raise_errors:
            with pytest.raises(ValueError, match="no"):
                await anext(completed)
        else:
            assert isinstance((await anext(completed))[1], ValueError)

    run(main())


def test_failed_task_is_returned_without_results(ray_session):
    ref = fail.remote("no")

    async def main():
        return [given async for given in as_completed([ref])]

    assert run(main()) == [ref]


def test_refs_can_be_added_while_iterating(ray_session):
    async def main():
        completed = as_completed([ray.put(0)], with_results=True)
        values = []
        async for _, value in completed:
            values.append(value)
            if value < 5:
                completed.add(ray.put(value + 1))
        return values

    assert run(main()) == [0, 1, 2, 3, 4, 5]


def test_refs_can_be_added_to_pending_ones(gates):
    async def main():
        completed = as_completed([gates[0].hold("first")], with_results=True)
        completed.add([gates[1].hold("second"), gates[2].hold("third")])
        assert len(completed) == 3
        for gate in gates:
            gate.open()
        return {value async for _, value in completed}

    assert run(main()) == {"first", "second", "third"}


def test_invalid_refs_are_not_added(ray_session):
    async def main():
        completed = as_completed([])
        with pytest.raises(TypeError, match=r"builtins\.int"):
            completed.add([ray.put(1), 5])
        assert len(completed) == 0

    run(main())


def test_batches_hold_all_arrived_refs(gates):
    refs = [ray.put(i) for i in range(50)]

    async def main():
        sizes, values = [], set()
        completed = as_completed([*refs, gates[0].hold(50)], with_results=True)
        async for batch in completed.batches():
            sizes.append(len(batch))
            values.update(value for _, value in batch)
            if len(values) == 50:
                gates[0].open()
        return sizes, values

    sizes, values = run(main())
    assert values == set(range(51))
    assert sizes[-1] == 1
    assert len(sizes) < 51


@pytest.mark.parametrize("with_results", [True, False])
def test_batches_raise_an_error_and_lose_nothing(ray_session, with_results):
    # Without results the only error is an unknown ref.
    bad = fail.remote("no") if with_results else ray.ObjectRef.from_random()
    good = [ray.put(1), ray.put(2)]

    async def main():
        given, errors = [], 0
        completed = as_completed([good[0], bad, good[1]], with_results=with_results)
        # All have arrived before the first batch.
        while len(completed._state.arrived) < 3:
            await asyncio.sleep(0.01)
        # The error goes to the middle.
        completed._state.arrived.rotate(
            1 - [ref for ref, *_ in completed._state.arrived].index(bad)
        )
        while True:
            try:
                async for batch in completed.batches():
                    given += [pair[0] for pair in batch] if with_results else batch
                return given, errors
            except (ValueError, UnknownRefError):
                errors += 1

    given, errors = run(main())
    assert sorted(ref.hex() for ref in given) == sorted(ref.hex() for ref in good)
    assert errors == 1


def test_timeout_leaves_refs_pending(gates):
    async def main():
        completed = as_completed([gates[0].hold(1)], timeout=0.2)
        with pytest.raises(asyncio.TimeoutError, match="1 of 1 refs were not ready"):
            await anext(completed)
        assert len(completed) == 1

    run(main())


def test_leaving_the_loop_drops_the_rest(gates):
    async def main():
        ready, pending = ray.put(1), gates[0].hold()
        key = pending.binary()
        async for _ in as_completed([ready, pending]):
            break
        del pending
        gc.collect()
        await asyncio.to_thread(poll, lambda: local_references(key) == 0)

    run(main())


def test_closing_can_cancel_the_tasks(ray_session):
    import time

    @ray.remote(num_cpus=0)
    def spin():
        for _ in range(3000):
            time.sleep(0.01)

    ref = spin.remote()

    async def main():
        completed = as_completed([ref], cancel_task=True)
        await until_read()
        completed.close()
        assert [given async for given in completed] == []

    run(main())
    with pytest.raises(ray.exceptions.TaskCancelledError):
        ray.get(ref, timeout=60)


def test_cancelling_a_step_loses_nothing(gates):
    async def main():
        completed = as_completed([gates[0].hold("kept")], with_results=True)
        step = asyncio.ensure_future(anext(completed))
        await until_read()
        step.cancel()
        with pytest.raises(asyncio.CancelledError):
            await step
        gates[0].open()
        return (await anext(completed))[1]

    assert run(main()) == "kept"
