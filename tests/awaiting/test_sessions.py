"""Sessions that end, and refs of ended sessions; each in its own process."""

from __future__ import annotations

from harness.rays import RAY_INIT, run_script

PREAMBLE = (
    RAY_INIT
    + """
import asyncio, threading, time
from harness.loops import until_read
from harness.polling import poll
from ray_jupyter_async import *
from ray_jupyter_async import SessionEndedError, RayNotInitializedError, UnknownRefError

@ray.remote(num_cpus=0)
def sleep(seconds):
    time.sleep(seconds)

def own_threads():
    return [t.name for t in threading.enumerate() if t.name.startswith("ray-await")]
"""
)


def test_shutdown_fails_pending_awaits_in_time():
    done = run_script(
        PREAMBLE
        + """
async def main():
    futures = [as_future(sleep.remote(60)) for _ in range(3)]
    await until_read()
    ray.shutdown()
    began = time.monotonic()
    for future in futures:
        try:
            await future
        except SessionEndedError as error:
            print("ended", time.monotonic() - began < 10, "ray.init()" in str(error))

asyncio.run(main())
poll(lambda: not own_threads())
""",
        clean_stderr=True,
    )
    assert done.stdout.split("\n")[:3] == ["ended True True"] * 3


def test_shutdown_in_a_thread_fails_pending_awaits():
    done = run_script(
        PREAMBLE
        + """
async def main():
    future = as_future(sleep.remote(60))
    await until_read()
    await asyncio.get_running_loop().run_in_executor(None, ray.shutdown)
    try:
        await asyncio.wait_for(future, 10)
    except SessionEndedError:
        print("ended")

asyncio.run(main())
""",
        clean_stderr=True,
    )
    assert done.stdout == "ended\n"


def test_shutdown_with_many_pending_refs_is_safe():
    # In Ray 2.40 a thread that waits in C++ at that moment crashes the process: the
    # gate has to wait for it.
    done = run_script(
        PREAMBLE
        + """
async def main():
    blocker = sleep.options(num_cpus=2).remote(60)
    refs = [sleep.options(num_cpus=2).remote(0) for _ in range(2000)]
    futures = [as_future(ref) for ref in refs]
    await until_read()
    ray.shutdown()
    results = await asyncio.gather(*futures, return_exceptions=True)
    print({type(result).__name__ for result in results})

asyncio.run(main())
"""
    )
    assert done.stdout == "{'SessionEndedError'}\n"


def test_ref_of_an_earlier_session_fails_at_once():
    done = run_script(
        PREAMBLE
        + f"""
put, task, pending = ray.put(1), sleep.remote(0), sleep.remote(60)
ray.get(task)
ray.shutdown()

async def main(*kinds):
    for ref in (put, task, pending):
        began = time.monotonic()
        try:
            await as_future(ref)
        except kinds as error:
            print(type(error).__name__, time.monotonic() - began < 10)

asyncio.run(main(RayNotInitializedError))

async def gathered():
    with patched():
        print(await asyncio.gather(put, return_exceptions=True))

asyncio.run(gathered())
{RAY_INIT}
asyncio.run(main(UnknownRefError))
print("end")
"""
    )
    lines = done.stdout.splitlines()
    assert lines.pop(3).startswith("[RayNotInitializedError(")
    assert lines[:7] == [
        *["RayNotInitializedError True"] * 3,
        *["UnknownRefError True"] * 3,
        "end",
    ]


def test_pickled_ref_of_an_earlier_session_fails():
    done = run_script(
        PREAMBLE
        + f"""
import pickle
kept = sleep.remote(60)
from ray import cloudpickle
data = cloudpickle.dumps(kept)
ray.shutdown()
{RAY_INIT}

async def main():
    began = time.monotonic()
    try:
        await as_future(cloudpickle.loads(data))
    except UnknownRefError:
        print("unknown", time.monotonic() - began < 10)

asyncio.run(main())
"""
    )
    assert done.stdout == "unknown True\n"


def test_next_session_works():
    done = run_script(
        PREAMBLE
        + f"""
def begin():
    {RAY_INIT}

async def main():
    with patched():
        print(await ray.put(1))
        ray.shutdown()
        begin()
        print(await ray.put(2))

asyncio.run(main())
"""
    )
    assert done.stdout == "1\n2\n"


def test_exit_with_pending_awaits_is_silent():
    done = run_script(
        PREAMBLE
        + """
loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
# Not more tasks: Ray warns on stdout of eight workers on one node.
refs = [sleep.remote(60) for _ in range(2)]
futures = [as_future(ref) for ref in refs for _ in range(100)]
loop.run_until_complete(until_read())
print("leaving")
""",
        clean_stderr=True,
        timeout=40,
    )
    assert done.stdout == "leaving\n"


def test_fork_cannot_await():
    done = run_script(
        PREAMBLE
        + """
import os
ref = ray.put(1)

async def main():
    print(await as_future(ref), flush=True)
    child = os.fork()
    if child == 0:
        try:
            as_future(ref)
        except RayNotInitializedError as error:
            print("forked" in str(error), flush=True)
        os._exit(0)
    await asyncio.to_thread(os.waitpid, child, 0)
    print(await as_future(ref))

asyncio.run(main())
"""
    )
    assert done.stdout == "1\nTrue\n1\n"
