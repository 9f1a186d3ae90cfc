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
    """One reason for which refs of a line wait.

    Attributes
    ----------
    kind : ReasonKind
    resources : tuple of (str, float)
        Names and amounts. BUSY: the one that is in use, and all that the cluster has
        of it. TOO_LARGE: the one wanted, or several that no node has together.
    total : float
        What the cluster has of the one wanted (TOO_LARGE).
    for_actor : bool
        Whether an actor needs them.
    count : int
        The tasks in the queue (BUSY), the unfinished tasks (OTHER_TASKS, 0 if not
        known), or the number of the attempt (RETRY).
    or_more : bool
        Whether `count` is a lower bound.
    error : str
        Ray's error type of the attempt before, "" if not known (RETRY).
    since : float
        ``time.time()`` of the last answer (GCS_SILENT).
    """

    kind: ReasonKind
    resources: tuple[tuple[str, float], ...] = ()
    total: float = 0.0
    for_actor: bool = False
    # Hides the method of tuples.
    count: int = 0  # type: ignore[assignment]
    or_more: bool = False
    error: str = ""
    since: float = 0.0
