"""The thread that asks Ray for the states of tasks that are not awaited.

It works only while a shown cell has something pending or has just settled, about once a
second, and takes no more than a small share of a core however many tasks there are.
"""

from __future__ import annotations

import functools
import itertools
import threading
import time
from collections import defaultdict
from typing import TYPE_CHECKING

from ..._awaiting.fetch.watch import outcomes_of
from ..._log import logger
from ..._ray_api.connection import gcs_answers
from ..._ray_api.gcs import read_actor, read_nodes
from ..._ray_api.object_ids import TASK_ID_BYTES, is_put, return_id
from ..._threads import start_thread
from ..sources.submissions import MOST_DEPENDENCIES
from .health import ClusterHealth
from .pending_reasons import why_waiting
from .task_events import read_task_events

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping

    from ..events import TaskEvent
    from ..sources.submissions import Submissions
    from ..tracker import Tracker

#: Seconds between two looks, at least.
PERIOD = 1.0
#: The share of a core that the looks may take.
SHARE = 0.05
#: Seconds for which a settled cell is still looked at: workers report to the GCS
#: once a second.
LINGER = 2.5
#: The same for a cell with refs of which the outcome is not known: on a loaded machine
#: reports are late.
LINGER_FOR_UNKNOWN = 15.0
_SHORTEST_REST = 0.1
# Objects of ended tasks that one look reads, to find out what they are. For the others
# there are the events, a second later, and the next look.
_MOST_ASKED = 1_000
# Seconds after which a failed attempt of a task that is not followed counts as its
# last: the next attempt would have reported by then.
_RETRY_SECONDS = 3.0
# Pending refs, and as many settled ones, of a cell whose events are read.
_MOST_READ = 2_000


