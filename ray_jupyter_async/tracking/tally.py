"""Counting: what one cell's records add up to.

Nothing in here is thread-safe or knows where records come from; the tracker
owns the lock. Refs appear as ids (`bytes`) only.
"""

from __future__ import annotations

import math
import time
from collections import deque
from typing import TYPE_CHECKING

from ..awaiting.observing import Outcome
from .error_groups import Failure
from .lines import LineTally, line_of
from .object_ids import TASK_ID_BYTES
from .progress import CellProgress, RefState
from .records import (
    AWAITED,
    OF_DRIVER,
    REVISABLE,
    SUBMITTED,
    TIMED,
    LineRecords,
    Records,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Hashable, Iterable, Mapping

    from .task_events import TaskEvent

# The outcome of a cancelled task: as an awaiter gets it, and as Ray writes it on
# an object that is only watched or in its task's events.
TASK_CANCELLED = frozenset({"TaskCancelledError", "TASK_CANCELLED"})

_SETTLED = bytes(state.settled for state in RefState)


class CellTally:
    """The counts of one cell, a line per name.

    Parameters
    ----------
    origin
        The cell.
    records
        Where the records of its refs lie.
    """

    def __init__(self, origin: Hashable, records: Records) -> None:
        self.origin = origin
        self.lines: dict[str, LineTally] = {}
        self.code_finished = False
        #: How many refs have not settled, and how many of these are awaited or
        #: watched: only for those does the cell wait.
        self.pending = self.waiting = 0
        self._records = records
        self._slots: dict[bytes, int] = {}
        self._line_at: dict[LineRecords, LineTally] = {}
        # Of refs awaited more than once at a time: how many awaits beyond the
        # first are open.
        self._more_awaits: dict[bytes, int] = {}
        self._waited = 0.0
        self._waiting_since: float | None = None

    def submitted(self, key: bytes, at: float, name: str, *, of_driver: bool) -> None:
        """Count a ref whose task was submitted.

        Parameters
        ----------
        key, at, name
            Of the ref.
        of_driver
            Whether Ray will tell when its task is no longer running.
        """
        if key not in self._slots:
            flags = SUBMITTED | OF_DRIVER if of_driver else SUBMITTED
            self._records.flags[self._new(key, at, name)] |= flags

    def awaited(self, key: bytes, at: float, name_of: Callable[[bytes], str]) -> None:
        """Count an await, or a watch, that begins."""
        slot = self._slots.get(key)
        if slot is None:
            slot = self._new(key, at, name_of(key))
        flags = self._records.flags
        if _SETTLED[self._records.state[slot]]:
            if not flags[slot] & REVISABLE:
                return
            flags[slot] &= ~REVISABLE
            self._change(slot, RefState.PENDING_NODE, at)
        if flags[slot] & AWAITED:
            self._more_awaits[key] = self._more_awaits.get(key, 0) + 1
            return
        flags[slot] |= AWAITED
        self.waiting += 1
        if self._waiting_since is None:
            self._waiting_since = at

    def settled(
        self,
        key: bytes,
        at: float,
        outcome: Outcome | None,
        failure: Failure | None,
        size: int | None = None,
    ) -> None:
        """Count an await that ends. One that never began is passed over."""
        slot = self._slots.get(key)
        if slot is None:
            return
        open_ = not _SETTLED[self._records.state[slot]]
        if outcome is Outcome.CANCELLED:
            if open_ and not self._one_less(key):
                self._change(slot, RefState.CANCELLED, at)
                self._records.flags[slot] |= REVISABLE
            return
        if not open_ and self._records.state[slot] != RefState.READY:
            return
        if outcome is not Outcome.FAILED:
            self._change(slot, RefState.RESOLVED, at)
            if size is not None:
                self._records.size[slot] = size
        else:
            # The await went through, though its outcome be a cancelled task.
            self._fail(slot, at, failure or Failure("unknown error"))

    def ready(self, key: bytes, at: float, failure: Failure | None) -> None:
        """Count a ref whose object exists now, or whose task has failed."""
        slot = self._slots.get(key)
        if slot is None or _SETTLED[self._records.state[slot]]:
            return
        if failure is None:
            self._change(slot, RefState.READY, at)
        else:
            self._fail(slot, at, failure)

    def unwatched(self, key: bytes, at: float) -> None:
        """Take back a watch that nobody wants any more."""
        slot = self._slots.get(key)
        if slot is None or _SETTLED[self._records.state[slot]] or self._one_less(key):
            return
        if self._records.flags[slot] & SUBMITTED:
            self._no_longer_awaited(slot, key, at)
            return
        line = self._change(slot, RefState.RELEASED, at)
        if not line.total:
            self._remove(line)

    def cancelling(self, key: bytes, at: float) -> None:
        """Note that a ref's task was asked to end."""
        slot = self._slots.get(key)
        if slot is not None and not _SETTLED[self._records.state[slot]]:
            self._change(slot, RefState.CANCELLING, at)

    def task_event(self, key: bytes, event: TaskEvent, *, ended: bool) -> None:
        """Take what Ray's own books say of the task behind a ref.

        Parameters
        ----------
        key
            The ref's id.
        event
            The last attempt's.
        ended
            Whether the task is known to have ended; a failed attempt is else
            retried.
        """
        slot = self._slots.get(key)
        if slot is None:
            return
        records = self._records
        records.set_run(
            slot,
            started=event.started,
            ended=event.ended if event.ended is not None else _or_none(records, slot),
            node=event.node,
            worker=event.worker,
            attempt=event.attempt,
        )
        if event.ended is not None and ended:
            records.flags[slot] |= TIMED
        state = RefState(records.state[slot])
        line = self._line(slot)
        if event.started is not None:
            line.pace.ran(key, event.started, event.ended)
        if state is RefState.READY and event.failure is not None and ended:
            # It ended, as was seen before; now it is known how.
            self._fail(slot, line.last_change, event.failure)
        elif state is RefState.FAILED and event.failure is not None:
            self._explain(slot, line, event.failure)
        elif not state.settled:
            if event.state.settled:
                # Of what is awaited its awaiter tells the end.
                if ended and not records.flags[slot] & AWAITED:
                    at = event.ended if event.ended is not None else event.at
                    self.ready(key, at, event.failure)
            elif state not in (event.state, RefState.CANCELLING):
                self._change(slot, event.state, line.last_change)

    def unsettled(self, name: str | None = None) -> list[bytes]:
        """Give the ids of the refs that have not settled, of one line or all."""
        state = self._records.state
        keys = [key for key, slot in self._slots.items() if not _SETTLED[state[slot]]]
        if name is None:
            return keys
        line = self.lines.get(name)
        return [key for key in keys if self._line(self._slots[key]) is line]

    def left_behind(self) -> list[bytes]:
        """Give the ids of unsettled refs of which nobody but Ray tells the end."""
        records = self._records
        state, flags = records.state, records.flags
        return [
            key
            for key, slot in self._slots.items()
            if not _SETTLED[state[slot]]
            and flags[slot] & (OF_DRIVER | AWAITED) == OF_DRIVER
        ]

    def unexplained(self, since: float, most: int) -> list[bytes]:
        """Give the ids of which Ray's own books may have more to say.

        Those of the first `most` refs that have not settled, which are the most
        likely to run, and of the last `most` that settled after `since` and of
        whose tasks the end is not known from events.
        """
        records = self._records
        state, flags, ended = records.state, records.flags, records.ended
        pending: list[bytes] = []
        settled: deque[bytes] = deque(maxlen=most)
        for key, slot in self._slots.items():
            if not _SETTLED[state[slot]]:
                if len(pending) < most:
                    pending.append(key)
            elif ended[slot] > since and not flags[slot] & TIMED:
                settled.append(key)
        return [*pending, *settled]

    def failed_in(self, key: bytes) -> str | None:
        """Give the name of the line in which a ref has failed; None if it has not."""
        slot = self._slots.get(key)
        if slot is None or self._records.state[slot] != RefState.FAILED:
            return None
        return self._line(slot).name

    def is_pending(self, key: bytes) -> bool:
        """Whether this ref is known and has not settled."""
        slot = self._slots.get(key)
        return slot is not None and not _SETTLED[self._records.state[slot]]

    def ended_with(
        self,
        running: Container[bytes],
        keys: Iterable[bytes],
        failures: Mapping[bytes, str],
    ) -> bool:
        """Settle those of `keys` whose task Ray no longer counts as running.

        Returns
        -------
        bool
            Whether there were any.
        """
        found = False
        now = time.monotonic()
        for key in keys:
            slot = self._slots.get(key)
            if (
                slot is not None
                and self._records.flags[slot] & OF_DRIVER
                and not _SETTLED[self._records.state[slot]]
                and key[:TASK_ID_BYTES] not in running
            ):
                found = True
                error = failures.get(key)
                self.ready(key, now, None if error is None else Failure(error))
        return found

    def session_ended(self, at: float) -> None:
        """Settle the refs whose tasks have ended with their Ray session."""
        gone = Failure("SessionEndedError", "ray.shutdown() was called")
        for key in self.unsettled():
            slot = self._slots[key]
            if self._records.flags[slot] & (SUBMITTED | AWAITED) == SUBMITTED:
                self.ready(key, at, gone)

    def finish_code(self) -> None:
        """Note that the cell's code has ended; background tasks may still await."""
        self.code_finished = True

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

    def _new(self, key: bytes, at: float, name: str) -> int:
        line = line_of(self.lines, name, at, self._forget)
        self._line_at[line.records] = line
        slot = self._records.new(line.records, key, RefState.PENDING_NODE, at)
        line.counts[RefState.PENDING_NODE] += 1
        line.last_change = max(line.last_change, at)
        self._slots[key] = slot
        self.pending += 1
        return slot

    def _forget(self, key: bytes) -> None:
        # The record was evicted; the counts stay.
        del self._slots[key]
        if not self._slots:
            # A new one: a dict does not give back what it has grown to.
            self._slots = {}

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
        if failure.kind.isupper():  # Ray's own name: WORKER_DIED
            failure = failure._replace(kind=failure.kind.lower().replace("_", " "))
        line = self._change(slot, RefState.FAILED, at)
        self._records.set_error(slot, failure.kind, failure.message)
        line.errors.add(failure, self._records.key(slot)[:TASK_ID_BYTES])

    def _explain(self, slot: int, line: LineTally, failure: Failure) -> None:
        """Say better why a ref failed, if only Ray's word for it was known."""
        kind, _, message = self._records.error(slot).partition(": ")
        task = self._records.key(slot)[:TASK_ID_BYTES]
        if message or not kind or failure.kind in TASK_CANCELLED:
            line.errors.tell(failure, task)
            return
        line.errors.remove(kind, "")
        line.errors.add(failure, task)
        self._records.set_error(slot, failure.kind, failure.message)

    def _change(self, slot: int, state: RefState, at: float) -> LineTally:
        """Give a ref another state, and count it there."""
        records = self._records
        line = self._line(slot)
        old = records.state[slot]
        line.counts[old] -= 1
        line.counts[state] += 1
        line.last_change = max(line.last_change, at)
        records.set_state(slot, state)
        if _SETTLED[old] and not _SETTLED[state]:
            self.pending += 1
            records.ended[slot] = math.nan
        elif _SETTLED[state] and not _SETTLED[old]:
            self.pending -= 1
            line.pace.settled(at, records.key(slot))
            if math.isnan(records.ended[slot]):
                records.ended[slot] = at
            self._more_awaits.pop(records.key(slot), None)
            self._no_longer_awaited(slot, records.key(slot), at)
        return line

    def _no_longer_awaited(self, slot: int, key: bytes, at: float) -> None:
        if not self._records.flags[slot] & AWAITED:
            return
        self._records.flags[slot] &= ~AWAITED
        self.waiting -= 1
        if not self.waiting and self._waiting_since is not None:
            self._waited += max(0.0, at - self._waiting_since)
            self._waiting_since = None

    def _remove(self, line: LineTally) -> None:
        for key in [k for k, s in self._slots.items() if self._line(s) is line]:
            del self._slots[key]
        del self.lines[line.name], self._line_at[line.records]
        self._records.remove_all([line.records])


def _or_none(records: Records, slot: int) -> float | None:
    ended = records.ended[slot]
    return None if math.isnan(ended) else ended
