"""Awaits over Ray Client: as in a local session, and never on the network's time.

The server is real, with a Ray of its own, and shared; this process is its
client, beside the local session that other tests may have here.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import importlib.util
import logging
import os
import statistics
import threading
import time
import weakref

import pytest
import ray

from harness.loops import run
from harness.polling import poll
from ray_jupyter_async import (
    UnknownRefError,
    as_completed,
    as_future,
    cancel,
    gather,
    get,
    map,  # noqa: A004
    patched,
    wait,
)

pytestmark = [
    pytest.mark.client,
    pytest.mark.skipif(
        importlib.util.find_spec("grpc") is None,
        reason="oldest Ray: grpcio is not installed beside it",
    ),
]

#: More than the server may owe a push for (`client.MAX_PUSHED`).
MANY = 100


@pytest.fixture(scope="module")
def server():
    from harness.client import running_client_server

    with running_client_server() as running:
        yield running


@pytest.fixture(scope="module")
def connection(server):
    """The connection's worker; `ray` in this module's tests is the server's."""
    ray.init(server.address)
    try:
        yield ray.util.client.ray.get_context().client_worker
    finally:
        ray.util.disconnect()


class Gate:
    """Calls that are pending until it is opened: of one actor, one process."""

    def __init__(self, holder, folder):
        self._holder = holder
        self._file = folder / "open"

    def hold(self, value=None):
        return self._holder.hold.remote(self._file, value)

    def open(self):
        self._file.touch()


@pytest.fixture(scope="module")
def holder(connection):
    @ray.remote(num_cpus=0)
    class Holder:
        def hold(self, path, value):
            while not path.exists():
                time.sleep(0.01)
            return value

    return Holder.remote()


@pytest.fixture
def gate(holder, tmp_path):
    made = Gate(holder, tmp_path)
    yield made
    made.open()


@pytest.fixture(autouse=True)
def _connected(connection):
    """Every test here is a client."""


@ray.remote
def echo(value=None):
    return value


@ray.remote
def fail(error):
    raise error


@ray.remote(num_cpus=0)
def run_for(seconds):
    for _ in range(int(seconds * 100)):
        time.sleep(0.01)


@ray.remote(num_cpus=0, max_retries=0)
def die():
    import os

    os._exit(1)


def unloadable():
    """Submit a task whose value can be loaded everywhere but in this process."""

    def make(pid):
        class Picky:
            def __reduce__(self):
                return load, (pid,)

        def load(pid):
            import os

            if os.getpid() == pid:
                raise RuntimeError("cannot be loaded here")
            return Picky()

        return Picky()

    return ray.remote(num_cpus=0)(make).remote(os.getpid())


async def settled(refs):
    """Let the server have all of them ready, through Ray's own `wait`."""
    await asyncio.to_thread(ray.wait, refs, num_returns=len(refs), timeout=30)
    return refs


def ids(refs):
    return [ref.binary() for ref in refs]


# Values and errors


def test_gives_the_value():
    async def main():
        return await as_future(echo.remote({"key1": ["value"]}))

    assert run(main()) == {"key1": ["value"]}


def test_await_of_a_ref_is_routed_here():
    async def main():
        with patched():
            return await echo.remote(1), await asyncio.gather(*map_echo(range(3)))

    assert run(main()) == (1, [0, 1, 2])


def map_echo(values):
    return [echo.remote(value) for value in values]


@pytest.mark.parametrize("count", [1, MANY])
def test_raises_the_task_s_error_as_its_own_class(count):
    async def main():
        refs = await settled([fail.remote(ValueError("no")), *map_echo(range(count))])
        await gather(refs)

    with pytest.raises(ValueError, match="no") as caught:
        run(main())
    assert isinstance(caught.value, ray.exceptions.RayTaskError)


@pytest.mark.parametrize("count", [1, MANY])
def test_a_returned_exception_is_a_value(count):
    async def main():
        return await gather(
            await settled([echo.remote(ValueError("mine")) for _ in range(count)])
        )

    values = run(main())
    assert [type(value) for value in values] == [ValueError] * count


