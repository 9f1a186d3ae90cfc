"""The tracker: what each cell submits and awaits, counted by name.

It holds ids, names and times, and no refs.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .._ray_api.object_ids import TASK_ID_BYTES, return_id
from .counts import cell_reports, queries
from .counts.awaits import Awaits
from .counts.cell import Cells
from .counts.ref_states import RefStates
from .inbox import Inbox
from .snapshots import CellProgress, Progress, RefRecord
from .watched_refs import Watches

if TYPE_CHECKING:
    from collections.abc import (
        Callable,
        Container,
        Hashable,
        Iterable,
        Iterator,
        Mapping,
        Sequence,
    )

    from .._awaiting.error_text import Description
    from .cluster.reasons import Reason
    from .counts.awaits import Event
    from .counts.cell import Cell
    from .counts.line import Line
    from .events import Submission, TaskEvent
    from .refs.columns import RefColumns
    from .refs.store import Records
    from .watched_refs import Ref, Watcher

    CancelTasks = Callable[[Iterable[bytes], bool], list[tuple[bytes, str]]]

#: How many refs are remembered by default (`RayAsync.remembered_refs`).
REMEMBERED_REFS = 200_000


def cannot_cancel(tasks: Iterable[bytes], force: bool) -> list[tuple[bytes, str]]:
    """Report every task as not cancellable."""
    del force
    return [(task, "nothing here can cancel tasks") for task in tasks]


class Tracker:
    """Counts what each cell submits and awaits, by name. Thread-safe.

    Parameters
    ----------
    name_of
        Returns the name of a ref, by its id; called once per ref and cell.
    take_submitted
        Returns what was submitted since the last call.
    is_item
        Whether a ref is an item of a generator.
    cancel_tasks
        Asks Ray to cancel tasks by their ids, perhaps by force; returns those that it
        refused, and why.
    keep_cells, limit
        How many cells and refs are remembered. Older cells with nothing pending remain
        in the kernel's totals only, and the refs that settled first in the counts only.
    """

    def __init__(
        self,
        name_of: Callable[[bytes], str],
        *,
        take_submitted: Callable[[], Sequence[Submission]] = tuple,
        is_item: Callable[[bytes], bool] = lambda _key: False,
        cancel_tasks: CancelTasks = cannot_cancel,
        keep_cells: int = 100,
        limit: int = REMEMBERED_REFS,
    ) -> None:
        #: Called on any thread when there is something to read; it must not block.
        self.on_record: Callable[[], None] | None = None
        self._name_of = name_of
        self._cancel_tasks = cancel_tasks
        self._inbox = Inbox(take_submitted)
        self._watches = Watches(self.record)
        # Owns everything below.
        self._lock = threading.Lock()
        self._states = RefStates(limit)
        self._records = self._states.records
        self._cells = Cells(keep_cells)
        self._awaits = Awaits(self._cells, self._states, name_of, is_item)

    @property
    def limit(self) -> int:
        """How many refs are remembered; a lower limit applies from now on."""
        return self._records.limit

    @limit.setter
    def limit(self, limit: int) -> None:
        self._records.limit = limit

    def record(self, events: Sequence[Event]) -> None:
        """Take a batch of events, which must not change afterwards. Does not block."""
        self._inbox.put(events)
        # So that they do not accumulate without bounds.
        if self._inbox.overdue and self._lock.acquire(blocking=False):
            try:
                self._apply_inbox()
            finally:
                self._lock.release()
        self._notify()

    def drain(self) -> None:
        """Apply all records that have come in."""
        with self._current():
            pass

    def take_changed(self) -> set[Hashable]:
        """Return the cells that have changed since the last call; for one reader."""
        with self._current():
            return self._states.take_changed()

    def watch(
        self,
        refs: Sequence[Ref],
        watcher: Watcher,
        origin: Hashable,
        since: float | None = None,
    ) -> Callable[[], None]:
        """Count refs as pending until each is ready, without fetching any value.

        They are passed to the watcher and not kept. What this returns ends the watch;
        refs that are not ready by then are in the state of their tasks, or released
        where that is not known. `since` is when the cell began to wait; now by default.
        """
        return self._watches.begin(refs, watcher, origin, since)

    def end_watches(self) -> None:
        """End all watches."""
        self._watches.end()

    def adopt(self, origin: Hashable, keys: Iterable[bytes]) -> None:
        """Count refs of running tasks in a cell that has not submitted them."""
        now = time.monotonic()
        by_name: dict[str, dict[bytes, float]] = {}
        for key in keys:
            by_name.setdefault(self._name_of(key), {})[key] = now
        with self._changing():
            for name, times in by_name.items():
                self._awaits.add_submitted(origin, name, times, followed=True)

    def cancel(
        self,
        origin: Hashable,
        name: str | None = None,
        keys: Iterable[bytes] | None = None,
        *,
        force: bool = False,
    ) -> list[tuple[bytes, str]]:
        """Ask Ray to cancel the tasks of a cell's refs that have not settled.

        Only of one line (`name`) or of certain refs (`keys`), if given; by force means
        that their workers are killed. Returns the refs for which Ray refused, and why;
        the others are `RefState.CANCELLING` until they settle.
        """
        with self._current():
            cell = self._cells.get(origin)
            pending = queries.unsettled(self._records, cell, name) if cell else []
        if keys is not None:
            wanted = set(keys)
            pending = [key for key in pending if key in wanted]
        tasks = dict.fromkeys(key[:TASK_ID_BYTES] for key in pending)
        # Not under the lock: it takes its time, and may call back.
        refused = dict(self._cancel_tasks(tasks, force))
        now = time.monotonic()
        with self._changing():
            for key in pending:
                if key[:TASK_ID_BYTES] not in refused:
                    cell_reports.cancelling(self._states, key, now)
        return [
            (key, refused[key[:TASK_ID_BYTES]])
            for key in pending
            if key[:TASK_ID_BYTES] in refused
        ]

    def finish_code(self, origin: Hashable) -> None:
        """Note that the code of a cell has ended; a no-op for unknown cells."""
        with self._current():
            cell = self._cells.get(origin)
            if cell is not None and not cell.code_finished:
                cell.code_finished = True
                self._states.changed.add(origin)

    def read_cell(self, origin: Hashable) -> CellProgress | None:
        """Return the counts of a cell, None if no refs of it are known."""
        with self._current():
            cell = self._cells.get(origin)
            return None if cell is None else cell.read(time.monotonic())

    def read_refs(
        self, origin: Hashable, name: str, since: int = 0
    ) -> tuple[list[RefRecord], int]:
        """Return the refs of a line that have changed since a version, by index.

        The version is what an earlier call returned beside the refs, or 0 for all.
        Evicted refs are missing; sometimes some are there that did not change.
        """
        with self._current():
            line = self._line(origin, name)
            if line is None:
                return [], 0
            keys = self._records.read_keys(line, since)
            columns, version = self._records.read(line, since)
        # By index, which is unique.
        return sorted(columns.rows(keys)), version

    def read_columns(
        self, origin: Hashable, name: str, since: int = 0
    ) -> tuple[RefColumns | None, int]:
        """Return what `read_refs` does, in columns and without ids; None if no line."""
        with self._current():
            line = self._line(origin, name)
            return self._records.read(line, since) if line else (None, 0)

    def snapshot(self) -> Progress:
        """Return the counts of all cells and the totals by name."""
        with self._current():
            now = time.monotonic()
            return Progress(
                cells=tuple(cell.read(now) for cell in self._cells),
                totals=self._cells.totals().read(now).lines,
            )

    def is_followed(self, task: bytes) -> bool:
        """Whether the end of a task becomes known without its events."""
        with self._lock:
            return self._states.is_followed(task)

    def unexplained(
        self, origins: Iterable[Hashable], since: float, most: int
    ) -> dict[Hashable, list[bytes]]:
        """Return the refs of cells of which task events may say more."""
        with self._current():
            cells = [self._cells.get(origin) for origin in origins]
            return {
                cell.origin: queries.unexplained(self._records, cell, since, most)
                for cell in cells
                if cell is not None
            }

    def left_behind(self) -> dict[Hashable, list[bytes]]:
        """Return the unsettled refs, by cell, that are neither awaited nor watched."""
        return self._in_all_cells(queries.left_behind)

    def ended_unknown(self) -> dict[Hashable, list[bytes]]:
        """Return the refs, by cell, of which it is not known how they have ended."""
        return self._in_all_cells(queries.ended_unknown)

    def count_pending(self, keys: Iterable[bytes]) -> int:
        """Return how many of these refs have not settled in some cell."""
        with self._lock:
            return sum(queries.is_pending(self._records, key) for key in keys)

    def count_failed(self, origin: Hashable, tasks: Iterable[bytes]) -> dict[str, int]:
        """Return how many of these tasks have failed in a cell, by line."""
        with self._current():
            cell = self._cells.get(origin)
            if cell is None:
                return {}
            names = Counter(
                queries.failed_line(self._records, cell, return_id(task))
                for task in tasks
            )
        return {name: count for name, count in names.items() if name is not None}

    def end_finished(
        self,
        keys: Mapping[Hashable, Iterable[bytes]],
        running: Container[bytes],
        outcomes: Mapping[bytes, Description],
    ) -> None:
        """Settle those of `keys`, refs by cell, whose tasks are not `running`.

        `keys` were read before `running`, so that later submissions are not among them.
        Refs without an entry in `outcomes` end in a state that is not known.
        """
        with self._changing():
            for cell, of_cell in self._by_cell(keys):
                cell_reports.end_finished(
                    self._states, cell, of_cell, running, outcomes
                )

    def reveal(self, outcomes: Mapping[bytes, Description]) -> None:
        """Take what the objects of ended tasks were found to be."""
        if outcomes:
            with self._changing():
                cell_reports.reveal(self._states, outcomes)

    def end_session(self) -> None:
        """Settle the refs that are not awaited and whose tasks ended with their Ray."""
        now = time.monotonic()
        with self._changing():
            for cell in self._cells:
                cell_reports.session_ended(self._states, cell, now)

    def explain(
        self,
        keys: Mapping[Hashable, Iterable[bytes]],
        events: Mapping[bytes, TaskEvent],
        undecided: Container[bytes],
    ) -> None:
        """Take task events of refs by cell.

        The refs of `undecided` tasks may end otherwise than the event of the task.
        """
        if not events:
            return
        with self._changing():
            for cell, of_cell in self._by_cell(keys):
                for key in of_cell:
                    task = key[:TASK_ID_BYTES]
                    event = events.get(task)
                    if event is None:
                        continue
                    slot = self._records.slot_in(key, cell.origin)
                    if slot is not None:
                        ended = task not in undecided
                        cell_reports.task_event(self._states, slot, event, ended=ended)

    def set_reasons(
        self, origin: Hashable, reasons: Mapping[str, tuple[Reason, ...]]
    ) -> None:
        """Set why the pending refs of a cell wait, by line; unknown for other lines."""
        with self._changing():
            cell = self._cells.get(origin)
            for line in cell.lines.values() if cell else ():
                of_line = reasons.get(line.name, ())
                if of_line != line.reasons:
                    line.reasons = of_line
                    self._states.changed.add(origin)

    def set_stale(self, why: Reason | None) -> None:
        """Mark the states of what is pending as out of date; None ends that.

        Lines that are made later are not marked: call it again for them.
        """
        with self._changing():
            for cell in self._cells:
                for line in cell.lines.values():
                    stale = why if line.pending else None
                    if line.stale != stale:
                        line.stale = stale
                        self._states.changed.add(cell.origin)

    @contextmanager
    def _current(self) -> Iterator[None]:
        """Hold the lock, with all events applied."""
        with self._lock:
            self._apply_inbox()
            yield

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Do as `_current`, and notify the reader of changes."""
        with self._current():
            yield
            changed = bool(self._states.changed)
        if changed:
            self._notify()

    def _apply_inbox(self) -> None:
        self._inbox.drain(self._awaits)
        retired = self._cells.retire(self._records)
        self._states.changed.difference_update(retired)

    def _notify(self) -> None:
        if self.on_record is not None:
            self.on_record()

    def _line(self, origin: Hashable, name: str) -> Line | None:
        cell = self._cells.get(origin)
        return None if cell is None else cell.lines.get(name)

    def _by_cell(
        self, keys: Mapping[Hashable, Iterable[bytes]]
    ) -> Iterator[tuple[Cell, Iterable[bytes]]]:
        """Iterate over the cells that are known, with their refs."""
        for origin, of_cell in keys.items():
            cell = self._cells.get(origin)
            if cell is not None:
                yield cell, of_cell

    def _in_all_cells(
        self, query: Callable[[Records, Cell], list[bytes]]
    ) -> dict[Hashable, list[bytes]]:
        """Return what a query finds, by cell."""
        with self._current():
            found = {cell.origin: query(self._records, cell) for cell in self._cells}
        return {origin: keys for origin, keys in found.items() if keys}
