"""Why refs wait.

Ray knows it in three places: the states of tasks (their events), what the nodes have
and have free (the cluster's status), and the states of actors. All of it is a moment
old. Where nothing is certain, there is no reason.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from ..foreign_text import clean_name
from ..snapshots import RefState
from .reasons import Reason, ReasonKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ..._ray_api.gcs import Actor, Node
    from ..events import TaskEvent

# The most reasons of one line.
_MOST = 2
_STATES = {
    "DEPENDENCIES_UNREADY": ReasonKind.ACTOR_ARGUMENTS,
    "PENDING_CREATION": ReasonKind.ACTOR_START,
    "RESTARTING": ReasonKind.ACTOR_RESTART,
    "ALIVE": ReasonKind.ACTOR_BUSY,
}


def why_waiting(
    events: Iterable[TaskEvent],
    nodes: list[Node] | None,
    actor: Callable[[bytes], Actor | None],
    unfinished_before: Callable[[list[bytes]], tuple[int, bool]],
    *,
    more: bool = False,
) -> tuple[Reason, ...]:
    """Return the most frequent reasons for which the pending refs of a line wait.

    Parameters
    ----------
    events
        Those of the tasks of the line that have not settled.
    nodes
        As from `read_nodes`.
    actor
        As `read_actor`; called once for each actor.
    unfinished_before
        Returns how many unfinished tasks make arguments of these, and whether there may
        be more.
    more
        Whether the line has more tasks than there are events.
    """
    found: Counter[Reason | None] = Counter()
    need_others: list[bytes] = []
    of_actors: Counter[bytes] = Counter()
    of_nodes: Counter[tuple[tuple[str, float], ...]] = Counter()
    for event in events:
        if event.attempt and event.state is not RefState.RUNNING:
            attempt = event.attempt + 1
            error = clean_name(event.retried_for)
            found[Reason(ReasonKind.RETRY, error=error, count=attempt)] += 1
        elif event.state is RefState.PENDING_ARGS:
            need_others.append(event.task)
        elif event.state is RefState.PENDING_NODE:
            if event.actor:
                of_actors[event.actor] += 1
            elif event.status == "PENDING_NODE_ASSIGNMENT":
                of_nodes[tuple(event.resources.items())] += 1
    for asked, times in of_actors.items():
        found[_for_an_actor(actor(asked), nodes)] += times
    if nodes is not None:
        for resources, times in of_nodes.items():
            found[_for_a_node(dict(resources), nodes)] += times
    if need_others:
        left, or_more = unfinished_before(need_others)
        reason = Reason(ReasonKind.OTHER_TASKS, count=left, or_more=or_more)
        found[reason] += len(need_others)
    del found[None]
    return tuple(
        reason._replace(count=times, or_more=more)
        if reason.kind is ReasonKind.BUSY
        else reason
        for reason, times in found.most_common(_MOST)
        if reason is not None
    )


def _for_a_node(resources: Mapping[str, float], nodes: list[Node]) -> Reason | None:
    impossible = _too_large(resources, nodes)
    if impossible is not None:
        return impossible
    for name, amount in resources.items():
        if not any(node.free.get(name, 0.0) >= amount for node in nodes):
            everything = clean_name(name), _total(name, nodes)
            return Reason(ReasonKind.BUSY, (everything,))
    # The resources are free: a process is being started, or one has just ended.
    return None


def _too_large(
    resources: Mapping[str, float], nodes: list[Node], *, for_actor: bool = False
) -> Reason | None:
    """Return what no node has, however idle; None if some node has it all."""
    wanted = tuple((clean_name(name), amount) for name, amount in resources.items())
    enough = [
        [node.total.get(name, 0.0) >= amount for name, amount in resources.items()]
        for node in nodes
    ]
    if not resources or any(all(has) for has in enough):
        return None
    for name, one, *has in zip(resources, wanted, *enough, strict=True):
        if not any(has):
            total = _total(name, nodes)
            return Reason(ReasonKind.TOO_LARGE, (one,), total, for_actor)
    return Reason(ReasonKind.TOO_LARGE, wanted, for_actor=for_actor)


def _total(name: str, nodes: list[Node]) -> float:
    return sum(node.total.get(name, 0.0) for node in nodes)


def _for_an_actor(found: Actor | None, nodes: list[Node] | None) -> Reason | None:
    kind = None if found is None else _STATES.get(found.state)
    if found is None or kind is None:
        return None
    if kind is not ReasonKind.ACTOR_BUSY and nodes:
        impossible = _too_large(found.resources, nodes, for_actor=True)
        if impossible is not None:
            return impossible
    return Reason(kind)
