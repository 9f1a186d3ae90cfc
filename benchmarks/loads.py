"""The loads to await: objects and tasks in all states."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray


@ray.remote(num_cpus=0)
class Echo:
    """An actor that returns its arguments, and waits for a file."""

    def echo(self, value: Any) -> Any:
        """Return `value`."""
        return value

    def echo_each(self, values: list[Any]) -> Iterator[Any]:
        """Yield the values one by one."""
        for value in values:  # noqa: UP028 - Ray sends into what it iterates over
            yield value

    def wait(self, path: str) -> None:
        """Wait until the file exists."""
        while not os.path.exists(path):  # noqa: PTH110 - cheap, in a worker
            time.sleep(0.002)


def puts(count: int) -> Callable[[], list[Any]]:
    """Return a load of small objects of `ray.put`."""
    return lambda: [ray.put(i) for i in range(count)]


def finished(count: int) -> Callable[[], list[Any]]:
    """Return a load of finished actor results; the same refs each time."""
    actor: Any = Echo.remote()
    refs = [actor.echo.remote(i) for i in range(count)]
    ray.get(refs)
    return lambda: list(refs)


def megabytes(count: int) -> Callable[[], list[Any]]:
    """Return a load of 1 MB bytes objects in the store; the same refs each time."""
    refs = [ray.put(bytes(1_000_000)) for _ in range(count)]
    return lambda: list(refs)


def in_flight(count: int) -> Callable[[], list[Any]]:
    """Return a load of actor calls that are running when they are awaited."""
    actor: Any = Echo.remote()
    ray.get(actor.echo.remote(0))
    return lambda: [actor.echo.remote(i) for i in range(count)]


class Gated:
    """Actor calls that are queued behind a call that waits for a gate."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._actor: Any = Echo.remote()
        self._folder = Path(tempfile.mkdtemp())
        self._gates = 0

    def make(self) -> list[Any]:
        """Submit the calls, behind a new gate."""
        return list(self.submitted())

    def submitted(self) -> Iterator[Any]:
        """Submit the calls one by one, behind a new gate."""
        self._gates += 1
        self._actor.wait.remote(str(self._gate))
        for i in range(self._count):
            yield self._actor.echo.remote(i)

    def open(self) -> None:
        """Open the gate."""
        self._gate.touch()

    @property
    def _gate(self) -> Path:
        return self._folder / str(self._gates)


@contextmanager
def busy_thread() -> Iterator[None]:
    """Run a Python thread that never releases the GIL voluntarily."""
    stop = threading.Event()

    def spin() -> None:
        while not stop.is_set():
            sum(range(1000))

    thread = threading.Thread(target=spin, name="busy")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
