"""One record per ref and cell, in columns, in bounded memory.

A record is a slot: an index into every column. Columns of plain numbers cost the
garbage collector nothing, where a hundred thousand small objects would be walked by
every full collection. Nothing in here is thread-safe.
"""

from __future__ import annotations

from array import array
from collections import deque
from math import isnan, nan
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeVar

from ..counts.line import Line
from .columns import RefColumns
from .transitions import SETTLED

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Sequence

    from ..events import TaskEvent
    from ..snapshots import RefState

Number = TypeVar("Number", int, float)

# Flags.
#: The ref is being awaited or watched.
AWAITED = 1
#: Its task was submitted here, so that it goes on with no await.
SUBMITTED = 2
#: Released: a further await makes it pending again.
REVISABLE = 4
#: Ray reports the end of its task, by leaving it out of the running tasks.
FOLLOWED = 8
#: The end of its task is known from task events.
TIMED = 16
#: Stands in the queue of records that may be evicted.
QUEUED = 32
#: Another cell had a record of the ref before; this one is left out of the totals.
AGAIN = 64
#: Its task was asked to end. Ray writes the same event (2.60) for a task that was
#: cancelled while it ran and for one that returned a value.
ASKED_TO_END = 128
#: An item of a generator that is not known to exist; it is in no count.
UNCOUNTED = 256

# What a column of 16 bits, and one of 8, can count.
_MOST_WORDS = 0xFFFF
_MOST_ATTEMPTS = 0xFF
# Distinct errors that are kept with their messages.
_MOST_MESSAGES = 20_000
# The line of free slots.
_NO_LINE = Line("", 0.0, origin=object())


