"""What is awaited: objects and tasks in all states."""

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
    """Gives back what it is given, once it may."""

    def echo(self, value: Any) -> Any:
        """Give back `value`."""
        return value

    def wait(self, path: str) -> None:
        """Wait until there is such a file."""
        while not os.path.exists(path):  # noqa: PTH110 - in a worker, as cheap as can be
            time.sleep(0.002)


def puts(count: int) -> Callable[[], list[Any]]:
    """Small objects that were put."""
    return lambda: [ray.put(i) for i in range(count)]


def finished(count: int) -> Callable[[], list[Any]]:
    """Results of actor methods that have ended; the same ones each time."""
    actor: Any = Echo.remote()
    refs = [actor.echo.remote(i) for i in range(count)]
    ray.get(refs)
    return lambda: list(refs)


def megabytes(count: int) -> Callable[[], list[Any]]:
    """Bytes objects of one megabyte in the object store; the same ones each time."""
    refs = [ray.put(bytes(1_000_000)) for _ in range(count)]
    return lambda: list(refs)


def in_flight(count: int) -> Callable[[], list[Any]]:
    """Submit calls that an actor is working on when they are awaited."""
    actor: Any = Echo.remote()
    ray.get(actor.echo.remote(0))
    return lambda: [actor.echo.remote(i) for i in range(count)]


class Gated:
    """Calls that stand behind one that waits for a gate."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._actor: Any = Echo.remote()
        self._folder = Path(tempfile.mkdtemp())
        self._gates = 0

    def make(self) -> list[Any]:
        """Submit the calls, behind a new gate."""
        self._gates += 1
        self._actor.wait.remote(str(self._gate))
        return [self._actor.echo.remote(i) for i in range(self._count)]

    def open(self) -> None:
        """Let them through."""
        self._gate.touch()

    @property
    def _gate(self) -> Path:
        return self._folder / str(self._gates)


@contextmanager
def busy_thread() -> Iterator[None]:
    """Another Python thread that never lets go of the GIL by itself."""
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
