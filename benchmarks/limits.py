"""The time per ref, from one ref to a million, beside the least that it can take."""

from __future__ import annotations

import functools
import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import ray
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from ray_jupyter_async._ray_api.core_worker import connected_core
from ray_jupyter_async._ray_api.objects import ObjectReader

from . import loads
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
#: Ray's own await takes three minutes for a million.
MOST_OF_NATIVE = 100_000
#: Refs of one task.
AT_ONCE = 1_000
#: Runs of each peer, of which the first one, which is slower, is not counted.
TURNS = 4

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


def _puts(count: int) -> list[Any]:
    return loads.puts(count)()


def _in_flight(actor: Any, count: int) -> list[Any]:
    return [actor.echo.remote(i) for i in range(count)]


@dataclass(frozen=True)
class _Load:
    """What is awaited in one picture.

    Attributes
    ----------
    title, image
        Of its section, and of the picture's file.
    make
        Makes the refs, given their number.
    most
        The largest number of refs.
    lasts
        Whether the same refs can be awaited again.
    """

    title: str
    image: str
    make: Callable[[int], list[Any]]
    most: int
    lasts: bool = True

    def counts(self, quick: bool) -> list[int]:
        most = min(self.most, 1_000) if quick else self.most
        return [10**power for power in range(7) if 10**power <= most]

    def peers(self) -> dict[str, Peer]:
        # What is in flight cannot be read: there the floor is `ray.get`.
        return {n: peer for n, peer in PEERS.items() if self.lasts or peer is not floor}


async def _seconds(peer: Peer, load: _Load, refs: list[Any]) -> float:
    """Return the seconds of one run; the mean of several if it is short."""
    times = max(1, (1_000 if load.lasts else 100) // len(refs))
    took = 0.0
    gc.collect()
    for _ in range(times):
        given = refs if load.lasts else load.make(len(refs))
        began = time.perf_counter()
        await peer(given)
        took += time.perf_counter() - began
    return took / times


async def limits_sections(quick: bool) -> list[str]:
    """Measure the curves, draw them, and return a Markdown section for each load."""
    actor: Any = loads.Echo.remote()
    ray.get(actor.echo.remote(0))
    in_flight = functools.partial(_in_flight, actor)
    return [
        await _limits_section(load, quick)
        for load in (
            _Load("finished results", "limits.svg", _finished, 1_000_000),
            _Load("`ray.put` refs", "limits-puts.svg", _puts, 100_000),
            _Load(
                "actor calls in flight",
                "limits-in-flight.svg",
                in_flight,
                10_000,
                lasts=False,
            ),
        )
    ]


async def _limits_section(load: _Load, quick: bool) -> str:
    peers = load.peers()
    curves: dict[str, dict[int, float]] = {name: {} for name in peers}
    for count in load.counts(quick):
        refs = load.make(count)
        seconds: dict[str, list[float]] = {name: [] for name in peers}
        for turn in range(1 if count > MOST_OF_NATIVE else TURNS):
            for name, peer in peers.items():
                slow = peer is native_gather and count >= MOST_OF_NATIVE
                if not slow or (count == MOST_OF_NATIVE and not turn):
                    seconds[name].append(await _seconds(peer, load, refs))
        for name, took in seconds.items():
            if took:
                median = statistics.median(took[1:] or took)
                curves[name][count] = median / count * 1e6
    if not quick:
        _draw(curves, load.image)
    return _section(load, load.counts(quick), curves)


def _section(
    load: _Load, counts: list[int], curves: dict[str, dict[int, float]]
) -> str:
    head = [f"{count:,}" for count in counts]
    rows = []
    for name, curve in curves.items():
        cells = [f"{curve[n]:.1f}" if n in curve else "" for n in counts]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    text = "In µs per ref."
    if load.lasts:
        text += (
            " The floor reads all objects in one call\nand deserialises them in"
            " another, on the loop's thread."
        )
    return "\n".join(
        [
            f"## From one ref to {counts[-1]:,}: {load.title}",
            "",
            text,
            "",
            f"![The time per ref against the number of refs](../images/{load.image})",
            "",
            f"| refs | {' | '.join(head)} |",
            f"| --- |{' ---: |' * len(counts)}",
            *rows,
            "",
        ]
    )


def _draw(curves: dict[str, dict[int, float]], image: str) -> None:
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
        for mark, (name, curve) in zip(_MARKS, curves.items(), strict=False):
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
        figure.savefig(IMAGES / image, transparent=True, metadata={"Date": None})
