"""The tasks of this process that have not ended, and how to cancel them by id.

No ref is kept for that: Ray knows which tasks run, `submissions` knows whose they are,
and a ref is made for the moment in which it is cancelled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

import ray
from ray import ObjectRef

from ..._ray_api.connection import connected, gcs_answers, own_address
from ..._ray_api.object_ids import TASK_ID_BYTES, is_method, return_id
from ..._ray_api.shutdown_gate import ClosedError
from ..bounded_dict import Recent
from .task_events import read_task_events

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    from ..._awaiting.events import AwaitEvent
    from ..sources.submissions import Submissions


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
        return is_method(self.id)

    def belongs_to(self, cell: Hashable) -> bool:
        """Whether this cell submitted or awaited it."""
        return cell in (self.submitted_by, self.awaited_by)


class RunningTasks:
    """Finds and cancels the running tasks of this driver's cells. Thread-safe.

    Tasks that a task has submitted are not among them (cancelling is recursive), nor
    are those of Ray Client.
    """

    def __init__(self, submissions: Submissions) -> None:
        self._submissions = submissions
        self._awaited: Recent[bytes, Hashable] = Recent(200_000)

    def record(self, events: Sequence[AwaitEvent]) -> None:
        """Note which cell awaits what; an observer for `_awaiting`."""
        for event in events:
            if event.kind == "awaited" and event.origin is not None:
                self._awaited[event.key[:TASK_ID_BYTES]] = event.origin

    def all(self) -> list[RunningTask]:
        """Return all that a cell has submitted or awaited; about 2 us for each."""
        found = [
            RunningTask(
                task,
                self._submissions.name_of(task),
                self._submissions.origin_of(task),
                self._awaited.get(task),
            )
            for task in self._submissions.unfinished() or []
        ]
        return [task for task in found if task[2:] != (None, None)]

    def still(self, tasks: Iterable[RunningTask]) -> list[RunningTask]:
        """Return those of `tasks` that have not ended."""
        running = set(self._submissions.unfinished() or [])
        return [task for task in tasks if task.id in running]

    def begun(self, tasks: Iterable[RunningTask]) -> dict[bytes, bool]:
        """Whether actors have begun with methods, by the methods' ids.

        As of one to two seconds ago, from task events. Methods that the GCS does not
        know are left out, and so are all while it does not answer.
        """
        methods = {task.id for task in tasks if task.of_actor}
        if not methods or not gcs_answers():
            return {}
        events = read_task_events(methods)
        return {
            task: event.started is not None
            for task, event in events.items()
            if not event.state.settled
        }

    def cancel(
        self, tasks: Iterable[RunningTask], *, force: bool = False
    ) -> list[tuple[RunningTask, str]]:
        """Ask Ray to cancel tasks.

        Returns
        -------
        list of (RunningTask, str)
            Those that Ray refused to cancel, and the reasons.
        """
        by_id = {task.id: task for task in tasks}
        refused = self.cancel_by_id(by_id, force=force)
        return [(by_id[task], why) for task, why in refused]

    def cancel_by_id(
        self, tasks: Iterable[bytes], force: bool = False
    ) -> list[tuple[bytes, str]]:
        """Do as `cancel` does, for the ids of tasks."""
        refused = []
        try:
            owner = own_address()
        except ClosedError:
            return [(task, "Ray is not connected") for task in tasks]
        for task in tasks:
            may_stream = self._submissions.may_stream(task)
            try:
                _cancel(task, owner, may_stream=may_stream, force=force)
            except Exception as error:
                refused.append((task, str(error)))
        return refused


def _cancel(task: bytes, owner: bytes, *, may_stream: bool, force: bool) -> None:
    key = return_id(task)
    with connected() as core:
        ref = cast("Any", ObjectRef)(key, owner)
        try:
            ray.cancel(ref, force=force)
        except TypeError as error:
            if "owner" not in str(error):
                raise
            # All of its refs were dropped; Ray cancels only what has an owner.
            if may_stream:
                # With a new ref, Ray marks the stream as ended, finds that the ref is
                # not its own, and aborts this process (2.60).
                raise RuntimeError(
                    "Ray cannot cancel a generator whose ref was dropped. Keep what "
                    ".remote() returns"
                ) from None
            core.deserialize_and_register_object_ref(key, ObjectRef.nil(), owner, b"")
            ray.cancel(ref, force=force)
