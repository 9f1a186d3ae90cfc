"""One record for each ref, in columns, in bounded memory.

A record is a slot: a number at which every column has its part. A hundred
thousand small objects would be walked by every full garbage collection of the
kernel; columns of plain numbers are not. Nothing in here is thread-safe, and
nothing decides what a state means: that is for `cell_reports`.
"""

from __future__ import annotations

import math
from array import array
from collections import deque
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeVar

from ..snapshots import RefState
from .columns import RefColumns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

Number = TypeVar("Number", int, float)

#: Somebody awaits or watches the ref.
AWAITED = 1
#: Its task was submitted here: it goes on though nobody awaits it.
SUBMITTED = 2
#: Released, so that a further await makes it pending again.
REVISABLE = 4
#: Ray says that its task has ended, by leaving it out of what runs.
FOLLOWED = 8
#: The task's own end is known, from its events.
TIMED = 16
#: Stands in the queue of those that may be evicted.
QUEUED = 32
#: Another cell had a record of the ref before; this one is left out of the totals.
AGAIN = 64
#: Its task was asked to end. Ray writes the same event (2.60) for a task that was
#: cancelled while it ran and for one that returned a value.
ASKED_TO_END = 128
#: An item of a generator that is not known to exist; it is in no count.
UNCOUNTED = 256

_UNKNOWN = math.nan
# What a column of 16 bits, and one of 8, can count.
_MOST_WORDS = 0xFFFF
_MOST_ATTEMPTS = 0xFF
_SETTLED = bytes(state.settled for state in RefState)
# Distinct errors that are kept with their messages.
_MOST_MESSAGES = 20_000
# So many entries of a line's log of changes are kept beyond twice its records.
_SPARE_LOG = 4096


class LineRecords:
    """Which slots are a line's, and in which order they changed.

    Parameters
    ----------
    forget
        Called with the id of each record that is evicted.
    """

    __slots__ = ("_log", "_log_start", "forget", "live", "made", "slots")

    def __init__(self, forget: Callable[[bytes], object]) -> None:
        self.forget = forget
        self.slots = array("I")
        #: Records ever made: the next one's index.
        self.made = 0
        #: Records that are still there.
        self.live = 0
        # The slot of each change, and the version before the first of them.
        self._log = array("I")
        self._log_start = 0

    @property
    def version(self) -> int:
        """How many changes there were."""
        return self._log_start + len(self._log)

    def changed(self, slots: Iterable[int]) -> None:
        """Note changes."""
        log = self._log
        log.extend(slots)
        if len(log) > 2 * self.live + _SPARE_LOG:
            half = len(log) // 2
            self._log_start += half
            del log[:half]

    def changed_since(self, version: int) -> Iterator[int]:
        """Give the slots that may have changed after `version`, each once.

        All of the line's when it is 0, or longer ago than is remembered.
        """
        if version <= 0 or version < self._log_start:
            return iter(dict.fromkeys(self.slots))
        return iter(dict.fromkeys(self._log[version - self._log_start :]))


