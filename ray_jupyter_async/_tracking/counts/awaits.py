"""What submissions, awaits and watches mean for the refs of cells. Not thread-safe."""

from __future__ import annotations

from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING

from ..._awaiting.events import Outcome
from ..events import Failure
from ..refs.store import AWAITED, FOLLOWED, REVISABLE, SUBMITTED
from ..refs.transitions import BEFORE, SETTLED, STATE_OF
from ..snapshots import RefState
from .cell_reports import cancelling

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

    from ..._awaiting.events import AwaitEvent
    from ..events import Submission, WatchEvent
    from .cell import Cell, Cells
    from .line import Line
    from .ref_states import RefStates

    Event = AwaitEvent | WatchEvent

_ALIKE = attrgetter("kind", "origin", "outcome")


class Awaits:
    """Applies events to cells."""

    def __init__(
        self,
        cells: Cells,
        states: RefStates,
        name_of: Callable[[bytes], str],
        is_item: Callable[[bytes], bool],
    ) -> None:
        self._cells = cells
        self._states = states
        self._name_of = name_of
        self._is_item = is_item

    def apply(self, events: Sequence[Event]) -> None:
        """Apply a batch, of which many in a row may be alike."""
        for (kind, origin, outcome), alike in groupby(events, _ALIKE):
            self._apply_alike(kind, origin, outcome, list(alike))

    def submitted(self, submissions: Iterable[Submission]) -> None:
        """Count the refs of submitted tasks."""
        alike: dict[tuple[Hashable, str, bool], dict[bytes, float]] = {}
        for new in submissions:
            times = alike.setdefault((new.origin, new.name, new.followed), {})
            if new.returns == 1:
                times[new.key] = new.at
            else:
                times.update(dict.fromkeys(new.ids(), new.at))
        for (origin, name, followed), times in alike.items():
            self.add_submitted(origin, name, times, followed=followed)

    def add_submitted(
        self, origin: Hashable, name: str, times: dict[bytes, float], *, followed: bool
    ) -> None:
        """Count refs of one name, by the time of their submission, unless known.

        If `followed`, Ray reports when their tasks are no longer running.
        """
        cell, records = self._cells.of(origin), self._states.records
        slot_of, slot_in = records.slot_of, records.slot_in
        new = {
            key: at
            for key, at in times.items()
            if key not in slot_of or slot_in(key, cell.origin) is None
        }
        if new:
            flag = SUBMITTED | FOLLOWED if followed else SUBMITTED
            line = cell.line(name, next(iter(new.values())))
            for slot in self._states.add(line, new):
                records.flags[slot] |= flag

    def _apply_alike(
        self,
        kind: str,
        origin: Hashable,
        outcome: Outcome | None,
        events: Sequence[Event],
    ) -> None:
        """Apply events of one kind, cell and outcome."""
        if kind == "cancelling":
            # In every cell that shows the ref.
            for event in events:
                cancelling(self._states, event.key, event.at)
            return
        # A value of a blocking call may be of refs that its cell does not know.
        cell = self._cells.get(origin) if kind == "got" else self._cells.of(origin)
        if cell is not None:
            self._states.changed.add(cell.origin)
            if kind == "awaited" or kind == "watched":
                self._awaited(cell, events)
            elif kind == "unwatched" or outcome is Outcome.CANCELLED:
                # Only the await was cancelled; the task's state is unchanged.
                self._unwatched(cell, events)
            elif outcome in STATE_OF:
                self._settled(cell, STATE_OF[outcome], events)
            else:
                self._failed(cell, events)
        if kind == "got":
            for event in events:
                for slot in self._states.records.slots_of(event.key):
                    self._states.learn(slot, RefState.RESOLVED, event.at)

    def _awaited(self, cell: Cell, events: Sequence[Event]) -> None:
        """Count awaits, or watches, that begin."""
        records, origin = self._states.records, cell.origin
        find, lines = records.slot_of.get, records.lines
        state, flags = records.state, records.flags
        begun = 0
        others: list[Event] = []
        by_name: dict[str, dict[bytes, float]] = {}
        for event in events:
            key = event.key
            slot = find(key)
            if slot is not None and lines[slot].origin is not origin:
                slot = records.slot_in(key, origin)
            if slot is None:
                new = by_name.setdefault(self._name_of(key), {})
                if key not in new:
                    new[key] = event.at
                    continue
            elif not (SETTLED[state[slot]] or flags[slot] & AWAITED):
                flags[slot] |= AWAITED
                begun += 1
                continue
            others.append(event)
        for name, times in by_name.items():
            line = cell.line(name, next(iter(times.values())))
            for slot in self._states.add(line, times):
                flags[slot] |= AWAITED
            begun += len(times)
        cell.clock.more(begun, events[0].at)
        for event in others:
            self._awaited_again(cell, event.key, event.at)

    def _awaited_again(self, cell: Cell, key: bytes, at: float) -> None:
        """Count an await, or a watch, of a ref that is awaited or has settled."""
        states, records = self._states, self._states.records
        flags = records.flags
        slot = records.slot_in(key, cell.origin)
        if slot is None:  # evicted by those that came with it
            (slot,) = states.add(cell.line(self._name_of(key), at), {key: at})
        if SETTLED[records.state[slot]]:
            if not flags[slot] & REVISABLE:
                return
            flags[slot] &= ~REVISABLE
            states.change(slot, RefState.PENDING_NODE, at)
        if flags[slot] & AWAITED:
            states.more_awaits[slot] = states.more_awaits.get(slot, 0) + 1
            return
        flags[slot] |= AWAITED
        cell.clock.more(1, at)

    def _settled(self, cell: Cell, new: RefState, events: Sequence[Event]) -> None:
        """Count awaits and watches that end, and objects whose kind became known."""
        records, origin = self._states.records, cell.origin
        find, lines = records.slot_of.get, records.lines
        by_line: dict[Line, list[tuple[int, Event]]] = {}
        for event in events:
            slot = find(event.key)
            if slot is not None and lines[slot].origin is not origin:
                slot = records.slot_in(event.key, origin)
            if slot is None:
                continue
            line = lines[slot]
            if line in by_line:
                by_line[line].append((slot, event))
            else:
                by_line[line] = [(slot, event)]
        for line, found in by_line.items():
            self._states.settle(line, new, found)

    def _failed(self, cell: Cell, events: Sequence[Event]) -> None:
        """Count awaits, watches and objects that turned out to be errors."""
        records = self._states.records
        for event in events:
            slot = records.slot_in(event.key, cell.origin)
            if slot is None:
                continue
            at, old = event.at, records.state[slot]
            unreachable = event.outcome is Outcome.UNREACHABLE
            if SETTLED[old]:
                # An await that no session could answer changes nothing about an end.
                if unreachable or not BEFORE[RefState.FAILED][old]:
                    continue
                if event.kind != "settled":
                    # It became known late.
                    at = records.lines[slot].last_change
            failure = Failure("unknown error")
            if event.error is not None:
                failure = Failure.of(event.error, event.message, event.traceback)
            self._states.fail(slot, at, failure, elsewhere=not unreachable)

    def _unwatched(self, cell: Cell, events: Sequence[Event]) -> None:
        """Take back awaits or watches; the tasks may run on, and stay counted."""
        states, records = self._states, self._states.records
        flags = records.flags
        for event in events:
            key, at = event.key, event.at
            slot = records.slot_in(key, cell.origin)
            if slot is None or SETTLED[records.state[slot]]:
                continue
            more = states.more_awaits.pop(slot, 0)
            if more:
                if more > 1:
                    states.more_awaits[slot] = more - 1
            elif self._is_item(key):
                # Of a generator, whose end may have come before it.
                states.uncount(slot, at)
                flags[slot] |= REVISABLE
            else:
                states.not_awaited(slot, at)
                # While it was awaited here, it did not learn from other cells.
                states.learn_if_known(slot)
                if SETTLED[records.state[slot]] or flags[slot] & SUBMITTED:
                    continue
                if states.is_followed(key):
                    flags[slot] |= SUBMITTED | FOLLOWED
                else:
                    states.change(slot, RefState.RELEASED, at)
                    flags[slot] |= REVISABLE