class Records:
    """The records of all cells.

    Beyond `limit` the record that settled first is evicted; one that has not settled
    never is.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.keys: list[bytes] = []
        self.lines: list[Line] = []
        self.state = array("B")
        self.flags = array("H")
        self.submitted = array("d")
        # NaN while unknown, as is the size in bytes.
        self.started = array("d")
        self.ended = array("d")
        self.size = array("d")
        #: The first record of each ref, and all records of refs that have several: few,
        #: as a rule.
        self.slot_of: dict[bytes, int] = {}
        self.shared: dict[bytes, list[int]] = {}
        #: Records that have settled. One that settles again keeps its place.
        self.settled: deque[int] = deque()
        self._index = array("I")
        self._node = array("H")
        self._worker = array("I")
        self._attempt = array("B")
        self._error = array("H")
        self._free = array("I")
        # Texts that many records share, and their indices.
        self._words = [""]
        self._number_of: dict[str, int] = {"": 0}

    def __len__(self) -> int:
        return len(self.keys) - len(self._free)

    def slots_of(self, key: bytes) -> Sequence[int]:
        """Return all records of a ref: one for each cell that knows it."""
        shared = self.shared.get(key)
        if shared is not None:
            return tuple(shared)
        slot = self.slot_of.get(key)
        return () if slot is None else (slot,)

    def slot_in(self, key: bytes, origin: Hashable) -> int | None:
        """Return the record of a ref in one cell, by the cell's own `origin` object."""
        slot = self.slot_of.get(key)
        if slot is None or self.lines[slot].origin is origin:
            return slot
        for other in self.shared.get(key, ()):
            if self.lines[other].origin is origin:
                return other
        return None

    def new(
        self, line: Line, times: dict[bytes, float], state: RefState
    ) -> tuple[Sequence[int], int]:
        """Make records, evicting old ones if there are too many.

        `times` is when each ref was submitted. Returns the slots, and how many of the
        refs other cells know, too.
        """
        count = len(times)
        self._make_room(count)
        keys, records = list(times), line.records
        slots = self._free[len(self._free) - min(count, len(self._free)) :]
        reused = len(slots)
        if reused:
            del self._free[-reused:]
            # `_drop` left the other columns as those of a new record.
            made = range(records.made, records.made + reused)
            for slot, (key, at), index in zip(slots, times.items(), made, strict=False):
                self.keys[slot] = key
                self.lines[slot] = line
                self.state[slot] = state
                self.submitted[slot] = at
                self._index[slot] = index
        more = count - reused
        if more:
            slots.extend(range(len(self.keys), len(self.keys) + more))
            self.keys.extend(keys[reused:])
            self.lines.extend([line] * more)
            self.state.extend([state] * more)
            self.submitted.extend(list(times.values())[reused:])
            self._index.extend(range(records.made + reused, records.made + count))
            for column in (self.started, self.ended, self.size):
                column.extend([nan] * more)
            for words in (
                *(self.flags, self._attempt),
                *(self._node, self._worker, self._error),
            ):
                words.frombytes(bytes(words.itemsize * more))
        records.made += count
        records.live += count
        records.slots.extend(slots)
        if len(records.slots) > 2 * records.live + 64:
            records.slots = array("I", self.of(line))
            records.settled_first = 0
        records.changed(slots)
        return slots, self._enter(keys, slots)

    def set_state(self, slot: int, state: RefState, at: float) -> None:
        """Change the state of a record; a settled one may be evicted from now on."""
        old, self.state[slot] = self.state[slot], state
        self._changed(slot)
        if not SETTLED[state]:
            if SETTLED[old]:
                self.ended[slot] = nan
                self.lines[slot].records.settled_first = 0
            return
        if isnan(self.ended[slot]):
            self.ended[slot] = at
        if not self.flags[slot] & QUEUED:
            self.flags[slot] |= QUEUED
            self.settled.append(slot)

    def of(self, line: Line) -> Iterator[int]:
        """Iterate over the records of a line, each once, in their order."""
        return self._of(line, line.records.slots)

    def unsettled(self, line: Line) -> Iterator[int]:
        """Iterate over the records of a line that have not settled, in their order.

        Repeated calls skip what has settled first.
        """
        lines, state, slots = self.lines, self.state, line.records.slots
        first = line.records.settled_first
        while first < len(slots) and (
            SETTLED[state[slots[first]]] or lines[slots[first]] is not line
        ):
            first += 1
        line.records.settled_first = first
        left = slots[first:]
        if line.records.live < len(slots):
            left = array("I", self._of(line, left))
        return (slot for slot in left if not SETTLED[state[slot]])

    def error(self, slot: int) -> str:
        """Return the error's text, "" if there is none."""
        return self._words[self._error[slot]]

    def set_error(self, slot: int, kind: str, message: str) -> None:
        """Set the error; without its message once there are too many texts."""
        many = len(self._words) > _MOST_MESSAGES
        self._error[slot] = self._number(
            f"{kind}: {message}" if message and not many else kind
        )
        self._changed(slot)

    def set_run(self, slot: int, event: TaskEvent) -> None:
        """Set where and when the task ran; an end stays until a better one is known."""
        known = _or_none(self.ended[slot])
        ended = known if event.ended is None else event.ended
        place = (
            self._number(event.node),
            event.worker,
            min(event.attempt, _MOST_ATTEMPTS),
        )
        if (event.started, ended, *place) == (
            _or_none(self.started[slot]),
            known,
            self._node[slot],
            self._worker[slot],
            self._attempt[slot],
        ):
            return
        self.started[slot] = nan if event.started is None else event.started
        self.ended[slot] = nan if ended is None else ended
        self._node[slot], self._worker[slot], self._attempt[slot] = place
        self._changed(slot)

    def remove_all(self, lines: Iterable[Line]) -> None:
        """Drop the records of lines; walks over all settled records once."""
        for line in lines:
            for slot in list(self.of(line)):
                self._drop(slot, line)
            line.records.slots = array("I")
        # Their places in the queue must not stand for the next users of the slots.
        self.settled = deque(
            slot for slot in self.settled if self.lines[slot] is not _NO_LINE
        )

    def read(self, line: Line, since: int) -> tuple[RefColumns, int]:
        """Return the records of a line that changed after a version, and its version.

        New records are in their order. Times count from the line's `first_awaited`.
        """
        places = _places(self._changed_since(line, since))
        clock = line.first_awaited
        columns = RefColumns(
            index=_pick(self._index, places),
            state=_pick(self.state, places),
            submitted=_after(clock, _pick(self.submitted, places)),
            started=_after(clock, _pick(self.started, places)),
            ended=_after(clock, _pick(self.ended, places)),
            node=_pick(self._node, places),
            worker=_pick(self._worker, places),
            attempt=_pick(self._attempt, places),
            size=_pick(self.size, places),
            error=_pick(self._error, places),
            words=self._words,
        )
        return columns, line.records.version

    def read_keys(self, line: Line, since: int) -> list[bytes]:
        """Return the ids of the refs that `read` returns, in the same order."""
        return [self.keys[slot] for slot in self._changed_since(line, since)]

    def _changed_since(self, line: Line, since: int) -> list[int]:
        lines = self.lines
        return [s for s in line.records.changed_since(since) if lines[s] is line]

    def _of(self, line: Line, slots: array[int]) -> Iterator[int]:
        # A slot that stands there twice was freed and taken again.
        lines, last = self.lines, dict.fromkeys(reversed(slots))
        return (slot for slot in reversed(last) if lines[slot] is line)

    def _changed(self, slot: int) -> None:
        self.lines[slot].records.changed((slot,))

    def _enter(self, keys: Sequence[bytes], slots: Sequence[int]) -> int:
        """Make records findable by id; mark and count those of refs known before."""
        slot_of = self.slot_of
        again = slot_of.keys() & keys
        if not again:
            slot_of.update(zip(keys, slots, strict=True))
            return 0
        for key, slot in zip(keys, slots, strict=True):
            if key in again:
                self.shared.setdefault(key, [slot_of[key]]).append(slot)
                self.flags[slot] |= AGAIN
            else:
                slot_of[key] = slot
        return len(again)

    def _make_room(self, count: int) -> None:
        while self.settled and len(self) + count > self.limit:
            slot = self.settled.popleft()
            self.flags[slot] &= ~QUEUED
            # It may be pending again.
            if SETTLED[self.state[slot]]:
                self._drop(slot, self.lines[slot])

    def _drop(self, slot: int, line: Line) -> None:
        key = self.keys[slot]
        shared = self.shared.get(key)
        if shared is None:
            del self.slot_of[key]
        else:
            shared.remove(slot)
            self.slot_of[key] = shared[0]
            if len(shared) == 1:
                del self.shared[key]
        line.records.live -= 1
        self.lines[slot] = _NO_LINE
        self.keys[slot] = b""
        self.flags[slot] = self._attempt[slot] = 0
        self._node[slot] = self._worker[slot] = self._error[slot] = 0
        self.started[slot] = self.ended[slot] = self.size[slot] = nan
        self._free.append(slot)

    def _number(self, text: str) -> int:
        number = self._number_of.get(text)
        if number is None:
            if len(self._words) > _MOST_WORDS:
                return 0
            number = self._number_of[text] = len(self._words)
            self._words.append(text)
        return number


def _or_none(number: float) -> float | None:
    return None if isnan(number) else number


def _places(slots: Sequence[int]) -> slice | itemgetter[Any]:
    """Return where slots are in a column; side by side is one copy of memory."""
    if not slots:
        return slice(0)
    if slots == list(range(slots[0], slots[-1] + 1)):
        return slice(slots[0], slots[-1] + 1)
    return itemgetter(*slots)


def _pick(column: array[Number], places: slice | itemgetter[Any]) -> array[Number]:
    if isinstance(places, slice):
        return column[places]
    return array(column.typecode, places(column))


def _after(clock: float, times: array[float]) -> array[float]:
    return array("d", [at - clock for at in times])
