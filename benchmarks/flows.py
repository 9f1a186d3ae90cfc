"""Benchmark of iterations: `map`, `stream` and `as_completed` without results.

Each beside the loop that a user writes with `ray.wait` or `ray.get`, which stalls the
event loop, and beside the same loop in a thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import ray

import ray_jupyter_async as rja

from . import loads
from .measuring import Peer, measure, table

#: Calls that may be in flight at once, for `map` and for the loop.
_IN_FLIGHT = 16
_CALLS = 2_000
_BY_HAND = "the loop by hand"
_IN_A_THREAD = "the loop by hand, in a thread"


async def flow_tables() -> list[str]:
    """Measure the iterations, and return one Markdown section for each."""
    actor: Any = loads.Echo.remote()
    ray.get(actor.echo.remote(0))
    inputs = list(range(_CALLS))
    sections = [
        (
            f"`map` over {_CALLS:,} actor calls, {_IN_FLIGHT} in flight",
            _map_peers(actor),
            lambda: inputs,
        ),
        (f"`stream` of {_CALLS:,} values", _stream_peers(actor), lambda: inputs),
        (
            "`as_completed` without results: 1,000 finished actor results",
            _COMPLETED,
            loads.finished(1_000),
        ),
        (
            f"`as_completed` without results: {_CALLS:,} actor calls in flight",
            _COMPLETED,
            loads.in_flight(_CALLS),
        ),
    ]
    return [
        table(title, await measure(peers, load), _IN_A_THREAD)
        for title, peers, load in sections
    ]


def _beside(by_hand: Callable[[list[Any]], Any], **ours: Peer) -> dict[str, Peer]:
    async def blocking(given: list[Any]) -> Any:
        return by_hand(given)

    async def in_a_thread(given: list[Any]) -> Any:
        return await asyncio.to_thread(by_hand, given)

    named = {name.replace("_", " "): peer for name, peer in ours.items()}
    return {_BY_HAND: blocking, _IN_A_THREAD: in_a_thread, **named}


def _map_peers(actor: Any) -> dict[str, Peer]:
    def by_hand(inputs: list[Any]) -> list[Any]:
        values, pending = [], []
        for one in inputs:
            if len(pending) == _IN_FLIGHT:
                done, pending = ray.wait(pending, num_returns=1)
                values += ray.get(done)
            pending.append(actor.echo.remote(one))
        return values + ray.get(pending)

    async def mapped(inputs: list[Any], *, ordered: bool) -> list[Any]:
        values = rja.map(actor.echo, inputs, max_in_flight=_IN_FLIGHT, ordered=ordered)
        return [value async for value in values]

    async def in_order(inputs: list[Any]) -> list[Any]:
        return await mapped(inputs, ordered=True)

    async def as_they_complete(inputs: list[Any]) -> list[Any]:
        return await mapped(inputs, ordered=False)

    return _beside(by_hand, our_map=in_order, our_map_unordered=as_they_complete)


def _stream_peers(actor: Any) -> dict[str, Peer]:
    def generator(inputs: list[Any]) -> Any:
        return actor.echo_each.options(num_returns="streaming").remote(inputs)

    def by_hand(inputs: list[Any]) -> list[Any]:
        return [ray.get(ref) for ref in generator(inputs)]

    async def native(inputs: list[Any]) -> list[Any]:
        return [await ref async for ref in generator(inputs)]

    async def streamed(inputs: list[Any]) -> list[Any]:
        return [value async for value in rja.stream(generator(inputs))]

    return _beside(by_hand, native_async_for=native, our_stream=streamed)


def _wait_loop(refs: list[Any]) -> list[Any]:
    done: list[Any] = []
    while refs:
        ready, refs = ray.wait(refs, num_returns=1)
        done += ready
    return done


async def _completed(refs: list[Any]) -> list[Any]:
    return [ref async for ref in rja.as_completed(refs)]


_COMPLETED = _beside(_wait_loop, our_as_completed=_completed)