def test_errors_among_many_leave_the_others_their_values():
    async def main():
        refs = [
            fail.remote(KeyError(i)) if i % 30 == 7 else echo.remote(i)
            for i in range(MANY)
        ]
        return await gather(await settled(refs), return_exceptions=True)

    values = run(main())
    wrong = [i for i, value in enumerate(values) if isinstance(value, KeyError)]
    assert wrong == [7, 37, 67, 97]
    assert all(value == i for i, value in enumerate(values) if i not in wrong)


def test_a_worker_that_died_is_told():
    async def main():
        await as_future(die.remote())

    with pytest.raises(ray.exceptions.WorkerCrashedError):
        run(main(), timeout=60)


def test_a_cancelled_task_is_told():
    async def main():
        ref = run_for.remote(30)
        future = as_future(ref)
        await cancel(ref)
        await future

    with pytest.raises(ray.exceptions.TaskCancelledError):
        run(main())


def test_each_awaiter_gets_its_own_copy():
    async def main():
        ref = echo.remote([1])
        many = await settled(map_echo([[i] for i in range(MANY)]))
        return await gather(ref, ref), await gather(*many, *many)

    (one, other), values = run(main())
    assert one == other
    assert one is not other
    assert all(values[i] is not values[i + MANY] for i in range(MANY))


def test_gives_objects_larger_than_a_message():
    async def main():
        refs = await settled([ray.put(bytes([i]) * 12_000_000) for i in range(3)])
        return await gather(refs), await as_future(refs[0])

    values, first = run(main())
    assert [len(value) for value in values] == [12_000_000] * 3
    assert [value[0] for value in values] == [0, 1, 2]
    assert first == values[0]


def test_a_ref_that_the_server_does_not_know_fails_alone(gate):
    def made_up():
        return type(known[0])(bytes(range(28)))

    known = map_echo(range(20))

    async def main():
        await settled(known)
        with pytest.raises(UnknownRefError):
            await as_future(made_up())
        with pytest.raises(UnknownRefError):
            await wait([*known, made_up()], num_returns=21)
        with pytest.raises(UnknownRefError):
            await wait([made_up()], timeout=0)
        return await gather(*known, made_up(), return_exceptions=True)

    values = run(main())
    assert values[:-1] == list(range(20))
    assert isinstance(values[-1], UnknownRefError)


@pytest.mark.parametrize("count", [0, MANY])
def test_an_object_that_cannot_be_loaded_fails_alone(count):
    async def main():
        refs = await settled([*map_echo(range(count)), unloadable()])
        return await gather(refs, return_exceptions=True)

    *values, error = run(main())
    assert values == list(range(count))
    assert str(error) == "cannot be loaded here"


# Cancelling


@pytest.mark.parametrize("count", [1, MANY])
def test_a_cancelled_await_logs_nothing_and_holds_nothing(
    gate, count, caplog, connection
):
    caplog.set_level(logging.WARNING)
    kept = weakref.WeakSet()

    async def main():
        refs = [gate.hold(i) for i in range(count)]
        keys = set(await asyncio.to_thread(ids, refs))
        futures = [as_future(ref) for ref in refs]
        kept.update(futures)
        await asyncio.sleep(0.2)
        for future in futures:
            future.cancel()
        del refs, futures, future
        await asyncio.sleep(0)
        gc.collect()
        poll(lambda: not keys & set(connection.reference_count), 2)
        # The server's answers to those that it was asked to push come now.
        gate.open()
        unanswered = connection.data_client.asyncio_waiting_data
        await asyncio.to_thread(poll, lambda: not unanswered)

    run(main())
    poll(lambda: gc.collect() is None or not kept, 5)
    assert caplog.records == []


def test_cancelling_leaves_the_task_running(gate):
    async def main():
        ref = gate.hold("done")
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(as_future(ref), 0.2)
        gate.open()
        return await as_future(ref)

    assert run(main()) == "done"


