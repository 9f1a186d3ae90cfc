"""Why refs wait, in words: the same in the widget, the static page and text."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from .._tracking.cluster.reasons import Reason, ReasonKind

if TYPE_CHECKING:
    from collections.abc import Iterable

# Ray's error types, where its own words are not the best.
_ENDS = {
    "": "failed",
    "NODE_DIED": "node lost",
    "TASK_EXECUTION_EXCEPTION": "raised an error",
    "OUT_OF_MEMORY": "out of memory",
}
_OF_ACTOR = {
    ReasonKind.ACTOR_ARGUMENTS: "actor waits for its arguments",
    ReasonKind.ACTOR_START: "actor is starting",
    ReasonKind.ACTOR_RESTART: "actor is restarting",
    ReasonKind.ACTOR_BUSY: "actor is busy",
}
_BYTES = ("memory", "object_store_memory")


def reason_words(reasons: Iterable[Reason]) -> str:
    """Return reasons in words: ``"all 2 CPUs busy, 48 queued"``; "" for none."""
    return "; ".join(map(_words, reasons))


def _words(reason: Reason) -> str:
    kind, count = reason.kind, reason.count
    number = f"{count:,}{'+' if reason.or_more else ''}"
    if kind is ReasonKind.RETRY:
        ended = _ENDS.get(reason.error) or reason.error.lower().replace("_", " ")
        return f"{ended}, retrying (attempt {count})"
    if kind is ReasonKind.OTHER_TASKS:
        tasks = "task" if number == "1" else "tasks"
        return f"waits for {number} other {tasks}" if count else "waits for other tasks"
    if kind is ReasonKind.BUSY:
        return f"all {_amounts(reason)} busy, {number} queued"
    if kind is ReasonKind.TOO_LARGE:
        return _too_large(reason)
    if kind is ReasonKind.GCS_SILENT:
        clock = time.strftime("%H:%M:%S", time.localtime(reason.since))
        return f"Ray's GCS has not answered since {clock}; states are as of then"
    return _OF_ACTOR[kind]


def _too_large(reason: Reason) -> str:
    more = " together"
    if len(reason.resources) == 1:
        ((name, _),) = reason.resources
        more = f" (cluster: {_number(name, reason.total)})"
    if reason.for_actor:
        more += " for the actor"
    return f"no node has {_amounts(reason)}{more}"


def _amounts(reason: Reason) -> str:
    """Return ``"2 CPUs and 4 GiB of memory"``."""
    said = []
    for name, amount in reason.resources:
        plural = "s" if amount > 1 and name.isupper() else ""
        what = f"of {name.replace('_', ' ')}" if name in _BYTES else f"{name}{plural}"
        said.append(f"{_number(name, amount)} {what}")
    return " and ".join(said)


def _number(name: str, amount: float) -> str:
    if name in _BYTES:
        return f"{amount / 2**30:.3g} GiB"
    return f"{amount:,.4g}" if amount < 10_000 else f"{amount:,.0f}"
