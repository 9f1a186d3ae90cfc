"""Refs to asyncio: of use alone, in a script or a server, with no Jupyter.

What lives here imports ray and asyncio, never IPython.
"""

from __future__ import annotations

from .cancelling import Cancellation, CancelOutcome, cancel
from .completion import as_completed
from .converter import as_future
from .errors import (
    ClientDisconnectedError,
    PatchWarning,
    RayAwaitError,
    RayNotInitializedError,
    SessionEndedError,
    UnknownRefError,
)
from .gathering import gather, get
from .mapping import map  # noqa: A004 - see its definition
from .patch import is_patched, patch, patched, unpatch
from .streaming import stream
from .waiting import wait

__all__ = [
    "CancelOutcome",
    "Cancellation",
    "ClientDisconnectedError",
    "PatchWarning",
    "RayAwaitError",
    "RayNotInitializedError",
    "SessionEndedError",
    "UnknownRefError",
    "as_completed",
    "as_future",
    "cancel",
    "gather",
    "get",
    "is_patched",
    "map",
    "patch",
    "patched",
    "stream",
    "unpatch",
    "wait",
]
