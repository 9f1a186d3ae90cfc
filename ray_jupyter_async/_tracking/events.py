"""What is recorded in this room, as values: ids, names, times and texts.

No event holds a ref, a value or an exception. Those of awaits are in
`_awaiting/events.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from .._awaiting.error_text import cut_middle
from .._ray_api.object_ids import TASK_ID_BYTES, return_id
from .foreign_text import clean, clean_name, encodable, exact

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from .._awaiting.events import Outcome
    from .snapshots import RefState

#: Characters of a failure's traceback.
LONGEST_TRACEBACK = 6_000
_LONGEST_MESSAGE = 1_000


class Submission(NamedTuple):
    """One task that was submitted.

    Attributes
    ----------
    key : bytes
        The id of its first return.
    returns : int
        How many refs came of it; 1 for a generator, whose items join when they
        are awaited.
    name : str
    origin : Hashable or None
        `events.origin` as it was.
    at : float
        ``time.monotonic()``.
    followed : bool
        Whether `Submissions.unfinished` covers it.
    """

    key: bytes
    returns: int
    name: str
    origin: Hashable | None
    at: float
    followed: bool

    def ids(self) -> list[bytes]:
        """Give the ids of all refs that came of it."""
        if self.returns == 1:
            return [self.key]
        task = self.key[:TASK_ID_BYTES]
        return [return_id(task, number) for number in range(1, self.returns + 1)]


class WatchEvent(NamedTuple):
    """One thing that happened to one watched ref; the fields of `AwaitEvent`."""

    kind: Literal["watched", "ready", "unwatched", "cancelling"]
    key: bytes
    origin: object | None
    at: float
    outcome: Outcome | None = None
    error: str | None = None
    message: str = ""
    traceback: str = ""
    size: None = None


class TaskEvent(NamedTuple):
    """What is known of the last attempt of a task.

    All times are seconds of this process's ``time.monotonic()``, converted from
    the wall clock of the node that took them: between machines they are as good
    as these agree.

    Attributes
    ----------
    task
        The task's id.
    state
        One of PENDING_ARGS, PENDING_NODE, RUNNING, READY, FAILED and CANCELLED.
    status
        Ray's own word: ``"PENDING_NODE_ASSIGNMENT"``.
    at
        When it came to be in this state.
    started, ended
        When it began and ended to run; None if it has not, as far as is known.
    node
        The address of its node, or the beginning of the node's id; "" if unknown.
    worker
        The process id; 0 if unknown.
    attempt
        0 for the first.
    failure
        Why it failed; None if it has not.
    retried_for
        Ray's error type of the attempt before: ``"WORKER_DIED"``; "" if unknown.
    resources
        What it needs, ``{"CPU": 1.0}``; empty if unknown.
    actor
        Whose method it is; empty for a function.
    """

    task: bytes
    state: RefState
    status: str
    at: float
    started: float | None
    ended: float | None
    node: str
    worker: int
    attempt: int
    failure: Failure | None
    retried_for: str
    resources: Mapping[str, float]
    actor: bytes


class Failure(NamedTuple):
    """What is told of one error.

    Attributes
    ----------
    kind, message : str
        As in `ErrorGroup`.
    traceback : str
        The remote one, "" if it is not known (any more).
    """

    kind: str
    message: str = ""
    traceback: str = ""

    @classmethod
    def of(cls, kind: object, message: object = "", traceback: object = "") -> Failure:
        """Return a failure made of texts from elsewhere, which may be any."""
        return cls(
            clean_name(kind),
            clean(message, _LONGEST_MESSAGE),
            encodable(cut_middle(exact(traceback), LONGEST_TRACEBACK)),
        )