class Records:
    """The records of all lines.

    Parameters
    ----------
    limit
        How many records are kept. Beyond it the one that settled first goes;
        one that has not settled never does.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.state = array("B")
        self.flags = array("H")
        self.submitted = array("d")
        self.started = array("d")
        self.ended = array("d")
        #: Bytes; not a number while that is unknown.
        self.size = array("d")
        #: None where there is no record.
        self.lines: list[LineRecords | None] = []
        self._keys: list[bytes] = []
        self._index = array("I")
        self._node = array("H")
        self._worker = array("I")
        self._attempt = array("B")
        self._error = array("H")
        self._free = array("I")
        self._settled: deque[int] = deque()
        # Texts that many records share stand once, by number; 0 is "".
        self._words = [""]
        self._number_of: dict[str, int] = {"": 0}

    def __len__(self) -> int:
        return len(self._keys) - len(self._free)

    def new(
        self,
        line: LineRecords,
        keys: Sequence[bytes],
        state: RefState,
        times: Sequence[float],
    ) -> Sequence[int]:
        """Make records, evict old ones if there are too many, and give the slots.

        Parameters
        ----------
        line
            The line of all.
        keys, times
            Each one's id, and when it was submitted.
        state
            Of all.
        """
        self._make_room(len(keys))
        slots = self._free[len(self._free) - min(len(keys), len(self._free)) :]
        reused = len(slots)
        if reused:
            del self._free[-reused:]
            # `_drop` left the other columns as those of a new record.
            for slot, key, at, index in zip(
                slots, keys, times, range(line.made, line.made + reused), strict=False
            ):
                self._keys[slot] = key
                self.lines[slot] = line
                self.state[slot] = state
                self.submitted[slot] = at
                self._index[slot] = index
        more = len(keys) - reused
        if more:
            slots.extend(range(len(self._keys), len(self._keys) + more))
            self._keys.extend(keys[reused:])
            self.lines.extend([line] * more)
            self.state.extend([state] * more)
            self.submitted.extend(times[reused:])
            self._index.extend(range(line.made + reused, line.made + len(keys)))
            for column in (self.started, self.ended, self.size):
                column.extend([_UNKNOWN] * more)
            for words in (
                *(self.flags, self._attempt),
                *(self._node, self._worker, self._error),
            ):
                words.frombytes(bytes(words.itemsize * more))
        line.made += len(keys)
        line.live += len(keys)
        line.slots.extend(slots)
        if len(line.slots) > 2 * line.live + 64:
            line.slots = array("I", self._of(line))
        line.changed(slots)
        return slots

    def set_state(self, slot: int, state: RefState) -> None:
        """Change the state; one that has settled may be evicted from now on."""
        self.state[slot] = state
        self._changed(slot)
        if _SETTLED[state] and not self.flags[slot] & QUEUED:
            self.flags[slot] |= QUEUED
            self._settled.append(slot)

    def may_evict(self, slots: Iterable[int]) -> None:
        """Note that these have settled; each has just got its `QUEUED`."""
        self._settled.extend(slots)

    def settled_last(self) -> Iterator[int]:
        """Give the slots of those that have settled, the last one first.

        One that has settled again stands where it did the first time.
        """
        return reversed(self._settled)

    def line_of(self, slot: int) -> LineRecords:
        """Give the line that a record is of."""
        line = self.lines[slot]
        assert line is not None
        return line

    def key(self, slot: int) -> bytes:
        """Give the ref's id."""
        return self._keys[slot]

    def error(self, slot: int) -> str:
        """Give what went wrong, "" if nothing."""
        return self._words[self._error[slot]]

    def set_error(self, slot: int, kind: str, message: str) -> None:
        """Note what went wrong; the class alone once there were too many texts."""
        many = len(self._words) > _MOST_MESSAGES
        self._error[slot] = self._number(
            f"{kind}: {message}" if message and not many else kind
        )
        self._changed(slot)

    def set_run(
        self,
        slot: int,
        *,
        started: float | None,
        ended: float | None,
        node: str,
        worker: int,
        attempt: int,
    ) -> None:
        """Note where and when the task ran; a change only if it is one."""
        new = (
            _UNKNOWN if started is None else started,
            _UNKNOWN if ended is None else ended,
            self._number(node),
            worker,
            min(attempt, _MOST_ATTEMPTS),
        )
        columns = (self.started, self.ended, self._node, self._worker, self._attempt)
        old = tuple(column[slot] for column in columns)
        if all(a == b or (a != a and b != b) for a, b in zip(old, new, strict=True)):
            return
        for column, value in zip(columns, new, strict=True):
            column[slot] = value  # type: ignore[index]
        self._changed(slot)

    def remove_all(self, lines: Iterable[LineRecords]) -> None:
        """Drop the records of these lines; it walks over all settled ones once."""
        for line in lines:
            for slot in list(self._of(line)):
                self._drop(slot, line)
            line.slots = array("I")
        # Their places in the queue must not stand for whoever gets the slots.
        self._settled = deque(s for s in self._settled if self.lines[s] is not None)

    def read(
        self, line: LineRecords, since: int, clock: float
    ) -> tuple[RefColumns, int]:
        """Give the records of a line that changed after version `since`.

        Those that were made since then are in their order.

        Parameters
        ----------
        line
            The line.
        since
            A version that this gave before, or 0 for all.
        clock
            What the records' times are to count from.
        """
        slots = self._changed_since(line, since)
        places = _places(slots)
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
        return columns, line.version

    def read_keys(self, line: LineRecords, since: int) -> list[bytes]:
        """Give the ids of the refs that `read` tells of, in the same order."""
        return [self._keys[slot] for slot in self._changed_since(line, since)]

    def _changed_since(self, line: LineRecords, since: int) -> list[int]:
        lines = self.lines
        return [slot for slot in line.changed_since(since) if lines[slot] is line]

    def _of(self, line: LineRecords) -> Iterator[int]:
        lines = self.lines
        return (s for s in dict.fromkeys(line.slots) if lines[s] is line)

    def _changed(self, slot: int) -> None:
        self.line_of(slot).changed((slot,))

    def _make_room(self, count: int) -> None:
        while self._settled and len(self) + count > self.limit:
            slot = self._settled.popleft()
            self.flags[slot] &= ~QUEUED
            line = self.lines[slot]
            # It may be pending again.
            if line is not None and _SETTLED[self.state[slot]]:
                line.forget(self._keys[slot])
                self._drop(slot, line)

    def _drop(self, slot: int, line: LineRecords) -> None:
        line.live -= 1
        self.lines[slot] = None
        self._keys[slot] = b""
        self.flags[slot] = self._attempt[slot] = 0
        self._node[slot] = self._worker[slot] = self._error[slot] = 0
        self.started[slot] = self.ended[slot] = self.size[slot] = _UNKNOWN
        self._free.append(slot)

    def _number(self, text: str) -> int:
        number = self._number_of.get(text)
        if number is None:
            if len(self._words) > _MOST_WORDS:
                return 0
            number = self._number_of[text] = len(self._words)
            self._words.append(text)
        return number


def _places(slots: Sequence[int]) -> slice | itemgetter[Any]:
    """Give where these slots are in a column.

    Those of a new line stand side by side: one copy of memory for a column.
    """
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
