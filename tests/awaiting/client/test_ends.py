"""The end of a Ray Client connection, each in its own process."""

from __future__ import annotations

import contextlib
import functools
import json

import pytest

from harness.client import Forwarder, running_client_server
from harness.rays import run_script

pytestmark = pytest.mark.client


PREAMBLE = """
import asyncio, json, os, sys, threading, time
import ray
from harness.loops import until_read
from harness.polling import poll
from ray_jupyter_async import *
from ray_jupyter_async import RayNotInitializedError

def children():
    found = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as file:
                # After the name in brackets come the state and the parent.
                parent = file.read().rpartition(")")[2].split()[1]
        except OSError:
            continue  # it has ended
        if int(parent) == os.getpid():
            found.add(pid)
    return found

ray.init(ADDRESS)

# No node has the resource: it stays pending without a process on the server.
@ray.remote(num_cpus=0, resources={"nowhere": 1})
def never():
    pass

@ray.remote
def echo(value):
    return value

@ray.remote(num_cpus=0)
def sleep(seconds):
    import time
    time.sleep(seconds)

async def outcome(awaitable):
    try:
        await awaitable
    except Exception as error:
        return [type(error).__name__, isinstance(error, ConnectionError)]
    return ["nothing", False]

async def again(refs):
    await gather(refs, return_exceptions=True)

async def first(refs):
    return await anext(as_completed(refs))

def awaited():
    refs = [never.remote() for _ in range(100)]
    return {
        "as_future": as_future(refs[0]),
        "gather": gather(refs),
        "get": get(refs[0]),
        "wait": wait(refs),
        "as_completed": first(refs),
    }, refs
"""

KINDS = ["as_future", "gather", "get", "wait", "as_completed"]


@functools.cache
def output_of(script, address):
    """Run a script once, and return what it printed as JSON."""
    code = f"ADDRESS = {address!r}\n{PREAMBLE}{script}"
    env = {"RAY_CLIENT_RECONNECT_GRACE_PERIOD": "2"}
    return json.loads(run_script(code, env=env).stdout.splitlines()[-1])


DISCONNECT = """
async def main():
    awaits, refs = awaited()
    pending = {
        name: asyncio.ensure_future(outcome(each)) for name, each in awaits.items()
    }
    await until_read()
    END
    began = time.monotonic()
    saw = {name: await each for name, each in pending.items()}
    saw["seconds"] = time.monotonic() - began
    saw["again"] = (await outcome(again(refs)))[0]
    saw["cancel"] = (await outcome(cancel(refs[0])))[0]
    saw["wait_now"] = (await outcome(wait(refs[:2], timeout=0)))[0]
    saw["initialized"] = ray.is_initialized()
    saw["children"] = sorted(children())
    await asyncio.to_thread(poll, lambda: not own_threads())
    saw["threads"] = own_threads()
    print(json.dumps(saw))

def own_threads():
    return [t.name for t in threading.enumerate() if t.name.startswith("ray-await")]

asyncio.run(main())
"""


@pytest.fixture(params=["ray.shutdown()", "ray.util.disconnect()"])
def disconnected(request, server):
    return output_of(DISCONNECT.replace("END", request.param), server.address)


def test_disconnect_fails_pending_awaits(disconnected):
    for kind in KINDS:
        assert disconnected[kind][:2] == ["ClientDisconnectedError", True], kind


def test_after_a_disconnect_refs_are_refused(disconnected):
    for kind in ("again", "cancel", "wait_now"):
        assert disconnected[kind] == "RayNotInitializedError", kind


def test_disconnect_starts_no_new_ray(disconnected):
    assert not disconnected["initialized"]
    assert disconnected["children"] == []


def test_no_thread_outlives_a_disconnect(disconnected):
    assert disconnected["threads"] == []


@pytest.fixture(scope="module")
def killed():
    """Return what a client saw whose server was killed, with 2 s to reconnect."""
    with running_client_server() as doomed:
        kill = f"os.kill({doomed.process_id}, 9)"
        return output_of(DISCONNECT.replace("END", kill), doomed.address)


def test_dead_server_fails_every_pending_await(killed):
    for kind in KINDS:
        assert killed[kind][:2] == ["ClientDisconnectedError", True], kind


def test_dead_server_is_reported_when_ray_gives_up(killed):
    # Ray's grace period is 2 s here, its try to reconnect takes up to 5.
    assert 1 < killed["seconds"] < 60


def test_dead_server_starts_no_new_ray(killed):
    assert not killed["initialized"]
    assert killed["children"] == []


RECONNECT = """
async def main():
    slow = sleep.remote(4)
    refs = [slow, *[echo.remote(slow) for _ in range(99)]]
    pending = asyncio.ensure_future(gather(refs))
    one = as_future(refs[0])
    await until_read()
    open(SIGN, "w").close()
    values = await asyncio.wait_for(pending, 60)
    await asyncio.wait_for(one, 5)
    print(json.dumps(len(values)))

asyncio.run(main())
"""


def test_awaits_survive_a_reconnection(server, tmp_path):
    sign = tmp_path / "sign"
    forwarder = Forwarder(server.address, break_at=sign)
    forwarder.start()
    with contextlib.closing(forwarder):
        script = f"SIGN = {str(sign)!r}\n{RECONNECT}"
        assert output_of(script, forwarder.address) == 100
        assert forwarder.broken
