"""Keeps threads out of Ray's C++ while Ray tears it down.

`ray.shutdown()` destroys the core worker without asking who is inside it: in
2.40.0 a thread blocked in `CoreWorker.wait` at that moment ends the process with
a segmentation fault. The gate lets calls in while the session stands and, when
Ray is about to disconnect, waits for those inside to come out.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

#: Seconds that a disconnect waits for calls to return; the longest that any of
#: them blocks is one round of `readiness`.
PATIENCE_SECONDS = 5.0


class ClosedError(Exception):
    """The session is ending or has ended; the call was not made."""


class Gate:
    """Counts the calls inside, and closes once for all."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether calls are turned away; read without a lock."""
        return self._closed

    @contextmanager
    def open(self) -> Iterator[None]:
        """Make a call into Ray inside this block.

        Raises
        ------
        ClosedError
            If the gate has closed.
        """
        with self._changed:
            if self._closed:
                raise ClosedError("the Ray session has ended")
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                if not self._inside:
                    self._changed.notify_all()

    def close(self) -> None:
        """Turn calls away and wait for those inside; any thread."""
        with self._changed:
            self._closed = True
            self._changed.wait_for(lambda: self._inside == 0, PATIENCE_SECONDS)
