"""Ray's own books: how many references it counts."""

from __future__ import annotations

from typing import Any

import ray


def local_references(key: bytes) -> int:
    """Give the number of local references to an object, by its id.

    Parameters
    ----------
    key
        ``ref.binary()``.
    """
    worker: Any = ray._private.worker.global_worker
    core = worker.core_worker
    counts = core.get_all_reference_counts().get(key.hex().encode(), {})
    return int(counts.get("local", 0))
