"""The time per ref, from one ref to a million, beside the least that it can take."""

from __future__ import annotations

import functools
import gc
import statistics
import time
from pathlib import Path
from typing import Any

import matplotlib as mpl
import ray
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from ray_jupyter_async._ray_api.core_worker import connected_core
from ray_jupyter_async._ray_api.objects import ObjectReader

from .measuring import Peer
from .peers import (
    blocking_get,
    get_in_executor,
    native_gather,
    our_as_completed,
    our_gather,
    patched_gather,
)

IMAGES = Path(__file__).parent.parent / "docs" / "images"
COUNTS = (1, 10, 100, 1_000, 10_000, 100_000, 1_000_000)
#: Ray's own await takes three minutes for a million.
MOST_OF_NATIVE = 100_000
#: Refs of one task.
AT_ONCE = 1_000

_MARKS = "osD^vPX"


@functools.cache
def _reader() -> ObjectReader:
    return ObjectReader(connected_core())


async def floor(refs: list[Any]) -> Any:
    """Read and deserialise everything with one call each, on the loop's thread."""
    reader = _reader()
    return reader.load_many(refs, reader.read(refs))


PEERS: dict[str, Peer] = {
    "native asyncio.gather": native_gather,
    "patched asyncio.gather": patched_gather,
    "our as_completed": our_as_completed,
    "our gather": our_gather,
    "ray.get in an executor": get_in_executor,
    "ray.get": blocking_get,
    "the floor": floor,
}


@ray.remote(num_cpus=0)
def _many(count: int) -> list[int]:
    return list(range(count))


def _finished(count: int) -> list[Any]:
    """Return refs of finished results: small ones, which this process keeps."""
    refs: list[Any] = []
    while len(refs) < count:
        size = min(AT_ONCE, count - len(refs))
        made: Any = _many.options(num_returns=size).remote(size)
        made = [made] if size == 1 else made
        ray.wait(made, num_returns=size)
        refs += made
    return refs


async def _seconds(peer: Peer, refs: list[Any]) -> float:
    """Return the seconds of one run; the mean of several if it is short."""
    times = max(1, 1_000 // len(refs))
    gc.collect()
    began = time.perf_counter()
    for _ in range(times):
        await peer(refs)
    return (time.perf_counter() - began) / times


async def limits_section(quick: bool) -> str:
    """Measure the curves, draw them, and return a Markdown section."""
    counts = [count for count in COUNTS if count <= (10_000 if quick else COUNTS[-1])]
    curves: dict[str, dict[int, float]] = {name: {} for name in PEERS}
    for count in counts:
        refs = _finished(count)
        seconds: dict[str, list[float]] = {name: [] for name in PEERS}
        for turn in range(1 if count > MOST_OF_NATIVE else 4):
            for name, peer in PEERS.items():
                slow = peer is native_gather and count >= MOST_OF_NATIVE
                if not slow or (count == MOST_OF_NATIVE and not turn):
                    seconds[name].append(await _seconds(peer, refs))
        for name, took in seconds.items():
            if took:
                # Of several, the first one is slower.
                median = statistics.median(took[1:] or took)
                curves[name][count] = median / count * 1e6
    if not quick:
        _draw(curves)
    return _section(counts, curves)


def _section(counts: list[int], curves: dict[str, dict[int, float]]) -> str:
    head = [f"{count:,}" for count in counts]
    rows = []
    for name, curve in curves.items():
        cells = [f"{curve[n]:.1f}" if n in curve else "" for n in counts]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(
        [
            "## From one ref to a million",
            "",
            "Finished results, in µs per ref. The floor reads all objects in one call",
            "and deserialises them in another, on the loop's thread.",
            "",
            "![The time per ref against the number of refs](../images/limits.svg)",
            "",
            f"| refs | {' | '.join(head)} |",
            f"| --- |{' ---: |' * len(counts)}",
            *rows,
            "",
        ]
    )


def _draw(curves: dict[str, dict[int, float]]) -> None:
    # Readable on a light and on a dark page, without a background of its own.
    grey = "#7f8794"
    colours = {
        "text.color": grey,
        "axes.edgecolor": grey,
        "axes.labelcolor": grey,
        "xtick.color": grey,
        "ytick.color": grey,
        "svg.hashsalt": "limits",
    }
    with mpl.rc_context(colours):
        figure = Figure(figsize=(8, 5), layout="constrained")
        axes = figure.subplots()
        for mark, (name, curve) in zip(_MARKS, curves.items(), strict=True):
            style = "--" if name == "the floor" else "-"
            axes.loglog(
                list(curve), list(curve.values()), style, marker=mark, label=name
            )
        axes.set_xlabel("refs")
        axes.set_ylabel("µs per ref")
        for formatted in (
            axes.yaxis.set_major_formatter,
            axes.yaxis.set_minor_formatter,
        ):
            formatted(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.grid(visible=True, color=grey, alpha=0.3)
        axes.legend(frameon=False)
        figure.savefig(IMAGES / "limits.svg", transparent=True, metadata={"Date": None})
