"""What is needed to submit failed tasks again, where that may be kept.

Of the last 1,000 tasks their functions or actors are held weakly, and
their arguments only if all are small plain values: a task that took a ref, an
array or an object is not kept, for that would keep whatever it refers to. Only
those refs are held that come of a retry, and until somebody takes them.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import TYPE_CHECKING, Any
from weakref import ref

from .._awaiting.events import origin
from .._awaiting.fetch.watch import watch_ready
from .._ray_api.connection import connected
from .._ray_api.object_ids import TASK_ID_BYTES
from .._ray_api.shutdown_gate import ClosedError
from .bounded_dict import Recent
from .snapshots import RefState

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Iterable, Mapping

    from .sources.submissions import Submissions
    from .tracker import Tracker

logger = logging.getLogger("ray_jupyter_async")

#: Of so many tasks, the last ones, it is known how to submit them again.
MOST_KEPT = 1_000
#: Arguments are kept of at most so many characters, bytes or, of an int, bits...
_LONGEST = 1_000
#: ...and at most so many of them, those in tuples counted.
_MOST_VALUES = 8
_NUMBERS = frozenset({type(None), bool, float, complex})
_RETRY = " (retry)"

TOO_LONG_AGO = "submitted too long ago, or while nothing was tracked"
NOT_PLAIN = "arguments that are not kept: only small plain values are"
GENERATOR = "a generator"
GONE = "its function or its actor's handle is gone"
AGAIN = "submitted again before"


class NotKeptError(Exception):
    """It is not known how to submit a task again; the message says why."""


class Resubmissions:
    """Remembers how to submit the last tasks again.

    Every method may be called on any thread.
    """

    def __init__(self) -> None:
        # The last tasks: the id, then the function or the actor's handle, the
        # method's name ("" of a function), arguments, and options; or the id and
        # why it cannot be submitted again. A deque of plain tuples, because every
        # submission pays for it, and only a click looks for one of them.
        self._last: deque[tuple[Any, ...]] = deque(maxlen=MOST_KEPT)
        # What was submitted again. Clicks write it, under the lock.
        self._again: Recent[bytes, bool] = Recent(MOST_KEPT)
        self._lock = threading.Lock()

    def keep(
        self,
        task: bytes,
        holder: Any,
        method: str,
        args: Any,
        kwargs: Any,
        options: dict[str, Any],
    ) -> None:
        """Keep how a task was submitted, if its arguments allow it.

        Takes about half a microsecond, for it is a part of every submission.

        Parameters
        ----------
        task
            Its id.
        holder, method
            The function and "", or the actor's handle and the method's name.
        args, kwargs
            The task's arguments; None is none.
        options
            Ray's options, kept as they are: they must not change.
        """
        if args:
            if not _all_plain(args):
                self._last.append((task, NOT_PLAIN))
                return
            if type(args) is not tuple:
                args = tuple(args)  # a list may change
        if kwargs:
            if not _all_plain(kwargs.values()):
                self._last.append((task, NOT_PLAIN))
                return
            kwargs = dict(kwargs)
        self._last.append((task, ref(holder), method, args, kwargs, options))

    def refuse(self, task: bytes, why: str) -> None:
        """Note that a task cannot be submitted again, and why."""
        self._last.append((task, why))

    def tasks(self) -> list[bytes]:
        """Give the ids of those that can be submitted again, as far as is known."""
        return [
            kept[0]
            for kept in self._last.copy()
            if len(kept) > 2 and kept[1]() is not None and kept[0] not in self._again
        ]

    def submit(self, task: bytes, name: str) -> Any:
        """Submit a task again, under this name, once.

        Returns
        -------
        ObjectRef, or list of ObjectRef
            As Ray gives it.

        Raises
        ------
        NotKeptError
            If it is not known how.
        ClosedError
            If no session is connected.
        """
        kept = next((kept for kept in self._last.copy() if kept[0] == task), None)
        if kept is None:
            raise NotKeptError(TOO_LONG_AGO)
        if len(kept) == 2:
            raise NotKeptError(kept[1])
        _, holder, method, args, kwargs, options = kept
        again = holder()
        if again is None:
            raise NotKeptError(GONE)
        with self._lock:
            if task in self._again:
                raise NotKeptError(AGAIN)
            self._again[task] = True
        try:
            # Without a session Ray would start one.
            with connected():
                submitter = getattr(again, method) if method else again
                options = {**options, "name": name}
                return submitter._remote(args=args, kwargs=kwargs, **options)
        except BaseException:
            self._again.pop(task)
            raise

    def clear(self) -> None:
        """Forget everything."""
        self._last.clear()


class Retries:
    """Submits the failed tasks of a line again, and holds the new refs.

    Every method may be called on any thread.

    Parameters
    ----------
    tracker, submissions
        Who knows what failed, and what was submitted.
    """

    def __init__(self, tracker: Tracker, submissions: Submissions) -> None:
        self._tracker = tracker
        self._submissions = submissions
        # One click after the other: the refs stand in the order of the clicks.
        self._lock = threading.Lock()
        self._refs: list[Any] = []

    def retryable(self, cell: Hashable) -> Mapping[str, int]:
        """Give how many failed tasks of a cell can be submitted again, by line."""
        return self._tracker.count_failed(cell, self._submissions.again.tasks())

    def retry(self, cell: Hashable, name: str) -> tuple[int, list[tuple[bytes, str]]]:
        """Submit the failed tasks of a line again, as tasks of the same cell.

        They make a line of their own: the name and " (retry)".

        Parameters
        ----------
        cell, name
            The line.

        Returns
        -------
        int
            How many were submitted.
        list of (bytes, str)
            The ids of the tasks that were not, and why.
        """
        records, _ = self._tracker.read_refs(cell, name)
        tasks = dict.fromkeys(
            record.key[:TASK_ID_BYTES]
            for record in records
            if record.state is RefState.FAILED
        )
        with self._lock:
            token = origin.set(cell)
            try:
                return self._submit(cell, tasks)
            finally:
                origin.reset(token)

    def take(self) -> list[Any]:
        """Give the refs of all retries since the last call, and let go of them."""
        with self._lock:
            refs, self._refs = self._refs, []
        return refs

    def _submit(
        self, cell: Hashable, tasks: Iterable[bytes]
    ) -> tuple[int, list[tuple[bytes, str]]]:
        new: list[Any] = []
        count = 0
        refused: list[tuple[bytes, str]] = []
        for task in tasks:
            name = self._submissions.name_of(task).removesuffix(_RETRY) + _RETRY
            try:
                submitted = self._submissions.again.submit(task, name)
            except NotKeptError as error:
                refused.append((task, str(error)))
            except ClosedError:
                refused.append((task, "Ray is not connected"))
            except Exception as error:
                logger.debug("a task cannot be submitted again", exc_info=True)
                refused.append((task, str(error)))
            else:
                count += 1
                new += submitted if isinstance(submitted, list) else [submitted]
        self._refs += new
        if new:
            # Nobody awaits them yet, and Ray's list of what runs leaves out what
            # another thread than the main one has submitted.
            self._tracker.watch(new, watch_ready, cell)
        return count, refused


def _all_plain(values: Collection[Any], *, within: bool = False) -> bool:
    """Whether all are small and plain, by their exact types."""
    count = len(values)
    if count > _MOST_VALUES:
        return False
    for value in values:
        kind = type(value)
        if kind is int:
            if value.bit_length() > _LONGEST:
                return False
        elif kind is str or kind is bytes:
            if len(value) > _LONGEST:
                return False
        elif kind in _NUMBERS:
            continue
        elif kind is tuple and not within:
            count += len(value)
            if count > _MOST_VALUES or not _all_plain(value, within=True):
                return False
        else:
            return False
    return True
