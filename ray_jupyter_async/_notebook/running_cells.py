"""The running cells: the hooks around a cell, and the origin of its awaits."""

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

#: Ids of cells, unique in the process: a task keeps its cell's id across a reload.
_ids = itertools.count(1)


class _Run(NamedTuple):
    """A running cell, and IPython's `ExecutionInfo` of it."""

    info: Any
    cell: Cell


class RunningCells:
    """Tracks the running cells of a shell and sets the origin of their awaits.

    Parameters
    ----------
    shell
        Its events call `started` and `ended`.
    on_start, on_end
        Called with the cell before its code runs, and after it has ended with the cell
        and the error that its code raised, if any.
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
        # A stack per thread: cells run inside cells (`%run`, `run_cell`) and, in
        # subshells of ipykernel 7, in parallel.
        self._running: dict[int, list[_Run]] = {}
        # Whether a cell's output area exists after its end; in a terminal it does not.
        self._output_stays = _PARENT_IN_CONTEXT and hasattr(shell, "kernel")
        # The last cell's parent message, which ipykernel assigns outputs to.
        self._parent: Any = None

    def started(self, info: Any = None) -> None:
        """Record that a cell's code is about to run (`pre_run_cell`)."""
        self._begin(info, self._number(info))

    def join(self) -> None:
        """Record the cell that already runs, the one with the ``%load_ext``, if any.

        IPython (8.18 to 9.18) keeps its result in the display hook.
        """
        result = getattr(self._shell.displayhook, "exec_result", None)
        info = getattr(result, "info", None)
        # IPython triggers no event at the end of a silent cell.
        if info is None or getattr(info, "silent", True):
            return
        number = self._number(info)
        if number is not None and info.store_history:
            number -= 1  # its own input is already in the history
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
        """Record that a cell's code has run (`post_run_cell`).

        IPython (8.18 to 9.18) also triggers this event for an empty cell, without a
        `pre_run_cell`. It triggers none for `run_cell_async` called by a cell, which
        ends with that cell at the latest.
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
        """Return the running cell of this thread, if any."""
        runs = self._running.get(threading.get_ident())
        return runs[-1].cell if runs else None

    @property
    def nested(self) -> bool:
        """Whether this thread's running cell runs inside another one."""
        return len(self._running.get(threading.get_ident(), ())) > 1

    def claim_outputs(self) -> None:
        """Assign output that no cell sends to the last cell again.

        ipykernel (6.29 to 7.4) assigns such output, including Ray's forwarded worker
        logs, to the last message that it received. After a click this message has no
        cell, and the output would not be shown.
        """
        if self._parent:
            self._call_shell("set_parent", self._parent)

    def _call_shell(self, name: str, *arguments: Any) -> Any:
        # A terminal's shell has none of these methods.
        method = getattr(self._shell, name, None)
        return method(*arguments) if callable(method) else None

    def _number(self, info: Any) -> int | None:
        outer = self.current()
        if outer is not None and not getattr(info, "store_history", True):
            return outer.number  # the cell has no number
        # At this event the shell's own count is one higher in IPython 9.16 than in
        # 8.18; the number of earlier inputs is the same.
        history = self._shell.history_manager
        return None if history is None else len(history.input_hist_parsed)

    def _is_running(self, cell_id: int) -> bool:
        # A copy: another thread may start a cell.
        return any(
            runs and runs[-1].cell.id == cell_id
            for runs in list(self._running.values())
        )


def _place_of(result: Any, runs: list[_Run]) -> int | None:
    """Return the index in `runs` of the cell with this result."""
    info = getattr(result, "info", None)
    for place in reversed(range(len(runs))):
        if runs[place].info is info:
            return place
    # A cell that an exception of IPython ended has another result or none.
    if result is not None and not _failed(result):
        return None
    return len(runs) - 1 if runs else None


def _failed(result: Any) -> bool:
    return getattr(result, "error_in_exec", None) is not None
