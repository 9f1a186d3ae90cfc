"""Why refs wait, in words.

Out of three things that Ray knows in different places: the states of tasks
(their events), what the nodes have and have free (the cluster's status), and
what became of an actor. All of it is a moment old; where nothing certain can be
said, nothing is.
"""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from ray._private import worker as _worker_module

from ..._ray_api.connection import connected
from ..._ray_api.shutdown_gate import ClosedError
from ..foreign_text import clean_name
from ..snapshots import RefState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ..events import TaskEvent

logger = logging.getLogger("ray_jupyter_async")

# So many reasons are told of one line.
_MOST_TOLD = 2
# Beside what a task asks for stand resources of Ray's own making.
_BYTES = frozenset({"memory", "object_store_memory"})


class Node(NamedTuple):
    """A node that is alive; resources by name."""

    id: str
    address: str
    total: Mapping[str, float]
    free: Mapping[str, float]


def read_nodes() -> list[Node] | None:
    """Ask the GCS which nodes there are; 1 to 2 ms, on any thread.

    Returns
    -------
    list of Node or None
        None when this Ray does not tell (private API, seen in 2.40.0 and
        2.60.0; the dashboard is not needed).
    """
    try:
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
    except ClosedError:
        return None
    except Exception:
        logger.debug("no cluster status from this version of Ray", exc_info=True)
        return None


def read_actor(actor: bytes) -> tuple[str, Mapping[str, float]] | None:
    """Ask the GCS for an actor's state and the resources that it needs.

    Returns
    -------
    tuple of str and mapping, or None
        Ray's word, ``"PENDING_CREATION"``, and for example ``{"GPU": 1.0}``;
        None when it is not known.
    """
    try:
        from ray.core.generated import gcs_pb2

        from .task_events import state_accessor

        with connected():
            serialised = state_accessor().get_actor_info(_actor_id(actor))
        if not serialised:
            return None
        parts = cast("Any", gcs_pb2)
        found = parts.ActorTableData.FromString(serialised)
        state = parts.ActorTableData.ActorState.Name(found.state)
        return state, dict(found.required_resources)
    except ClosedError:
        return None
    except Exception:
        logger.debug("no actors from this version of Ray", exc_info=True)
        return None


def _actor_id(actor: bytes) -> Any:
    import ray

    return cast("Any", ray).ActorID(actor)


def why_waiting(
    events: Iterable[TaskEvent],
    nodes: list[Node] | None,
    actor: Callable[[bytes], tuple[str, Mapping[str, float]] | None],
    unfinished_before: Callable[[list[bytes]], tuple[int, bool]],
    *,
    more: bool = False,
) -> str:
    """Say why the pending refs of a line wait.

    Parameters
    ----------
    events
        Of the tasks of the line that have not settled.
    nodes
        As from `read_nodes`.
    actor
        As `read_actor`; asked once for each actor.
    unfinished_before
        Gives how many tasks make arguments of these and have not ended, and whether
        there may be more than are known.
    more
        Whether there are more tasks in the line than `events` tell of.

    Returns
    -------
    str
        The most frequent reasons, for example ``"all 2 CPUs busy, 48 queued"``;
        "" when nothing is known.
    """
    told: Counter[str] = Counter()
    queued: Counter[str] = Counter()
    need_others: list[bytes] = []
    of_actors: Counter[bytes] = Counter()
    for event in events:
        if event.attempt and event.state is not RefState.RUNNING:
            told[f"{event.retried_for}, retrying (attempt {event.attempt + 1})"] += 1
        elif event.state is RefState.PENDING_ARGS:
            need_others.append(event.task)
        elif event.state is RefState.PENDING_NODE:
            if event.actor:
                of_actors[event.actor] += 1
            elif nodes is not None and event.status == "PENDING_NODE_ASSIGNMENT":
                reason, in_queue = _for_a_node(event.resources, nodes)
                told[reason] += 1
                queued[reason] += in_queue
    for asked, times in of_actors.items():
        told[_for_an_actor(actor(asked), nodes)] += times
    if need_others:
        left, and_more = unfinished_before(need_others)
        number = f"{left:,}{'+' if and_more else ''} " if left else ""
        one = left == 1 and not and_more
        told[f"waits for {number}other task{'' if one else 's'}"] += len(need_others)
    del told[""]
    plus = "+" if more else ""
    return "; ".join(
        f"{reason}, {queued[reason]:,}{plus} queued" if queued[reason] else reason
        for reason, _ in told.most_common(_MOST_TOLD)
    )


def _for_a_node(resources: Mapping[str, float], nodes: list[Node]) -> tuple[str, int]:
    """Say what a task waits for, and whether it stands in a queue for it."""
    impossible = _impossible(resources, nodes)
    if impossible:
        return impossible, 0
    for name, amount in resources.items():
        if not any(node.free.get(name, 0.0) >= amount for node in nodes):
            total = sum(node.total.get(name, 0.0) for node in nodes)
            return f"all {_amount(name, total)} busy", 1
    # The resources are free: a process is being started, or one has just ended.
    return "", 0


def _impossible(resources: Mapping[str, float], nodes: list[Node]) -> str:
    """Say what no node has, however idle; "" if some node could do it."""

    def fits(node: Node, name: str, amount: float) -> bool:
        return node.total.get(name, 0.0) >= amount

    if not resources or any(
        all(fits(node, name, amount) for name, amount in resources.items())
        for node in nodes
    ):
        return ""
    for name, amount in resources.items():
        if not any(fits(node, name, amount) for node in nodes):
            total = sum(node.total.get(name, 0.0) for node in nodes)
            has = _gib(total) if name in _BYTES else _number(total)
            return f"no node has {_amount(name, amount)} (cluster: {has})"
    wanted = " and ".join(_amount(name, amount) for name, amount in resources.items())
    return f"no node has {wanted} together"


def _for_an_actor(
    found: tuple[str, Mapping[str, float]] | None, nodes: list[Node] | None
) -> str:
    if found is None:
        return ""
    state, resources = found
    if state in ("PENDING_CREATION", "RESTARTING", "DEPENDENCIES_UNREADY"):
        impossible = _impossible(resources, nodes or [])
        if nodes and impossible:
            return f"{impossible} for the actor"
    return {
        "DEPENDENCIES_UNREADY": "actor waits for its arguments",
        "PENDING_CREATION": "actor is starting",
        "RESTARTING": "actor is restarting",
        "ALIVE": "actor is busy",
    }.get(state, "")


def _amount(name: str, amount: float) -> str:
    name = clean_name(name)
    if name in _BYTES:
        return f"{_gib(amount)} of {name.replace('_', ' ')}"
    plural = "s" if amount > 1 and name.isupper() else ""
    return f"{_number(amount)} {name}{plural}"


def _number(amount: float) -> str:
    return f"{amount:,.4g}" if amount < 10_000 else f"{amount:,.0f}"


def _gib(amount: float) -> str:
    return f"{amount / 2**30:.3g} GiB"
