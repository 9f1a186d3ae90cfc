"""Run all benchmarks and write docs/explanation/performance.md: `make bench`."""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import ray

import ray_jupyter_async as rja
from harness.client import running_client_server

from . import loads
from .display import display_table
from .first_display import first_display_table
from .flows import flow_tables
from .giving_up import giving_up_table, pending_table
from .limits import limits_sections
from .measuring import YARDSTICK, measure, table
from .one_cpu import one_cpu_sections
from .peers import PEERS
from .single import single_tables
from .tracking import tracking_table

PAGE = Path(__file__).parent.parent / "docs" / "explanation" / "performance.md"


async def tables(quick: bool) -> list[str]:
    """Measure all loads, and return one Markdown section for each."""
    sections = []

    async def section(title: str, load: Any, **options: Any) -> None:
        sections.append(table(title, await measure(PEERS, load, **options)))
        print(sections[-1], flush=True)

    await section("1,000 ready `ray.put` refs", loads.puts(1_000))
    await section("5,000 ready `ray.put` refs", loads.puts(5_000))
    await section("1,000 finished actor results", loads.finished(1_000))
    await section("10,000 finished actor results", loads.finished(10_000))
    if not quick:
        await section(
            "100,000 finished actor results", loads.finished(100_000), repeats=3
        )
    await section("500 bytes objects of 1 MB", loads.megabytes(500))
    await section("2,000 actor calls in flight", loads.in_flight(2_000))
    gated = loads.Gated(2_000)
    await section(
        "2,000 calls behind a gate (0.05 s)",
        gated.make,
        open_gate=gated.open,
        repeats=3,
    )
    with loads.busy_thread():
        await section(
            "1,000 finished actor results, beside a busy Python thread",
            loads.finished(1_000),
            repeats=3,
        )
    sections += await flow_tables()
    sections += await single_tables()
    sections.append(await _memory())
    sections.append(await giving_up_table(5_000 if quick else 50_000))
    sections += [await pending_table(count) for count in (5_000, 50_000)]
    if not quick:
        sections.append(await pending_table(300_000))
    sections.append(tracking_table(quick))
    sections += await limits_sections(quick)
    print(*sections[-15:], sep="\n", flush=True)
    return sections


async def client_table() -> str:
    """Measure over Ray Client, which this process is connected to."""
    peers = {
        name: peer
        for name, peer in PEERS.items()
        if name != YARDSTICK  # not over Ray Client
    }
    load = loads.finished(1_000)
    return table(
        "1,000 finished actor results over Ray Client",
        await measure(peers, load),
        "ray.get",
    )


async def _memory() -> str:
    """Measure the Python memory of a pending await that is being watched."""
    count = 2_000
    gated = loads.Gated(count)
    rows = []
    for name, begin in (
        ("native, `asyncio.wrap_future(ref.future())`", _native_futures),
        ("`as_future`", _our_futures),
        ("our `gather`", _our_gathers),
    ):
        refs = gated.make()
        tracemalloc.start()
        awaits = begin(refs)
        await asyncio.sleep(1)
        held = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        rows.append(f"| {name} | {held / count:.0f} |")
        gated.open()
        await asyncio.gather(*awaits)
    return "\n".join(
        [
            f"## A pending await, of {count:,}",
            "",
            "| | bytes of Python memory |",
            "| --- | ---: |",
            *rows,
            "",
        ]
    )


def _native_futures(refs: list[Any]) -> list[Any]:
    return [asyncio.wrap_future(ref.future()) for ref in refs]


def _our_futures(refs: list[Any]) -> list[Any]:
    return [rja.as_future(ref) for ref in refs]


def _our_gathers(refs: list[Any]) -> list[Any]:
    return [rja.gather(refs)]


def main() -> int:
    """Run the benchmarks, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="leave the 100,000 out")
    parser.add_argument(
        "--write", action="store_true", help="write docs/explanation/performance.md"
    )
    options = parser.parse_args()
    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="error",
    )
    try:
        sections = asyncio.run(tables(options.quick))
    finally:
        ray.shutdown()
    with running_client_server() as server:
        ray.init(server.address, logging_level="error")
        try:
            sections.append(asyncio.run(client_table()))
            print(sections[-1])
        finally:
            ray.shutdown()
    sections.append(one_cpu_sections())
    print(sections[-1], flush=True)
    # It needs a Chromium, as the browser tests do.
    sections += [first_display_table(), display_table()]
    print(*sections[-2:], sep="\n")
    if options.write:
        PAGE.write_text("\n".join([_head(), *sections]), encoding="utf-8")
        print(f"wrote {PAGE}")
    return 0


def _head() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"""# Benchmarks

Made by `make bench`. All rows of a table were measured in the same run, in turns; each
is the median of three to five repeats. The machine: {os.cpu_count()} cores,
{memory:.0f} GiB of memory, {platform.system()}, shared with other work. Ray
{ray.__version__}, Python {platform.python_version()}. Timings vary between machines and
runs: compare the ratios rather than the microseconds.

"Stall" is the longest time during which the event loop ran nothing else: a parallel
task sleeps for one millisecond repeatedly and records how late it wakes.
"""


if __name__ == "__main__":
    sys.exit(main())
