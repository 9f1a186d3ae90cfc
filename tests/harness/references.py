"""Ray's reference counts."""

from __future__ import annotations

from typing import Any

import ray


def local_references(key: bytes) -> int:
    """Return the number of local references to an object.

    Parameters
    ----------
    key
        ``ref.binary()``.
    """
    worker: Any = ray._private.worker.global_worker
    core = worker.core_worker
    counts = core.get_all_reference_counts().get(key.hex().encode(), {})
    return int(counts.get("local", 0))
