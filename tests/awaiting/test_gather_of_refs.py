"""`asyncio.gather` of refs, patched: as asyncio's own in all that can be seen."""

from __future__ import annotations

import asyncio
import inspect
import pickle
import traceback
from asyncio import gather as imported_before

import pytest
import ray

from harness.loops import run
from ray_jupyter_async import patched
from ray_jupyter_async._awaiting.many.gathered import Gathering


class Source:
    """Refs of values that are there, of errors, and of what never comes."""

    def __init__(self, gate):
        gate.open()
        self.values = [gate.hold(value) for value in (1, [2], None)]
        self.many = [gate.hold(value) for value in range(100)]
        self.errors = [gate.hold(error) for error in (ValueError("a"), KeyError("b"))]
        ray.wait([*self.values, *self.many, *self.errors], num_returns=105)

    def gather(self, *refs, **options):
        return asyncio.gather(*refs, **options)


@pytest.fixture(scope="module")
def refs(ray_session, tmp_path_factory):
    from harness.gate import Gate

    opened, closed = (Gate(tmp_path_factory.mktemp(name)) for name in ("a", "b"))
    source = Source(opened)
    source.pending = [closed.hold(i) for i in range(2)]
    yield source
    closed.open()


def state(future):
    """Return what a caller can see of a future."""
    if not future.done():
        return "pending", repr(future)
    if future.cancelled():
        return "cancelled", repr(future)
    error = future.exception()
    if error is None:
        return "result", type(future.result()), future.result(), repr(future)
    return "error", shown(error)


def shown(error):
    parents = [kind.__name__ for kind in type(error).__mro__]
    return parents, None if isinstance(error, ray.exceptions.RayError) else error.args


async def outcome(awaitable):
    try:
        return await awaitable
    except (Exception, asyncio.CancelledError) as error:
        return shown(error)


def shown_all(results):
    return [shown(one) if isinstance(one, BaseException) else one for one in results]


async def values(refs):
    future = asyncio.gather(*refs.values)
    seen = [await outcome(future), state(future)]
    return [*seen, future.cancel(), state(future)]


async def many_values(refs):
    future = asyncio.gather(*refs.many)
    return [state(future), await outcome(future), type(await future)]


async def one_error(refs):
    future = asyncio.gather(*refs.values, refs.errors[0])
    return [await outcome(future), state(future), future.cancel()]


async def error_beside_pending(refs):
    future = asyncio.gather(*refs.pending, refs.errors[1])
    return [await outcome(future), state(future), future.cancel()]


async def returned_errors(refs):
    future = asyncio.gather(*refs.errors, *refs.values, return_exceptions=True)
    return shown_all(await future)


async def many_returned_errors(refs):
    future = asyncio.gather(*refs.many, *refs.errors, return_exceptions=True)
    return shown_all(await future)


async def repeated(refs):
    first, second, third, fourth = await asyncio.gather(
        refs.values[1], refs.values[0], refs.values[1], refs.values[1]
    )
    return first is third, third is fourth, first, second


async def many_repeated(refs):
    return await asyncio.gather(*refs.many, *reversed(refs.many))


