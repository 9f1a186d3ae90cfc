"""Records of refs as a test writes them down, in the columns that displays read."""

from __future__ import annotations

from array import array
from math import nan
from typing import TYPE_CHECKING

from ray_jupyter_async._tracking.refs.columns import RefColumns

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ray_jupyter_async._tracking.snapshots import RefRecord


def columns_of(records: Iterable[RefRecord]) -> RefColumns:
    """Return these records as `Tracker.read_columns` does."""
    rows = list(records)
    words = [*dict.fromkeys(["", *(word for r in rows for word in (r.node, r.error))])]
    number = {word: place for place, word in enumerate(words)}
    return RefColumns(
        index=array("I", [r.index for r in rows]),
        state=array("B", [r.state for r in rows]),
        submitted=array("d", [r.submitted for r in rows]),
        started=array("d", [nan if r.started is None else r.started for r in rows]),
        ended=array("d", [nan if r.ended is None else r.ended for r in rows]),
        node=array("H", [number[r.node] for r in rows]),
        worker=array("I", [r.worker for r in rows]),
        attempt=array("B", [r.attempt for r in rows]),
        size=array("d", [nan if r.size is None else r.size for r in rows]),
        error=array("H", [number[r.error] for r in rows]),
        words=words,
    )
