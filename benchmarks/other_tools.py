"""Compare what a cell shows and what Stop does, with Dask, ipyparallel and tqdm.

The same job in each tool's usual way: 24 tasks of a second on four workers, of which
the first fails at once. Prints the figures of docs/explanation/comparison.md. In an
environment with the tools (the dependency group ``peers``)::

    PYTHONPATH=tests python -m benchmarks.other_tools
"""

from __future__ import annotations

import re
import statistics
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from harness import rays
from harness.kernel import Kernel, running_kernel
from harness.polling import poll

_TASK = """
def task(number, folder):
    import os, time
    if number == 0:
        raise ValueError("no data for 0")
    for _ in range(100):
        time.sleep(0.01)
    open(os.path.join(folder, str(number)), "w").close()
    return number
"""
_RAY = f"""
{rays.init_source(num_cpus=4)}
{_TASK}
remote = ray.remote(task)
noop = ray.remote(lambda n: n)
"""


@dataclass(frozen=True)
class Tool:
    """How one tool does the job."""

    #: Distributions whose versions are shown.
    packages: tuple[str, ...]
    setup: str
    #: Submits the tasks, shows progress and waits.
    job: str
    #: The time of 1,000 small tasks, submitted and waited for.
    small: str


TOOLS = {
    "here": Tool(
        ("ray-jupyter-async", "ray"),
        f"%load_ext ray_jupyter_async\nimport asyncio\n{_RAY}",
        "values = await asyncio.gather(*[remote.remote(n, folder) for n in range(24)])",
        "await asyncio.gather(*[noop.remote(n) for n in range(1000)]);",
    ),
    "`await`": Tool(
        ("ray",),
        f"import asyncio\n{_RAY}",
        "values = await asyncio.gather(*[remote.remote(n, folder) for n in range(24)])",
        "await asyncio.gather(*[noop.remote(n) for n in range(1000)]);",
    ),
    "`ray.get`, tqdm": Tool(
        ("tqdm", "ray"),
        f"from tqdm.auto import tqdm\n{_RAY}",
        """
refs = [remote.remote(n, folder) for n in range(24)]
with tqdm(total=24) as bar:
    while refs:
        done, refs = ray.wait(refs)
        ray.get(done)
        bar.update(len(done))
""",
        """
refs = [noop.remote(n) for n in range(1000)]
with tqdm(total=1000) as bar:
    while refs:
        done, refs = ray.wait(refs)
        ray.get(done)
        bar.update(len(done))
""",
    ),
    "Dask": Tool(
        ("distributed",),
        f"""
from dask.distributed import Client, progress
client = Client(n_workers=4, threads_per_worker=1, dashboard_address=None)
{_TASK}
""",
        """
futures = client.map(task, range(24), folder=folder, pure=False)
display(progress(futures))
values = client.gather(futures)
""",
        "client.gather(client.map(lambda n: n, range(1000), pure=False));",
    ),
    "ipyparallel": Tool(
        ("ipyparallel",),
        f"""
import ipyparallel
cluster = ipyparallel.Cluster(n=4)
view = cluster.start_and_connect_sync().load_balanced_view()
{_TASK}
""",
        """
result = view.map_async(task, range(24), [folder] * 24)
result.wait_interactive()
values = result.get()
""",
        "view.map_sync(lambda n: n, range(1000));",
    ),
}


@dataclass
class Seen:
    """What was seen of a tool."""

    #: Seconds until the job's cell ended: with the error, and after an interrupt.
    failed: float = 0.0
    stop: float = 0.0
    #: How many of 24 tasks ended well after an interrupt; four to eight had before.
    after_stop: int = 0
    #: Seconds for 1,000 small tasks: the median of five.
    small: float = 0.0
    #: What is left of the outputs without a kernel, shortened.
    reopened: str = ""


def main() -> None:
    """Run each tool in a kernel of its own, and print the table."""
    for title, tool in TOOLS.items():
        with rays.short_folder() as folder, running_kernel(folder) as kernel:
            kernel.ok(tool.setup, timeout=120)
            seen = look(kernel, tool, folder)
        versions = " ".join(
            f"{package} {version(package)}" for package in tool.packages
        )
        print(f"{title} ({versions})")
        print(f"  the first error ends the cell after {seen.failed:.1f} s")
        print(f"  Stop ends it after {seen.stop:.1f} s; {seen.after_stop} tasks ran on")
        print(f"  1,000 small tasks: {seen.small:.2f} s")
        print(f"  in a saved notebook: {seen.reopened}", flush=True)


def look(kernel: Kernel, tool: Tool, folder: Path) -> Seen:
    """Run the job to its error, time small tasks, and stop the job half way."""
    seen = Seen()
    first = folder / "first"
    first.mkdir()
    kernel.ok(f"folder = {str(first)!r}")
    began = time.monotonic()
    result = kernel.run(tool.job, timeout=60)
    seen.failed = time.monotonic() - began
    assert result.ename, "the job has not failed"
    poll(lambda: len(list(first.iterdir())) == 23, 60, what="all tasks to end")
    kernel.run("import time; time.sleep(2)")
    texts = [output.text for output in result.outputs]
    seen.reopened = re.sub(r"\s+", " ", " | ".join(texts))[:300]

    times = []
    for _ in range(5):
        began = time.monotonic()
        kernel.ok(tool.small)
        times.append(time.monotonic() - began)
    seen.small = statistics.median(times)

    second = folder / "second"
    second.mkdir()
    # Without the task that fails: the job runs on.
    kernel.ok(f"folder = {str(second)!r}")
    job = tool.job.replace("range(24)", "range(1, 25)")
    cell = kernel.submit(job)
    poll(lambda: len(list(second.iterdir())) >= 4, 60, what="the first tasks to end")
    pressed = kernel.interrupt()
    kernel.wait(cell, 60)
    seen.stop = time.monotonic() - pressed
    there = len(list(second.iterdir()))
    # Longer than all tasks would take.
    kernel.run("import time; time.sleep(8)")
    seen.after_stop = len(list(second.iterdir())) - there
    return seen


if __name__ == "__main__":
    main()
