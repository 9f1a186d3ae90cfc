"""The connected session's core worker, for those who ask Ray what it knows.

Private API, seen in Ray 2.40.0 and 2.60.0. Where it is gone, nothing is known.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import ray
from ray._private import worker as _worker_module

from .._awaiting.fetch.sessions import local_session_of
from ..errors import RayNotInitializedError
from .objects import before_disconnect, connected_core
from .shutdown_gate import ClosedError, Gate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from .._awaiting.error_text import Description

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


def forget_connection() -> None:
    """Hold nothing of the session; whoever asks next finds it again."""
    global _known, _address
    _known = _address = None


def unfinished_of(parents: Iterable[Any]) -> list[list[bytes]] | None:
    """Return the ids of the driver's tasks that have not ended, then those of others.

    Parameters
    ----------
    parents
        Of other threads than the main one, from `parent_of_thread`.

    Returns
    -------
    list of list of bytes, or None
        None when Ray is not connected, or does not say.
    """
    try:
        with connected() as core:
            return [
                [task.binary() for task in core.get_pending_children_task_ids(parent)]
                for parent in (_driver_task(core), *parents)
            ]
    except ClosedError:
        return None
    except Exception:
        logger.debug("this version of Ray does not say what runs", exc_info=True)
        return None


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


def outcomes_of(keys: Sequence[bytes]) -> dict[bytes, Description]:
    """Return what those objects of this process are that are on this node, by id."""
    if not keys:
        return {}
    try:
        owner = own_address()
        ref = cast("Any", ray).ObjectRef(keys[0], owner)
        objects = local_session_of(ref).objects
    except (ClosedError, RayNotInitializedError):
        return {}
    found = {key: objects.look_at(key, owner) for key in keys}
    return {key: what for key, what in found.items() if what is not None}


def gcs_answers(timeout: float = 1.0) -> bool | None:
    """Whether the GCS answers a small question within `timeout` seconds.

    Most other questions to the GCS have no timeout: Ray retries for a minute and then
    ends this process. About 1 ms where it answers. None when Ray is not connected, or
    when this version of Ray cannot be asked.
    """
    try:
        with connected():
            client = cast("Any", _worker_module.global_worker).gcs_client
            client.internal_kv_exists(b"ray_jupyter_async", None, timeout=timeout)
    except ClosedError:
        return None
    except cast("Any", ray).exceptions.RpcError:
        return False
    except Exception:
        logger.debug("this version of Ray cannot be asked for its GCS", exc_info=True)
        return None
    return True


class Parent(NamedTuple):
    """What Ray takes for the parent of the tasks that a thread submits.

    Attributes
    ----------
    task : ray.TaskID
        The driver's in the main thread, and a made-up one in each other.
    is_driver : bool
    """

    task: Any
    is_driver: bool


def parent_of_thread() -> Parent | None:
    """Return the parent of what the calling thread submits, None if unknown."""
    try:
        core = connected_core()
        if core is None:
            return None
        task = core.get_current_task_id()
        return Parent(task, bool(task == _driver_task(core)))
    except Exception:
        logger.debug("this version of Ray has no current task", exc_info=True)
        return None


def _driver_task(core: Any) -> Any:
    raylet = cast("Any", ray)._raylet
    job = raylet.JobID(core.get_current_job_id().binary())
    return raylet.TaskID.for_driver_task(job)
