"""The report of an interrupted cell: where it stopped, and which Ray tasks still run.

When and where an interrupt is raised is in `signals`; this module acts afterwards.
"""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NamedTuple

from ..._display.cell_names import cell_line
from ..._display.plain_text import print_text
from ..._display.words import format_elapsed, shortened
from ..._replaced import replaced
from ..._tracking.bounded_dict import Recent
from ..task_words import count

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from IPython.core.interactiveshell import InteractiveShell

    from ..._display.cell import Cell
    from ..._tracking.cluster.running_tasks import RunningTask, RunningTasks
    from ..._tracking.tracker import Tracker
    from ..config import RayAsync
    from .cancel_notice import CancelNotice
    from .signals import Interrupts

_SHOW = "_showtraceback"
# Set by ipykernel (seen with 7.4) when displaying a value fails, for the reply. Its
# `run_cell` resets it, its `run_cell_async` does not: the next cell that awaits would
# be reported as failed.
_FAILED_TO_DISPLAY = "_last_traceback_during_displayhook"
_LONGEST_LINE = 80
# Notices that are kept for pages that missed their end.
_MOST_NOTICES = 30
# What an interrupt raises in a cell.
_RAISED = (KeyboardInterrupt, asyncio.CancelledError)


class _Began(NamedTuple):
    number: int | None
    at: float


