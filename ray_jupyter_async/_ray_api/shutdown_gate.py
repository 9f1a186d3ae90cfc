"""Keeps threads out of Ray's C++ while Ray tears it down.

`ray.shutdown()` destroys the core worker without asking who is inside it: in
2.40.0 a thread blocked in `CoreWorker.wait` at that moment ends the process with
a segmentation fault. It unmaps the object store, too, while objects may be loaded
from it. The gate lets calls in while the session stands and, when Ray is about to
disconnect, waits for those inside to come out.
"""

from __future__ import annotations

import threading

#: Seconds that a disconnect waits for calls to return. Ours block for one round of
#: `readiness` at the longest; an object may take any time to be loaded.
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

    def __enter__(self) -> None:
        """Make calls into Ray inside a `with` block, which may be entered again.

        Raises
        ------
        ClosedError
            If the gate has closed.
        """
        with self._changed:
            if self._closed:
                raise ClosedError("the Ray session has ended")
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._inside -= 1
            if self._closed and not self._inside:
                self._changed.notify_all()

    def close(self) -> None:
        """Turn calls away and wait for those inside; any thread."""
        with self._changed:
            self._closed = True
            self._changed.wait_for(lambda: self._inside == 0, PATIENCE_SECONDS)
