"""The tracker: what the ledger knows, told to displays.

It pins nothing: records carry ids, names and times. It knows no widget; a
display reads `Tracker.read_cell`, `Tracker.read_refs` or `Tracker.snapshot`, and
may be told through `Tracker.on_record` when there is something to read.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TYPE_CHECKING

from .._ray_api.object_ids import TASK_ID_BYTES, return_id
from .counts.line import LineTally, merge_lines
from .inbox import Ledger, is_no_item, nothing_submitted
from .snapshots import CellProgress, Progress, RefRecord, RefState
from .watched_refs import Watches

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from .._awaiting.error_text import Description
    from .events import Submission, TaskEvent
    from .reasons import Reason
    from .refs.columns import RefColumns
    from .watched_refs import Ref, Watcher

#: How many refs are remembered by default (`RayAsync.remembered_refs`).
REMEMBERED_REFS = 200_000

CancelTasks = Callable[[Iterable[bytes], bool], "list[tuple[bytes, str]]"]


def cannot_cancel(tasks: Iterable[bytes], force: bool) -> list[tuple[bytes, str]]:
    """Refuse: what a tracker does that nobody has told how to cancel."""
    del force
    return [(task, "nobody here can cancel tasks") for task in tasks]


class Tracker(Ledger):
    """Counts what each cell submits and awaits, by name.

    Every method may be called on any thread.

    Parameters
    ----------
    name_of
        Gives the name for a ref's id; called once per ref and cell.
    take_submitted
        Gives what was submitted since the last call.
    is_item
        Whether a ref is an item of a generator.
    cancel_tasks
        Asks Ray to cancel tasks by their ids, perhaps by force; gives those
        that it refused, and why.
    keep_cells
        How many cells are remembered. Older ones with nothing pending remain
        in the kernel's totals only.
    limit
        How many refs are remembered. Beyond it those that settled first remain
        in the counts only.
    """

    def __init__(
        self,
        name_of: Callable[[bytes], str],
        *,
        take_submitted: Callable[[], Sequence[Submission]] = nothing_submitted,
        is_item: Callable[[bytes], bool] = is_no_item,
        cancel_tasks: CancelTasks = cannot_cancel,
        keep_cells: int = 100,
        limit: int = REMEMBERED_REFS,
    ) -> None:
        super().__init__(name_of, take_submitted, is_item, keep_cells, limit)
        self._cancel_tasks = cancel_tasks
        self._watches = Watches(self.record)

    @property
    def limit(self) -> int:
        """How many refs are remembered; a lower one counts from now on."""
        return self._records.limit

    @limit.setter
    def limit(self, limit: int) -> None:
        self._records.limit = limit

    def watch(
        self,
        refs: Sequence[Ref],
        watcher: Watcher,
        origin: Hashable,
        since: float | None = None,
    ) -> Callable[[], None]:
        """Count ``refs`` as pending until each is ready, fetching no value.

        Parameters
        ----------
        refs
            They are handed to ``watcher`` and not kept.
        watcher
            Tells when each is ready.
        origin
            The cell that shows them.
        since
            Since when the cell waits for them, ``time.monotonic()``; now, if
            not given.

        Returns
        -------
        callable
            Ends the watch. Refs not ready by then are what their tasks are, or
            released where nothing tells of these. A second call does nothing.
        """
        return self._watches.begin(refs, watcher, origin, since)

    def end_watches(self) -> None:
        """End all watches that still wait."""
        self._watches.end()

    def adopt(self, origin: Hashable, keys: Iterable[bytes]) -> None:
        """Count refs of running tasks in a cell that has not submitted them."""
        now = time.monotonic()
        with self._lock:
            self._apply_inbox()
            cell = self._cell(origin)
            by_name: dict[str, dict[bytes, float]] = {}
            for key in keys:
                by_name.setdefault(self._name_of(key), {})[key] = now
            for name, times in by_name.items():
                cell.submitted(name, times, followed=True)
            self._changed.add(origin)

    def cancel(
        self,
        origin: Hashable,
        name: str | None = None,
        keys: Iterable[bytes] | None = None,
        *,
        force: bool = False,
    ) -> list[tuple[bytes, str]]:
        """Ask Ray to cancel the tasks of refs that have not settled.

        Parameters
        ----------
        origin
            The cell.
        name
            Only those of this line.
        keys
            Only these refs, by their ids.
        force
            Whether to end them by killing their workers.

        Returns
        -------
        list of (bytes, str)
            The refs for which Ray refused it, and why. The others are
            `RefState.CANCELLING` until they settle.
        """
        with self._lock:
            self._apply_inbox()
            cell = self._cells.get(origin)
            pending = [] if cell is None else cell.unsettled(name)
        if keys is not None:
            wanted = set(keys)
            pending = [key for key in pending if key in wanted]
        tasks = dict.fromkeys(key[:TASK_ID_BYTES] for key in pending)
        # Not under the lock: it takes its time, and may call back.
        refused = dict(self._cancel_tasks(tasks, force))
        now = time.monotonic()
        with self._lock:
            for key in pending:
                if cell is not None and key[:TASK_ID_BYTES] not in refused:
                    cell.cancelling(key, now)
            self._changed.add(origin)
        self._tell()
        return [
            (key, refused[key[:TASK_ID_BYTES]])
            for key in pending
            if key[:TASK_ID_BYTES] in refused
        ]

    def finish_code(self, origin: Hashable) -> None:
        """Note that the code of a cell has ended. Unknown cells are passed over."""
        with self._lock:
            self._apply_inbox()
            cell = self._cells.get(origin)
            if cell is not None and not cell.code_finished:
                cell.code_finished = True
                self._changed.add(origin)

    def read_cell(self, origin: Hashable) -> CellProgress | None:
        """Return the counts of one cell; None if it has no refs, or had long ago."""
        with self._lock:
            self._apply_inbox()
            cell = self._cells.get(origin)
            return None if cell is None else cell.read(time.monotonic())

    def read_refs(
        self, origin: Hashable, name: str, since: int = 0
    ) -> tuple[list[RefRecord], int]:
        """Return the refs of one line that have changed.

        Parameters
        ----------
        origin
            The cell.
        name
            The line's name.
        since
            The version that an earlier call returned, or 0 for all.

        Returns
        -------
        list of RefRecord
            Those that changed after it, by index; now and then also some that
            did not. Evicted ones are missing.
        int
            The version to ask with next time.
        """
        with self._lock:
            self._apply_inbox()
            cell = self._cells.get(origin)
            line = None if cell is None else cell.lines.get(name)
            if line is None:
                return [], 0
            keys = self._records.read_keys(line.records, since)
            columns, version = self._records.read(
                line.records, since, line.first_awaited
            )
        # By index, of which there is but one each.
        return sorted(columns.rows(keys)), version

    def read_columns(
        self, origin: Hashable, name: str, since: int = 0
    ) -> tuple[RefColumns | None, int]:
        """Return what `read_refs` does in columns, without the refs' ids.

        Returns
        -------
        RefColumns or None
            None if there is no such line.
        int
            The version to ask with next time.
        """
        with self._lock:
            self._apply_inbox()
            cell = self._cells.get(origin)
            line = None if cell is None else cell.lines.get(name)
            if line is None:
                return None, 0
            return self._records.read(line.records, since, line.first_awaited)

    def snapshot(self) -> Progress:
        """Return the counts of all cells and the totals by name."""
        with self._lock:
            self._apply_inbox()
            now = time.monotonic()
            totals: dict[str, LineTally] = {}
            merge_lines(totals, self._retired.values())
            for cell in self._cells.values():
                merge_lines(totals, cell.lines.values())
            return Progress(
                cells=tuple(cell.read(now) for cell in self._cells.values()),
                totals=tuple(line.read(now) for line in totals.values()),
            )

    def unexplained(
        self, origins: Iterable[Hashable], since: float, most: int
    ) -> dict[Hashable, list[bytes]]:
        """Return the refs of cells that Ray's own books may say more of."""
        with self._lock:
            self._apply_inbox()
            return {
                origin: self._cells[origin].unexplained(since, most)
                for origin in origins
                if origin in self._cells
            }

    def left_behind(self) -> dict[Hashable, list[bytes]]:
        """Return the unsettled refs of all cells that nobody awaits or watches."""
        with self._lock:
            self._apply_inbox()
            found = {
                origin: cell.left_behind()
                for origin, cell in self._cells.items()
                if cell.pending > cell.waiting
            }
        return {origin: keys for origin, keys in found.items() if keys}

    def count_pending(self, keys: Iterable[bytes]) -> int:
        """Return how many of these refs have not settled in some cell."""
        with self._lock:
            cells = [cell for cell in self._cells.values() if cell.pending]
            return sum(any(cell.is_pending(key) for cell in cells) for key in keys)

    def count_failed(self, origin: Hashable, tasks: Iterable[bytes]) -> dict[str, int]:
        """Return how many of these tasks have failed in a cell, by line."""
        with self._lock:
            self._apply_inbox()
            cell = self._cells.get(origin)
            if cell is None:
                return {}
            names = Counter(cell.failed_in(return_id(task)) for task in tasks)
        return {name: count for name, count in names.items() if name is not None}

    def end_finished(
        self,
        keys: Mapping[Hashable, Iterable[bytes]],
        running: Container[bytes],
        outcomes: Mapping[bytes, Description],
    ) -> None:
        """Settle refs whose tasks have ended.

        Parameters
        ----------
        keys
            Refs by cell, taken before `running` was: what was submitted since
            is not among them.
        running
            The ids of the tasks that run.
        outcomes
            What some of the objects are; those left out are not known.
        """
        changed = False
        with self._lock:
            self._apply_inbox()
            for origin, of_cell in keys.items():
                cell = self._cells.get(origin)
                if cell is not None and cell.ended_with(running, of_cell, outcomes):
                    self._changed.add(origin)
                    changed = True
        if changed:
            self._tell()

    def ended_unknown(self) -> dict[Hashable, list[bytes]]:
        """Return the refs of all cells that have ended, it is not known how."""
        with self._lock:
            self._apply_inbox()
            found = {
                origin: cell.ended_unknown()
                for origin, cell in self._cells.items()
                if any(line.counts[RefState.ENDED] for line in cell.lines.values())
            }
        return {origin: keys for origin, keys in found.items() if keys}

    def reveal(self, outcomes: Mapping[bytes, Description]) -> None:
        """Take what the objects of ended tasks were found to be."""
        if not outcomes:
            return
        with self._lock:
            self._apply_inbox()
            for origin, cell in self._cells.items():
                if cell.reveal(outcomes):
                    self._changed.add(origin)
        self._tell()

    def end_session(self) -> None:
        """Settle the refs that nobody awaits and whose tasks ended with their Ray."""
        now = time.monotonic()
        with self._lock:
            self._apply_inbox()
            for origin, cell in self._cells.items():
                if cell.pending:
                    cell.session_ended(now)
                    self._changed.add(origin)
        self._tell()

    def explain(
        self,
        keys: Mapping[Hashable, Iterable[bytes]],
        events: Mapping[bytes, TaskEvent],
        undecided: Container[bytes],
    ) -> None:
        """Take what Ray's own books say of refs.

        Parameters
        ----------
        keys
            Refs by cell.
        events
            By task.
        undecided
            The ids of tasks whose refs may end otherwise than the event says.
        """
        if not events:
            return
        with self._lock:
            self._apply_inbox()
            for origin, of_cell in keys.items():
                cell = self._cells.get(origin)
                if cell is None:
                    continue
                for key in of_cell:
                    task = key[:TASK_ID_BYTES]
                    event = events.get(task)
                    if event is not None:
                        cell.task_event(key, event, ended=task not in undecided)
                        self._changed.add(origin)
        self._tell()

    def set_reasons(
        self, origin: Hashable, reasons: Mapping[str, tuple[Reason, ...]]
    ) -> None:
        """Set why the pending refs of a cell wait, by line; left out: unknown."""
        with self._lock:
            cell = self._cells.get(origin)
            if cell is not None:
                for line in cell.lines.values():
                    of_line = reasons.get(line.name, ())
                    if of_line != line.reasons:
                        line.reasons = of_line
                        self._changed.add(origin)
        self._tell()

    def set_stale(self, why: Reason | None) -> None:
        """Mark the states of what is pending as out of date; None ends that.

        Lines that are made later are not marked: call it again for them.
        """
        with self._lock:
            self._apply_inbox()
            for origin, cell in self._cells.items():
                for line in cell.lines.values():
                    stale = why if line.pending else None
                    if line.stale != stale:
                        line.stale = stale
                        self._changed.add(origin)
        self._tell()
