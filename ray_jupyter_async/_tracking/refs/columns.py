"""Refs of a line as they were at one moment, in columns.

For those who take many refs at once: nothing is made for each of them. Whoever
looks for single ones takes `RefColumns.rows`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ..snapshots import RefRecord, RefState

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterator, Sequence

_STATES = tuple(RefState)


class RefColumns(NamedTuple):
    """The columns; what each means is said in `RefRecord`.

    Attributes
    ----------
    index : array of "I"
        Ascending, for those that are new.
    state : array of "B"
    submitted, started, ended : array of "d"
        Not a number while unknown.
    node : array of "H"
        Numbers of words.
    worker : array of "I"
    attempt : array of "B"
        255 also for more.
    size : array of "d"
        Not a number while unknown.
    error : array of "H"
        Numbers of words.
    words : sequence of str
        What the numbers stand for; 0 is "". More may be added later.
    """

    # Hides the method of tuples, which nobody wants of columns.
    index: array[int]  # type: ignore[assignment]
    state: array[int]
    submitted: array[float]
    started: array[float]
    ended: array[float]
    node: array[int]
    worker: array[int]
    attempt: array[int]
    size: array[float]
    error: array[int]
    words: Sequence[str]

    @property
    def length(self) -> int:
        """How many refs these are."""
        return len(self.state)

    def part(self, start: int, end: int) -> RefColumns:
        """Give the refs from one position to before another one."""
        columns: list[Any] = [column[start:end] for column in self[:-1]]
        return RefColumns._make([*columns, self.words])

    def rows(self, keys: Sequence[bytes]) -> Iterator[RefRecord]:
        """Give a record for each.

        Parameters
        ----------
        keys
            Their ids.
        """
        words = self.words
        for key, row in zip(keys, zip(*self[:-1], strict=True), strict=True):
            index, state, submitted, started, ended, node, worker, tries = row[:8]
            size, error = row[8:]
            yield RefRecord(
                index,
                key,
                _STATES[state],
                submitted,
                None if started != started else started,
                None if ended != ended else ended,
                words[node],
                worker,
                tries,
                None if size != size else int(size),
                words[error],
            )
