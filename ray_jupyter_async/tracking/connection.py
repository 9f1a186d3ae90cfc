"""The connected session's core worker, for those who ask Ray what it knows.

Private API, seen in Ray 2.40.0 and 2.60.0. Where it is gone, nothing is known.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import ray

from ..awaiting.errors import RayNotInitializedError
from ..awaiting.gate import ClosedError, Gate
from ..awaiting.ray_internals import before_disconnect, connected_core
from ..awaiting.sessions import local_session_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

logger = logging.getLogger("ray_jupyter_async")

# The connected session's core worker, and its gate.
_known: tuple[Any, Gate] | None = None
# The same core worker, and its address.
_address: tuple[Any, bytes] | None = None


@contextmanager
def connected() -> Iterator[Any]:
    """Give the core worker, and keep it from being destroyed meanwhile.

    Raises
    ------
    ClosedError
        If no session is connected.
    """
    global _known
    core = connected_core()
    if core is None:
        raise ClosedError
    known = _known
    if known is None or known[0] is not core:
        gate = Gate()
        before_disconnect(gate.close)
        _known = known = (core, gate)
    with known[1]:
        yield core


def unfinished() -> list[bytes] | None:
    """Give the ids of the tasks that the main thread submitted and that run.

    About 2 us for each. None when Ray is not connected, or does not tell.
    """
    try:
        with connected() as core:
            pending = core.get_pending_children_task_ids(_driver_task(core))
    except ClosedError:
        return None
    except Exception:
        logger.debug("this version of Ray does not tell what runs", exc_info=True)
        return None
    return [task.binary() for task in pending]


def own_address() -> bytes:
    """Give the address of this process, as the owner of what it submits.

    Raises
    ------
    ClosedError
        If no session is connected.
    """
    global _address
    with connected() as core:
        if _address is None or _address[0] is not core:
            _address = core, core.get_owner_address(cast("Any", ray).put(None))
        return _address[1]


def outcomes_of(keys: Sequence[bytes]) -> dict[bytes, str]:
    """Tell what those objects of this process are that are on this node, by id.

    Returns
    -------
    dict
        Ray's name of the kind of error, or "" for a value.
    """
    if not keys:
        return {}
    try:
        owner = own_address()
        ref = cast("Any", ray).ObjectRef(keys[0], owner)
        objects = local_session_of(ref).objects
    except (ClosedError, RayNotInitializedError):
        return {}
    found = {key: objects.outcome(key, owner) for key in keys}
    return {key: outcome for key, outcome in found.items() if outcome is not None}


def submits_for_driver() -> bool:
    """Whether `unfinished` knows of what the calling thread submits.

    Ray gives every other thread than the driver's a made-up task as parent.
    """
    try:
        core = connected_core()
        return core is not None and bool(
            core.get_current_task_id() == _driver_task(core)
        )
    except Exception:
        return False


def _driver_task(core: Any) -> Any:
    raylet = cast("Any", ray)._raylet
    job = raylet.JobID(core.get_current_job_id().binary())
    return raylet.TaskID.for_driver_task(job)
