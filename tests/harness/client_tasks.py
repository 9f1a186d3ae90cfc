"""Tasks of a Ray Client: submitted by this process, run by the server's Ray."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import ray

#: More than the server may owe a push for (`client.MAX_PUSHED`).
MANY = 100


@ray.remote
def echo(value: Any = None) -> Any:
    """Return the argument."""
    return value


@ray.remote(num_cpus=0)
def run_for(seconds: float, begun: str = os.devnull) -> None:
    """Make a file, and run that long, in steps that a cancel can end."""
    Path(begun).touch()
    for _ in range(int(seconds * 100)):
        time.sleep(0.01)


def map_echo(values: Iterable[Any]) -> list[Any]:
    """Submit an `echo` of each."""
    return [echo.remote(value) for value in values]


def unloadable() -> Any:
    """Submit a task whose value can be loaded everywhere but in this process."""

    def make(pid: int) -> Any:
        class Picky:
            def __reduce__(self) -> Any:
                return load, (pid,)

        def load(pid: int) -> Any:
            import os

            if os.getpid() == pid:
                raise RuntimeError("cannot be loaded here")
            return Picky()

        return Picky()

    return ray.remote(num_cpus=0)(make).remote(os.getpid())


async def settled(refs: list[Any]) -> list[Any]:
    """Wait with Ray's own `wait` until all are ready."""
    await asyncio.to_thread(ray.wait, refs, num_returns=len(refs), timeout=30)
    return refs


@ray.remote(num_cpus=0)
class Holder:
    """Where the calls of gates wait."""

    def hold(self, path: Path, value: Any) -> Any:
        """Return `value` once the file is there."""
        while not path.exists():
            time.sleep(0.01)
        return value


class ActorGate:
    """Makes calls that are pending until it is opened, all in one process.

    `harness.gate.Gate` has a process for each of its tasks: too many for the
    thousand that wait here.

    Parameters
    ----------
    holder
        A `Holder`; gates may share it, one after the other.
    folder
        Where it makes its file; each gate has a folder of its own.
    """

    def __init__(self, holder: Any, folder: Path) -> None:
        self._holder = holder
        self._file = folder / "open"

    def hold(self, value: Any = None) -> Any:
        """Call the actor, which returns `value` once the gate is open."""
        return self._holder.hold.remote(self._file, value)

    def open(self) -> None:
        """Let the calls end."""
        self._file.touch()
