"""Why refs wait, as data. `_display/reason_words.py` words it."""

from __future__ import annotations

import enum
from typing import NamedTuple


class ReasonKind(enum.Enum):
    """What refs wait for."""

    #: The next attempt of a task.
    RETRY = enum.auto()
    #: Tasks that make arguments.
    OTHER_TASKS = enum.auto()
    #: A resource that is in use on all nodes.
    BUSY = enum.auto()
    #: Resources of which no node has enough, however idle.
    TOO_LARGE = enum.auto()
    ACTOR_ARGUMENTS = enum.auto()
    ACTOR_START = enum.auto()
    ACTOR_RESTART = enum.auto()
    ACTOR_BUSY = enum.auto()
    #: No wait: Ray's GCS does not answer, and all states are old.
    GCS_SILENT = enum.auto()


class Reason(NamedTuple):
    """One reason for which refs of a line wait."""

    kind: ReasonKind
    #: Names and amounts. BUSY: the one that is in use, and all that the cluster has of
    #: it. TOO_LARGE: the one wanted, or several that no node has together.
    resources: tuple[tuple[str, float], ...] = ()
    #: TOO_LARGE: what the cluster has of the one wanted.
    total: float = 0.0
    #: TOO_LARGE: whether an actor wants it.
    for_actor: bool = False
    #: BUSY: the tasks in the queue. OTHER_TASKS: the unfinished ones, 0 if not known.
    #: RETRY: the number of the attempt. (It hides the method of tuples.)
    count: int = 0  # type: ignore[assignment]
    #: Whether `count` is a lower bound.
    or_more: bool = False
    #: RETRY: Ray's error type of the attempt before, "" if not known.
    error: str = ""
    #: GCS_SILENT: ``time.time()`` of the last answer.
    since: float = 0.0