class InterruptedCells:
    """Shortens the traceback of interrupted cells, and cancels tasks as configured."""

    def __init__(
        self,
        shell: InteractiveShell,
        config: RayAsync,
        interrupts: Interrupts,
        tasks: RunningTasks,
        tracker: Tracker,
        current: Callable[[], Cell | None],
    ) -> None:
        self._shell: Any = shell
        self._config = config
        self._interrupts = interrupts
        self._tasks = tasks
        self._tracker = tracker
        self._current = current
        self._began: Recent[Hashable, _Began] = Recent(1000)
        self._reported: Hashable = None
        # The shell's own method.
        self._show_whole: Any = None
        self._undo = ExitStack()
        self._notices: list[CancelNotice] = []
        #: The cell that was interrupted last.
        self.last: Hashable = None

    def attach(self) -> None:
        """Replace the method through which tracebacks of a cell are shown.

        That is so in IPython 8.18 to 9.18 and ipykernel 6.29 to 7.4.
        """
        if callable(getattr(self._shell, _SHOW, None)):
            self._undo.enter_context(replaced(self._shell, _SHOW, self._stand_in))

    def detach(self) -> None:
        """Restore the shell's own method, and close all notices."""
        self._undo.close()
        for notice in self._notices:
            notice.dispose()
        self._notices = []

    def cell_started(self, cell: Cell) -> None:
        """Remember when a cell began, and its number."""
        if getattr(self._shell, _FAILED_TO_DISPLAY, False):
            setattr(self._shell, _FAILED_TO_DISPLAY, False)
        self._began[cell.id] = _Began(cell.number, time.monotonic())

    def cell_ended(self, cell: Cell, error: BaseException | None) -> None:
        """Report what `_show` did not, because another traceback display replaced it.

        ``rich.traceback.install()`` replaces the shell's method, and exceptions of
        `set_custom_exc` never reach it. A cell that caught the interrupt shows nothing,
        but its tasks end as configured.
        """
        if not self._interrupts.interrupted or self._reported == cell.id:
            return
        if isinstance(error, _RAISED):
            report, running = self._report(cell, error)
            self._print(report)
            self._show_notice(cell, running)
        else:
            self._reported = self.last = cell.id
            self._end_tasks(cell)

    def number_of(self, cell_id: Hashable) -> int | None:
        """Return a cell's execution count."""
        began = self._began.get(cell_id)
        return None if began is None else began.number

    def _stand_in(self, original: Callable[..., None]) -> Callable[..., None]:
        self._show_whole = original
        return self._show

    def _show(self, etype: type, error: Any, traceback: list[str]) -> None:
        cell = self._current()
        if (
            cell is None
            or not self._interrupts.interrupted
            or not issubclass(etype, _RAISED)
        ):
            self._show_whole(etype, error, traceback)
            return
        report, running = self._report(cell, error)
        if self._shows_text():
            # Without a Ray task, the traceback of blocking code is more useful.
            short = len(report) > 1 or not issubclass(etype, KeyboardInterrupt)
            self._show_whole(etype, error, report if short else traceback)
        else:
            # Another display of tracebacks, which may ignore the text it is passed.
            self._show_whole(etype, error, traceback)
            self._print(report)
        self._show_notice(cell, running)

    def _shows_text(self) -> bool:
        """Whether the shell itself shows tracebacks, as the text that it is passed."""
        # ipykernel (7.4) leaves the shell's own method in its dict as it starts.
        function = getattr(self._show_whole, "__func__", None)
        return function is getattr(type(self._shell), _SHOW, None)

    def _report(
        self, cell: Cell, error: BaseException
    ) -> tuple[list[str], list[RunningTask]]:
        """Cancel tasks as configured; return the lines to show, and what still runs."""
        self._reported = self.last = cell.id
        awaited = self._what_was_awaited(cell)
        asked, running = self._end_tasks(cell)
        lines = [f"{shortened(type(error).__name__)}: {self._where(cell, error)}"]
        lines += [awaited] if awaited else []
        if asked:
            lines.append(f"Cancelling {count(asked)}")
        if running:
            lines.append(
                f"Still running: {count(running)}. "
                f"To cancel: %ray_cancel --cell {cell.number}"
            )
        return lines, running

    def _print(self, report: list[str]) -> None:
        """Print a report below another display's traceback, if it is about Ray."""
        if len(report) > 1:
            print_text("\n".join(report), sys.stderr)

    def _show_notice(self, cell: Cell, running: list[RunningTask]) -> None:
        if running and getattr(self._shell, "kernel", None) is not None:
            # Its import takes a tenth of a second, of every load.
            from .cancel_notice import CancelNotice

            self._notices.append(CancelNotice(cell, running, self._tasks))
            while len(self._notices) > _MOST_NOTICES:
                self._notices.pop(0).dispose()

    def _end_tasks(self, cell: Cell) -> tuple[list[RunningTask], list[RunningTask]]:
        """Cancel as configured; return what was cancelled, and what still runs."""
        running = [task for task in self._tasks.all() if task.belongs_to(cell.id)]
        which = self._config.cancel_on_interrupt
        asked = [
            task
            for task in running
            if (which == "cell" and task.submitted_by == cell.id)
            or (which == "awaited" and task.awaited_by == cell.id)
        ]
        refused = [task for task, _ in self._tasks.cancel(asked)] if asked else []
        asked = [task for task in asked if task not in refused]
        return asked, [task for task in running if task not in asked]

    def _where(self, cell: Cell, error: BaseException) -> str:
        began = self._began.get(cell.id)
        text = "stopped"
        if began is not None:
            text += f" after {format_elapsed(time.monotonic() - began.at)}"
        place, at = None, error.__traceback__
        while at is not None:
            if at.tb_frame.f_globals is self._shell.user_global_ns:
                place = at
            at = at.tb_next
        if place is None:
            return text
        text += f" at line {place.tb_lineno}"
        file = place.tb_frame.f_code.co_filename
        line = cell_line(file, place.tb_lineno)
        if line is None:
            # Code that the cell compiled or ran from a file, which may be anywhere.
            return f"{text} of {shortened(file, _LONGEST_LINE)}"
        return f"{text}: {shortened(line, _LONGEST_LINE)}" if line else text

    def _what_was_awaited(self, cell: Cell) -> str:
        progress = self._tracker.read_cell(cell.id)
        if progress is None:
            return ""
        names = [
            f"{line.pending + line.released:,} × {shortened(line.name)}"
            for line in progress.lines
            if line.pending + line.released
        ]
        if not names:
            return ""
        return f"Awaited for {format_elapsed(progress.waited)}: {', '.join(names)}"
