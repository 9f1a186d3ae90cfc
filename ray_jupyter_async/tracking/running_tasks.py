"""The tasks of this process that have not ended, and how to cancel them by id.

Nobody's ref is kept for that: Ray knows which tasks run, the submit hook knows
whose they are, and a ref is made anew for the moment of its cancelling. Only
here is the part of Ray's private API touched that this stands on (seen in
2.60.0); without it no task is known to run.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import ray
from ray import ObjectRef

from ..awaiting.gate import ClosedError, Gate
from ..awaiting.ray_internals import before_disconnect, connected_core
from .recent import Recent
from .submissions import TASK_ID_BYTES

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Sequence

    from ..awaiting.observing import AwaitEvent
    from .submissions import Submissions

logger = logging.getLogger("ray_jupyter_async")

# The layout of a task's id (src/ray/common/id.h, 2.60): 8 bytes of its own, then
# its actor's id, whose own 12 bytes are all ones where there is no actor.
_ACTOR = slice(8, 20)
_NO_ACTOR = b"\xff" * 12
# The id of a task's first return, or of its generator, is the task's and a 1.
_FIRST_RETURN = (1).to_bytes(4, "little")


class RunningTask(NamedTuple):
    """A task that was submitted here and has not ended.

    Attributes
    ----------
    id : bytes
    name : str
        As in `Submissions.name_of`.
    submitted_by, awaited_by : Hashable or None
        The cell that submitted it, and the one that last awaited its ref.
    """

    id: bytes
    name: str
    submitted_by: Hashable | None
    awaited_by: Hashable | None

    @property
    def of_actor(self) -> bool:
        """Whether it is an actor's method, which Ray does not end by force."""
        return self.id[_ACTOR] != _NO_ACTOR

    def belongs_to(self, cell: Hashable) -> bool:
        """Whether this cell submitted or awaited it."""
        return cell in (self.submitted_by, self.awaited_by)


class RunningTasks:
    """Finds and cancels the running tasks of this driver's cells.

    Tasks that a task has submitted are not among them (cancelling is recursive),
    nor are tasks submitted in a thread other than the main one, nor those of
    Ray Client. Every method may be called on any thread.

    Parameters
    ----------
    submissions
        Tells the names and the cells.
    """

    def __init__(self, submissions: Submissions) -> None:
        self._submissions = submissions
        self._awaited: Recent[bytes, Hashable] = Recent(200_000)

    def record(self, events: Sequence[AwaitEvent]) -> None:
        """Note which cell awaits what; an observer for `awaiting`."""
        for event in events:
            if event.kind == "awaited" and event.origin is not None:
                self._awaited[event.key[:TASK_ID_BYTES]] = event.origin

    def all(self) -> list[RunningTask]:
        """Give all that a cell has submitted or awaited; about 2 us for each."""
        found = [
            RunningTask(
                task,
                self._submissions.name_of(task),
                self._submissions.origin_of(task),
                self._awaited.get(task),
            )
            for task in _unfinished()
        ]
        return [task for task in found if task[2:] != (None, None)]

    def still(self, tasks: Iterable[RunningTask]) -> list[RunningTask]:
        """Give those of `tasks` that have not ended."""
        unfinished = set(_unfinished())
        return [task for task in tasks if task.id in unfinished]

    def cancel(
        self, tasks: Iterable[RunningTask], *, force: bool = False
    ) -> list[tuple[RunningTask, str]]:
        """Ask Ray to cancel tasks.

        Returns
        -------
        list of (RunningTask, str)
            Those that Ray refused to cancel, and why.
        """
        refused = []
        try:
            owner = _own_address()
        except ClosedError:
            return [(task, "Ray is not connected") for task in tasks]
        for task in tasks:
            try:
                _cancel(task.id, owner, force=force)
            except Exception as error:
                refused.append((task, str(error)))
        return refused


def _unfinished() -> list[bytes]:
    """Give the ids of the tasks that the main thread submitted and that run."""
    try:
        with _connected() as core:
            raylet = cast("Any", ray)._raylet
            job = raylet.JobID(core.get_current_job_id().binary())
            driver = raylet.TaskID.for_driver_task(job)
            pending = core.get_pending_children_task_ids(driver)
    except ClosedError:
        return []
    except Exception:
        logger.debug("this version of Ray does not tell what runs", exc_info=True)
        return []
    return [task.binary() for task in pending]


def _own_address() -> bytes:
    """Give the address of this process as the owner of what it submits."""
    with _connected() as core:
        address: bytes = core.get_owner_address(cast("Any", ray).put(None))
    return address


def _cancel(task: bytes, owner: bytes, *, force: bool) -> None:
    key = task + _FIRST_RETURN
    with _connected() as core:
        ref = cast("Any", ObjectRef)(key, owner)
        try:
            ray.cancel(ref, force=force)
        except TypeError as error:
            if "owner" not in str(error):
                raise
            # Everybody has let go of its refs; Ray cancels only what has an owner.
            core.deserialize_and_register_object_ref(key, ObjectRef.nil(), owner, b"")
            ray.cancel(ref, force=force)


# The connected session's core worker, and its gate.
_known: tuple[Any, Gate] | None = None


@contextmanager
def _connected() -> Iterator[Any]:
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
    with known[1].open():
        yield core
