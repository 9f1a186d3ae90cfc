"""Refs of a line at one moment, in columns, so that no object is made for each."""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING, Any, NamedTuple

from ..snapshots import RefRecord, RefState

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterator, Sequence

_STATES = tuple(RefState)


class RefColumns(NamedTuple):
    """One column for each field of `RefRecord` other than the key."""

    #: Ascending for new refs. (It hides a method of tuples.)
    index: array[int]  # type: ignore[assignment]
    state: array[int]
    #: Times, and the size, are NaN while unknown.
    submitted: array[float]
    started: array[float]
    ended: array[float]
    #: Indices into `words`, as those of `error`.
    node: array[int]
    worker: array[int]
    #: 255 also stands for more.
    attempt: array[int]
    size: array[float]
    error: array[int]
    #: The first is "". Others may be appended later.
    words: Sequence[str]

    @property
    def length(self) -> int:
        """The number of refs."""
        return len(self.state)

    def part(self, start: int, end: int) -> RefColumns:
        """Return the refs from position `start` up to, not including, `end`."""
        columns: list[Any] = [column[start:end] for column in self[:-1]]
        return RefColumns._make([*columns, self.words])

    def rows(self, keys: Sequence[bytes]) -> Iterator[RefRecord]:
        """Yield a record for each ref, given all their ids."""
        words = self.words
        rows: Iterator[Any] = zip(keys, *self[:-1], strict=True)
        for key, index, state, sub, start, end, node, worker, tries, size, err in rows:
            yield RefRecord(
                index,
                key,
                _STATES[state],
                sub,
                None if isnan(start) else start,
                None if isnan(end) else end,
                words[node],
                worker,
                tries,
                None if isnan(size) else int(size),
                words[err],
            )
