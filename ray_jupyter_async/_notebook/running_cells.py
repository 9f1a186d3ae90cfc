"""Which cell runs: the hooks around a cell, and who awaits in it."""

from __future__ import annotations

import contextvars
import itertools
import threading
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, NamedTuple

from .._awaiting.events import origin
from .._display.cell import Cell

if TYPE_CHECKING:
    from collections.abc import Callable

    from IPython.core.interactiveshell import InteractiveShell

#: Since 7.0 a thread that runs in a cell's context sends its output there.
_PARENT_IN_CONTEXT = int(version("ipykernel").split(".")[0]) >= 7

#: Ids of cells. Of the whole process: a task that was started before a reload carries
#: its cell's id on.
_ids = itertools.count(1)


class _Run(NamedTuple):
    """A cell that runs, and IPython's `ExecutionInfo` of it."""

    info: Any
    cell: Cell


class RunningCells:
    """Follows the shell's cells and marks what they await as theirs.

    Parameters
    ----------
    shell
        Its events call `started` and `ended`.
    on_start, on_end
        Called with the cell as its code begins, and after it has ended with the
        error that its code raised, if any.
    """

    def __init__(
        self,
        shell: InteractiveShell,
        on_start: Callable[[Cell], None],
        on_end: Callable[[Cell, BaseException | None], None],
    ) -> None:
        self._shell = shell
        self._on_start = on_start
        self._on_end = on_end
        # A stack for each thread: cells run within cells (`%run`, `run_cell`), and, in
        # the subshells of ipykernel 7, beside each other.
        self._running: dict[int, list[_Run]] = {}
        # Whether a cell has a place of its own also when it has ended; in a terminal
        # comes the prompt.
        self._output_stays = _PARENT_IN_CONTEXT and hasattr(shell, "kernel")
        # What ipykernel files outputs under, as it was for the last cell.
        self._parent: Any = None

    def started(self, info: Any = None) -> None:
        """Note that a cell's code is about to run (`pre_run_cell`)."""
        self._begin(info, self._number(info))

    def join(self) -> None:
        """Note the cell that runs already: the one with the ``%load_ext``, if any.

        IPython (8.18 to 9.18) keeps its result where values are displayed.
        """
        result = getattr(self._shell.displayhook, "exec_result", None)
        info = getattr(result, "info", None)
        # IPython triggers no event at the end of a silent one.
        if info is None or getattr(info, "silent", True):
            return
        number = self._number(info)
        if number is not None and info.store_history:
            number -= 1  # its own input is among the others by now
        self._begin(info, number)

    def _begin(self, info: Any, number: int | None) -> None:
        cell_id = next(_ids)
        self._parent = self._call_shell("get_parent")
        # The task of an async cell, and the tasks that it starts, copy this.
        origin.set(cell_id)
        cell = Cell(
            id=cell_id,
            number=number,
            context=contextvars.copy_context(),
            is_current=lambda: self._output_stays or self._is_running(cell_id),
        )
        self._running.setdefault(threading.get_ident(), []).append(_Run(info, cell))
        self._on_start(cell)

    def ended(self, result: Any = None) -> None:
        """Note that a cell's code has run (`post_run_cell`).

        IPython (8.18 to 9.18) triggers this event for an empty cell too, which had no
        `pre_run_cell`; and none for `run_cell_async` called by a cell, which ends with
        that cell at the latest.
        """
        thread = threading.get_ident()
        runs = self._running.get(thread, [])
        place = _place_of(result, runs)
        if place is None:
            return  # an empty cell
        ended = [run.cell for run in runs[place:]]
        del runs[place:]
        if not runs:
            self._running.pop(thread, None)
        # A sync cell runs in the kernel's own context, which outlives it.
        origin.set(runs[-1].cell.id if runs else None)
        error = getattr(result, "error_in_exec", None)
        for cell in reversed(ended):
            self._on_end(cell, error if cell is ended[0] else None)

    def current(self) -> Cell | None:
        """Return the cell that runs on this thread, if any."""
        runs = self._running.get(threading.get_ident())
        return runs[-1].cell if runs else None

    @property
    def nested(self) -> bool:
        """Whether the cell that runs on this thread runs within another one."""
        return len(self._running.get(threading.get_ident(), ())) > 1

    def claim_outputs(self) -> None:
        """Have what no cell sends itself land in the last cell again.

        ipykernel (6.29 to 7.4) files such outputs, Ray's forwarded worker logs
        among them, under the message that it took in last. That of a click has
        no cell, and what follows it would not be shown.
        """
        if self._parent:
            self._call_shell("set_parent", self._parent)

    def _call_shell(self, name: str, *arguments: Any) -> Any:
        # A terminal's shell has neither of the two.
        method = getattr(self._shell, name, None)
        return method(*arguments) if callable(method) else None

    def _number(self, info: Any) -> int | None:
        outer = self.current()
        if outer is not None and not getattr(info, "store_history", True):
            return outer.number  # it has none of its own
        # The shell's own count is one further in IPython 9.16 than in 8.18 when
        # this event comes; the inputs of all cells before this one are the same.
        history = self._shell.history_manager
        return None if history is None else len(history.input_hist_parsed)

    def _is_running(self, cell_id: int) -> bool:
        # A copy: another thread may start a cell.
        return any(
            runs and runs[-1].cell.id == cell_id
            for runs in list(self._running.values())
        )


def _place_of(result: Any, runs: list[_Run]) -> int | None:
    """Return the place among the cells that run of the one with this result."""
    info = getattr(result, "info", None)
    for place in reversed(range(len(runs))):
        if runs[place].info is info:
            return place
    # One that ended by an exception of IPython's own has another result or none.
    if result is not None and not _failed(result):
        return None
    return len(runs) - 1 if runs else None


def _failed(result: Any) -> bool:
    return getattr(result, "error_in_exec", None) is not None
