"""The compared ways to get many values."""

from __future__ import annotations

import asyncio
from typing import Any

import ray

import ray_jupyter_async as rja

from .measuring import Peer


async def blocking_get(refs: list[Any]) -> Any:
    """`ray.get` on the loop's thread: the lower bound, which stalls the loop."""
    return ray.get(refs)


async def get_in_executor(refs: list[Any]) -> Any:
    """`ray.get` in a thread."""
    return await asyncio.get_running_loop().run_in_executor(None, ray.get, refs)


async def native_gather(refs: list[Any]) -> Any:
    """`asyncio.gather` with Ray's own await."""
    return await asyncio.gather(*refs)


async def patched_gather(refs: list[Any]) -> Any:
    """`asyncio.gather` with this package's await."""
    with rja.patched():
        return await asyncio.gather(*refs)


async def our_gather(refs: list[Any]) -> Any:
    """Await with this package's `gather`."""
    return await rja.gather(refs)


async def our_as_completed(refs: list[Any]) -> Any:
    """Await with this package's `as_completed`, in batches."""
    completed = rja.as_completed(refs, with_results=True)
    # As the others, without the refs: a list of 100,000 tuples costs Python's garbage
    # collector more than 0.1 s at a time.
    return [value async for batch in completed.batches() for _, value in batch]


PEERS: dict[str, Peer] = {
    "ray.get": blocking_get,
    "ray.get in an executor": get_in_executor,
    "native asyncio.gather": native_gather,
    "patched asyncio.gather": patched_gather,
    "our gather": our_gather,
    "our as_completed": our_as_completed,
}
