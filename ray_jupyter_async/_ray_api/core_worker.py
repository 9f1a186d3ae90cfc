"""Which core worker is connected, and the functions that Ray's public API ends in.

Private API, seen in Ray 2.40.0 and 2.60.0.
"""

from __future__ import annotations

import sys
from types import CellType
from typing import Any

from ray._private import worker as _worker_module


def connected_core() -> Any | None:
    """Return the core worker of the connected local session, or None.

    A new session has a new core worker, so the object's identity is the
    session's identity.
    """
    worker = _worker_module.global_worker
    if not worker.connected:
        return None
    return core_of_process()


def core_of_process() -> Any | None:
    """Return the core worker that counts refs, until its very end."""
    return getattr(_worker_module.global_worker, "core_worker", None)


def is_client_ref(ref: object) -> bool:
    """Whether `ref` came over Ray Client, without importing grpc to find out."""
    module = sys.modules.get("ray.util.client.common")
    return module is not None and isinstance(ref, module.ClientObjectRef)


def local_implementation(name: str) -> CellType | None:
    """Return the closure cell that holds what a public function of Ray's calls.

    `ray.get`, `ray.wait` and `ray.cancel` end in `_private.worker.NAME`, which calls
    Ray Client's implementation or the function in this cell (2.40.0 and 2.60.0).
    Replaced there, the public function stays what it is for those who import it
    (before or after), compare or pickle it. None where this Ray is made otherwise.
    """
    function = getattr(_worker_module, name, None)
    names = getattr(getattr(function, "__code__", None), "co_freevars", ())
    cells = dict(zip(names, getattr(function, "__closure__", None) or (), strict=False))
    cell: CellType | None = cells.get("func")
    if cell is None or getattr(cell.cell_contents, "__name__", None) != name:
        return None
    return cell