async def cancelled(refs, **options):
    future = asyncio.gather(*refs.pending, **options)
    seen = [future.cancel(), future.cancel(), state(future)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return [*seen, state(future), await outcome(future), future.cancel()]


async def cancelled_with_errors_returned(refs):
    return await cancelled(refs, return_exceptions=True)


async def cancelled_with_message(refs):
    future = asyncio.gather(*refs.pending)
    future.cancel("enough")
    return await outcome(future)


async def awaiting_task_cancelled(refs):
    async def waits():
        await asyncio.gather(*refs.pending)

    task = asyncio.ensure_future(waits())
    await asyncio.sleep(0)
    task.cancel()
    return [await outcome(task), task.cancelled()]


async def timed_out(refs):
    future = asyncio.gather(*refs.pending, return_exceptions=True)
    return [await outcome(asyncio.wait_for(future, 0.05)), state(future)]


async def shielded(refs):
    future = asyncio.gather(*refs.pending)
    shield = asyncio.shield(future)
    shield.cancel()
    await asyncio.sleep(0)
    seen = [shield.cancelled(), state(future)]
    future.cancel()
    return [*seen, await outcome(future)]


async def called_back(refs):
    future = asyncio.gather(*refs.values)
    called = []
    future.add_done_callback(called.append)
    await future
    await asyncio.sleep(0)
    return called == [future]


async def nested(refs):
    inner = asyncio.gather(*refs.values)
    return await asyncio.gather(inner, asyncio.gather(*refs.many))


async def nothing(refs):
    future = asyncio.gather()
    return [state(future), await future]


SCENARIOS = [
    values,
    many_values,
    one_error,
    error_beside_pending,
    returned_errors,
    many_returned_errors,
    repeated,
    many_repeated,
    cancelled,
    cancelled_with_errors_returned,
    cancelled_with_message,
    awaiting_task_cancelled,
    timed_out,
    shielded,
    called_back,
    nested,
    nothing,
]


@pytest.mark.leaks("Ray's own await pins what awaits in a loop that was closed")
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda function: function.__name__)
def test_patched_gather_does_as_asyncios(refs, scenario):
    # asyncio reports errors that came after the first.
    native = run(scenario(refs), allow_loop_errors=True)
    with patched():
        ours = run(scenario(refs))
    assert ours == native


def test_refs_alone_are_one_future(refs):
    async def main():
        with patched():
            alone = asyncio.gather(*refs.values)
            imported = imported_before(*refs.values)
            mixed = asyncio.gather(*refs.values, asyncio.sleep(0))
            kinds = [isinstance(one, Gathering) for one in (alone, imported, mixed)]
            await asyncio.gather(alone, imported, mixed)
        return kinds

    assert run(main()) == [True, True, False]


def test_function_stays_and_its_code_returns():
    function, code = asyncio.gather, asyncio.gather.__code__
    signature, doc = inspect.signature(function), function.__doc__
    with patched():
        assert asyncio.gather is asyncio.tasks.gather is function
        assert function.__code__ is not code
        assert inspect.signature(function) == signature
        assert function.__doc__ == doc
        assert pickle.loads(pickle.dumps(function)) is function
    assert function.__code__ is code


def frames_of_type_error():
    """Return the frames of the error of a gather of something else."""

    async def main():
        asyncio.gather(1)

    try:
        run(main())
    except TypeError as error:
        return [
            frame.name
            for frame in traceback.extract_tb(error.__traceback__)
            if "/harness/" not in frame.filename
        ]


def test_error_has_asyncios_frames_alone(ray_session):
    native = frames_of_type_error()
    with patched():
        ours = frames_of_type_error()
    assert ours == native
    assert native[-1] != "gather"


def test_code_of_another_library_stays(ray_session):
    code = asyncio.gather.__code__

    def theirs(*coros_or_futures, return_exceptions=False):
        return "theirs"

    try:
        with patched():
            asyncio.gather.__code__ = theirs.__code__
        assert asyncio.gather() == "theirs"
    finally:
        asyncio.gather.__code__ = code


def test_refs_without_ray_fail_when_they_are_awaited():
    from harness.rays import RAY_INIT, run_script

    script = f"""
        {RAY_INIT}
        import asyncio, ray_jupyter_async
        refs = [ray.put(1), ray.put(2)]
        ray.shutdown()

        async def main():
            with ray_jupyter_async.patched():
                future = asyncio.gather(*refs)
                try:
                    await future
                except ray_jupyter_async.RayNotInitializedError as error:
                    print("raised", type(error).__name__)
        asyncio.run(main())
    """
    assert "raised RayNotInitializedError" in run_script(script).stdout
