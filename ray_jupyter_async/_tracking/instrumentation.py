"""All of this room at work: what a shell, or a part of a script, installs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._awaiting.events import add_observer, remove_observer
from .._awaiting.fetch.sessions import local_session_of
from .._awaiting.fetch.watch import watch_ready
from .cluster.poller import ClusterView
from .cluster.running_tasks import RunningTasks
from .sources.blocking_calls import BlockingGets
from .sources.cancel_calls import Cancels
from .sources.future_calls import RefFutures
from .sources.submissions import Submissions
from .tracker import Tracker

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from .._ray_api.objects import Ref


class Tracking:
    """A tracker and its sources. Whatever shows something starts and stops `view`."""

    def __init__(self) -> None:
        self.submissions = Submissions()
        self.tasks = RunningTasks(self.submissions)
        self.tracker = Tracker(
            self.submissions.name_of,
            take_submitted=self.submissions.take_fresh,
            is_item=self.submissions.is_item,
            cancel_tasks=self.tasks.cancel_by_id,
        )
        self.submissions.on_session_end.append(self.tracker.end_session)
        self.view = ClusterView(self.tracker, self.submissions)
        self.blocking = BlockingGets(self.tracker)
        self._sources = (
            self.submissions,
            self.blocking,
            Cancels(self.tracker),
            RefFutures(self.tracker),
        )

    def install(self) -> None:
        """Track submissions, awaits, blocking calls and cancels."""
        for source in self._sources:
            source.install()
        add_observer(self.tracker.record)

    def uninstall(self) -> None:
        """Track nothing; idempotent."""
        remove_observer(self.tracker.record)
        for source in reversed(self._sources):
            source.uninstall()

    def count(self, refs: Sequence[Ref] | None, origin: Hashable) -> None:
        """Count refs, awaited or not, as those of a cell.

        Parameters
        ----------
        refs
            Not kept. None for all whose tasks run.
        origin
            The cell.

        Raises
        ------
        TypeError
            If one is not a ref, or is one of Ray Client; none is counted then.
        RayNotInitializedError
            If no local session is connected.
        """
        if refs is None:
            self.tracker.adopt(origin, self.view.running_refs())
            return
        for ref in refs:
            # Refused before anything is recorded, and before the id of a Ray Client ref
            # is read, which may wait for the network.
            local_session_of(ref)
        self.tracker.watch(refs, watch_ready, origin)
