"""Submits failed tasks again, and holds the new refs until they are taken."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from .._awaiting.events import origin
from .._awaiting.fetch.watch import watch_ready
from .._log import logger
from .._ray_api.object_ids import TASK_ID_BYTES
from .._ray_api.shutdown_gate import ClosedError
from .snapshots import RefState
from .sources.kept_arguments import NotKeptError

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping

    from .sources.submissions import Submissions
    from .tracker import Tracker


_RETRY = " (retry)"


class Retries:
    """Submits the failed tasks of a line again, and holds the new refs. Thread-safe."""

    def __init__(self, tracker: Tracker, submissions: Submissions) -> None:
        self._tracker = tracker
        self._submissions = submissions
        # One click after the other: the refs stand in the order of the clicks.
        self._lock = threading.Lock()
        self._refs: list[Any] = []

    def retryable(self, cell: Hashable) -> Mapping[str, int]:
        """Return how many failed tasks of a cell can be submitted again, by line."""
        tasks = self._submissions.kept_arguments.tasks()
        return self._tracker.count_failed(cell, tasks)

    def retry(self, cell: Hashable, name: str) -> tuple[int, list[tuple[bytes, str]]]:
        """Submit the failed tasks of a line again, as tasks of the same cell.

        They make a line of their own: the name and " (retry)".

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
        """Return the refs of all retries since the last call, and drop them."""
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
                submitted = self._submissions.kept_arguments.submit(task, name)
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
            # Nothing awaits them yet, and Ray's list of running tasks leaves out those
            # that a thread other than the main one has submitted.
            self._tracker.watch(new, watch_ready, cell)
        return count, refused
