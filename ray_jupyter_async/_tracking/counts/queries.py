"""Which refs of a cell are in question. Not thread-safe."""

from __future__ import annotations

import heapq
from itertools import islice
from typing import TYPE_CHECKING

from ..refs.store import AWAITED, FOLLOWED, TIMED
from ..refs.transitions import SETTLED
from ..snapshots import RefState

if TYPE_CHECKING:
    from ..refs.store import Records
    from .cell import Cell


def unsettled(records: Records, cell: Cell, name: str | None = None) -> list[bytes]:
    """Return the ids of the refs that have not settled, of one line or all."""
    return [
        records.keys[slot]
        for line in cell.lines.values()
        if name is None or line.name == name
        for slot in records.unsettled(line)
    ]


def left_behind(records: Records, cell: Cell) -> list[bytes]:
    """Return the ids of unsettled refs whose end only Ray reports."""
    if cell.pending == cell.clock.waiting:
        return []
    flags, keys = records.flags, records.keys
    return [
        keys[slot]
        for line in cell.lines.values()
        for slot in records.unsettled(line)
        if flags[slot] & (FOLLOWED | AWAITED) == FOLLOWED
    ]


def unexplained(records: Records, cell: Cell, since: float, most: int) -> list[bytes]:
    """Return the ids of refs of which task events may say more.

    Those of the first `most` refs that have not settled, which are the most likely to
    run, and of the last `most` that settled after `since` and whose tasks' ends are not
    known from events; and `most` with an unknown outcome, whenever they settled. Takes
    the longer the more of these there are; without unknown outcomes not the longer the
    more refs the cell has.
    """
    # In about their order over all lines.
    lines = [records.unsettled(line) for line in cell.lines.values()]
    pending = islice(lines[0] if len(lines) == 1 else heapq.merge(*lines), most)
    settled: list[int] = []
    for slot in reversed(records.settled):
        if records.lines[slot].origin is not cell.origin:
            continue
        if SETTLED[records.state[slot]] and not records.flags[slot] & TIMED:
            if records.ended[slot] <= since or len(settled) == most:
                break
            settled.append(slot)
    found = [records.keys[slot] for slot in (*pending, *reversed(settled))]
    if any(line.counts[RefState.ENDED] for line in cell.lines.values()):
        unknown = islice(ended_unknown(records, cell), most)
        found = list(dict.fromkeys((*found, *unknown)))
    return found


def ended_unknown(records: Records, cell: Cell) -> list[bytes]:
    """Return the ids of refs of which it is not known how they have ended."""
    return [
        records.keys[slot]
        for line in cell.lines.values()
        if line.counts[RefState.ENDED]
        for slot in records.of(line)
        if records.state[slot] == RefState.ENDED
    ]


def failed_line(records: Records, cell: Cell, key: bytes) -> str | None:
    """Return the name of the line in which a ref has failed; None if it has not."""
    slot = records.slot_in(key, cell.origin)
    if slot is None or records.state[slot] != RefState.FAILED:
        return None
    return records.lines[slot].name


def is_pending(records: Records, key: bytes) -> bool:
    """Whether a ref has not settled in some cell."""
    return any(not SETTLED[records.state[slot]] for slot in records.slots_of(key))
