"""Benchmark of single awaits: of a value that is ready, and of a method in flight."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from typing import Any

import ray

import ray_jupyter_async as rja

from .loads import Echo

#: Values by their name in the tables: small and plain, small and pickled, large.
VALUES: dict[str, Any] = {
    "an int": 7,
    "a tuple": (1, "b", None),
    "200 kB of bytes": bytes(200_000),
}

# Blocks of steps: the interpreter's caches are as warm as in a user's loop.
_BLOCKS, _STEPS = 40, 50

Step = Callable[[], Awaitable[Any]]


async def single_tables() -> list[str]:
    """Measure single awaits in turns; return Markdown sections."""
    actor: Any = Echo.remote()
    ray.get(actor.echo.remote(0))
    ready, flying = [], []
    for name, value in VALUES.items():
        ref = actor.echo.remote(value)
        ray.get(ref)
        ready.append(_row(name, await _medians(_ready(ref))))
        flying.append(_row(name, await _medians(_flying(actor, value))))
    return [
        _table("One await of a finished result", ready),
        _table("A round trip, `await actor.method.remote()`", flying),
    ]


def _ready(ref: Any) -> dict[str, Step]:
    async def get() -> Any:
        return ray.get(ref)

    async def wait() -> Any:
        return await ref

    return {"get": get, "native": wait, "patched": wait}


def _flying(actor: Any, value: Any) -> dict[str, Step]:
    async def get() -> Any:
        return ray.get(actor.echo.remote(value))

    async def wait() -> Any:
        return await actor.echo.remote(value)

    return {"get": get, "native": wait, "patched": wait}


async def _medians(steps: dict[str, Step]) -> dict[str, float]:
    """Return the median microseconds of each step; blocks of them in turns."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(_BLOCKS):
        for name, step in steps.items():
            with rja.patched() if name == "patched" else nullcontext():
                for _ in range(_STEPS):
                    began = time.perf_counter()
                    await step()
                    times[name].append(time.perf_counter() - began)
                    # So that the loop has turns, as between a user's own awaits.
                    await asyncio.sleep(0)
    return {name: statistics.median(taken) * 1e6 for name, taken in times.items()}


def _row(name: str, took: dict[str, float]) -> str:
    get, native, patched = took["get"], took["native"], took["patched"]
    return (
        f"| {name} | {get:.0f} | {native:.0f} | {patched:.0f} | "
        f"{patched / native:.2f} | {patched / get:.2f} |"
    )


def _table(title: str, rows: list[str]) -> str:
    return "\n".join(
        [
            f"## {title}",
            "",
            f"Medians of {_BLOCKS * _STEPS:,}, in turns, in µs.",
            "",
            "| the value | `ray.get` | native | patched | to native | to `ray.get` |",
            "| --- | ---: | ---: | ---: | ---: | ---: |",
            *rows,
            "",
        ]
    )
