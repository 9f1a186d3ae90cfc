"""Benchmark of awaits that are pending for long, and are given up all at once."""

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
    await _end(gated, refs)
    return _table(
        f"Giving up {count:,} pending awaits",
        "With futures of asyncio's it is asyncio's own share.",
        rows,
    )


async def pending_table(count: int) -> str:
    """Measure the life of `count` refs that are all pending; return Markdown."""
    gated = Gated(count)
    refs: list[Any] = []
    futures: list[Any] = []
    gathered: list[Any] = []

    async def submit(_: Any) -> None:
        for number, ref in enumerate(gated.submitted()):
            refs.append(ref)
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)

    async def begin(_: Any) -> None:
        for number, ref in enumerate(refs):
            futures.append(rja.as_future(ref))
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)

    async def cancel(_: Any) -> None:
        for number, future in enumerate(futures):
            future.cancel()
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)

    async def gather(_: Any) -> None:
        gathered.append(rja.gather(refs))

    rows = []
    for name, step, given in (
        ("submitting, which is Ray's share", submit, []),
        ("`as_future` of each", begin, []),
        ("`cancel()` of each", cancel, []),
        ("one `gather` of all", gather, []),
        ("`cancel()` of the `gather`", _cancel, gathered),
    ):
        rows.append(_line(name, *await measure_once(step, given), count))
        await asyncio.sleep(2)
    await _end(gated, refs)
    return _table(
        f"{count:,} refs, all pending",
        f"All but the `gather` gives the loop a turn after each {_AT_ONCE} refs.",
        rows,
    )


async def _end(gated: Gated, refs: list[Any]) -> None:
    """Open the gate, and wait: what is measured next must not wait for its calls."""
    gated.open()
    await rja.wait(refs, num_returns=len(refs), fetch_local=False)


def _table(title: str, text: str, rows: list[str]) -> str:
    return "\n".join(
        [
            f"## {title}",
            "",
            text,
            "",
            "| | s in all | µs per ref | worst stall of the loop, ms |",
            "| --- | ---: | ---: | ---: |",
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
    return _line(name, *await measure_once(give_up, begun), len(refs))


def _line(name: str, seconds: float, stall: float, count: int) -> str:
    each = 1e6 * seconds / count
    return f"| {name} | {seconds:.2f} | {each:.1f} | {1e3 * stall:.0f} |"


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
