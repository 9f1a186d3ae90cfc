"""One record for each ref, in columns, in bounded memory.

A record is a slot: a number at which every column has its part. A hundred
thousand small objects would be walked by every full garbage collection of the
kernel; columns of plain numbers are not. Nothing in here is thread-safe, and
nothing decides what a state means: that is for `tally`.
"""

from __future__ import annotations

import math
from array import array
from collections import deque
from typing import TYPE_CHECKING

from .progress import RefRecord, RefState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

#: Somebody awaits or watches the ref.
AWAITED = 1
#: Its task was submitted here: it goes on though nobody awaits it.
SUBMITTED = 2
#: Cancelled was the await, not the task: a further await makes it pending again.
REVISABLE = 4
#: Ray tells, by leaving it out of what runs, that its task has ended.
OF_DRIVER = 8
#: The task's own end is known, from its events.
TIMED = 16
# Stands in the queue of those that may be evicted.
_QUEUED = 32

_UNKNOWN = math.nan
# What a column of 16 bits can count.
_MOST_WORDS = 0xFFFF
_SETTLED = bytes(state.settled for state in RefState)
_STATES = tuple(RefState)
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

    def changed(self, slot: int) -> None:
        """Note a change."""
        log = self._log
        log.append(slot)
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
        self.state = bytearray()
        self.flags = bytearray()
        self.submitted = array("d")
        self.started = array("d")
        self.ended = array("d")
        self._keys: list[bytes] = []
        self._lines: list[LineRecords | None] = []
        self._index = array("I")
        self._node = array("H")
        self._worker = array("I")
        self._attempt = array("H")
        self.size = array("q")
        self._error = array("H")
        self._free = array("I")
        self._settled: deque[int] = deque()
        # Texts that many records share stand once, by number; 0 is "".
        self._words = [""]
        self._number_of: dict[str, int] = {"": 0}

    def __len__(self) -> int:
        return len(self._keys) - len(self._free)

    def new(self, line: LineRecords, key: bytes, state: RefState, at: float) -> int:
        """Make a record, and evict an old one if there are too many."""
        if len(self) >= self.limit:
            self._evict()
        if self._free:
            slot = self._free.pop()
            self._keys[slot] = key
            self._lines[slot] = line
            self.state[slot] = state
            self.flags[slot] = 0
            self.submitted[slot] = at
            self.started[slot] = self.ended[slot] = _UNKNOWN
            self._index[slot] = line.made
            self._node[slot] = self._worker[slot] = self._attempt[slot] = 0
            self.size[slot] = -1
            self._error[slot] = 0
        else:
            slot = len(self._keys)
            self._keys.append(key)
            self._lines.append(line)
            self.state.append(state)
            self.flags.append(0)
            self.submitted.append(at)
            self.started.append(_UNKNOWN)
            self.ended.append(_UNKNOWN)
            self._index.append(line.made)
            self._node.append(0)
            self._worker.append(0)
            self._attempt.append(0)
            self.size.append(-1)
            self._error.append(0)
        line.made += 1
        line.live += 1
        line.slots.append(slot)
        if len(line.slots) > 2 * line.live + 64:
            line.slots = array("I", self._of(line))
        line.changed(slot)
        return slot

    def set_state(self, slot: int, state: RefState) -> None:
        """Change the state; one that has settled may be evicted from now on."""
        self.state[slot] = state
        self.line_of(slot).changed(slot)
        if _SETTLED[state] and not self.flags[slot] & _QUEUED:
            self.flags[slot] |= _QUEUED
            self._settled.append(slot)

    def line_of(self, slot: int) -> LineRecords:
        """Give the line that a record is of."""
        line = self._lines[slot]
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
            min(attempt, _MOST_WORDS),
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
        self._settled = deque(s for s in self._settled if self._lines[s] is not None)

    def read(
        self, line: LineRecords, since: int, clock: float
    ) -> tuple[list[RefRecord], int]:
        """Give the records of a line that changed after version `since`.

        Parameters
        ----------
        line
            The line.
        since
            A version that this gave before, or 0 for all.
        clock
            What the records' times are to count from.
        """
        lines = self._lines
        rows = [
            self._row(slot, clock)
            for slot in line.changed_since(since)
            if lines[slot] is line
        ]
        rows.sort(key=lambda row: row.index)
        return rows, line.version

    def _row(self, slot: int, clock: float) -> RefRecord:
        started, ended = self.started[slot], self.ended[slot]
        size = self.size[slot]
        return RefRecord(
            self._index[slot],
            self._keys[slot],
            _STATES[self.state[slot]],
            self.submitted[slot] - clock,
            None if started != started else started - clock,
            None if ended != ended else ended - clock,
            self._words[self._node[slot]],
            self._worker[slot],
            self._attempt[slot],
            None if size < 0 else size,
            self._words[self._error[slot]],
        )

    def _of(self, line: LineRecords) -> Iterator[int]:
        lines = self._lines
        return (s for s in dict.fromkeys(line.slots) if lines[s] is line)

    def _changed(self, slot: int) -> None:
        self.line_of(slot).changed(slot)

    def _evict(self) -> None:
        while self._settled and len(self) >= self.limit:
            slot = self._settled.popleft()
            self.flags[slot] &= ~_QUEUED
            line = self._lines[slot]
            # It may be pending again.
            if line is not None and _SETTLED[self.state[slot]]:
                line.forget(self._keys[slot])
                self._drop(slot, line)

    def _drop(self, slot: int, line: LineRecords) -> None:
        line.live -= 1
        self._lines[slot] = None
        self._keys[slot] = b""
        self._free.append(slot)

    def _number(self, text: str) -> int:
        number = self._number_of.get(text)
        if number is None:
            if len(self._words) > _MOST_WORDS:
                return 0
            number = self._number_of[text] = len(self._words)
            self._words.append(text)
        return number
