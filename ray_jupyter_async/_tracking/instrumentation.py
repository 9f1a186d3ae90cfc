"""All of this room at work: what a shell, or a stretch of a script, puts in.

Who tells the tracker what, in one place. What shows it is the notebook room's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._awaiting.events import add_observer, remove_observer
from .._awaiting.fetch.sessions import local_session_of
from .._awaiting.fetch.watch import watch_ready
from .cluster.poller import ClusterView
from .sources.blocking_calls import BlockingGets
from .sources.cancel_calls import Cancels
from .sources.future_calls import RefFutures
from .sources.submissions import Submissions
from .tracker import Tracker, cannot_cancel

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from .._ray_api.objects import Ref
    from .tracker import CancelTasks


class Tracking:
    """A tracker and all that it learns from.

    Parameters
    ----------
    cancel_tasks
        As of `Tracker`.

    Attributes
    ----------
    submissions : Submissions
    tracker : Tracker
    view : ClusterView
        Started and stopped by whoever shows something.
    blocking : BlockingGets
    """

    def __init__(self, cancel_tasks: CancelTasks = cannot_cancel) -> None:
        self.submissions = Submissions()
        self.tracker = Tracker(
            self.submissions.name_of,
            take_submitted=self.submissions.take_fresh,
            is_item=self.submissions.is_item,
            cancel_tasks=cancel_tasks,
        )
        self.submissions.on_session_end.append(self.tracker.end_session)
        self.view = ClusterView(self.tracker, self.submissions)
        self.blocking = BlockingGets(self.tracker)
        self._cancels = Cancels(self.tracker)
        self._futures = RefFutures(self.tracker)

    def install(self) -> None:
        """Have submissions, awaits, blocking calls and cancels tracked."""
        self.submissions.install()
        self.blocking.install()
        self._cancels.install()
        self._futures.install()
        add_observer(self.tracker.record)

    def uninstall(self) -> None:
        """Have nothing tracked; nothing happens when it is not installed."""
        remove_observer(self.tracker.record)
        self._futures.uninstall()
        self._cancels.uninstall()
        self.blocking.uninstall()
        self.submissions.uninstall()

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
            # Refused before anything is recorded, and before the id of a Ray
            # Client ref is asked for, which may wait for the network.
            local_session_of(ref)
        self.tracker.watch(refs, watch_ready, origin)
