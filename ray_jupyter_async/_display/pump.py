"""The pump: one thread that carries counts from the tracker to the cells.

It decides when a cell shows progress, how often it is sent, and when it becomes
static. It knows no widget: what shows is handed to it. Nothing else in the
notebook room runs on a thread of its own.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from .._log import logger
from .._threads import start_thread
from .pump_inbox import Call, Finish, Inbox, Look, Stop, Wake
from .shown_cell import ShownCell

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from .._tracking.cluster.poller import ClusterView
    from .._tracking.snapshots import CellProgress
    from .._tracking.sources.blocking_calls import BlockingGets
    from .._tracking.tracker import Tracker
    from .cell import Cell
    from .protocol import Display

# A page that was reloaded shows the elapsed time of the last message: at most
# so many seconds behind.
_HEARTBEAT = 1.0

# JupyterLab's server drops what a kernel sends beyond 1,000 messages a second; so
# many are ours. A cell takes one for its counts, and some more for open lines.
_MESSAGES_PER_SECOND = 250
_MESSAGES_PER_CELL = 3

# After the code has ended, a background task of the cell may await one ref
# after the other; the display becomes static only after such a pause.
_PAUSE = 0.5

# While a cell that ends waits for its last words: how often to look for them.
_LOOK_FOR_LAST_WORDS = 0.02

# Finished cells of which a background task may still come to await something.
# Not more, because a cell's context pins what its context variables hold.
_KEEP_FINISHED = 20


class Pump:
    """Shows the progress of cells that wait.

    Public methods may be called on any thread.

    Parameters
    ----------
    tracker
        Where the counts come from; the pump takes its `Tracker.on_record`.
    make_display
        Makes what shows a cell's progress. Called on the pump's thread, as all
        methods of what it returns.
    view
        Looks after the tasks of cells that are shown.
    blocking
        Knows the cells that block in `ray.get`; none, if it is None.
    prepare
        Called once before the first display is made, while its cell has not waited
        for long enough: for imports that take time.
    delay
        How many seconds a cell must have waited, in all, before it shows
        anything.
    rate
        How often per second a cell is updated at most.
    """

    def __init__(
        self,
        tracker: Tracker,
        make_display: Callable[[Cell], Display],
        view: ClusterView | None = None,
        blocking: BlockingGets | None = None,
        *,
        prepare: Callable[[], object] | None = None,
        delay: float = 0.5,
        rate: float = 10.0,
    ) -> None:
        self.delay = delay
        self._tracker = tracker
        self._make_display = make_display
        self._prepare = prepare
        self._view = view
        self._blocking = blocking
        self._period = 1.0 / rate
        self._thread: threading.Thread | None = None
        self._inbox = Inbox()
        self._known: dict[Hashable, ShownCell] = {}
        # Cells to look at in the next round; the pump's thread only.
        self._watched: set[Hashable] = set()
        self._changed: set[Hashable] = set()
        # Cells that somebody has asked to look at since the last round.
        self._asked: set[Hashable] = set()
        # How many cells were shown in this round.
        self._shown = 0
        # Cells whose code has ended and who wait for the answer.
        self._ending: dict[Hashable, Finish] = {}

    def start(self) -> None:
        """Start the thread; nothing happens when it runs."""
        if self._thread is not None:
            return
        # A wake that the last thread has not come to must not count as one.
        self._inbox.forget_wakes()
        self._tracker.on_record = self._inbox.wake
        self._thread = start_thread(self._run, name="ray_jupyter_async pump")

    def stop(self, timeout: float = 5.0) -> None:
        """Make every display static and end the thread.

        Parameters
        ----------
        timeout
            How many seconds to wait for the thread at most.
        """
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._tracker.on_record = None
        self._inbox.put(Stop())
        thread.join(timeout)
        if thread.is_alive():
            logger.warning("the display thread has not ended within %s s", timeout)
        self._known.clear()

    def cell_started(self, cell: Cell) -> None:
        """Note a cell in which progress can be shown."""
        self._known[cell.id] = ShownCell(cell)
        # It may block before it reports anything else.
        self._inbox.wake()

    def show_at_once(self, cell_id: Hashable) -> None:
        """Show the progress of a cell without the delay, as soon as it has any."""
        known = self._known.get(cell_id)
        if known is not None:
            known.at_once = True
            self._inbox.wake()

    def look_at(self, cell_id: Hashable) -> None:
        """Show a cell's progress again in the next round, changed or not."""
        self._inbox.put(Look(cell_id))

    def forget(self, cell_id: Hashable) -> None:
        """Show nothing more of a cell; its display stays as it is."""
        self._known.pop(cell_id, None)

    def call(self, function: Callable[[], None]) -> None:
        """Run a function on the pump's thread, soon."""
        self._inbox.put(Call(function))

    def cell_finished(self, cell_id: Hashable, timeout: float = 1.0) -> None:
        """Note that a cell's code has ended.

        When all it awaited has settled, its output has become static as this
        returns: nbclient and papermill keep nothing that a cell sends after
        its end.

        Parameters
        ----------
        cell_id
            The cell.
        timeout
            How many seconds to wait for the display at most.
        """
        known = self._known.get(cell_id)
        if known is None:
            return
        known.code_finished = True
        self._forget_finished()
        # Most cells await nothing, and end here.
        progress = self._tracker.read_cell(cell_id)
        if self._thread is None or progress is None:
            return
        if known.display is None and not known.at_once and not progress.waited:
            return
        finish = Finish(cell_id)
        self._inbox.put(finish)
        finish.noted.wait(timeout)

    def _forget_finished(self) -> None:
        finished = [i for i, known in list(self._known.items()) if known.code_finished]
        for cell_id in finished[:-_KEEP_FINISHED]:
            known = self._known[cell_id]
            if known.display is None or not known.display.live:
                progress = self._tracker.read_cell(cell_id)
                if progress is None or progress.settled:
                    self._known.pop(cell_id, None)

    def _run(self) -> None:
        due: float | None = None
        last_round = 0.0
        period = self._period
        while True:
            message = self._inbox.receive(due)
            if isinstance(message, Stop):
                break
            if isinstance(message, Call):
                try:
                    message.function()
                except Exception:
                    logger.exception("a call on the display thread failed")
                continue
            if isinstance(message, Look):
                self._asked.add(message.cell_id)
            if isinstance(message, (Wake, Look)):
                # Not now: others may come until the next round is due.
                soon = last_round + period
                due = soon if due is None else min(due, soon)
                continue
            if isinstance(message, Finish):
                self._ending[message.cell_id] = message
            last_round = time.monotonic()
            try:
                due = self._round()
            except Exception:
                logger.exception("a round of the display thread failed")
                due = last_round + _HEARTBEAT
            messages = self._shown * _MESSAGES_PER_CELL
            period = max(self._period, messages / _MESSAGES_PER_SECOND)
        for known in list(self._known.values()):
            self._guarded(known, self._make_static)

    def _round(self) -> float | None:
        """Look at every cell that may need it; return when the next round is due."""
        self._inbox.forget_wakes()
        self._shown = 0
        self._changed = self._tracker.take_changed() | self._asked
        self._asked = set()
        self._watched |= self._changed | self._ending.keys()
        due: float | None = None
        for cell_id in list(self._watched):
            known = self._known.get(cell_id)
            ending = self._ending.get(cell_id)
            at = None
            if known is not None:
                at = self._guarded(known, self._look if ending is None else self._end)
            if ending is not None:
                at = self._answer(ending, at)
            if at is None:
                self._watched.discard(cell_id)
            else:
                due = at if due is None else min(due, at)
        at = self._look_for_blocking()
        if at is not None:
            due = at if due is None else min(due, at)
        return due

    def _look_for_blocking(self) -> float | None:
        """Look for cells that block; return when to do so again."""
        if self._blocking is None or self.delay == float("inf"):
            return None
        again = self._blocking.look(self.delay / 2)
        # A cell that runs may begin to block at any moment.
        if again is None and any(
            not known.code_finished for known in list(self._known.values())
        ):
            again = time.monotonic() + max(self.delay / 2, self._period)
        return again

    def _guarded(
        self, known: ShownCell, step: Callable[[ShownCell], float | None]
    ) -> float | None:
        if known.broken:
            return None
        try:
            return step(known)
        except Exception:
            # One cell's display must not end all others'; it says so once.
            known.broken = True
            logger.exception("the progress of cell %s cannot be shown", known.cell.id)
            return None

    def _end(self, known: ShownCell) -> float | None:
        """Look at a cell whose code has just ended: static at once if settled."""
        if self._view is not None and known.display is not None:
            # What nobody awaited may have ended too.
            self._view.settle_ended(known.cell.id)
        progress = self._read(known)
        if (
            progress is not None
            and progress.settled
            and not known.held
            # An outcome may become known in a moment.
            and not (
                any(line.unknown for line in progress.lines)
                and time.monotonic() < self._ending[known.cell.id].until
            )
        ):
            self._make_static(known)
            return None
        return self._look(known)

    def _answer(self, ending: Finish, at: float | None) -> float | None:
        """Let a cell end, unless its live display may soon become static."""
        known = self._known.get(ending.cell_id)
        live = known is not None and known.display is not None and known.display.live
        if live and time.monotonic() < ending.until:
            return time.monotonic() + _LOOK_FOR_LAST_WORDS
        if known is not None and live:
            self._guarded(known, self._leave)
        del self._ending[ending.cell_id]
        ending.noted.set()
        return at

    def _look(self, known: ShownCell) -> float | None:
        """Show, update or end one cell's display; return when to look again."""
        progress = self._read(known)
        if progress is None:
            return None
        if known.display is None or not known.display.live:
            return self._consider(known, progress)
        if known.cell.id in self._changed or progress.taken >= known.next_sending:
            self._show(known, progress)
        if not progress.settled:
            return known.next_sending
        if not known.code_finished:
            return known.next_sending if known.behind else None
        if known.held:
            return known.next_sending
        ends_at = max(line.last_change for line in progress.lines) + _PAUSE
        if progress.taken < ends_at:
            return ends_at
        self._make_static(known)
        return None

    def _consider(self, known: ShownCell, progress: CellProgress) -> float | None:
        """Show a cell's progress if it has waited for long enough."""
        if progress.settled and not known.at_once:
            if known.display is not None and known.cell.is_current():
                known.display.complete(progress)
            return None
        if not progress.waiting and not known.at_once:
            return None
        missing = self.delay - (progress.waited - known.waited_before)
        if missing > 0 and not known.at_once:
            prepare, self._prepare = self._prepare, None
            if prepare is not None and missing < float("inf"):
                prepare()
            return progress.taken + missing
        if not known.cell.is_current():
            return None
        self._show(known, progress)
        return None if progress.settled else known.next_sending

    def _show(self, known: ShownCell, progress: CellProgress) -> None:
        if known.display is None:
            known.display = self._make_display(known.cell)
        known.behind = known.display.show(progress)
        if self._view is not None and not progress.settled:
            self._view.follow(known.cell.id)
        known.next_sending = progress.taken + (
            self._period if known.behind else _HEARTBEAT
        )
        self._shown += 1

    def _leave(self, known: ShownCell) -> None:
        progress = self._read(known)
        if progress is not None and known.display is not None:
            known.display.leave(progress)

    def _make_static(self, known: ShownCell) -> None:
        progress = self._read(known)
        if progress is None:
            return
        if known.at_once and known.display is None and known.cell.is_current():
            self._show(known, progress)
        known.at_once = False
        if known.display is not None and known.display.live:
            known.display.finish(progress)
            known.waited_before = progress.waited

    def _read(self, known: ShownCell) -> CellProgress | None:
        # Again when the first record came in after the end of the code.
        if known.code_finished:
            self._tracker.finish_code(known.cell.id)
        return self._tracker.read_cell(known.cell.id)
