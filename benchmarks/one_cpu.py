"""The main loads once more on one CPU, in a process and a Ray of their own."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import ray

from . import loads
from .measuring import measure, table
from .peers import PEERS


def one_cpu_sections() -> str:
    """Measure in a process that may use one CPU; return Markdown."""
    if not hasattr(os, "sched_setaffinity"):  # Linux has it
        return ""
    done = subprocess.run(
        [sys.executable, "-m", f"{__package__}.one_cpu"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout


async def _tables() -> list[str]:
    sections = []
    for title, load in (
        ("1,000 ready `ray.put` refs", loads.puts(1_000)),
        ("2,000 finished actor results", loads.finished(2_000)),
        ("500 actor calls in flight", loads.in_flight(500)),
    ):
        timings = await measure(PEERS, load, repeats=3)
        sections.append(table(f"{title}, on one CPU", timings))
    return sections


def main() -> None:
    """Print the tables of one CPU."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    ray.init(
        address="local",
        num_cpus=1,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="error",
    )
    try:
        print(*asyncio.run(_tables()), sep="\n")
    finally:
        ray.shutdown()


if __name__ == "__main__":
    main()