def test_cancels_the_task_when_asked_to():
    async def main():
        ref = run_for.remote(60)
        future = as_future(ref, cancel_task=True)
        await asyncio.sleep(0.3)
        future.cancel()
        with pytest.raises(ray.exceptions.TaskCancelledError):
            await as_future(ref)

    run(main())


def test_awaiting_again_and_again_asks_for_the_value_once(gate, connection):
    async def main():
        ref = gate.hold(1)
        for _ in range(5):
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(as_future(ref), 0.05)
        asked = len(connection.data_client.asyncio_waiting_data)
        gate.open()
        return asked, await as_future(ref)

    assert run(main()) == (1, 1)


# Combinators


@pytest.mark.parametrize("fetch_local", [True, False])
def test_wait_gives_what_is_ready_and_fetches_no_value(gate, fetch_local):
    async def main():
        refs = [unloadable(), gate.hold()]
        looked = await wait(refs, timeout=5, fetch_local=fetch_local)
        again = await wait(refs, timeout=0, fetch_local=fetch_local)
        return refs, looked, again

    refs, looked, again = run(main())
    assert looked == again == ([refs[0]], [refs[1]])


def test_wait_waits_for_as_many_as_asked(gate):
    refs = [gate.hold(i) for i in range(MANY)]

    async def main():
        waiting = asyncio.ensure_future(wait(refs, num_returns=MANY))
        await asyncio.sleep(0.3)
        assert not waiting.done()
        gate.open()
        return await waiting

    assert run(main()) == (refs, [])


def test_as_completed_gives_refs_as_they_become_ready(gate):
    async def main():
        slow = gate.hold("slow")
        quick = map_echo(range(3))
        given = []
        async for ref in as_completed([slow, *quick]):
            given.append(ref)
            if len(given) == 3:
                gate.open()
        return slow, quick, given

    slow, quick, given = run(main())
    assert given[-1] == slow
    assert sorted(ref.hex() for ref in given[:3]) == sorted(ref.hex() for ref in quick)


def test_as_completed_gives_values():
    async def main():
        refs = map_echo(range(MANY))
        return [value async for _, value in as_completed(refs, with_results=True)]

    assert sorted(run(main())) == list(range(MANY))


def test_gather_gives_in_flight_results_in_order():
    async def main():
        return await gather(map_echo(range(300)))

    assert run(main()) == list(range(300))


def test_get_has_a_timeout(gate):
    async def main():
        pending, ready = gate.hold(), echo.remote(1)
        await settled([ready])
        assert await get([ready, ready], timeout=0) == [1, 1]
        for timeout in (0, 0.2):
            with pytest.raises(ray.exceptions.GetTimeoutError):
                await get([ready, pending], timeout=timeout)

    run(main())


@pytest.mark.parametrize("ordered", [True, False])
def test_map_submits_and_gives_results(ordered):
    async def main():
        return [value async for value in map(echo, range(20), ordered=ordered)]

    assert sorted(run(main())) == list(range(20))


def test_cancel_tells_what_became_of_each():
    async def main():
        ready, running = echo.remote(1), run_for.remote(60)
        await settled([ready])
        outcomes = [each.outcome.value for each in await cancel([ready, running])]
        with pytest.raises(ray.exceptions.TaskCancelledError):
            await as_future(running)
        return outcomes

    assert run(main()) == ["ready", "requested"]


def test_results_of_actors_come_in_order():
    @ray.remote(num_cpus=0)
    class Counter:
        def __init__(self):
            self.count = 0

        def add(self):
            self.count += 1
            return self.count

    async def main():
        counter = Counter.remote()
        return await gather([counter.add.remote() for _ in range(30)])

    assert run(main()) == list(range(1, 31))


# A newcomer beside many


def test_a_newcomer_is_quick_beside_many_that_take_long(gate):
    async def main():
        many = gather([gate.hold() for _ in range(2 * MANY)])
        await asyncio.sleep(3)  # until a round of the waiter's is long
        took = []
        for i in range(5):
            refs = map_echo([i] * 40)
            began = time.monotonic()
            await gather(refs)
            took.append(time.monotonic() - began)
        many.cancel()
        return took

    assert statistics.median(run(main())) < 1


