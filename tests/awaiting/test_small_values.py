"""Small plain values are read on the loop; nothing else is, and nothing blocks it."""

from __future__ import annotations

import asyncio
import os
import threading

import pytest
import ray
from ray.exceptions import RayError

from harness.loops import run
from harness.rays import RAY_INIT, run_script
from ray_jupyter_async import as_future, gather, patched
from ray_jupyter_async._awaiting.converter import FEW
from ray_jupyter_async._ray_api.objects import HAS_ON_READY, SMALL_BYTES

PLAIN = [0, 1.5, "text", None, True, b"bytes", [1, [2, "b"]], {"a": {1: [None]}}]

#: Threads that have loaded a `NotesThread`.
loaded_on: list[threading.Thread] = []


def note_thread():
    loaded_on.append(threading.current_thread())
    return "loaded"


class NotesThread:
    """A value whose loading notes the thread."""

    def __reduce__(self):
        return (note_thread, ())


class Text(str):
    """A string of a user's class."""

    def __reduce__(self):
        return (note_thread, ())


@ray.remote(num_cpus=0)
class Echo:
    def echo(self, value):
        return value

    def make(self, name):
        return {
            "object": NotesThread(),
            "str subclass": Text("text"),
            "in a dict": {"key": [1, NotesThread()]},
            "as a key": {Text("key"): 1},
            "in a tuple": (1, NotesThread()),
        }[name]

    def fail(self):
        class TellingError(Exception):
            def __reduce__(self):
                return (note_thread, ())

        raise TellingError


@pytest.fixture(scope="module")
def actor(ray_session):
    made = Echo.remote()
    ray.get(made.echo.remote(0))
    return made


def readers_running():
    return any(thread.name == "ray-await-reader" for thread in threading.enumerate())


async def without_readers():
    """Wait until the readers of earlier awaits have ended."""
    while readers_running():
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("value", PLAIN, ids=repr)
def test_ready_plain_value_needs_no_reader(actor, value):
    async def main():
        ref = actor.echo.remote(value)
        ray.wait([ref])
        await without_readers()
        future = as_future(ref)
        assert future.done()
        assert not readers_running()
        return await future

    result = run(main())
    assert result == value
    assert type(result) is type(value)


@pytest.mark.skipif(not HAS_ON_READY, reason="oldest Ray: readiness is polled for")
def test_awaited_method_needs_no_reader(actor, gate):
    async def main():
        # The owner of a pending ref has to be looked up once, by a reader.
        pending = as_future(gate.hold(1))
        assert not pending.done()
        gate.open()
        assert await pending == 1
        await without_readers()
        assert await as_future(actor.echo.remote("text")) == "text"
        assert not readers_running()

    run(main())


@pytest.mark.parametrize(
    "name", ["object", "str subclass", "in a dict", "as a key", "in a tuple"]
)
@pytest.mark.parametrize("ready", [True, False], ids=["ready", "in flight"])
def test_classes_of_users_are_not_loaded_on_the_loop(actor, name, ready):
    async def main():
        ref = actor.make.remote(name)
        if ready:
            ray.wait([ref])
        await as_future(ref)

    loaded_on.clear()
    run(main())
    assert [thread.name for thread in loaded_on] == ["ray-await-reader"]


@pytest.mark.parametrize("ready", [True, False], ids=["ready", "in flight"])
def test_errors_are_not_loaded_on_the_loop(actor, ready):
    async def main():
        ref = actor.fail.remote()
        if ready:
            ray.wait([ref])
        with pytest.raises(RayError):
            await as_future(ref)

    loaded_on.clear()
    run(main())
    assert loaded_on
    assert {thread.name for thread in loaded_on} == {"ray-await-reader"}


def test_large_plain_value_is_left_to_a_reader(actor):
    async def main():
        ref = actor.echo.remote(bytes(2 * SMALL_BYTES))
        ray.wait([ref])
        future = as_future(ref)
        assert not future.done()
        return await future

    assert run(main()) == bytes(2 * SMALL_BYTES)


def test_two_awaits_of_a_ready_list_share_nothing(actor):
    async def main():
        ref = actor.echo.remote([[1], {"a": 2}])
        ray.wait([ref])
        one, two = await as_future(ref), await as_future(ref)
        assert one == two
        one[0].append(3)
        one[1].clear()
        assert two == [[1], {"a": 2}]

    run(main())


def test_awaits_of_ready_values_leave_turns_to_the_loop(actor):
    """A task that awaits nothing but ready values does not keep the loop."""

    async def main():
        ref = actor.echo.remote(1)
        ray.wait([ref])
        turns = 0

        async def count():
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.ensure_future(count())
        with patched():
            for _ in range(5_000):
                await ref
        counting.cancel()
        return turns

    # 5,000 awaits take 50 ms or more, and one turn lasts 4 ms.
    assert run(main()) >= 10


def test_many_methods_in_flight_are_all_awaited(actor):
    async def main():
        refs = [actor.echo.remote(i) for i in range(4 * FEW)]
        return await asyncio.gather(*(as_future(ref) for ref in refs))

    assert run(main()) == list(range(4 * FEW))


def test_cancelled_await_in_flight_is_dropped(gate):
    async def main():
        ref = gate.hold("value")
        await as_future(ray.put(0))
        future = as_future(ref)
        assert future.cancel()
        gate.open()
        assert await as_future(ref) == "value"
        assert future.cancelled()

    run(main())


@pytest.mark.skipif(os.name == "nt", reason="sends signals")
def test_raylet_that_does_not_answer_does_not_stop_the_loop():
    # In its own Ray: the shared one's raylet must not stop.
    script = f"""
        import asyncio, os, pathlib, signal, time
        {RAY_INIT}
        from harness.polling import poll
        from ray_jupyter_async import as_future, gather, patched

        @ray.remote(num_cpus=0)
        def echo(value):
            return value

        async def main():
            large = [ray.put(bytes(200_000)), echo.remote(bytes(200_000))]
            small = echo.remote(5)
            ray.wait([*large, small], num_returns=3)
            await as_future(small)
            node = ray._private.worker._global_node
            raylet = node.all_processes["raylet"][0].process.pid
            os.kill(raylet, signal.SIGSTOP)
            # On a loaded machine its threads go on for a moment.
            stat = pathlib.Path(f"/proc/{{raylet}}/stat")
            poll(lambda: stat.read_text().split()[2] == "T")
            try:
                with patched():
                    waits = [asyncio.ensure_future(ref) for ref in large]
                    began = time.monotonic()
                    for _ in range(50):
                        await asyncio.sleep(0.01)
                        assert await small == 5
                    took = time.monotonic() - began
                print("took", took < 5, [wait.done() for wait in waits])
            finally:
                os.kill(raylet, signal.SIGCONT)
            print([len(value) for value in await asyncio.gather(*waits)])

        asyncio.run(main())
    """
    said = run_script(script).stdout
    assert "took True [False, False]\n[200000, 200000]" in said


def test_small_values_among_others_are_gathered(actor):
    async def main():
        with patched():
            return await gather(
                actor.echo.remote(1), actor.make.remote("object"), asyncio.sleep(0, 2)
            )

    assert run(main()) == [1, "loaded", 2]
