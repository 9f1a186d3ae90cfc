"""The ledger: records in on any thread, applied to the cells under one lock.

It pins nothing: records carry ids, names and times. What is asked of it is in
`tracker`.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any

from .._ray_api.object_ids import TASK_ID_BYTES, return_id
from .counts.cell_reports import CellTally
from .counts.line import LineTally, merge_lines
from .refs.shared import SharedRefs
from .refs.store import Records
from .snapshots import RefState

if TYPE_CHECKING:
    from .._awaiting.events import AwaitEvent
    from .events import Submission, WatchEvent

# Records that nobody has drained for so long are applied by who records them.
_DRAIN_EVERY = 2.0
_DRAIN_ABOVE = 100_000


def nothing_submitted() -> Sequence[Submission]:
    """Stand in for a hook on what is submitted."""
    return ()


def is_no_item(key: bytes) -> bool:
    """Stand in for who knows the generators."""
    del key
    return False


class Ledger:
    """The owner of all counts and records, and of their lock.

    Every method may be called on any thread.

    Parameters
    ----------
    name_of, take_submitted, is_item, keep_cells, limit
        As for `Tracker`.
    """

    def __init__(
        self,
        name_of: Callable[[bytes], str],
        take_submitted: Callable[[], Sequence[Submission]],
        is_item: Callable[[bytes], bool],
        keep_cells: int,
        limit: int,
    ) -> None:
        self._name_of = name_of
        self._take_submitted = take_submitted
        self._is_item = is_item
        self._keep_cells = keep_cells
        #: Called after records came in, on the recording thread: it may only
        #: wake somebody up.
        self.on_record: Callable[[], None] | None = None
        # Batches as they came. `record` takes no lock: it may run in a garbage
        # collection in the middle of a drain of the same thread.
        self._inbox: deque[Sequence[AwaitEvent | WatchEvent]] = deque()
        self._undrained = 0
        self._drained_at = time.monotonic()
        # Owns everything below.
        self._lock = threading.Lock()
        self._records = Records(limit)
        self._cells: dict[Hashable, CellTally] = {}
        self._changed: set[Hashable] = set()
        self._shared = SharedRefs(lambda origin: self._changed.add(origin))
        self._retired: dict[str, LineTally] = {}
        # The cell that had submitted what was last asked for.
        self._submitter: CellTally | None = None

    def record(self, events: Sequence[AwaitEvent | WatchEvent]) -> None:
        """Take a batch of records; the observer for `_awaiting`.

        It does not block. The batch must not be changed afterwards. When
        nobody has drained for a while and many records wait, it applies them
        itself, so that they never grow without end.
        """
        self._inbox.append(events)
        # Not exact when threads race; it only decides when to look after it.
        self._undrained += len(events)
        if (
            self._undrained > _DRAIN_ABOVE
            and time.monotonic() - self._drained_at > _DRAIN_EVERY
            and self._lock.acquire(blocking=False)
        ):
            try:
                self._apply_inbox()
            finally:
                self._lock.release()
        if self.on_record is not None:
            self.on_record()

    def drain(self) -> None:
        """Apply all records that have come in."""
        with self._lock:
            self._apply_inbox()

    def take_changed(self) -> set[Hashable]:
        """Drain, and return the cells changed since the last call; for one reader."""
        with self._lock:
            self._apply_inbox()
            changed, self._changed = self._changed, set()
            return changed

    def _tell(self) -> None:
        if self.on_record is not None:
            self.on_record()

    def _cell(self, origin: Hashable) -> CellTally:
        cell = self._cells.get(origin)
        if cell is None:
            cell = self._cells[origin] = CellTally(
                origin, self._records, self._shared, self._is_followed, self._is_item
            )
        return cell

    def is_followed(self, task: bytes) -> bool:
        """Whether the end of a task will be known without its events."""
        with self._lock:
            return self._is_followed(task)

    def _is_followed(self, key: bytes) -> bool:
        """Whether the end of the task behind a ref will be known, in whichever cell."""
        first = return_id(key[:TASK_ID_BYTES])
        known = self._submitter
        if known is not None and known.is_followed(first):
            return True
        for cell in self._cells.values():
            if cell.is_followed(first):
                self._submitter = cell
                return True
        return False

    def _apply_inbox(self) -> None:
        self._undrained = 0
        self._drained_at = time.monotonic()
        # Submitted comes before awaited.
        waiting = len(self._inbox)
        self._apply_submitted()
        # Not "until empty": records may come in as fast as they are applied.
        for _ in range(waiting):
            self._apply(self._inbox.popleft())
        if len(self._cells) > self._keep_cells:
            self._retire_cells()

    def _apply_submitted(self) -> None:
        alike: dict[tuple[Hashable, str, bool], dict[bytes, float]] = {}
        for new in self._take_submitted():
            times = alike.setdefault((new.origin, new.name, new.followed), {})
            if new.returns == 1:
                times[new.key] = new.at
            else:
                times.update(dict.fromkeys(new.ids(), new.at))
        for (origin, name, followed), times in alike.items():
            self._cell(origin).submitted(name, times, followed=followed)
            self._changed.add(origin)

    def _apply(self, events: Sequence[AwaitEvent | WatchEvent]) -> None:
        """Apply a batch, of which many in a row may be alike."""
        if not events:
            return
        start = 0
        kind, origin = events[0].kind, events[0].origin
        for position, event in enumerate(events):
            if event[0] != kind or event[2] is not origin:
                self._apply_alike(kind, origin, events[start:position])
                start = position
                kind, origin = event.kind, event.origin
        self._apply_alike(kind, origin, events[start:] if start else events)

    def _apply_alike(self, kind: str, origin: Hashable, events: Sequence[Any]) -> None:
        """Apply events of one kind and cell."""
        if kind == "cancelling":
            # Whoever asked for it: it is so in every cell that shows the ref.
            for shown in self._cells.values():
                if [event for event in events if shown.cancelling(event.key, event.at)]:
                    self._changed.add(shown.origin)
            return
        if kind == "got":
            self._apply_got(origin, events)
            return
        cell = self._cell(origin)
        self._changed.add(origin)
        if kind == "awaited" or kind == "watched":
            cell.awaited(events, self._name_of)
        elif kind == "unwatched":
            for event in events:
                cell.unwatched(event.key, event.at)
        else:  # "settled", "ready" or "known"
            cell.settled(events)

    def _apply_got(self, origin: Hashable, events: Sequence[AwaitEvent]) -> None:
        """Apply that values were fetched, in a cell that may not know their refs."""
        cell = self._cells.get(origin)
        if cell is not None:
            cell.settled(events)
            self._changed.add(origin)
        for event in events:
            first = self._shared.first(event.key)
            if first is not None and first.learn(
                event.key, RefState.RESOLVED, event.at, None
            ):
                self._changed.add(first.origin)

    def _retire_cells(self) -> None:
        # One that still awaits something stays, however old.
        over = len(self._cells) - self._keep_cells
        idle = [origin for origin, cell in self._cells.items() if not cell.pending]
        for origin in idle[:over]:
            cell = self._cells.pop(origin)
            self._records.remove_all(cell.forget_records())
            merge_lines(self._retired, cell.lines.values())
            self._changed.discard(origin)
