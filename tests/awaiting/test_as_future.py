"""`as_future`: values, errors and refused arguments."""

from __future__ import annotations

import asyncio
import sys
import threading
import time

import pytest
import ray

from harness.loops import run, until_read
from harness.rays import RAY_INIT, run_script
from ray_jupyter_async import UnknownRefError, as_future, patched


@ray.remote(num_cpus=0)
def give(value):
    return value


@ray.remote(num_cpus=0)
def fail(error):
    raise error


@ray.remote(num_cpus=0)
def sized(length):
    return b"x" * length


async def value_of(ref):
    return await as_future(ref)


def test_task_result_is_returned(ray_session):
    assert run(value_of(give.remote({"a": [1]}))) == {"a": [1]}


def test_put_object_is_returned(ray_session):
    assert run(value_of(ray.put("x"))) == "x"


def test_large_object_is_returned(ray_session):
    assert len(run(value_of(sized.remote(3_000_000)))) == 3_000_000


def test_future_belongs_to_the_running_loop(ray_session):
    async def main():
        future = as_future(ray.put(1))
        assert isinstance(future, asyncio.Future)
        assert future.get_loop() is asyncio.get_running_loop()
        return await future

    assert run(main()) == 1


def test_task_error_has_its_own_class_and_rays(ray_session):
    async def main():
        with pytest.raises(ValueError, match="no good") as caught:
            await as_future(fail.remote(ValueError("no good")))
        return caught.value

    error = run(main())
    assert isinstance(error, ray.exceptions.RayTaskError)
    with pytest.raises(ValueError, match="no good") as by_get:
        ray.get(fail.remote(ValueError("no good")))
    assert type(error).__name__ == type(by_get.value).__name__


def test_returned_exception_is_a_value(ray_session):
    value = run(value_of(give.remote(ValueError("kept"))))
    assert type(value) is ValueError


def test_ray_errors_are_raised_unchanged(ray_session, gate):
    ref = gate.hold()

    async def main():
        future = as_future(ref)
        await asyncio.to_thread(gate.wait_begun)
        ray.cancel(ref, force=True)
        with pytest.raises(
            (ray.exceptions.TaskCancelledError, ray.exceptions.WorkerCrashedError)
        ):
            await future

    run(main())


def test_uncombinable_error_is_the_cause_of_rays(ray_session):
    class FinalError(Exception):
        def __init_subclass__(cls):
            raise TypeError("may not be subclassed")

    async def main():
        with pytest.raises(ray.exceptions.RayTaskError) as caught:
            await as_future(fail.remote(FinalError("x")))
        return caught.value

    assert type(run(main()).cause).__name__ == "FinalError"


def test_stop_iteration_becomes_a_runtime_error(ray_session):
    async def main():
        with pytest.raises(RuntimeError, match="StopIteration") as caught:
            await as_future(fail.remote(StopIteration(3)))
        return caught.value

    assert isinstance(run(main()).__cause__, ray.exceptions.RayTaskError)


def test_task_cancelled_error_is_no_cancelled_await(ray_session):
    async def main():
        with pytest.raises(ray.exceptions.RayError) as caught:
            await as_future(fail.remote(asyncio.CancelledError()))
        return caught.value

    assert not isinstance(run(main()), asyncio.CancelledError)


def test_awaiters_of_one_ref_share_no_value(ray_session):
    ref = give.remote([1])

    async def main():
        return await asyncio.gather(as_future(ref), as_future(ref), as_future(ref))

    first, second, third = run(main())
    first.append(2)
    assert second == third == [1]
    assert second is not third


def test_awaiters_of_one_ref_share_no_error(ray_session):
    ref = fail.remote(ValueError("x"))

    async def main():
        return await asyncio.gather(
            as_future(ref), as_future(ref), return_exceptions=True
        )

    first, second = run(main())
    assert first is not second


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (1, "builtins.int"),
        (None, "NoneType"),
        ("ref", "builtins.str"),
        ([], r"gather\(\*refs\)"),
        (give, r"\.remote\(\)"),
    ],
)
def test_invalid_refs_are_named(ray_session, given, named):
    async def main():
        with pytest.raises(TypeError, match=named):
            as_future(given)

    run(main())


def test_objects_load_on_reader_threads(ray_session):
    class Where:
        def __reduce__(self):
            return (threading.current_thread, ())

    async def main():
        return threading.current_thread(), await as_future(ray.put(Where()))

    loop_thread, loading_thread = run(main())
    assert loading_thread is not loop_thread
    assert loading_thread.name.startswith("ray-await-reader")


def test_slow_object_delays_no_other(ray_session):
    class Slow:
        def __reduce__(self):
            return (time.sleep, (3.0,))

    slow, quick = ray.put(Slow()), [ray.put(i) for i in range(50)]

    async def main():
        slow_future = as_future(slow)
        # In the same batch, behind the slow one, and in later ones.
        futures = [as_future(ref) for ref in quick]
        values = await asyncio.gather(*futures)
        later = await as_future(give.remote("later"))
        assert not slow_future.done()
        await slow_future
        return values, later

    assert run(main()) == (list(range(50)), "later")


