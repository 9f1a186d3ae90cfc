"""User classes whose own code raises or blocks: as errors of tasks, and as values."""

from __future__ import annotations

import asyncio
import sys
import threading

import pytest
import ray
from ray.exceptions import RayError, RayTaskError

from harness.loops import run
from ray_jupyter_async import as_future, gather, get
from ray_jupyter_async._awaiting.converter import converter_of
from ray_jupyter_async._awaiting.events import (
    Outcome,
    add_observer,
    remove_observer,
)
from ray_jupyter_async._awaiting.fetch.pool import MAX_READERS, readers

#: Threads that have run code of a class that must not run.
ran: list[threading.Thread] = []


class UnwantedError(BaseException):
    """Raised by code that must not be run."""

    def __repr__(self):
        raise UnwantedError


class QuitError(SystemExit):
    """Ends the thread that raises it, and has no repr."""

    def __repr__(self):
        raise UnwantedError


def unwanted(*_):
    ran.append(threading.current_thread())
    raise UnwantedError


class HostileError(Exception):
    """An error whose text, truth and comparisons raise."""

    __str__ = __repr__ = __bool__ = __len__ = __eq__ = __hash__ = __format__ = unwanted


def quit_loudly():
    raise QuitError


class Quits:
    """A value that cannot be loaded, and whose error cannot be shown."""

    def __reduce__(self):
        return (quit_loudly, ())


class QuittingError(Exception):
    """An error that ends the thread that loads it."""

    def __reduce__(self):
        return (sys.exit, (3,))


class FixedArgsError(Exception):
    """An error whose `args` cannot be set; Ray 2.40 makes no error of it."""

    @property
    def args(self):
        return ("fixed",)


class SealedError(Exception):
    """An error whose class cannot be subclassed."""

    def __init_subclass__(cls):
        raise UnwantedError


class Shy:
    """A value whose `__class__` raises once it has been put."""

    is_put = False

    def __reduce__(self):
        return (Shy, ())

    @property
    def __class__(self):
        if Shy.is_put:
            raise UnwantedError
        return Shy


def failed(cause):
    """Return the ref of a task that raised `cause`."""
    traceback = f'ray::f()\n  File "f.py", line 1, in f\n{type(cause).__name__}: no'
    return ray.put(RayTaskError("f", traceback, cause, "ray::f", 1, "10.0.0.1"))


@pytest.fixture
def events():
    ran.clear()
    seen = []
    add_observer(seen.extend)
    yield seen
    remove_observer(seen.extend)


@pytest.mark.parametrize("swept", [True, False])
def test_hostile_error_loses_no_event(ray_session, events, swept):
    refs = [ray.put(i) for i in range(300)]
    refs.insert(200, failed(HostileError("x")))

    async def main():
        if swept:
            values = await gather(refs, return_exceptions=True)
        else:
            futures = [as_future(ref) for ref in refs]
            values = await asyncio.gather(*futures, return_exceptions=True)
        return type(values.pop(200)), values

    kind, values = run(main())
    assert issubclass(kind, HostileError)
    assert issubclass(kind, RayTaskError)
    assert values == list(range(300))
    settled = {event.key: event for event in events if event.kind == "settled"}
    assert len(settled) == 301
    event = settled[refs[200].binary()]
    assert (event.outcome, event.error, event.message) == (
        Outcome.FAILED,
        "HostileError",
        "no",
    )
    assert ran == []


def test_objects_that_quit_end_no_reader(ray_session):
    refs = [ray.put(Quits()) for _ in range(MAX_READERS + 6)]

    async def main():
        futures = [as_future(ref) for ref in refs]
        errors = await asyncio.gather(*futures, return_exceptions=True)
        assert await as_future(ray.put("next")) == "next"
        return {type(error) for error in errors}, str(errors[0])

    kinds, text = run(main())
    assert kinds == {RuntimeError}
    assert "QuitError" in text


def test_job_that_quits_leaves_its_reader_alive(ray_session):
    for _ in range(MAX_READERS + 6):
        readers.call(quit_loudly)

    async def main():
        return await as_future(ray.put("next"))

    assert run(main()) == "next"


@pytest.mark.parametrize("count", [10, 100])
@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: failed(FixedArgsError()), id="args without a setter"),
        pytest.param(lambda: failed(SealedError()), id="class that is final"),
        pytest.param(lambda: failed(QuittingError()), id="error that quits"),
        pytest.param(lambda: failed(HostileError()), id="error without text"),
        pytest.param(lambda: ray.put(Quits()), id="value that quits"),
    ],
)
def test_one_bad_item_ends_no_batch(ray_session, make, count):
    refs = [ray.put(i) for i in range(count)]
    refs[7] = make()

    async def main():
        values = await gather(refs, return_exceptions=True)
        return type(values.pop(7)), values

    kind, values = run(main())
    assert issubclass(kind, (RayError, RuntimeError))
    assert values == [i for i in range(count) if i != 7]


@pytest.mark.parametrize("count", [1, 40])
def test_value_with_a_hostile_class_is_a_value(ray_session, monkeypatch, count):
    refs = [ray.put(Shy()) for _ in range(count)]
    monkeypatch.setattr(Shy, "is_put", True)

    async def main():
        values = await get(refs)
        return {type(value) for value in values}

    assert run(main()) == {Shy}


def test_object_that_quits_fails_a_done_future(ray_session):
    async def main():
        future = as_future(ray.put(Quits()))
        assert future.keeper.settle_now(future)
        with pytest.raises(RuntimeError, match="QuitError"):
            await future

    run(main())


def test_undeliverable_result_delays_no_other(ray_session, caplog):
    class Broken:
        ref = key = origin = size = session = None

        def done(self):
            return False

        def settle(self, value, error):
            raise ValueError("not taken")

    async def main():
        converter = converter_of(asyncio.get_running_loop())
        future = as_future(ray.put(1))
        converter.deliver(Broken(), None, None)
        converter.wake()
        return await future

    assert run(main()) == 1
    assert "could not be delivered" in caplog.text