def test_many_that_are_pending_cost_next_to_nothing(gate):
    async def main():
        many = gather([gate.hold() for _ in range(1000)])
        await asyncio.sleep(4)  # the rounds have grown
        began, used = time.monotonic(), time.process_time()
        await asyncio.sleep(4)
        share = (time.process_time() - used) / (time.monotonic() - began)
        many.cancel()
        return share

    # Of a core. About 0.01 on an idle machine of two cores.
    assert run(main()) < 0.05


def test_own_threads_end_with_the_work(gate):
    async def main():
        refs = [gate.hold() for _ in range(MANY)]
        many = gather(refs)
        await asyncio.sleep(0.3)
        assert own_threads()
        gate.open()
        await many

    run(main())
    poll(lambda: not own_threads(), 5)


def own_threads():
    return [
        thread.name
        for thread in threading.enumerate()
        if thread.name.startswith("ray-await")
    ]


# The loop while the network hangs


@contextlib.asynccontextmanager
async def turning_loop(longest=0.3):
    """Fail if the loop stood still for longer than that, in seconds."""
    gaps = []

    async def turn():
        last = time.monotonic()
        while True:
            await asyncio.sleep(0.01)
            now = time.monotonic()
            gaps.append(now - last)
            last = now

    turning = asyncio.ensure_future(turn())
    await asyncio.sleep(0.05)
    yield
    await asyncio.sleep(0.05)
    turning.cancel()
    assert max(gaps) < longest


@contextlib.contextmanager
def hanging(server):
    """Give refs whose ids are on their way for the length of the block."""
    ray.get(echo.remote(0))  # the function is on the server
    with server.paused():
        yield


HANGING = {
    "as_future": as_future,
    "gather": lambda ref: gather(ref, ref),
    "wait": lambda ref: wait([ref]),
    "wait_now": lambda ref: wait([ref], timeout=0),
    "get": get,
    "get_now": lambda ref: get([ref], timeout=0),
    "as_completed": lambda ref: anext(as_completed([ref])),
    "cancel": cancel,
}


@pytest.mark.parametrize("name", HANGING)
def test_the_loop_turns_while_the_network_hangs(server, name):
    async def main():
        async with turning_loop():
            with hanging(server):
                awaiting = asyncio.ensure_future(HANGING[name](echo.remote(1)))
                await asyncio.sleep(0.5)
                assert not awaiting.done()
        with contextlib.suppress(ray.exceptions.GetTimeoutError):
            await awaiting

    run(main())


@pytest.mark.parametrize("turns", [0, 0.2])
def test_cancelling_does_not_wait_for_an_id(server, turns):
    async def main():
        async with turning_loop():
            with hanging(server):
                future = as_future(echo.remote(1))
                await asyncio.sleep(turns)
                future.cancel()
                del future
                await asyncio.sleep(0.2)

    run(main())


def test_awaits_during_a_hang_hold_no_thread(server):
    async def main():
        with hanging(server):
            futures = []
            for i in range(30):
                futures.append(as_future(echo.remote(i)))
                await asyncio.sleep(0.01)
            threads = len(own_threads())
        return threads, await asyncio.gather(*futures)

    threads, values = run(main())
    assert threads <= 2
    assert values == list(range(30))


# Speed


def test_many_done_refs_come_five_times_faster_than_natively():
    async def took(gathering, refs):
        began = time.perf_counter()
        assert await gathering(*refs) == list(range(1000))
        return time.perf_counter() - began

    async def main():
        refs = await settled(map_echo(range(1000)))
        native, ours = [], []
        for _ in range(5):
            native.append(await took(asyncio.gather, refs))
            ours.append(await took(gather, refs))
        return statistics.median(native) / statistics.median(ours)

    assert run(main(), timeout=60) >= 5


# The end of the connection: in processes of their own


