"""Questions to the connected session's core worker and to the GCS.

Private API, seen in Ray 2.40.0 and 2.60.0. Where it is gone, the answer is "unknown".
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import ray
from ray._private import worker as _worker_module

from .._log import logger
from .core_worker import connected_core
from .shutdown_gate import ClosedError, forget_gate, gate_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# The connected session's core worker, and its address.
_address: tuple[Any, bytes] | None = None


@contextmanager
def connected() -> Iterator[Any]:
    """Return the core worker, which stays until the exit; ClosedError without one."""
    core = connected_core()
    if core is None:
        raise ClosedError
    with gate_of(core):
        yield core


def forget_connection() -> None:
    """Release everything of the session; the next question finds it again."""
    global _address
    _address = None
    forget_gate()


def unfinished_of(parents: Iterable[Any]) -> list[list[bytes]] | None:
    """Return the ids of the driver's tasks that have not ended, then those of others.

    `parents` are those of other threads than the main one, from `parent_of_thread`.
    None if Ray is not connected, or does not report them.
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
    """Return this process's address as an owner; ClosedError without a session."""
    global _address
    with connected() as core:
        if _address is None or _address[0] is not core:
            _address = core, core.get_owner_address(cast("Any", ray).put(None))
        return _address[1]


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
    """The parent that Ray assigns to the tasks of a thread: made up, except in main."""

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
