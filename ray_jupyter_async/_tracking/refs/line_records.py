"""The records of one line: their slots, and the order in which they changed."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Entries of the log of changes that are kept beyond twice the number of records.
_SPARE_LOG = 4096


class LineRecords:
    """Which slots belong to a line, and a bounded log of their changes."""

    __slots__ = ("_log", "_log_start", "live", "made", "settled_first", "slots")

    def __init__(self) -> None:
        #: In the order in which they were taken. A slot that was freed may since belong
        #: to another line, or stand here twice.
        self.slots = array("I")
        #: Records ever made, which is the index of the next one, and those that exist.
        self.made = 0
        self.live = 0
        #: How many of the first slots have settled or were freed.
        self.settled_first = 0
        # The slot of each change, and the version before the first of them.
        self._log = array("I")
        self._log_start = 0

    @property
    def version(self) -> int:
        """How many changes there were."""
        return self._log_start + len(self._log)

    def changed(self, slots: Iterable[int]) -> None:
        """Log changes."""
        log = self._log
        log.extend(slots)
        if len(log) > 2 * self.live + _SPARE_LOG:
            half = len(log) // 2
            self._log_start += half
            del log[:half]

    def changed_since(self, version: int) -> Iterator[int]:
        """Iterate over the slots that may have changed after `version`, each once.

        All of them if the version is 0, or older than the log.
        """
        if version <= 0 or version < self._log_start:
            return iter(dict.fromkeys(self.slots))
        return iter(dict.fromkeys(self._log[version - self._log_start :]))
