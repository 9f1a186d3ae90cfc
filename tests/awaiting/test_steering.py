"""Exceptions that control Python, raised by tasks, in every combinator."""

from __future__ import annotations

import asyncio

import pytest
import ray
from ray.exceptions import RayError, RayTaskError

from harness.loops import run
from ray_jupyter_async import as_completed, as_future, gather, get, stream
from ray_jupyter_async import map as ray_map


class SubStopError(StopIteration):
    pass


class SubAsyncStopError(StopAsyncIteration):
    pass


class SubExitError(SystemExit):
    pass


class OwnError(BaseException):
    """A BaseException without a meaning of its own."""


STEERING = [
    StopIteration,
    SubStopError,
    StopAsyncIteration,
    SubAsyncStopError,
    GeneratorExit,
    SystemExit,
    SubExitError,
    KeyboardInterrupt,
    asyncio.CancelledError,
]
each = pytest.mark.parametrize("kind", STEERING)


def failed(kind):
    """Return the ref of a task that raised such an error."""
    text = f'ray::f()\n  File "f.py", line 1, in f\n{kind.__name__}'
    return ray.put(RayTaskError("f", text, kind(), "ray::f", 1, "10.0.0.1"))


def five(kind):
    """Return five refs; the second has failed."""
    return [ray.put(0), failed(kind), ray.put(2), ray.put(3), ray.put(4)]


def is_error(given):
    return isinstance(given, (RayError, RuntimeError)) and not isinstance(
        given, asyncio.CancelledError
    )


class Failing:
    """A remote function that fails for its second input."""

    def __init__(self, kind):
        self.refs = five(kind)

    def remote(self, i):
        return self.refs[i]


async def outcomes(iteration):
    """Return the results of an iteration, with the errors that it raises."""
    given = []
    while True:
        try:
            given.append(await anext(iteration))
        except StopAsyncIteration:
            return given
        except Exception as error:
            given.append(error)


@each
def test_await_raises_an_error(ray_session, kind):
    async def main():
        with pytest.raises((RayError, RuntimeError)) as caught:
            await as_future(failed(kind))
        return caught.value

    error = run(main())
    assert is_error(error)
    causes = [error, error.__cause__]
    assert any(isinstance(cause, RayTaskError) for cause in causes)


@each
def test_get_raises_an_error(ray_session, kind):
    async def main():
        with pytest.raises((RayError, RuntimeError)) as caught:
            await get(five(kind))
        return caught.value

    assert is_error(run(main()))


@each
@pytest.mark.parametrize("count", [5, 50])
def test_gather_raises_or_returns_the_error(ray_session, kind, count):
    refs = five(kind) * (count // 5)

    async def main():
        return await gather(refs, return_exceptions=True)

    values = run(main())
    assert [value for value in values if not is_error(value)] == [0, 2, 3, 4] * (
        count // 5
    )


@each
@pytest.mark.parametrize("return_exceptions", [True, False])
def test_as_completed_goes_on_after_an_error(ray_session, kind, return_exceptions):
    async def main():
        completed = as_completed(
            five(kind), with_results=True, return_exceptions=return_exceptions
        )
        given = await outcomes(completed)
        return [one[1] if isinstance(one, tuple) else one for one in given]

    values = run(main())
    assert len(values) == 5
    assert sorted(value for value in values if not is_error(value)) == [0, 2, 3, 4]


@each
def test_batches_raise_an_error(ray_session, kind):
    async def main():
        completed = as_completed(five(kind), with_results=True)
        values, errors = [], []
        while len(completed):
            try:
                async for batch in completed.batches():
                    values += [value for _, value in batch]
            except Exception as error:
                errors.append(error)
        return sorted(values), errors

    values, (error,) = run(main())
    assert values == [0, 2, 3, 4]
    assert is_error(error)


@each
@pytest.mark.parametrize("ordered", [True, False])
def test_map_raises_an_error_and_ends(ray_session, kind, ordered):
    async def main():
        results = ray_map(Failing(kind), range(5), max_in_flight=1, ordered=ordered)
        return await outcomes(results)

    value, error = run(main())
    assert value == 0
    assert is_error(error)


@each
@pytest.mark.parametrize("ordered", [True, False])
def test_map_returns_the_error(ray_session, kind, ordered):
    async def main():
        return await outcomes(
            ray_map(
                Failing(kind),
                range(5),
                max_in_flight=2,
                ordered=ordered,
                return_exceptions=True,
            )
        )

    values = run(main())
    assert len(values) == 5
    assert sorted(value for value in values if not is_error(value)) == [0, 2, 3, 4]


@pytest.mark.parametrize("ordered", [True, False])
def test_map_raises_what_submitting_raised(ray_session, ordered):
    class Unwilling:
        def remote(self, i):
            raise StopAsyncIteration

    async def main():
        return await outcomes(ray_map(Unwilling(), [1], ordered=ordered))

    (error,) = run(main())
    assert is_error(error)


def test_stream_raises_an_error_of_its_task(ray_session):
    @ray.remote(num_cpus=0)
    def numbers():
        yield 1
        raise StopAsyncIteration

    async def main():
        return await outcomes(stream(numbers.remote()))

    value, error = run(main())
    assert value == 1
    assert is_error(error)


def test_base_exception_keeps_its_class(ray_session):
    async def main():
        with pytest.raises(OwnError) as caught:
            await as_future(failed(OwnError))
        return caught.value

    assert isinstance(run(main()), RayTaskError)


@pytest.mark.parametrize("kind", [GeneratorExit, SystemExit, KeyboardInterrupt])
def test_unraisable_error_is_the_cause_of_rays(ray_session, kind):
    async def main():
        with pytest.raises(RayTaskError) as caught:
            await as_future(failed(kind))
        return caught.value

    assert type(run(main()).cause) is kind
