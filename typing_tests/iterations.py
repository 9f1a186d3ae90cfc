"""The types of `as_completed`, `map` and `stream`."""

import contextlib
from collections.abc import AsyncGenerator, Generator, Iterator
from typing import Any

import ray
from ray import ObjectRef
from typing_extensions import assert_type

from ray_jupyter_async import as_completed, as_future, stream
from ray_jupyter_async import map as ray_map


@ray.remote
def length(text: str) -> int:
    return len(text)


@ray.remote(num_cpus=0)
def repeat(text: str, times: int) -> list[str]:
    return [text] * times


@ray.remote
def clip(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


@ray.remote
def count() -> Iterator[int]:
    yield 1


@ray.remote
def count_up(end: int) -> Generator[int, None, None]:
    yield from range(end)


@ray.remote
async def count_slowly(end: int) -> AsyncGenerator[int, None]:
    for number in range(end):
        yield number


number = length.remote("text")
text: ObjectRef[str] = ray.put("text")
untyped: Any = length


async def refs_as_completed(flag: bool) -> None:
    async for ref in as_completed([number]):
        assert_type(ref, ObjectRef[int])
    async for ref, value in as_completed([number], with_results=True, timeout=1):
        assert_type(ref, ObjectRef[int])
        assert_type(value, int)
    async for _, result in as_completed(
        [number], with_results=True, return_exceptions=True
    ):
        assert_type(result, int | BaseException)
    async for _, result in as_completed(
        [number], with_results=True, return_exceptions=flag
    ):
        assert_type(result, int | BaseException)
    async for item in as_completed([number], with_results=flag):
        assert_type(item, Any)
    async for mixed in as_completed([number, text]):
        assert_type(mixed, Any)

    as_completed([1])  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
    as_completed([number], with_results=1)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]


async def one_as_completed() -> None:
    completed = as_completed([number], with_results=True, cancel_task=True)
    assert_type(completed, as_completed[int, tuple[ObjectRef[int], int]])
    completed.add(number)
    completed.add([number])
    completed.add(text)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert_type(len(completed), int)
    assert_type(completed.arrived, bool)
    async for batch in completed.batches():
        assert_type(batch, list[tuple[ObjectRef[int], int]])
    async with completed as entered:
        assert_type(entered, as_completed[int, tuple[ObjectRef[int], int]])
    async with contextlib.aclosing(completed) as closing:
        assert_type(await anext(closing), tuple[ObjectRef[int], int])
    empty: as_completed[int, ObjectRef[int]] = as_completed()
    assert_type(await as_future(await anext(empty)), int)


async def mapped(flag: bool) -> None:
    async for value in ray_map(length, ["a", "b"], max_in_flight=2, ordered=False):
        assert_type(value, int)
    async for result in ray_map(length, ["a"], return_exceptions=True):
        assert_type(result, int | BaseException)
    async for result in ray_map(length, ["a"], return_exceptions=flag):
        assert_type(result, int | BaseException)
    async for words in ray_map(repeat.options(num_cpus=1), ["a"], range(3)):
        assert_type(words, list[str])
    async for clipped in ray_map(clip, [1.5], [0.0], [1.0]):
        assert_type(clipped, float)
    async for from_refs in ray_map(length, [text], cancel_task=True):
        assert_type(from_refs, int)
    async for anything in ray_map(untyped.method, [1]):
        assert_type(anything, Any)
    async with ray_map(length, stream(words_of_lines())) as lengths:
        assert_type(await anext(lengths), int)

    ray_map(length, [1])  # type: ignore[misc]  # pyright: ignore[reportArgumentType]
    ray_map(repeat, ["a"], ["b"])  # type: ignore[misc]  # pyright: ignore[reportArgumentType]
    ray_map(length, ["a"], [1])  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    ray_map(length)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    ray_map(len, ["a"])  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]


def words_of_lines() -> ObjectRef[Iterator[str]]:
    raise NotImplementedError


async def streamed(generator: ray.ObjectRefGenerator) -> None:
    async for value in stream(count.remote(), prefetch=2):
        assert_type(value, int)
    async for value in stream(count_up.remote(2)):
        assert_type(value, int)
    async for value in stream(count_slowly.remote(2)):
        assert_type(value, int)
    async for anything in stream(generator):
        assert_type(anything, Any)

    stream(number)  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
    stream([1])  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