PREAMBLE = """
import asyncio, json, os, sys, threading, time
import ray
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
            continue  # it has ended meanwhile
        if int(parent) == os.getpid():
            found.add(pid)
    return found

ray.init(ADDRESS)

# No node has the resource: pending for ever, and costs the server no process.
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
def told_by(script, address):
    """Run a script that prints what it saw as JSON; once for all who ask."""
    import json

    from harness.rays import run_script

    code = f"ADDRESS = {address!r}\n{PREAMBLE}{script}"
    env = {"RAY_CLIENT_RECONNECT_GRACE_PERIOD": "2"}
    return json.loads(run_script(code, env=env).stdout.splitlines()[-1])


DISCONNECT = """
async def main():
    told, refs = awaited()
    pending = {
        name: asyncio.ensure_future(outcome(each)) for name, each in told.items()
    }
    await asyncio.sleep(1)
    END
    began = time.monotonic()
    saw = {name: await each for name, each in pending.items()}
    saw["seconds"] = time.monotonic() - began
    saw["again"] = (await outcome(again(refs)))[0]
    saw["cancel"] = (await outcome(cancel(refs[0])))[0]
    saw["wait_now"] = (await outcome(wait(refs[:2], timeout=0)))[0]
    saw["initialized"] = ray.is_initialized()
    saw["children"] = sorted(children())
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and own_threads():
        await asyncio.sleep(0.05)
    saw["threads"] = own_threads()
    print(json.dumps(saw))

def own_threads():
    return [t.name for t in threading.enumerate() if t.name.startswith("ray-await")]

asyncio.run(main())
"""


@pytest.fixture(params=["ray.shutdown()", "ray.util.disconnect()"])
def disconnected(request, server):
    return told_by(DISCONNECT.replace("END", request.param), server.address)


def test_a_disconnect_fails_every_pending_await_within_a_second(disconnected):
    for kind in KINDS:
        assert disconnected[kind][:2] == ["ClientDisconnectedError", True], kind
    assert disconnected["seconds"] < 1


def test_after_a_disconnect_refs_are_refused(disconnected):
    for kind in ("again", "cancel", "wait_now"):
        assert disconnected[kind] == "RayNotInitializedError", kind


def test_nothing_starts_a_new_ray_after_a_disconnect(disconnected):
    assert not disconnected["initialized"]
    assert disconnected["children"] == []


def test_no_thread_outlives_a_disconnect(disconnected):
    assert disconnected["threads"] == []


@pytest.fixture(scope="module")
def killed():
    """What a client saw whose server was killed, with 2 s to reconnect."""
    from harness.client import running_client_server

    with running_client_server() as doomed:
        kill = f"os.kill({doomed.process_id}, 9)"
        return told_by(DISCONNECT.replace("END", kill), doomed.address)


def test_a_dead_server_fails_every_pending_await(killed):
    for kind in KINDS:
        assert killed[kind][:2] == ["ClientDisconnectedError", True], kind


def test_a_dead_server_is_told_when_ray_gives_up(killed):
    # Ray's grace period is 2 s here, its try to reconnect takes up to 5.
    assert 1 < killed["seconds"] < 9


def test_nothing_starts_a_new_ray_after_a_dead_server(killed):
    assert not killed["initialized"]
    assert killed["children"] == []


RECONNECT = """
async def main():
    slow = sleep.remote(4)
    refs = [slow, *[echo.remote(slow) for _ in range(99)]]
    pending = asyncio.ensure_future(gather(refs))
    one = as_future(refs[0])
    await asyncio.sleep(1)
    open(SIGN, "w").close()
    values = await asyncio.wait_for(pending, 60)
    await asyncio.wait_for(one, 5)
    print(json.dumps(len(values)))

asyncio.run(main())
"""


def test_awaits_outlive_a_connection_that_ray_takes_up_again(server, tmp_path):
    from harness.client import Forwarder

    sign = tmp_path / "sign"
    forwarder = Forwarder(server.address, break_at=sign)
    forwarder.start()
    with contextlib.closing(forwarder):
        script = f"SIGN = {str(sign)!r}\n{RECONNECT}"
        assert told_by(script, forwarder.address) == 100
        assert forwarder.broken
