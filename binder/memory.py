"""The memory of a process and its descendants, from /proc.

A page that several processes share, such as Ray's object store, counts once: each
process has its share of it (PSS).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import threading
from pathlib import Path
from typing import NamedTuple

#: Seconds between two measurements.
_INTERVAL = 0.25

_PR_SET_CHILD_SUBREAPER = 36


class Process(NamedTuple):
    """A running process."""

    pid: int

    @property
    def parent(self) -> int:
        """The id of its parent; 0 if the process has ended."""
        try:
            # The name, in brackets, may contain any character.
            stat = Path(f"/proc/{self.pid}/stat").read_text(errors="replace")
        except OSError:
            return 0
        return int(stat.rpartition(")")[2].split()[1])

    @property
    def memory(self) -> int:
        """Its share of the memory in use, in bytes; 0 if the process has ended."""
        try:
            text = Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        except OSError:
            return 0
        for line in text.splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
        return 0

    def kill(self) -> None:
        """Kill the process if it still runs."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


def adopt_orphans() -> None:
    """Become the parent of descendants whose parent ends, such as Ray's."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def descendants() -> list[Process]:
    """Return all descendants of this process."""
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
    """Records the peak memory of all descendants, and kills them above a limit.

    A control group's limit also counts the page cache; this limit applies where
    there is no control group.

    Attributes
    ----------
    peak : int
        The peak since the start or the last `reset`, in bytes.
    """

    def __init__(self, limit: int) -> None:
        self.peak = 0
        self._limit = limit
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory", daemon=True)

    def reset(self) -> None:
        """Set the peak to zero."""
        self.peak = 0

    def start(self) -> None:
        """Start measuring in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop measuring."""
        self._stopped.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stopped.wait(_INTERVAL):
            processes = descendants()
            taken = sum(process.memory for process in processes)
            self.peak = max(self.peak, taken)
            if taken > self._limit:
                print(f"{taken / 2**20:.0f} MB: above the limit", flush=True)
                for process in processes:
                    process.kill()
