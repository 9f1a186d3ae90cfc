"""Counting: what one cell's submissions and awaits add up to.

Each call takes many at once, because there may be ten thousand in a second, and
what they have in common is done once for all. Nothing in here is thread-safe or
knows where records come from; the tracker owns the lock. Refs appear as ids
(`bytes`) only.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ..._awaiting.events import Outcome
from ..._ray_api.object_ids import TASK_ID_BYTES
from ..events import Failure
from ..refs.store import (
    AGAIN,
    AWAITED,
    FOLLOWED,
    QUEUED,
    REVISABLE,
    SUBMITTED,
    UNCOUNTED,
    LineRecords,
    Records,
)
from ..refs.transitions import (
    BEFORE,
    END_OF_STREAM,
    SETTLED,
    SPREAD,
    STATE_OF,
    TASK_CANCELLED,
)
from ..snapshots import CellProgress, RefState
from .line import LineTally, line_of
from .wait_clock import WaitClock

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

    from ..._awaiting.events import AwaitEvent
    from ..events import WatchEvent
    from ..refs.shared import SharedRefs


class CellCounts:
    """The counts of one cell, a line per name.

    Parameters
    ----------
    origin
        The cell.
    records
        Where the records of its refs lie.
    shared
        The refs that other cells know, too.
    told_of
        Whether Ray will tell, of a ref that another cell has submitted, when its
        task is no longer running.
    is_item
        Whether a ref is an item of a generator.
    """

    def __init__(
        self,
        origin: Hashable,
        records: Records,
        shared: SharedRefs,
        told_of: Callable[[bytes], bool],
        is_item: Callable[[bytes], bool],
    ) -> None:
        self.origin = origin
        self.lines: dict[str, LineTally] = {}
        self.code_finished = False
        #: How many refs have not settled.
        self.pending = 0
        # Only for refs that are awaited or watched does the cell wait.
        self._clock = WaitClock()
        self._records = records
        self._shared = shared
        self._told_of = told_of
        self._is_item = is_item
        self._slots: dict[bytes, int] = {}
        # So many of the first of these have settled, at least.
        self._settled_first = 0
        self._line_at: dict[LineRecords, LineTally] = {}
        # Of refs awaited more than once at a time: how many awaits beyond the
        # first are open.
        self._more_awaits: dict[bytes, int] = {}

    @property
    def waiting(self) -> int:
        """How many of the pending refs are awaited or watched."""
        return self._clock.waiting

    def submitted(
        self, name: str, times: Mapping[bytes, float], *, followed: bool
    ) -> None:
        """Count refs whose tasks were submitted. Known ones are passed over.

        Parameters
        ----------
        name
            Of all.
        times
            When, by id.
        followed
            Whether Ray will say when their tasks are no longer running.
        """
        known = self._slots
        new = {key: at for key, at in times.items() if key not in known}
        if new:
            more = SUBMITTED | FOLLOWED if followed else SUBMITTED
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
                flags[slot] |= AWAITED
            begun += len(times)
        self._clock.more(begun, events[0].at)
        for event in others:
            self._awaited_again(event.key, event.at, name_of)

    def settled(self, events: Iterable[AwaitEvent | WatchEvent]) -> None:
        """Count awaits and watches that end, and objects whose kind became known.

        Refs that the cell does not know are passed over.
        """
        find, lines = self._slots.get, self._records.lines
        outcome: Outcome | None = None
        alike: dict[LineRecords | None, list[tuple[int, AwaitEvent | WatchEvent]]] = {}
        for event in events:
            slot = find(event[1])
            if slot is None:
                continue
            if event[4] is not outcome:
                # In their order: one ref may be in both.
                self._settle_alike(outcome, alike)
                outcome, alike = event[4], {}
            if outcome in STATE_OF:
                alike.setdefault(lines[slot], []).append((slot, event))
            else:
                self._settle_otherwise(slot, event)
        self._settle_alike(outcome, alike)

    def learn(
        self, key: bytes, state: RefState, at: float, failure: Failure | None
    ) -> bool:
        """Take what another cell knows of the end of a ref; return whether it is news.

        A ref that is awaited here is left to its await.
        """
        slot = self._slots.get(key)
        if slot is None or self._records.flags[slot] & AWAITED:
            return False
        new = RefState.READY if state is RefState.RESOLVED else state
        old = self._records.state[slot]
        if failure is not None:
            if not BEFORE[RefState.FAILED][old]:
                return False
            self._fail(slot, at, failure)
            return True
        if new not in BEFORE or not BEFORE[new][old]:
            return False
        self._change(slot, new, at)
        return True

    def unwatched(self, key: bytes, at: float) -> None:
        """Take back an await or a watch; the task may run on, and stays counted."""
        slot = self._slots.get(key)
        if slot is None or SETTLED[self._records.state[slot]] or self._one_less(key):
            return
        flags = self._records.flags
        if self._is_item(key):
            # Of a generator, whose end may have come before it.
            self._uncount(slot, at)
            flags[slot] |= REVISABLE
            return
        if not flags[slot] & SUBMITTED and self._told_of(key):
            flags[slot] |= SUBMITTED | FOLLOWED
        if flags[slot] & SUBMITTED:
            self._no_longer_awaited(slot, at)
            return
        self._change(slot, RefState.RELEASED, at)
        flags[slot] |= REVISABLE

    def forget_records(self) -> list[LineRecords]:
        """Forget all ids; give the records to be removed."""
        for key in self._slots:
            self._shared.forget(key, self)
        self._slots, self._more_awaits, self._line_at = {}, {}, {}
        return [line.records for line in self.lines.values()]

    def read(self, now: float) -> CellProgress:
        """Return the counts as they are now."""
        return CellProgress(
            origin=self.origin,
            lines=tuple(line.read(now) for line in self.lines.values()),
            pending=self.pending,
            waited=self._clock.read(now),
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
        self._clock.more(1, at)

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
        again = self._shared.add(times, self)
        for key in again:
            self._records.flags[self._slots[key]] |= AGAIN
        line.again[RefState.PENDING_NODE] += len(again)
        return slots

    def _forget(self, key: bytes) -> None:
        # The record was evicted; the counts stay.
        del self._slots[key]
        self._shared.forget(key, self)
        # Whichever it was: so many still have.
        self._settled_first = max(0, self._settled_first - 1)
        if not self._slots:
            # A new one: a dict does not give back what it has grown to.
            self._slots = {}

    def _settle_alike(
        self,
        outcome: Outcome | None,
        found: Mapping[LineRecords | None, list[tuple[int, AwaitEvent | WatchEvent]]],
    ) -> None:
        """Give refs of some lines the state of an outcome, where they may have it.

        As `_change` does it for one.
        """
        for of_line, pairs in found.items():
            if of_line is not None and outcome is not None:
                self._settle_in(self._line_at[of_line], STATE_OF[outcome], pairs)

    def _settle_in(
        self,
        line: LineTally,
        new: RefState,
        found: Sequence[tuple[int, AwaitEvent | WatchEvent]],
    ) -> None:
        records, counts = self._records, line.counts
        state, flags, ended = records.state, records.flags, records.ended
        slots: list[int] = []
        unqueued: list[int] = []
        keys: list[bytes] = []
        awaited = 0
        last = line.last_change
        before, shared = BEFORE[new], bool(self._shared)
        for slot, event in found:
            old = state[slot]
            if not before[old]:
                continue
            at, size = event[3], event[8]
            counts[old] -= 1
            state[slot] = new
            slots.append(slot)
            if shared or old == RefState.FAILED:
                self._revise(slot, line, RefState(old), new, at)
            if at > last and (new == RefState.RESOLVED or not SETTLED[old]):
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
        counts[new] += len(slots)
        line.last_change = last
        line.records.changed(slots)
        records.may_evict(unqueued)
        self.pending -= len(keys)
        line.pace.settled(last, keys)
        if self._more_awaits:
            for key in keys:
                self._more_awaits.pop(key, None)
        self._clock.fewer(awaited, last)

    def _revise(
        self, slot: int, line: LineTally, old: RefState, new: RefState, at: float
    ) -> None:
        """Do what a change of state means beyond the counts of its line."""
        if self._again(slot):
            line.again[old] -= 1
            line.again[new] += 1
        self._shared.spread(self._records.key(slot), self, new, at)
        if old is RefState.FAILED:
            kind, _, message = self._records.error(slot).partition(": ")
            line.errors.remove(kind, message, self._again(slot))
            self._records.set_error(slot, "", "")

    def _settle_otherwise(self, slot: int, event: AwaitEvent | WatchEvent) -> None:
        key, at, outcome = event.key, event.at, event.outcome
        if outcome is Outcome.CANCELLED:
            # Only the await was cancelled; the task's state is unchanged.
            self.unwatched(key, at)
            return
        old = self._records.state[slot]
        # An await that no session could answer changes nothing about a known end.
        if SETTLED[old] and (
            outcome is Outcome.UNREACHABLE or not BEFORE[RefState.FAILED][old]
        ):
            return
        failure = Failure("unknown error")
        if event.error is not None:
            failure = Failure.of(event.error, event.message, event.traceback)
        elsewhere = outcome is not Outcome.UNREACHABLE
        if SETTLED[old] and event.kind != "settled":
            at = self._line(slot).last_change  # known late, ended before
        self._fail(slot, at, failure, elsewhere=elsewhere)

    def _uncount(self, slot: int, at: float) -> None:
        """Leave an item of a generator out of all counts: it may not exist."""
        line = self._change(slot, RefState.RELEASED, at)
        line.count(RefState.RELEASED, -1, again=self._again(slot))
        self._records.flags[slot] |= UNCOUNTED

    def _again(self, slot: int) -> int:
        """Return 1 for a ref that another cell counts, too, 0 for others."""
        return int(self._records.flags[slot] & AGAIN > 0)

    def _line(self, slot: int) -> LineTally:
        return self._line_at[self._records.line_of(slot)]

    def _one_less(self, key: bytes) -> bool:
        more = self._more_awaits.pop(key, 0)
        if more > 1:
            self._more_awaits[key] = more - 1
        return more > 0

    def _fail(
        self, slot: int, at: float, failure: Failure, *, elsewhere: bool = True
    ) -> None:
        """Count a ref as failed or cancelled, in other cells, too, if `elsewhere`."""
        key = self._records.key(slot)
        self._records.flags[slot] &= ~REVISABLE
        if failure.kind in END_OF_STREAM:
            # There is no such item, which is known only now.
            self._uncount(slot, at)
        elif failure.kind in TASK_CANCELLED:
            self._change(slot, RefState.CANCELLED, at)
        else:
            line = self._change(slot, RefState.FAILED, at)
            self._records.set_error(slot, failure.kind, failure.message)
            line.errors.add(failure, key[:TASK_ID_BYTES], again=self._again(slot))
        if elsewhere and self._shared:
            self._shared.spread(key, self, RefState.FAILED, at, failure)

    def _change(self, slot: int, state: RefState, at: float) -> LineTally:
        """Give a ref another state, and count it there."""
        records = self._records
        line = self._line(slot)
        old = RefState(records.state[slot])
        if records.flags[slot] & UNCOUNTED:
            records.flags[slot] &= ~UNCOUNTED
            line.count(old, 1, again=self._again(slot))
        line.move(old, state, again=self._again(slot))
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
        if state in SPREAD and self._shared:
            self._shared.spread(records.key(slot), self, state, at)
        return line

    def _no_longer_awaited(self, slot: int, at: float) -> None:
        flag = self._records.flags[slot]
        self._records.flags[slot] = flag & ~AWAITED
        self._clock.fewer(flag & AWAITED, at)