def test_unloadable_object_fails_its_await_only(ray_session):
    class Broken:
        def __reduce__(self):
            return (int, ("not a number",))

    refs = [ray.put(1), ray.put(Broken()), ray.put(2)]

    async def main():
        return await asyncio.gather(*map(as_future, refs), return_exceptions=True)

    one, error, two = run(main(), allow_loop_errors=True)
    assert (one, two) == (1, 2)
    assert isinstance(error, ray.exceptions.RaySystemError)


def test_object_that_quits_fails_its_await_only(ray_session):
    class Quits:
        def __reduce__(self):
            return (sys.exit, ("no",))

    refs = [ray.put(1), ray.put(Quits()), ray.put(2)]

    async def main():
        return await asyncio.gather(*map(as_future, refs), return_exceptions=True)

    one, error, two = run(main())
    assert (one, two) == (1, 2)
    assert isinstance(error, RuntimeError)
    assert isinstance(error.__cause__, SystemExit)


def test_nil_ref_is_unknown(ray_session):
    with pytest.raises(UnknownRefError, match="does not belong"):
        run(value_of(ray.ObjectRef.nil()), timeout=1)


def test_made_up_ref_is_unknown(ray_session):
    with pytest.raises(UnknownRefError, match="does not belong"):
        run(value_of(ray.ObjectRef.from_random()), timeout=1)


def test_unknown_ref_fails_alone_in_its_batch(ray_session):
    refs = [ray.put(1), ray.ObjectRef.nil(), ray.put(2), ray.ObjectRef.from_random()]

    async def main():
        return await asyncio.gather(*map(as_future, refs), return_exceptions=True)

    one, nil, two, made_up = run(main())
    assert (one, two) == (1, 2)
    assert isinstance(nil, UnknownRefError)
    assert isinstance(made_up, UnknownRefError)


def test_refs_of_an_actor_can_be_awaited(ray_session):
    @ray.remote(num_cpus=0)
    class Maker:
        def make(self):
            return [ray.put("theirs"), give.remote("submitted")]

    maker = Maker.remote()
    theirs, submitted = ray.get(maker.make.remote())
    assert run(value_of(theirs)) == "theirs"
    assert run(value_of(submitted)) == "submitted"


def test_many_at_once_keep_their_order(ray_session):
    refs = [ray.put(i) for i in range(3000)]

    async def main():
        return await asyncio.gather(*map(as_future, refs))

    assert run(main()) == list(range(3000))


@pytest.mark.parametrize("count", [1, 3, 200])
def test_pending_refs_resolve_after_their_tasks(ray_session, gate, count):
    async def main():
        refs = [gate.hold(5)] + [ray.put(5)] * (count - 1)
        futures = [as_future(ref) for ref in refs]
        await asyncio.gather(*futures[1:])
        assert not futures[0].done()
        gate.open()
        return await futures[0]

    assert run(main()) == 5


def test_pending_awaits_of_one_ref_all_resolve(ray_session, gate):
    async def main():
        ref = gate.hold("v")
        futures = [as_future(ref) for _ in range(4)]
        await until_read()
        futures += [as_future(ref) for _ in range(4)]
        gate.open()
        return await asyncio.gather(*futures)

    assert run(main()) == ["v"] * 8


def test_patched_await_works_in_asyncio_functions(ray_session):
    async def main():
        ref = give.remote(1)
        values = [
            await ref,
            await asyncio.gather(give.remote(2), give.remote(3)),
            await asyncio.wait_for(give.remote(4), 10),
            await asyncio.shield(give.remote(5)),
            await asyncio.ensure_future(give.remote(6)),
        ]
        for done in asyncio.as_completed([give.remote(7)]):
            values.append(await done)
        return values

    with patched():
        assert run(main()) == [1, [2, 3], 4, 5, 6, 7]


def test_use_before_init_is_an_error():
    done = run_script(
        """
        import asyncio, ray
        from ray_jupyter_async import RayNotInitializedError, as_future, patched

        async def main(ref):
            for attempt in (lambda: as_future(ref), ref.__await__):
                try:
                    attempt()
                except RayNotInitializedError as error:
                    print(error)

        with patched():
            asyncio.run(main(ray.ObjectRef.from_random()))
        print("initialized:", ray.is_initialized())
        """
    )
    assert done.stdout.count("call ray.init() first") == 2
    assert "initialized: False" in done.stdout


def test_importing_and_awaiting_needs_no_jupyter():
    done = run_script(
        RAY_INIT
        + """
import asyncio, sys
from ray_jupyter_async import patched

async def main():
    return await ray.put(41) + 1

with patched():
    print(asyncio.run(main()))
print([name for name in ("IPython", "ipywidgets", "anywidget", "ipykernel")
       if name in sys.modules])
"""
    )
    assert done.stdout.split("\n")[:2] == ["42", "[]"]