class ClusterView:
    """Reports to the tracker what Ray knows of the tasks of some cells. Thread-safe."""

    def __init__(self, tracker: Tracker, submissions: Submissions) -> None:
        self._tracker = tracker
        self._submissions = submissions
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()
        self._stop = threading.Event()
        # Set by each look as it ends; replaced by `refresh`, which waits for one.
        self._looked = threading.Event()
        # Where the next look for objects of ended tasks begins.
        self._next_asked = 0
        # Cells that are looked at, and when they were first seen to have settled.
        self._followed: dict[Hashable, float | None] = {}
        #: Whether Ray still answers.
        self.health = ClusterHealth(lambda: bool(self._followed), tracker.set_stale)

    def start(self) -> None:
        """Start the thread; a no-op if it runs."""
        if self._thread is None:
            self._stop.clear()
            self._submissions.on_backlog.append(self._wake.set)
            self._thread = start_thread(self._run, name="ray_jupyter_async view")
            self.health.start()

    def stop(self) -> None:
        """End the thread, which may finish its look first."""
        thread, self._thread = self._thread, None
        self._stop.set()
        self._wake.set()
        self.health.stop()
        if thread is not None:
            self._submissions.on_backlog.remove(self._wake.set)
            thread.join(5.0)
        self._followed.clear()

    def follow(self, origin: Hashable) -> None:
        """Look after a cell until a while after it has settled."""
        if self._followed.get(origin, 0.0) is not None:
            self._followed[origin] = None
            self._wake.set()
            self.health.wake()

    def settle_ended(self, origin: Hashable | None = None) -> None:
        """Settle the refs that are not awaited and whose tasks have ended.

        Those of one cell or of all. Takes about 1 us for each task that runs, or
        nothing if there are no such refs.
        """
        keys = self._tracker.left_behind()
        if origin is not None:
            keys = {origin: keys[origin]} if origin in keys else {}
        running = self._submissions.unfinished() if keys else None
        if running is not None:
            still = set(running)
            ended = (
                key
                for of_cell in keys.values()
                for key in of_cell
                if key[:TASK_ID_BYTES] not in still
            )
            outcomes = outcomes_of(list(itertools.islice(ended, _MOST_ASKED)))
            self._tracker.end_finished(keys, still, outcomes)

    def refresh(self, timeout: float) -> None:
        """Ask Ray about all cells that have something unknown.

        Parameters
        ----------
        timeout
            Seconds to wait for the answer at most; it is still taken afterwards.
        """
        unknown = self._tracker.ended_unknown()
        for origin in {*unknown, *self._tracker.left_behind()}:
            self.follow(origin)
        if self._thread is None:
            return
        self._looked = looked = threading.Event()
        self._wake.set()
        looked.wait(timeout)

    def running_refs(self) -> list[bytes]:
        """Return the id of the first ref of each task that runs in this kernel."""
        return [return_id(task) for task in self._submissions.unfinished() or ()]

    def _run(self) -> None:
        pause: float | None = None
        while not self._stop.is_set():
            self._wake.wait(pause)
            if self._stop.is_set():
                return
            self._wake.clear()
            began, busy = time.monotonic(), time.thread_time()
            looked = self._looked
            try:
                self._look()
            except Exception:
                logger.exception("a look at the cluster failed")
            looked.set()
            # Not cut short by `_wake`. While Ray answers, it is the GCS that works: it
            # rests for as long.
            took, busy = time.monotonic() - began, time.thread_time() - busy
            rest = max(_SHORTEST_REST, took, busy / SHARE)
            self._stop.wait(rest)
            pause = max(0.0, PERIOD - rest) if self._followed else None

    def _reveal_ended(self) -> None:
        """Find out what objects of ended tasks are, some of them in each look."""
        found = self._tracker.ended_unknown()
        keys = [key for of_cell in found.values() for key in of_cell]
        start = self._next_asked if self._next_asked < len(keys) else 0
        asked = keys[start : start + _MOST_ASKED]
        self._next_asked = start + len(asked)
        self._tracker.reveal(outcomes_of(asked))

    def _look(self) -> None:
        self.settle_ended()
        self._reveal_ended()
        keys = self._tracker.unexplained(
            list(self._followed), time.monotonic() - LINGER, _MOST_READ
        )
        tasks = {
            key[:TASK_ID_BYTES]
            for of_cell in keys.values()
            for key in of_cell
            if not is_put(key)
        }
        # Without an answer, these questions would block this thread for a minute.
        if tasks and gcs_answers() is not False:
            events = read_task_events(tasks)
            self._tracker.explain(keys, events, self._undecided(events))
            self._set_reasons(keys, events)
        self._forget_settled()

    def _undecided(self, events: Mapping[bytes, TaskEvent]) -> set[bytes]:
        """Return the tasks whose last event is not the end of each of their refs."""
        # The items of a generator may be values although it failed in the end.
        found = {task for task in events if self._submissions.streams(task)}
        # A failed attempt may be followed by another one.
        failed = [e.task for e in events.values() if e.failure is not None]
        if failed:
            found.update(self._submissions.unfinished() or ())
            recent = time.monotonic() - _RETRY_SECONDS
            found.update(
                task
                for task in failed
                if not self._tracker.is_followed(task) and events[task].at > recent
            )
        return found

    def _set_reasons(
        self, keys: Mapping[Hashable, list[bytes]], events: Mapping[bytes, TaskEvent]
    ) -> None:
        nodes = functools.cache(read_nodes)
        actor = functools.cache(read_actor)
        for origin, of_cell in keys.items():
            by_name: defaultdict[str, dict[bytes, TaskEvent]] = defaultdict(dict)
            for key in of_cell:
                event = events.get(key[:TASK_ID_BYTES])
                if event is not None and not event.state.settled:
                    by_name[self._submissions.name_of(key)][event.task] = event
            more = len(of_cell) >= _MOST_READ
            reasons = {
                name: why_waiting(
                    line.values(), nodes(), actor, self._unfinished_before, more=more
                )
                for name, line in by_name.items()
            }
            self._tracker.set_reasons(origin, reasons)

    def _unfinished_before(self, tasks: Iterable[bytes]) -> tuple[int, bool]:
        """Return how many other tasks these wait for, and whether there may be more."""
        known = [self._submissions.dependencies_of(task) for task in tasks]
        needed = {return_id(task) for of_task in known for task in of_task}
        more = any(len(of_task) >= MOST_DEPENDENCIES for of_task in known)
        return self._tracker.count_pending(needed), more

    def _forget_settled(self) -> None:
        """Stop following cells that settled a while ago."""
        now = time.monotonic()
        for origin, settled_at in list(self._followed.items()):
            progress = self._tracker.read_cell(origin)
            if progress is None:
                self._followed.pop(origin, None)
            elif not progress.settled:
                self._followed[origin] = None
            elif settled_at is None:
                self._followed[origin] = now
            else:
                unknown = any(line.unknown for line in progress.lines)
                if now - settled_at > (LINGER_FOR_UNKNOWN if unknown else LINGER):
                    self._followed.pop(origin, None)
