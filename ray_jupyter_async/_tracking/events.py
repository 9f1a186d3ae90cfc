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
    """One task that was submitted."""

    #: The id of its first return.
    key: bytes
    #: How many refs came of it; 1 for a generator, whose items join when awaited.
    returns: int
    name: str
    #: `_awaiting.events.origin` at that time.
    origin: Hashable | None
    #: ``time.monotonic()``.
    at: float
    #: Whether `Submissions.unfinished` covers it.
    followed: bool

    def ids(self) -> list[bytes]:
        """Return the ids of all refs that came of it."""
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
    """What the GCS knows of the last attempt of a task.

    Times are seconds of this process's ``time.monotonic()``, converted from the wall
    clock of the node that took them: between machines they are as good as these agree.
    """

    #: The task's id.
    task: bytes
    #: One of PENDING_ARGS, PENDING_NODE, RUNNING, READY, FAILED and CANCELLED.
    state: RefState
    #: Ray's own word: ``"PENDING_NODE_ASSIGNMENT"``.
    status: str
    #: When the attempt reached this state.
    at: float
    #: When it began and ended to run; None if it has not, as far as is known.
    started: float | None
    ended: float | None
    #: The address of its node, or the beginning of the node's id; "" while unknown.
    node: str
    #: The process id of its worker; 0 while unknown.
    worker: int
    #: 0 for the first attempt.
    attempt: int
    #: Why it failed; None if it has not.
    failure: Failure | None
    #: Ray's error type of the attempt before: ``"WORKER_DIED"``; "" if unknown.
    retried_for: str
    #: What it needs, ``{"CPU": 1.0}``; empty if unknown.
    resources: Mapping[str, float]
    #: The id of the actor whose method it is; empty for a function.
    actor: bytes


class Failure(NamedTuple):
    """The text of one error: the fields of `ErrorGroup`, and the remote traceback."""

    kind: str
    message: str = ""
    #: "" if it is not known, or no longer.
    traceback: str = ""

    @classmethod
    def of(cls, kind: object, message: object = "", traceback: object = "") -> Failure:
        """Return a failure of texts from anywhere."""
        return cls(
            clean_name(kind),
            clean(message, _LONGEST_MESSAGE),
            encodable(cut_middle(exact(traceback), LONGEST_TRACEBACK)),
        )
