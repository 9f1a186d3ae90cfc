"""Random asyncio programs over refs: Ray's own await and this package's agree."""

from __future__ import annotations

import asyncio
import os
import random
import sys

import pytest
import ray

from ray_jupyter_async import patched
from ray_jupyter_async._ray_api.objects import HAS_ON_READY

PROGRAMS = 120
#: RJA_SEED=n repeats a failure, or tries other programs.
SEED = 20
#: The kinds of refs that do not fail.
VALUES = ("put", "list", "large", "error as a value", "task")


@ray.remote(num_cpus=0)
def fail(error):
    raise error


@ray.remote(num_cpus=0)
def echo(value):
    return value


class Unloadable:
    def __reduce__(self):
        return (int, ("not a number",))


@pytest.fixture(scope="module")
def refs(ray_session):
    """Refs of every kind for which Ray's own await works as documented."""

    class OddError(ValueError):
        def __init__(self, text, code):
            super().__init__(text)
            self.code = code

        def __reduce__(self):
            return (type(self), (*self.args, self.code))

    kinds = {
        "put": ray.put(1),
        "list": ray.put([1, [2]]),
        "large": ray.put(b"x" * 300_000),
        "error as a value": ray.put(KeyError("kept")),
        "task": echo.remote("task"),
        "ValueError": fail.remote(ValueError("no")),
        "KeyError": fail.remote(KeyError("k")),
        "OddError": fail.remote(OddError("odd", 7)),
        "TimeoutError": fail.remote(TimeoutError("its own")),
        "passed on": echo.remote(fail.remote(ZeroDivisionError())),
        "cannot be loaded": ray.put(Unloadable()),
    }
    if HAS_ON_READY:  # Ray 2.40 raises it as it is, which ends an `async for`
        kinds["StopAsyncIteration"] = fail.remote(StopAsyncIteration(4))
    ray.wait(list(kinds.values()), num_returns=len(kinds), timeout=60)
    return kinds


def shown(outcome):
    """Return an outcome in a form that can be compared."""
    if isinstance(outcome, BaseException):
        parents = [kind.__name__ for kind in type(outcome).__mro__]
        return (parents, getattr(outcome, "code", None))
    if isinstance(outcome, (list, tuple)):
        return [shown(one) for one in outcome]
    return outcome


class Program:
    """A few coroutines over refs, drawn by a seed; each run draws the same."""

    def __init__(self, seed, refs, pending):
        self._random = random.Random(seed)
        self._refs = list(refs.values())
        self._values = [refs[kind] for kind in VALUES]
        self._pending = pending
        self.steps = self._random.choices(self._all(), k=self._random.randint(1, 5))

    def _all(self):
        ways = [getattr(self, name) for name in sorted(dir(self)) if "by_" in name]
        if sys.version_info < (3, 11):
            ways = [way for way in ways if way.__name__ != "by_task_group"]
        return ways

    def some(self, most=6):
        return self._random.choices(self._refs, k=self._random.randint(1, most))

    async def run(self):
        return [shown(await self.outcome(step())) for step in self.steps]

    async def outcome(self, coro):
        try:
            return await coro
        except (Exception, asyncio.CancelledError) as error:
            return error

    async def by_await(self):
        (ref,) = self.some(1)
        return await ref

    async def by_gather(self):
        if self._random.random() < 0.8:
            return await asyncio.gather(*self.some(), return_exceptions=True)
        # One that may fail: which of several errors comes first is a matter of luck.
        refs = [*self._random.choices(self._values, k=4), *self.some(1)]
        self._random.shuffle(refs)
        return await asyncio.gather(*refs)

    async def by_many(self):
        return await asyncio.gather(*self.some(60), return_exceptions=True)

    async def by_wait(self):
        futures = [asyncio.ensure_future(ref) for ref in self.some()]
        await asyncio.wait(futures)
        return [future.exception() or future.result() for future in futures]

    async def by_wait_for(self):
        return await asyncio.wait_for(*self.some(1), 20)

    async def by_timeout(self):
        return await asyncio.wait_for(self._pending, self._random.choice([0, 0.005]))

    async def by_shield(self):
        return await asyncio.shield(*self.some(1))

    async def by_as_completed(self):
        done = asyncio.as_completed(self.some())
        outcomes = [shown(await self.outcome(one)) for one in done]
        return sorted(map(repr, outcomes))

    async def by_cancel(self):
        # Values: a gather that has failed can no longer be cancelled, and this package
        # may have read an error in the turn in which Ray's await only begins.
        some = self._random.choices(self._values, k=3)
        everything = asyncio.gather(self._pending, *some)
        await asyncio.sleep(0)
        everything.cancel()
        return await everything

    async def by_task_group(self):
        async def one(ref):
            return await self.outcome(ref)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(ref)) for ref in self.some()]
        return [task.result() for task in tasks]

    async def by_generator(self):
        async def values():
            for ref in self.some():
                yield await self.outcome(ref)

        return [value async for value in values()]


def outcomes_of(seed, refs, pending):
    loop = asyncio.new_event_loop()
    # In both cases a failed gather leaves errors unread.
    loop.set_exception_handler(lambda *_: None)
    try:
        program = Program(seed, refs, pending)
        return loop.run_until_complete(asyncio.wait_for(program.run(), 60))
    finally:
        loop.close()


@pytest.mark.leaks("Ray's own await pins what awaits in a loop that was closed")
def test_random_programs_end_as_with_rays_await(refs, gate):
    first = int(os.environ.get("RJA_SEED", SEED))
    pending = gate.hold()
    different = {}
    for seed in range(first, first + PROGRAMS):
        native = outcomes_of(seed, refs, pending)
        with patched():
            ours = outcomes_of(seed, refs, pending)
        if native != ours:
            different[seed] = (native, ours)
    assert not different, f"RJA_SEED={min(different)}: {different[min(different)]}"
