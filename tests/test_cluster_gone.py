"""A kernel whose Ray loses its GCS: displays say so, and Stop works."""

from __future__ import annotations

import os
import signal
import time

import pytest

from harness import rays

pytestmark = pytest.mark.skipif(os.name == "nt", reason="sends signals")

SETUP = f"""
%load_ext ray_jupyter_async
import asyncio, time
{rays.RAY_INIT};

@ray.remote(num_cpus=0)
def work(goes_on=True):
    while goes_on:
        time.sleep(0.01)

# The first call of a function asks the GCS to keep it.
await work.remote(False)
"""
GCS_PID = "ray._private.worker._global_node.all_processes['gcs_server'][0].process.pid"
WAITS = (
    "asyncio.get_running_loop().call_later(0.3, print, 'begun')\nawait work.remote()"
)
SAYS = "Ray's GCS has not answered since"


@pytest.fixture(scope="module")
def cluster(kernel):
    """The module's kernel and the process id of its GCS."""
    kernel.ok(SETUP)
    return kernel, int(kernel.ok(GCS_PID).value)


def in_widgets(kernel):
    return any(SAYS in str(comm.state) for comm in kernel.comms.values())


def test_hanging_gcs_is_reported_until_it_answers(cluster):
    kernel, gcs = cluster
    cell = kernel.submit(WAITS)
    kernel.poll(lambda: "begun" in cell.stdout, of=cell)
    os.kill(gcs, signal.SIGSTOP)
    try:
        kernel.poll(lambda: in_widgets(kernel), of=cell)
    finally:
        os.kill(gcs, signal.SIGCONT)
    kernel.poll(lambda: not in_widgets(kernel), of=cell)
    kernel.interrupt()
    kernel.wait(cell, 10)
    assert "Ended" in kernel.ok("%ray_cancel").stdout


# The last one: Ray ends the kernel a minute later.
def test_lost_gcs_is_reported_and_stop_works(cluster):
    kernel, gcs = cluster
    cell = kernel.submit(WAITS)
    kernel.poll(lambda: "begun" in cell.stdout, of=cell)
    os.kill(gcs, signal.SIGKILL)
    kernel.poll(lambda: in_widgets(kernel), of=cell)
    pressed = kernel.interrupt()
    kernel.wait(cell, 10)
    assert cell.replied - pressed < 2
    assert "Still running: 1 Ray task (1 × work)" in cell.traceback
    began = time.monotonic()
    assert f"work: {SAYS}" in kernel.ok("%ray_refs").stdout
    assert f"connected, but {SAYS}" in kernel.ok("%ray_async").stdout
    assert time.monotonic() - began < 30
    assert "Ended: 1 Ray task (1 × work)" in kernel.ok("%ray_cancel").stdout
