"""Benchmark of awaits that are given up, all at once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import ray_jupyter_async as rja

from .loads import Gated
from .measuring import measure_once

#: Awaits that are begun between two turns of the loop.
_AT_ONCE = 500

Begin = Callable[[Any], Any]


async def giving_up_table(count: int) -> str:
    """Measure what giving up `count` pending awaits takes; return Markdown."""
    gated = Gated(count)
    refs = gated.make()
    loop = asyncio.get_running_loop()
    rows = []
    for name, begin in (
        ("a future of asyncio's", lambda _ref: loop.create_future()),
        ("`as_future`", rja.as_future),
    ):
        rows.append(await _row(f"`cancel()` of each: {name}", refs, begin, _cancel))
        rows.append(
            await _row(
                f"`wait_for` of each: {name}", refs, lambda ref: ref, _wait_for(begin)
            )
        )
    begun = [rja.gather(refs)]
    await asyncio.sleep(2)
    rows.append(
        _line("`cancel()` of one `gather` of all", *await measure_once(_cancel, begun))
    )
    gated.open()
    return "\n".join(
        [
            f"## Giving up {count:,} pending awaits",
            "",
            "With futures of asyncio's it is asyncio's own share.",
            "",
            "| | s in all | worst stall of the loop, ms |",
            "| --- | ---: | ---: |",
            *rows,
            "",
        ]
    )


async def _row(name: str, refs: list[Any], begin: Begin, give_up: Any) -> str:
    begun = []
    for number, ref in enumerate(refs):
        begun.append(begin(ref))
        if number % _AT_ONCE == 0:
            await asyncio.sleep(0)
    await asyncio.sleep(1)
    return _line(name, *await measure_once(give_up, begun))


def _line(name: str, seconds: float, stall: float) -> str:
    return f"| {name} | {seconds:.2f} | {1e3 * stall:.0f} |"


async def _cancel(begun: list[Any]) -> None:
    for one in begun:
        one.cancel()


def _wait_for(begin: Begin) -> Callable[[list[Any]], Awaitable[None]]:
    async def one(ref: Any) -> None:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(begin(ref), 1)

    async def wait_for(refs: list[Any]) -> None:
        tasks = []
        for number, ref in enumerate(refs):
            tasks.append(asyncio.ensure_future(one(ref)))
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
        await asyncio.wait(tasks)

    return wait_for
