"""Progress in marimo's cells: what `ray_jupyter_async.progress` does there.

The tracker and the pump of a notebook, for the whole process. There is no hook at the
start or end of a cell, so each call of `progress` counts as one, which never ends.
"""

from __future__ import annotations

import contextvars
import threading
from typing import TYPE_CHECKING

from ..._requirements import require_notebook
from ..cell import Cell
from . import host

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from ..._ray_api.objects import Ref
    from ..protocol import Display
    from .display import MarimoDisplay

# Sessions of `marimo run` are threads of one process.
_lock = threading.Lock()
_cells: Cells | None = None


def start() -> None:
    """Track what is submitted from now on; a no-op outside marimo's cells."""
    if host.runs_cells():
        _started()


def show_progress(refs: Iterable[Ref] | None) -> bool:
    """Show refs as `ray_jupyter_async.progress` does; False outside marimo's cells."""
    if not host.runs_cells():
        return False
    if not host.runs_now():
        raise RuntimeError(host.NO_CELL)
    require_notebook("progress() in a notebook")
    _started().show(None if refs is None else list(refs))
    return True


def check_elsewhere() -> None:
    """Raise marimo's own error where its notebook runs, but no cell of it here."""
    if host.is_loaded():
        raise RuntimeError(host.NO_CELL)


def take_retried() -> list[Ref] | None:
    """Do as `ray_jupyter_async.take_retried`; None outside marimo's cells."""
    return _started().retries.take() if host.runs_cells() else None


def _started() -> Cells:
    global _cells
    with _lock:
        if _cells is None:
            _cells = Cells()
        return _cells


class Cells:
    """The parts behind the displays of all cells.

    Attributes
    ----------
    retries : Retries
    """

    def __init__(self) -> None:
        # A script that never tracks anything imports none of this.
        from ..._tracking.instrumentation import Tracking
        from ..._tracking.retries import Retries
        from ..pump import Pump

        self._tracking = Tracking()
        self._tracker = self._tracking.tracker
        self.retries = Retries(self._tracker, self._tracking.submissions)
        self._tracking.submissions.on_session_end.append(self.retries.take)
        self._displays: dict[Hashable, MarimoDisplay] = {}
        # Blocking calls are not looked for: their cell is not known.
        self._pump = Pump(self._tracker, self._display_of, self._tracking.view)
        self._tracking.install()

    def show(self, refs: list[Ref] | None) -> None:
        """Show refs under the running cell."""
        self._forget_closed()
        cell = Cell(object(), None, contextvars.copy_context(), lambda: True)
        self._tracking.count(refs, cell.id)
        progress = self._tracker.read_cell(cell.id)
        if progress is None:
            return  # no refs
        # IPython, ipywidgets and anywidget: `patch` alone does not need them.
        from .display import MarimoDisplay

        display = MarimoDisplay(
            cell,
            self._tracker,
            self.retries,
            lambda: self._pump.look_at(cell.id),
            self._pump.call,
        )
        # Here, because marimo knows the thread that runs a cell, and no other.
        display.show(progress)
        self._displays[cell.id] = display
        with _lock:
            # No-ops from the second display on.
            self._tracking.view.start()
            self._pump.start()
        self._pump.cell_started(cell)
        self._pump.show_at_once(cell.id)

    def _display_of(self, cell: Cell) -> Display:
        return self._displays[cell.id]

    def _forget_closed(self) -> None:
        for cell_id, display in list(self._displays.items()):
            if display.is_closed:
                self._pump.forget(cell_id)
                self._displays.pop(cell_id, None)
