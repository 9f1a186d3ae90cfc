"""What Ray reports of the refs of cells. Not thread-safe."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ..._ray_api.object_ids import TASK_ID_BYTES
from ..events import Failure
from ..refs.store import ASKED_TO_END, AWAITED, FOLLOWED, SUBMITTED, TIMED
from ..refs.transitions import SETTLED, TASK_CANCELLED
from ..snapshots import RefState

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from ..._awaiting.error_text import Description
    from ..events import TaskEvent
    from .cell import Cell
    from .line import Line
    from .ref_states import RefStates


def cancelling(states: RefStates, key: bytes, at: float) -> None:
    """Note that the task of a ref was asked to end."""
    records = states.records
    for slot in records.slots_of(key):
        if not SETTLED[records.state[slot]]:
            records.flags[slot] |= ASKED_TO_END
            states.change(slot, RefState.CANCELLING, at)


def task_event(states: RefStates, slot: int, event: TaskEvent, *, ended: bool) -> None:
    """Take the event of the last attempt of a ref's task.

    Parameters
    ----------
    states, slot
        The record of the ref.
    event
        The event.
    ended
        Whether the task is known to have ended, rather than to be retried.
    """
    records = states.records
    records.set_run(slot, event)
    line, state = records.lines[slot], RefState(records.state[slot])
    states.changed.add(line.origin)
    if event.ended is not None and ended:
        records.flags[slot] |= TIMED
    if event.started is not None and (event.ended is not None or not state.settled):
        line.pace.ran(slot, event.started, event.ended)
    if state is RefState.FAILED and event.failure is not None:
        _explain(states, slot, line, event.failure)
    elif state is RefState.ENDED:
        if event.state.settled and ended:
            _end(states, slot, line.last_change, event)
    elif not state.settled:
        if event.state.settled:
            # The end of what is awaited is left to its await.
            if ended and not records.flags[slot] & AWAITED:
                at = event.at if event.ended is None else event.ended
                _end(states, slot, at, event)
        elif state not in (event.state, RefState.CANCELLING):
            states.change(slot, event.state, line.last_change)


def end_finished(
    states: RefStates,
    cell: Cell,
    keys: Iterable[bytes],
    running: Container[bytes],
    outcomes: Mapping[bytes, Description],
) -> None:
    """Settle those of a cell's refs whose task Ray no longer counts as running.

    Those whose outcome is not known count as ended.
    """
    records, now = states.records, time.monotonic()
    for key in keys:
        slot = records.slot_in(key, cell.origin)
        if (
            slot is not None
            and records.flags[slot] & FOLLOWED
            and not SETTLED[records.state[slot]]
            and key[:TASK_ID_BYTES] not in running
        ):
            what = outcomes.get(key)
            if what is None:
                states.change(slot, RefState.ENDED, now)
            else:
                _reveal(states, slot, now, what)


def reveal(states: RefStates, outcomes: Mapping[bytes, Description]) -> None:
    """Take what the objects of ended tasks were found to be."""
    records = states.records
    for key, what in outcomes.items():
        for slot in records.slots_of(key):
            if records.state[slot] == RefState.ENDED:
                _reveal(states, slot, records.lines[slot].last_change, what)


def session_ended(states: RefStates, cell: Cell, at: float) -> None:
    """Settle the refs of a cell whose tasks have ended with their Ray session."""
    records = states.records
    gone = Failure("SessionEndedError", "ray.shutdown() was called")
    for line in cell.lines.values():
        for slot in records.unsettled(line):
            if records.flags[slot] & (SUBMITTED | AWAITED) != SUBMITTED:
                continue
            if records.state[slot] == RefState.CANCELLING:
                # The session's end only came first.
                states.change(slot, RefState.ENDED, at)
            else:
                states.fail(slot, at, gone, elsewhere=False)


def _end(states: RefStates, slot: int, at: float, event: TaskEvent) -> None:
    """Count a ref as its task has ended."""
    if event.failure is not None:
        states.fail(slot, at, event.failure)
    elif not states.records.flags[slot] & ASKED_TO_END:
        states.change(slot, RefState.READY, at)
    elif states.records.state[slot] != RefState.ENDED:
        states.change(slot, RefState.ENDED, at)


def _reveal(states: RefStates, slot: int, at: float, what: Description) -> None:
    if what.error:
        states.fail(slot, at, Failure.of(*what))
    else:
        states.change(slot, RefState.READY, at)


def _explain(states: RefStates, slot: int, line: Line, failure: Failure) -> None:
    """Set why a ref failed, if no more than Ray's word for it was known."""
    kind, _, message = states.records.error(slot).partition(": ")
    if message or not kind or failure.kind in TASK_CANCELLED:
        line.errors.add_text(failure, states.records.keys[slot][:TASK_ID_BYTES])
    else:
        states.clear_error(slot, line)
        states.set_error(slot, line, failure)
