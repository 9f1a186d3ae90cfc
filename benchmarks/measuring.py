"""Timing of peers: repeated, in one run, with the loop's stalls measured."""

from __future__ import annotations

import asyncio
import gc
import statistics
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

#: The peer that ratios refer to.
YARDSTICK = "ray.get in an executor"
#: Runs of each peer, of which the median is taken.
REPEATS = 5
#: Seconds between two wakeups of the task that measures stalls.
BEAT = 0.001


@dataclass(frozen=True)
class Timing:
    """The timing of one peer on one load.

    Attributes
    ----------
    per_ref : float
        Median, microseconds per ref.
    stall : float
        Median of each run's longest stall of the loop, milliseconds: the interval
        between two wakeups of a task that sleeps one millisecond.
    """

    per_ref: float
    stall: float


Peer = Callable[[list[Any]], Awaitable[Any]]


async def measure(
    peers: dict[str, Peer],
    load: Callable[[], list[Any]],
    *,
    repeats: int = REPEATS,
    open_gate: Callable[[], None] | None = None,
) -> dict[str, Timing]:
    """Time the peers in turns, so that noise affects all of them.

    Parameters
    ----------
    peers : dict of str to callable
        Each awaits all the refs that it is given.
    load : callable
        Makes the refs; called before each run.
    repeats : int
        Runs of each peer, after one run that is not counted.
    open_gate : callable, optional
        Called when a peer has begun; for loads that are pending until then.
    """
    seconds: dict[str, list[float]] = {name: [] for name in peers}
    stalls: dict[str, list[float]] = {name: [] for name in peers}
    count = 1
    for turn in range(repeats + 1):
        for name, peer in peers.items():
            refs = load()
            count = len(refs)
            gc.collect()
            took, stall = await _run(peer, refs, open_gate)
            if turn:
                seconds[name].append(took)
                stalls[name].append(stall)
            del refs
    return {
        name: Timing(
            statistics.median(seconds[name]) / count * 1e6,
            statistics.median(stalls[name]) * 1e3,
        )
        for name in peers
    }


async def measure_once(peer: Peer, refs: list[Any]) -> tuple[float, float]:
    """Return the seconds of one run, and its longest stall in seconds."""
    gc.collect()
    return await _run(peer, refs, None)


async def _run(
    peer: Peer, refs: list[Any], open_gate: Callable[[], None] | None
) -> tuple[float, float]:
    worst = 0.0

    async def watch() -> None:
        nonlocal worst
        while True:
            before = time.perf_counter()
            await asyncio.sleep(BEAT)
            worst = max(worst, time.perf_counter() - before - BEAT)

    watching = asyncio.ensure_future(watch())
    await asyncio.sleep(10 * BEAT)
    if open_gate is not None:
        # On a thread: a peer that blocks the loop would wait for ever.
        threading.Timer(0.05, open_gate).start()
    began = time.perf_counter()
    await peer(refs)
    took = time.perf_counter() - began
    await asyncio.sleep(2 * BEAT)
    watching.cancel()
    return took, worst


def table(title: str, timings: dict[str, Timing], yardstick: str = YARDSTICK) -> str:
    """Return a Markdown section with the timings of one load."""
    unit = timings[yardstick].per_ref
    rows = [
        f"| {name} | {timing.per_ref:.1f} | {timing.per_ref / unit:.2f} | "
        f"{timing.stall:.0f} |"
        for name, timing in timings.items()
    ]
    return "\n".join(
        [
            f"## {title}",
            "",
            f"| | µs per ref | ratio to `{yardstick}` | worst stall of the loop, ms |",
            "| --- | ---: | ---: | ---: |",
            *rows,
            "",
        ]
    )
