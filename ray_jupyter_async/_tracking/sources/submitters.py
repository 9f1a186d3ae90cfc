"""The threads of this process that submit tasks, and which of these have not ended.

Ray knows the unfinished tasks of a parent task. The driver's main thread is one parent,
and each other thread has a parent of its own (Ray 2.40 to 2.60).
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from ..._ray_api.connection import parent_of_thread, unfinished_of
from ..._ray_api.core_worker import connected_core
from ..._ray_api.shutdown_gate import before_disconnect

if TYPE_CHECKING:
    from collections.abc import Callable

#: Threads besides the main one that are followed at the same time: each look at one
#: takes 0.3 us for each task of the process that has not ended.
MOST_THREADS = 32


class _Submitter(NamedTuple):
    thread: threading.Thread
    parent: Any


class Submitters:
    """Finds the unfinished tasks of all threads that are followed. Thread-safe.

    Parameters
    ----------
    session_ends
        Called when a session in which tasks were submitted is about to end.
    """

    def __init__(self, session_ends: Callable[[], None]) -> None:
        self._session_ends = session_ends
        self._lock = threading.Lock()
        self._core: Any = None
        self._followed: list[_Submitter] = []
        # By thread: the core worker for which it was seen, and whether it is followed.
        # Not by the thread's number, which a later thread may get.
        self._seen = threading.local()

    def is_followed(self) -> bool:
        """Whether `unfinished` covers what the calling thread has just submitted."""
        core, followed = getattr(self._seen, "as_of", (None, False))
        if core is not None and core is self._core:
            return bool(followed)
        return self._follow()

    def unfinished(self) -> list[bytes] | None:
        """Return the ids of the followed threads' tasks that have not ended.

        See `Submissions.unfinished`.
        """
        with self._lock:
            followed = list(self._followed)
        found = unfinished_of(submitter.parent for submitter in followed)
        if found is None:
            return None
        over = [
            submitter
            for submitter, tasks in zip(followed, found[1:], strict=True)
            if not tasks and not submitter.thread.is_alive()
        ]
        if over:
            with self._lock:
                self._followed = [one for one in self._followed if one not in over]
        return [task for tasks in found for task in tasks]

    def _follow(self) -> bool:
        """Follow the calling thread from now on, if there is room."""
        core = connected_core()
        parent = parent_of_thread()
        if core is None or parent is None:
            return False
        with self._lock:
            if core is not self._core:
                self._core = core
                self._followed = []
                before_disconnect(self._end_session)
            followed = parent.is_driver or len(self._followed) < MOST_THREADS
            if followed and not parent.is_driver:
                current = _Submitter(threading.current_thread(), parent.task)
                self._followed.append(current)
        self._seen.as_of = core, followed
        return followed

    def _end_session(self) -> None:
        with self._lock:
            self._core = None
            self._followed = []
        self._session_ends()
