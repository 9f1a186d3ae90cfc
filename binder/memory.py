"""Memory of a process and all that it has started, from /proc.

A page that several processes share, such as Ray's object store, counts once: each
has its part of it (PSS).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import threading
from pathlib import Path
from typing import NamedTuple

#: Seconds between two looks.
_INTERVAL = 0.25

_PR_SET_CHILD_SUBREAPER = 36


class Process(NamedTuple):
    """A running process."""

    pid: int

    @property
    def parent(self) -> int:
        """The id of its parent; 0 when it has ended."""
        try:
            # The name, in brackets, may hold anything.
            stat = Path(f"/proc/{self.pid}/stat").read_text(errors="replace")
        except OSError:
            return 0
        return int(stat.rpartition(")")[2].split()[1])

    @property
    def memory(self) -> int:
        """Its part of the memory it uses, in bytes; 0 when it has ended."""
        try:
            text = Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        except OSError:
            return 0
        for line in text.splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
        return 0

    def kill(self) -> None:
        """End it at once, if it still runs."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


def adopt_orphans() -> None:
    """Become the parent of descendants whose own has ended, as Ray's may be."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def descendants() -> list[Process]:
    """Give all that this process and its children have started, without itself."""
    children: dict[int, list[Process]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            process = Process(int(entry.name))
            children.setdefault(process.parent, []).append(process)
    found: list[Process] = []
    todo = [os.getpid()]
    while todo:
        started = children.get(todo.pop(), [])
        found += started
        todo += [process.pid for process in started]
    return found


class MemoryWatch:
    """Keeps the peak of all descendants' memory, and ends them over a limit.

    The kernel's own limit, where there is one, also counts the page cache; this
    one is what holds where there is none.

    Attributes
    ----------
    peak : int
        The most so far, or since `start_anew`, in bytes.
    """

    def __init__(self, limit: int) -> None:
        self.peak = 0
        self._limit = limit
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory", daemon=True)

    def start_anew(self) -> None:
        """Forget the peak."""
        self.peak = 0

    def start(self) -> None:
        """Begin to look, in a thread of its own, until `stop`."""
        self._thread.start()

    def stop(self) -> None:
        """End the watch."""
        self._stopped.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stopped.wait(_INTERVAL):
            processes = descendants()
            taken = sum(process.memory for process in processes)
            self.peak = max(self.peak, taken)
            if taken > self._limit:
                print(f"{taken / 2**20:.0f} MB: more than there is", flush=True)
                for process in processes:
                    process.kill()
