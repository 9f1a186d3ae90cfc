"""Changes of the states of refs, and what they mean for the counts. Not thread-safe.

Many refs of a kind change at once, ten thousand in a second: what they have in common
is done once for all.
"""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING

from ..._ray_api.object_ids import TASK_ID_BYTES, return_id
from ..events import Failure
from ..refs.store import (
    AGAIN,
    AWAITED,
    FOLLOWED,
    QUEUED,
    REVISABLE,
    UNCOUNTED,
    Records,
)
from ..refs.transitions import BEFORE, END_OF_STREAM, SETTLED, SPREAD, TASK_CANCELLED
from ..snapshots import RefState

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from ..._awaiting.events import AwaitEvent
    from ..events import WatchEvent
    from .line import Line


class RefStates:
    """The state of every ref in every cell.

    Attributes
    ----------
    records
        One for each ref of each cell.
    changed
        The cells that have changed, by their origins.
    more_awaits
        For refs that are awaited more than once at a time, by record: how many awaits
        beyond the first are open.
    """

    def __init__(self, limit: int) -> None:
        self.records = Records(limit)
        self.changed: set[Hashable] = set()
        self.more_awaits: dict[int, int] = {}

    def take_changed(self) -> set[Hashable]:
        """Return `changed`, and clear it."""
        changed, self.changed = self.changed, set()
        return changed

    def add(self, line: Line, times: dict[bytes, float]) -> Sequence[int]:
        """Count new refs as pending; return their records."""
        slots, again = self.records.new(line, times, RefState.PENDING_NODE)
        line.counts[RefState.PENDING_NODE] += len(slots)
        line.again[RefState.PENDING_NODE] += again
        line.last_change = max(line.last_change, max(times.values()))
        self.changed.add(line.origin)
        return slots

    def change(self, slot: int, state: RefState, at: float) -> Line:
        """Change the state of a ref, and count it there; return its line."""
        records = self.records
        line, old, flag = records.lines[slot], records.state[slot], records.flags[slot]
        again = bool(flag & AGAIN)
        if flag & UNCOUNTED:
            records.flags[slot] &= ~UNCOUNTED
        else:
            line.count(old, -1, again=again)
        line.count(state, 1, again=again)
        line.last_change = max(line.last_change, at)
        records.set_state(slot, state, at)
        if SETTLED[state] and not SETTLED[old]:
            line.pace.settled(at, (slot,))
            self.more_awaits.pop(slot, None)
            self.not_awaited(slot, at)
        self.changed.add(line.origin)
        if state in SPREAD:
            self._spread(slot, state, at)
        return line

    def fail(
        self, slot: int, at: float, failure: Failure, *, elsewhere: bool = True
    ) -> None:
        """Count a ref as failed or cancelled, in other cells, too, if `elsewhere`."""
        records = self.records
        records.flags[slot] &= ~REVISABLE
        if failure.kind in END_OF_STREAM:
            # There is no such item, which is known only now.
            self.uncount(slot, at)
        elif failure.kind in TASK_CANCELLED:
            self.change(slot, RefState.CANCELLED, at)
        else:
            line = self.change(slot, RefState.FAILED, at)
            self.set_error(slot, line, failure)
        if elsewhere:
            self._spread(slot, RefState.FAILED, at, failure)

    def set_error(self, slot: int, line: Line, failure: Failure) -> None:
        """Set why a ref has failed."""
        records = self.records
        records.set_error(slot, failure.kind, failure.message)
        task, again = records.keys[slot][:TASK_ID_BYTES], records.flags[slot] & AGAIN
        line.errors.add(failure, task, again=int(again > 0))

    def clear_error(self, slot: int, line: Line) -> None:
        """Take back why a ref has failed."""
        kind, _, message = self.records.error(slot).partition(": ")
        line.errors.remove(kind, message, int(self.records.flags[slot] & AGAIN > 0))
        self.records.set_error(slot, "", "")

    def uncount(self, slot: int, at: float) -> None:
        """Leave an item of a generator out of all counts: it may not exist."""
        line = self.change(slot, RefState.RELEASED, at)
        flag = self.records.flags[slot]
        line.count(RefState.RELEASED, -1, again=bool(flag & AGAIN))
        self.records.flags[slot] = flag | UNCOUNTED

    def settle(
        self,
        line: Line,
        new: RefState,
        found: Sequence[tuple[int, AwaitEvent | WatchEvent]],
    ) -> None:
        """Change the states of refs of one line, as far as each may change.

        Like `change` for each of them. The state is not that of a failure.
        """
        records, counts = self.records, line.counts
        state, flags, ended = records.state, records.flags, records.ended
        slots: list[int] = []
        unqueued: list[int] = []
        ends: list[int] = []
        awaited = 0
        last = line.last_change
        before, shared = BEFORE[new], bool(records.shared)
        for slot, event in found:
            old = state[slot]
            if not before[old]:
                continue
            at, size = event.at, event.size
            counts[old] -= 1
            state[slot] = new
            slots.append(slot)
            if shared or old == RefState.FAILED:
                self._revise(slot, line, old, new, at)
            if at > last and (new == RefState.RESOLVED or not SETTLED[old]):
                last = at
            if size is not None:
                records.size[slot] = size
            if SETTLED[old]:
                continue
            ends.append(slot)
            flag = flags[slot]
            awaited += flag & AWAITED
            if not flag & QUEUED:
                unqueued.append(slot)
            flags[slot] = flag & ~AWAITED | QUEUED
            if isnan(ended[slot]):
                ended[slot] = at
            if self.more_awaits:
                self.more_awaits.pop(slot, None)
        counts[new] += len(slots)
        line.last_change = last
        line.records.changed(slots)
        records.settled.extend(unqueued)
        line.pace.settled(last, ends)
        line.clock.fewer(awaited, last)

    def learn(
        self, slot: int, state: RefState, at: float, failure: Failure | None = None
    ) -> None:
        """Take what another cell knows of the end of a ref.

        A ref that is awaited here is left to its await.
        """
        if self.records.flags[slot] & AWAITED:
            return
        old = self.records.state[slot]
        new = RefState.READY if state is RefState.RESOLVED else state
        if not BEFORE[new][old]:
            return
        if failure is None:
            self.change(slot, new, at)
        else:
            self.fail(slot, at, failure)

    def learn_if_known(self, slot: int) -> None:
        """Take what another cell knows of the end of a ref, if one does."""
        records = self.records
        for other in records.slots_of(records.keys[slot]):
            state, at = RefState(records.state[other]), records.lines[other].last_change
            if state is RefState.FAILED:
                kind, _, message = records.error(other).partition(": ")
                self.learn(slot, state, at, Failure(kind, message))
            elif state is RefState.CANCELLED:
                self.learn(slot, RefState.FAILED, at, Failure("TaskCancelledError"))
            elif state is RefState.RESOLVED or state in SPREAD:
                self.learn(slot, state, at)

    def not_awaited(self, slot: int, at: float) -> None:
        """Note that a ref is no longer awaited."""
        flag = self.records.flags[slot]
        self.records.flags[slot] = flag & ~AWAITED
        self.records.lines[slot].clock.fewer(flag & AWAITED, at)

    def is_followed(self, key: bytes) -> bool:
        """Whether Ray reports when the task of a ref has ended."""
        flags = self.records.flags
        slots = self.records.slots_of(return_id(key[:TASK_ID_BYTES]))
        return any(flags[slot] & FOLLOWED for slot in slots)

    def _revise(
        self, slot: int, line: Line, old: int, new: RefState, at: float
    ) -> None:
        """Do what a change of state means beyond the counts of its line."""
        if self.records.flags[slot] & AGAIN:
            line.again[old] -= 1
            line.again[new] += 1
        self._spread(slot, new, at)
        if old == RefState.FAILED:
            self.clear_error(slot, line)

    def _spread(
        self, slot: int, state: RefState, at: float, failure: Failure | None = None
    ) -> None:
        """Let the other cells that know a ref learn how it has ended."""
        for other in tuple(self.records.shared.get(self.records.keys[slot], ())):
            if other != slot:
                self.learn(other, state, at, failure)
