"""What Ray's GCS knows: nodes, actors and tasks.

Private API, seen in Ray 2.40.0 and 2.60.0; no dashboard is needed. Where it is gone,
nothing is known. These questions have no timeout: Ray retries for a minute and then
ends this process, so ask `connection.gcs_answers` first. Any thread may ask.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

import ray
from ray._private import worker as _worker_module

from .._log import logger
from .connection import connected
from .shutdown_gate import ClosedError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

# A serialised TaskEvents begins with its task's id: field 1, 24 bytes.
_ID_FIELD = b"\n\x18"
_ID = slice(2, 26)
_NANO = 1e-9


class Node(NamedTuple):
    """A node that is alive; resources by name."""

    id: str
    address: str
    total: Mapping[str, float]
    free: Mapping[str, float]


class Actor(NamedTuple):
    """An actor: Ray's word for its state, ``"ALIVE"``, and the resources it needs."""

    state: str
    resources: Mapping[str, float]


class TaskReport(NamedTuple):
    """The last attempt of a task as reported; empty or 0 where nothing is known."""

    #: 0 for the first.
    attempt: int
    #: When it came to be in each status, by its node's wall clock (seconds).
    times: Mapping[str, float]
    #: Ray's error type, ``"WORKER_DIED"``, and text; the type of the attempt before.
    error: str
    message: str
    error_before: str
    #: Its node's address, or the beginning of the node's id, and its process id.
    node: str
    worker: int
    resources: Mapping[str, float]
    #: The actor whose method it is.
    actor: bytes


def read_nodes() -> list[Node] | None:
    """Return the nodes, in 1 to 2 ms; None if they are not known."""
    with _BestEffort("cluster status"):
        from ray.core.generated import autoscaler_pb2

        parts = cast("Any", autoscaler_pb2)
        with connected():
            client: Any = cast("Any", _worker_module.global_worker).gcs_client
            reply = parts.GetClusterStatusReply.FromString(client.get_cluster_status())
        return [
            Node(
                node.node_id.hex(),
                node.node_ip_address,
                dict(node.total_resources),
                dict(node.available_resources),
            )
            for node in reply.cluster_resource_state.node_states
            if node.status != parts.NodeStatus.DEAD
        ]
    return None


def read_actor(actor: bytes) -> Actor | None:
    """Return an actor's state; None if it is not known."""
    with _BestEffort("actors"):
        from ray.core.generated import gcs_pb2

        table = cast("Any", gcs_pb2).ActorTableData
        with connected():
            serialised = _accessor().get_actor_info(cast("Any", ray).ActorID(actor))
        if serialised:
            found = table.FromString(serialised)
            state = table.ActorState.Name(found.state)
            return Actor(state, dict(found.required_resources))
    return None


def read_tasks(wanted: Collection[bytes]) -> dict[bytes, TaskReport]:
    """Return what is known of tasks, by id.

    Takes time for each attempt that the GCS knows, of any task: there is no filter.
    0.3 s for 12,000 attempts, most of it in the GCS.

    Parameters
    ----------
    wanted
        Ids of tasks, a set or dict.
    """
    with _BestEffort("task events"):
        with connected():
            serialised: list[bytes] = _accessor().get_task_events()
        return _read(serialised, wanted)
    return {}


class _BestEffort:
    """Suppress errors: Ray is not connected, or its private API has changed."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
        if isinstance(error, Exception) and not isinstance(error, ClosedError):
            logger.debug("no %s from this Ray", self._what, exc_info=error)
        return isinstance(error, Exception)


def _accessor() -> Any:
    """Return Ray's client of the GCS's tables, within `connected`."""
    from ray._private.state import state

    known = cast("Any", state)
    connect = getattr(known, "_connect_and_get_accessor", None)
    if connect is not None:
        return connect()
    known._check_connected()  # 2.40
    return known.global_state_accessor


def _read(
    serialised: list[bytes], wanted: Collection[bytes]
) -> dict[bytes, TaskReport]:
    from ray.core.generated import common_pb2, gcs_pb2

    parse = cast("Any", gcs_pb2).TaskEvents.FromString
    statuses = cast("Any", common_pb2).TaskStatus
    errors = cast("Any", common_pb2).ErrorType
    last: dict[bytes, Any] = {}
    error_of: dict[tuple[bytes, int], str] = {}
    for raw in serialised:
        if raw[:2] == _ID_FIELD and raw[_ID] not in wanted:
            continue
        event = parse(raw)
        task, attempt = event.task_id, event.attempt_number
        if task not in wanted:
            continue
        if event.state_updates.HasField("error_info"):
            error = errors.Name(event.state_updates.error_info.error_type)
            error_of[task, attempt] = error
        known = last.get(task)
        if known is None or known.attempt_number <= attempt:
            last[task] = event
    return {
        task: TaskReport(
            event.attempt_number,
            {
                statuses.Name(status): nano * _NANO
                for status, nano in event.state_updates.state_ts_ns.items()
            },
            error_of.get((task, event.attempt_number), ""),
            event.state_updates.error_info.error_message,
            error_of.get((task, event.attempt_number - 1), ""),
            event.profile_events.node_ip_address
            or event.state_updates.node_id.hex()[:8],
            event.state_updates.worker_pid,
            dict(event.task_info.required_resources),
            event.task_info.actor_id,
        )
        for task, event in last.items()
    }
