"""What Ray's own books say of one cell's refs, and which it should be asked about.

As in `cell`, nothing in here is thread-safe or knows where records come
from; the tracker owns the lock.
"""

from __future__ import annotations

import itertools
import math
import time
from typing import TYPE_CHECKING

from ..._ray_api.object_ids import TASK_ID_BYTES
from ..events import Failure
from ..refs.store import (
    ASKED_TO_END,
    AWAITED,
    FOLLOWED,
    SUBMITTED,
    TIMED,
    Records,
)
from ..refs.transitions import SETTLED, TASK_CANCELLED
from ..snapshots import RefState
from .cell import CellCounts

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from ..._awaiting.error_text import Description
    from ..events import TaskEvent
    from .line import LineTally


class CellTally(CellCounts):
    """All that is counted of one cell; made like a `CellCounts`."""

    def cancelling(self, key: bytes, at: float) -> bool:
        """Note that a ref's task was asked to end; tell whether that is news."""
        slot = self._slots.get(key)
        if slot is None or SETTLED[self._records.state[slot]]:
            return False
        self._records.flags[slot] |= ASKED_TO_END
        self._change(slot, RefState.CANCELLING, at)
        return True

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
        if state is RefState.FAILED and event.failure is not None:
            self._explain(slot, line, event.failure)
        elif state is RefState.ENDED:
            if event.state.settled and ended:
                self._end(slot, line.last_change, event)
        elif not state.settled:
            if event.state.settled:
                # The end of what is awaited is left to its await.
                if ended and not records.flags[slot] & AWAITED:
                    self._end(
                        slot, event.at if event.ended is None else event.ended, event
                    )
            elif state not in (event.state, RefState.CANCELLING):
                self._change(slot, event.state, line.last_change)

    def _end(self, slot: int, at: float, event: TaskEvent) -> None:
        """Count a ref as its task has ended."""
        if event.failure is not None:
            self._fail(slot, at, event.failure)
        elif not self._records.flags[slot] & ASKED_TO_END:
            self._change(slot, RefState.READY, at)
        elif self._records.state[slot] != RefState.ENDED:
            self._change(slot, RefState.ENDED, at)

    def unsettled(self, name: str | None = None) -> list[bytes]:
        """Give the ids of the refs that have not settled, of one line or all."""
        state = self._records.state
        keys = [key for key, slot in self._slots.items() if not SETTLED[state[slot]]]
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
            if not SETTLED[state[slot]]
            and flags[slot] & (FOLLOWED | AWAITED) == FOLLOWED
        ]

    def unexplained(self, since: float, most: int) -> list[bytes]:
        """Give the ids of which Ray's own books may have more to say.

        Those of the first `most` refs that have not settled, which are the most
        likely to run, and of the last `most` that settled after `since` and of
        whose tasks the end is not known from events. Takes the longer the more of
        these there are, not the more refs the cell has.
        """
        records = self._records
        state, flags = records.state, records.flags
        pending: list[bytes] = []
        refs = itertools.islice(self._slots.items(), self._settled_first, None)
        for key, slot in refs:
            if not SETTLED[state[slot]]:
                pending.append(key)
                if len(pending) == most:
                    break
            elif not pending:
                self._settled_first += 1
        settled: list[bytes] = []
        for slot in records.settled_last():
            if records.lines[slot] not in self._line_at or not SETTLED[state[slot]]:
                continue
            if not flags[slot] & TIMED:
                if records.ended[slot] <= since or len(settled) == most:
                    break
                settled.append(records.key(slot))
        return [*pending, *reversed(settled)]

    def failed_in(self, key: bytes) -> str | None:
        """Give the name of the line in which a ref has failed; None if it has not."""
        slot = self._slots.get(key)
        if slot is None or self._records.state[slot] != RefState.FAILED:
            return None
        return self._line(slot).name

    def is_followed(self, key: bytes) -> bool:
        """Whether Ray will tell, or has told, when this ref's task has ended."""
        slot = self._slots.get(key)
        return slot is not None and bool(self._records.flags[slot] & FOLLOWED)

    def is_pending(self, key: bytes) -> bool:
        """Whether this ref is known and has not settled."""
        slot = self._slots.get(key)
        return slot is not None and not SETTLED[self._records.state[slot]]

    def ended_with(
        self,
        running: Container[bytes],
        keys: Iterable[bytes],
        outcomes: Mapping[bytes, Description],
    ) -> bool:
        """Settle those of `keys` whose task Ray no longer counts as running.

        Those whose outcome is not known count as ended.

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
                and self._records.flags[slot] & FOLLOWED
                and not SETTLED[self._records.state[slot]]
                and key[:TASK_ID_BYTES] not in running
            ):
                found = True
                what = outcomes.get(key)
                if what is not None:
                    self._reveal(slot, now, what)
                else:
                    self._change(slot, RefState.ENDED, now)
        return found

    def ended_unknown(self) -> list[bytes]:
        """Return the ids of refs that have ended, it is not known how."""
        state = self._records.state
        return [
            key for key, slot in self._slots.items() if state[slot] == RefState.ENDED
        ]

    def reveal(self, outcomes: Mapping[bytes, Description]) -> bool:
        """Take what objects of ended tasks were found to be; return whether any is new.

        Objects that are not known here are passed over.
        """
        found = False
        for key, what in outcomes.items():
            slot = self._slots.get(key)
            if slot is not None and self._records.state[slot] == RefState.ENDED:
                self._reveal(slot, self._line(slot).last_change, what)
                found = True
        return found

    def _reveal(self, slot: int, at: float, what: Description) -> None:
        if what.error:
            self._fail(slot, at, Failure.of(*what))
        else:
            self._change(slot, RefState.READY, at)

    def session_ended(self, at: float) -> None:
        """Settle the refs whose tasks have ended with their Ray session."""
        gone = Failure("SessionEndedError", "ray.shutdown() was called")
        for key in self.unsettled():
            slot = self._slots[key]
            if self._records.flags[slot] & (SUBMITTED | AWAITED) != SUBMITTED:
                continue
            if self._records.state[slot] == RefState.CANCELLING:
                # The session's end only came first.
                self._change(slot, RefState.ENDED, at)
            else:
                self._fail(slot, at, gone, elsewhere=False)

    def _explain(self, slot: int, line: LineTally, failure: Failure) -> None:
        """Say better why a ref failed, if only Ray's word for it was known."""
        kind, _, message = self._records.error(slot).partition(": ")
        task = self._records.key(slot)[:TASK_ID_BYTES]
        if message or not kind or failure.kind in TASK_CANCELLED:
            line.errors.tell(failure, task)
            return
        again = self._again(slot)
        line.errors.remove(kind, "", again)
        line.errors.add(failure, task, again=again)
        self._records.set_error(slot, failure.kind, failure.message)


def _or_none(records: Records, slot: int) -> float | None:
    ended = records.ended[slot]
    return None if math.isnan(ended) else ended
