"""Counting: what one cell's submissions and awaits add up to.

Each call takes many at once, because there may be ten thousand in a second, and
what they have in common is done once for all. Nothing in here is thread-safe or
knows where records come from; the tracker owns the lock. Refs appear as ids
(`bytes`) only.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ..awaiting.observing import Outcome
from .error_groups import Failure
from .lines import LineTally, line_of
from .object_ids import TASK_ID_BYTES
from .progress import CellProgress, RefState
from .records import (
    AWAITED,
    OF_DRIVER,
    QUEUED,
    REVISABLE,
    SUBMITTED,
    LineRecords,
    Records,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

    from ..awaiting.observing import AwaitEvent
    from .watches import WatchEvent

# The outcome of a cancelled task: as an awaiter gets it, and as Ray writes it on
# an object that is only watched or in its task's events.
TASK_CANCELLED = frozenset({"TaskCancelledError", "TASK_CANCELLED"})

# What follows the last item of a generator: to who iterates, and on the object.
_END_OF_STREAM = frozenset(
    {"ObjectRefStreamEndOfStreamError", "END_OF_STREAMING_GENERATOR"}
)

SETTLED = bytes(state.settled for state in RefState)
# States from which an await may resolve.
_RESOLVABLE = bytes(not state.settled or state is RefState.READY for state in RefState)


class CellCounts:
    """The counts of one cell, a line per name.

    Parameters
    ----------
    origin
        The cell.
    records
        Where the records of its refs lie.
    told_of
        Whether Ray will tell, of a ref that another cell has submitted, when its
        task is no longer running.
    """

    def __init__(
        self, origin: Hashable, records: Records, told_of: Callable[[bytes], bool]
    ) -> None:
        self.origin = origin
        self.lines: dict[str, LineTally] = {}
        self.code_finished = False
        #: How many refs have not settled, and how many of these are awaited or
        #: watched: only for those does the cell wait.
        self.pending = self.waiting = 0
        self._records = records
        self._told_of = told_of
        self._slots: dict[bytes, int] = {}
        # So many of the first of these have settled, at least.
        self._settled_first = 0
        self._line_at: dict[LineRecords, LineTally] = {}
        # Of refs awaited more than once at a time: how many awaits beyond the
        # first are open.
        self._more_awaits: dict[bytes, int] = {}
        self._waited = 0.0
        self._waiting_since: float | None = None

    def submitted(
        self, name: str, times: Mapping[bytes, float], *, of_driver: bool
    ) -> None:
        """Count refs whose tasks were submitted. Known ones are passed over.

        Parameters
        ----------
        name
            Of all.
        times
            When, by id.
        of_driver
            Whether Ray will tell when their tasks are no longer running.
        """
        known = self._slots
        new = {key: at for key, at in times.items() if key not in known}
        if new:
            more = SUBMITTED | OF_DRIVER if of_driver else SUBMITTED
            flags = self._records.flags
            for slot in self._add(name, new):
                flags[slot] |= more

    def awaited(
        self,
        events: Sequence[AwaitEvent | WatchEvent],
        name_of: Callable[[bytes], str],
    ) -> None:
        """Count awaits, or watches, that begin.

        Parameters
        ----------
        events
            At least one, of this cell.
        name_of
            Gives the name of a ref that was not known.
        """
        find = self._slots.get
        state, flags = self._records.state, self._records.flags
        begun = 0
        others: list[AwaitEvent | WatchEvent] = []
        by_name: dict[str, dict[bytes, float]] = {}
        for event in events:
            key = event[1]
            slot = find(key)
            if slot is None:
                new = by_name.setdefault(name_of(key), {})
                if key not in new:
                    new[key] = event[3]
                    continue
            elif not (SETTLED[state[slot]] or flags[slot] & AWAITED):
                flags[slot] |= AWAITED
                begun += 1
                continue
            others.append(event)
        for name, times in by_name.items():
            for slot in self._add(name, times):
                flags[slot] = AWAITED
            begun += len(times)
        self._wait_for_more(begun, events[0].at)
        for event in others:
            self._awaited_again(event.key, event.at, name_of)

    def settled(self, events: Iterable[AwaitEvent]) -> None:
        """Count awaits that end. Those that never began are passed over."""
        find, lines = self._slots.get, self._records.lines
        resolved: dict[LineRecords | None, list[tuple[int, AwaitEvent]]] = {}
        for event in events:
            slot = find(event[1])
            if slot is None:
                continue
            if event[4] is Outcome.RESOLVED:
                resolved.setdefault(lines[slot], []).append((slot, event))
                continue
            # In their order: one ref may be in both.
            self._resolve(resolved)
            resolved = {}
            self._settle_otherwise(slot, event)
        self._resolve(resolved)

    def ready(self, key: bytes, at: float, failure: Failure | None) -> None:
        """Count a ref whose object exists now, or whose task has failed."""
        slot = self._slots.get(key)
        if slot is None or SETTLED[self._records.state[slot]]:
            return
        if failure is None:
            self._change(slot, RefState.READY, at)
        else:
            self._fail(slot, at, failure)

    def unwatched(self, key: bytes, at: float) -> None:
        """Take back an await or a watch; the task may run on, and stays counted."""
        slot = self._slots.get(key)
        if slot is None or SETTLED[self._records.state[slot]] or self._one_less(key):
            return
        flags = self._records.flags
        if not flags[slot] & SUBMITTED and self._told_of(key):
            flags[slot] |= SUBMITTED | OF_DRIVER
        if flags[slot] & SUBMITTED:
            self._no_longer_awaited(slot, at)
            return
        self._change(slot, RefState.RELEASED, at)
        flags[slot] |= REVISABLE

    def forget_records(self) -> list[LineRecords]:
        """Forget all ids; give the records to be removed."""
        self._slots, self._more_awaits, self._line_at = {}, {}, {}
        return [line.records for line in self.lines.values()]

    def read(self, now: float) -> CellProgress:
        """Return the counts as they are now."""
        waited = self._waited
        if self._waiting_since is not None:
            waited += max(0.0, now - self._waiting_since)
        return CellProgress(
            origin=self.origin,
            lines=tuple(line.read(now) for line in self.lines.values()),
            pending=self.pending,
            waited=waited,
            code_finished=self.code_finished,
            taken=now,
            waiting=self.waiting,
        )

    def _awaited_again(
        self, key: bytes, at: float, name_of: Callable[[bytes], str]
    ) -> None:
        """Count an await, or a watch, of a ref that is awaited or has settled."""
        slot = self._slots.get(key)
        if slot is None:  # evicted by those that came with it
            (slot,) = self._add(name_of(key), {key: at})
        flags = self._records.flags
        if SETTLED[self._records.state[slot]]:
            if not flags[slot] & REVISABLE:
                return
            flags[slot] &= ~REVISABLE
            self._change(slot, RefState.PENDING_NODE, at)
        if flags[slot] & AWAITED:
            self._more_awaits[key] = self._more_awaits.get(key, 0) + 1
            return
        flags[slot] |= AWAITED
        self._wait_for_more(1, at)

    def _add(self, name: str, times: Mapping[bytes, float]) -> Sequence[int]:
        at = list(times.values())
        line = line_of(self.lines, name, at[0], self._forget)
        self._line_at[line.records] = line
        keys = list(times)
        slots = self._records.new(line.records, keys, RefState.PENDING_NODE, at)
        line.counts[RefState.PENDING_NODE] += len(keys)
        line.last_change = max(line.last_change, max(at))
        self._slots.update(zip(keys, slots, strict=True))
        self.pending += len(keys)
        return slots

    def _forget(self, key: bytes) -> None:
        # The record was evicted; the counts stay.
        del self._slots[key]
        # Whichever it was: so many still have.
        self._settled_first = max(0, self._settled_first - 1)
        if not self._slots:
            # A new one: a dict does not give back what it has grown to.
            self._slots = {}

    def _resolve(
        self, found: Mapping[LineRecords | None, list[tuple[int, AwaitEvent]]]
    ) -> None:
        """Give refs of some lines the state `RefState.RESOLVED`, where they may.

        As `_change` does it for one.
        """
        for of_line, pairs in found.items():
            if of_line is not None:
                self._resolve_in(self._line_at[of_line], pairs)

    def _resolve_in(
        self, line: LineTally, found: Sequence[tuple[int, AwaitEvent]]
    ) -> None:
        records, counts = self._records, line.counts
        state, flags, ended = records.state, records.flags, records.ended
        slots: list[int] = []
        unqueued: list[int] = []
        keys: list[bytes] = []
        awaited = 0
        last = line.last_change
        for slot, event in found:
            old = state[slot]
            if not _RESOLVABLE[old]:
                continue
            at, size = event[3], event[8]
            counts[old] -= 1
            state[slot] = RefState.RESOLVED
            slots.append(slot)
            if at > last:
                last = at
            if size is not None:
                records.size[slot] = size
            if SETTLED[old]:
                continue
            keys.append(event[1])
            flag = flags[slot]
            awaited += flag & AWAITED
            if not flag & QUEUED:
                unqueued.append(slot)
            flags[slot] = flag & ~AWAITED | QUEUED
            if ended[slot] != ended[slot]:
                ended[slot] = at
        counts[RefState.RESOLVED] += len(slots)
        line.last_change = last
        line.records.changed(slots)
        records.may_evict(unqueued)
        self.pending -= len(keys)
        line.pace.settled(last, keys)
        if self._more_awaits:
            for key in keys:
                self._more_awaits.pop(key, None)
        self._wait_for_fewer(awaited, last)

    def _settle_otherwise(self, slot: int, event: AwaitEvent) -> None:
        key, at, outcome = event.key, event.at, event.outcome
        if outcome is Outcome.CANCELLED:
            # The await was; the task is what it was.
            self.unwatched(key, at)
        elif _RESOLVABLE[self._records.state[slot]]:
            # The await went through, though its outcome be a cancelled task.
            failure = Failure("unknown error")
            if event.error is not None:
                failure = Failure(event.error, event.message, event.traceback)
            self._fail(slot, at, failure)

    def _line(self, slot: int) -> LineTally:
        return self._line_at[self._records.line_of(slot)]

    def _one_less(self, key: bytes) -> bool:
        more = self._more_awaits.pop(key, 0)
        if more > 1:
            self._more_awaits[key] = more - 1
        return more > 0

    def _fail(self, slot: int, at: float, failure: Failure) -> None:
        if failure.kind in TASK_CANCELLED:
            self._change(slot, RefState.CANCELLED, at)
            return
        if failure.kind in _END_OF_STREAM:
            # There is no such item, which nobody could know before.
            line = self._change(slot, RefState.RELEASED, at)
            line.counts[RefState.RELEASED] -= 1
            return
        if failure.kind.isupper():  # Ray's own name: WORKER_DIED
            failure = failure._replace(kind=failure.kind.lower().replace("_", " "))
        line = self._change(slot, RefState.FAILED, at)
        self._records.set_error(slot, failure.kind, failure.message)
        line.errors.add(failure, self._records.key(slot)[:TASK_ID_BYTES])

    def _change(self, slot: int, state: RefState, at: float) -> LineTally:
        """Give a ref another state, and count it there."""
        records = self._records
        line = self._line(slot)
        old = records.state[slot]
        line.counts[old] -= 1
        line.counts[state] += 1
        line.last_change = max(line.last_change, at)
        records.set_state(slot, state)
        if SETTLED[old] and not SETTLED[state]:
            self.pending += 1
            self._settled_first = 0
            records.ended[slot] = math.nan
        elif SETTLED[state] and not SETTLED[old]:
            self.pending -= 1
            line.pace.settled(at, (records.key(slot),))
            if math.isnan(records.ended[slot]):
                records.ended[slot] = at
            self._more_awaits.pop(records.key(slot), None)
            self._no_longer_awaited(slot, at)
        return line

    def _no_longer_awaited(self, slot: int, at: float) -> None:
        flag = self._records.flags[slot]
        self._records.flags[slot] = flag & ~AWAITED
        self._wait_for_fewer(flag & AWAITED, at)

    def _wait_for_more(self, count: int, at: float) -> None:
        self.waiting += count
        if count and self._waiting_since is None:
            self._waiting_since = at

    def _wait_for_fewer(self, count: int, at: float) -> None:
        self.waiting -= count
        if not self.waiting and self._waiting_since is not None:
            self._waited += max(0.0, at - self._waiting_since)
            self._waiting_since = None
