"""The tracker: records in on any thread, counts per cell out.

It pins nothing: records carry ids, names and times. It knows no widget; a
display reads `Tracker.read_cell` or `Tracker.snapshot`, and may be told through
`Tracker.on_record` when there is something to read.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from .progress import CellProgress, Progress
from .tally import CellTally, LineTally, merge_lines

if TYPE_CHECKING:
    from ..awaiting.observing import AwaitEvent

# Records that nobody has drained for so long are applied by who records them.
_DRAIN_EVERY = 2.0
_DRAIN_ABOVE = 100_000


class Ref(Protocol):
    """What the tracker needs of a ref: its id."""

    def binary(self) -> bytes:
        """Return the id."""


Watcher = Callable[
    [Sequence[Any], Callable[[bytes, str | None], None], Callable[[bytes], None]],
    Callable[[], None],
]
"""Calls one of the two callbacks once per ref, on any thread: the first as it
becomes ready, with its id and the name of its error or None; the second with its
id when everybody let go of it before. What it returns ends the watch. It must not
pin the refs."""


class WatchEvent(NamedTuple):
    """One thing that happened to one watched ref; the fields of `AwaitEvent`."""

    kind: Literal["watched", "ready", "unwatched"]
    key: bytes
    origin: object | None
    at: float
    outcome: None = None
    error: str | None = None


class Tracker:
    """Counts what each cell awaits, by name.

    Every method may be called on any thread.

    Parameters
    ----------
    name_of
        Gives the name for a ref's id; called once per ref and cell.
    keep_cells
        How many cells are remembered. Older ones with nothing pending remain
        in the kernel's totals only.
    """

    def __init__(
        self, name_of: Callable[[bytes], str], *, keep_cells: int = 100
    ) -> None:
        self._name_of = name_of
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
        self._cells: dict[Hashable, CellTally] = {}
        self._changed: set[Hashable] = set()
        self._retired: dict[str, LineTally] = {}
        # How each watch that still waits is ended, by its own set of ids.
        self._watches: dict[int, Callable[[], None]] = {}

    def record(self, events: Sequence[AwaitEvent | WatchEvent]) -> None:
        """Take a batch of records; the observer for `awaiting`.

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

    def watch(
        self, refs: Sequence[Ref], watcher: Watcher, origin: Hashable
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

        Returns
        -------
        callable
            Ends the watch. Refs not ready by then are no longer counted,
            unless they are awaited too. A second call does nothing.
        """
        waiting = dict.fromkeys(ref.binary() for ref in refs)
        now = time.monotonic()
        self.record([WatchEvent("watched", key, origin, now) for key in waiting])

        # `pop` decides between these and `stop`; each ref ends once.
        def on_ready(key: bytes, error: str | None) -> None:
            if waiting.pop(key, self) is None:
                at = time.monotonic()
                self.record([WatchEvent("ready", key, origin, at, error=error)])
                forget_if_over()

        def on_released(key: bytes) -> None:
            if waiting.pop(key, self) is None:
                self.record([WatchEvent("unwatched", key, origin, time.monotonic())])
                forget_if_over()

        def forget_if_over() -> None:
            if not waiting:
                self._watches.pop(id(waiting), None)

        def take_back() -> None:
            at = time.monotonic()
            left = [key for key in list(waiting) if waiting.pop(key, self) is None]
            if left:
                self.record([WatchEvent("unwatched", key, origin, at) for key in left])

        try:
            stop_watcher = watcher(refs, on_ready, on_released)
        except BaseException:
            take_back()
            raise

        def stop() -> None:
            self._watches.pop(id(waiting), None)
            stop_watcher()
            take_back()

        self._watches[id(waiting)] = stop
        forget_if_over()
        return stop

    def end_watches(self) -> None:
        """End all watches that still wait."""
        for stop in list(self._watches.values()):
            stop()

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

    def finish_code(self, origin: Hashable) -> None:
        """Note that the code of a cell has ended. Unknown cells are passed over."""
        with self._lock:
            self._apply_inbox()
            cell = self._cells.get(origin)
            if cell is not None and not cell.code_finished:
                cell.finish_code()
                self._changed.add(origin)

    def read_cell(self, origin: Hashable) -> CellProgress | None:
        """Return the counts of one cell; None if it awaited nothing, or long ago."""
        with self._lock:
            self._apply_inbox()
            cell = self._cells.get(origin)
            return None if cell is None else cell.read(time.monotonic())

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
                totals=tuple(line.read() for line in totals.values()),
            )

    def _apply_inbox(self) -> None:
        self._undrained = 0
        self._drained_at = time.monotonic()
        # Not "until empty": records may come in as fast as they are applied.
        for _ in range(len(self._inbox)):
            for event in self._inbox.popleft():
                self._apply(event)
        if len(self._cells) > self._keep_cells:
            self._retire_cells()

    def _apply(self, event: AwaitEvent | WatchEvent) -> None:
        kind, key, origin, at, outcome, error = event
        cell = self._cells.get(origin)
        if cell is None:
            cell = self._cells[origin] = CellTally(origin)
        if kind == "awaited" or kind == "watched":
            cell.awaited(key, at, self._name_of)
        elif kind == "settled":
            cell.settled(key, at, outcome, error)
        elif kind == "ready":
            cell.ready(key, at, error)
        else:
            cell.unwatched(key, at)
        self._changed.add(origin)

    def _retire_cells(self) -> None:
        # One that still awaits something stays, however old.
        over = len(self._cells) - self._keep_cells
        idle = [origin for origin, cell in self._cells.items() if not cell.pending]
        for origin in idle[:over]:
            merge_lines(self._retired, self._cells.pop(origin).lines.values())
            self._changed.discard(origin)
