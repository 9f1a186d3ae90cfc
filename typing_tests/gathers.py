"""The types of `gather`, which are those of typeshed's `asyncio.gather`."""

import asyncio

import ray
from ray import ObjectRef
from typing_extensions import assert_type

from ray_jupyter_async import gather

number: ObjectRef[int] = ray.put(1)
text: ObjectRef[str] = ray.put("text")


async def coroutine() -> bytes:
    return b""


async def raising() -> None:
    assert_type(gather(number), asyncio.Future[tuple[int]])
    assert_type(await gather(number, text), tuple[int, str])
    count, name, data = await gather(number, text, coroutine(), cancel_task=True)
    assert_type(count, int)
    assert_type(name, str)
    assert_type(data, bytes)
    assert_type(
        await gather(number, text, number, text, number),
        tuple[int, str, int, str, int],
    )
    assert_type(
        await gather(number, text, number, text, number, text),
        tuple[int, str, int, str, int, str],
    )
    assert_type(await gather(*[number, number]), list[int])
    assert_type(
        await gather(number, number, number, number, number, number, number), list[int]
    )
    assert_type(await gather([number, number]), list[int])
    assert_type(await gather(ref for ref in (number, number)), list[int])


async def returning(flag: bool) -> None:
    assert_type(
        await gather(number, text, return_exceptions=True),
        tuple[int | BaseException, str | BaseException],
    )
    assert_type(
        await gather(number, return_exceptions=flag), tuple[int | BaseException]
    )
    assert_type(
        await gather(*[number], return_exceptions=True), list[int | BaseException]
    )
    assert_type(
        await gather([number], return_exceptions=True), list[int | BaseException]
    )


async def refused() -> None:
    gather(1)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    gather(number, 1)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    gather([1])  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
    gather(number, return_exceptions=1)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
