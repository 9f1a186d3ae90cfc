"""The types of `as_future`, `get`, `wait`, `cancel` and `async_api`."""

import asyncio
from typing import Any

import ray
from ray import ObjectRef
from typing_extensions import assert_type

from ray_jupyter_async import (
    Cancellation,
    CancelOutcome,
    as_future,
    async_api,
    cancel,
    get,
    wait,
)


@ray.remote
def length(text: str) -> int:
    return len(text)


number = length.remote("text")
text: ObjectRef[str] = ray.put("text")
untyped: Any = number


async def awaits() -> None:
    assert_type(number, ObjectRef[int])
    assert_type(await number, int)

    assert_type(as_future(number), asyncio.Future[int])
    assert_type(as_future(text, cancel_task=True), asyncio.Future[str])
    assert_type(await as_future(number), int)
    assert_type(await asyncio.wait_for(as_future(text), timeout=1), str)
    assert_type(as_future(untyped), asyncio.Future[Any])
    as_future(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    as_future([number])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def blocking_calls() -> None:
    assert_type(await get(number), int)
    assert_type(await get([number, number], timeout=1), list[int])
    assert_type(await get(length.remote(word) for word in "ab"), list[int])
    assert_type(await get([number, text]), list[Any])
    assert_type(await get(untyped), Any)
    await get(1)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    await get(number, timeout="1")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]

    ready, not_ready = await wait([number, number], num_returns=2, fetch_local=False)
    assert_type(ready, list[ObjectRef[int]])
    assert_type(not_ready, list[ObjectRef[int]])
    mixed, _ = await wait([number, text])
    assert_type(mixed, list[ObjectRef[Any]])
    await wait(number)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]


async def cancelling() -> None:
    assert_type(await cancel(number), list[Cancellation])
    assert_type(await cancel([number, text], force=True), list[Cancellation])
    (cancelled,) = await cancel([number], recursive=False)
    assert_type(cancelled.ref, ObjectRef[Any])
    assert_type(cancelled.outcome, CancelOutcome)
    assert_type(cancelled.reason, str)
    await cancel("task")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def of_2019() -> None:
    assert_type(async_api.init(), None)
    assert_type(async_api.as_future(number), asyncio.Future[int])
    assert_type(async_api.shutdown(), None)
    async_api.as_future(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
