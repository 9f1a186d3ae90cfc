"""The live progress widget, and how it stands in a cell.

The front end is progress.js and progress.css beside this file. What a saved
notebook shows is static_progress.py. When to show and update is for the pump:
nothing in here starts a thread, and every method is called on the pump's.
"""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets
from IPython import display as _ipython

from .static_progress import error_names, progress_bundle

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..tracking.progress import CellProgress
    from .cells import Cell

_HERE = Path(__file__).parent

# IPython publishes no types for these two.
_display: Callable[..., Any] = _ipython.display
_update_display: Callable[..., Any] = _ipython.update_display


class ProgressWidget(anywidget.AnyWidget):
    """One progress line per name, from one trait.

    Parameters
    ----------
    progress
        What to show first.
    """

    _esm = _HERE / "progress.js"
    _css = _HERE / "progress.css"

    #: What is shown, see `widget_state`. Set by `show` alone, and as a whole.
    state = traitlets.Dict().tag(sync=True)

    def __init__(self, progress: CellProgress) -> None:
        super().__init__(state=widget_state(progress))
        self._progress = progress

    def show(self, progress: CellProgress) -> None:
        """Show ``progress`` from now on: one message to the front end."""
        self._progress = progress
        self.state = widget_state(progress)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        # Beside the view stands what a front end without widgets, or a saved
        # notebook without a kernel, can show.
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is None:
            return None
        data, metadata = bundle
        return {**data, **progress_bundle(self._progress)}, metadata


class CellDisplay:
    """Progress in one cell: live while something is pending, static afterwards.

    Parameters
    ----------
    cell
        Where it stands. Its output is sent in the cell's context.
    """

    def __init__(self, cell: Cell) -> None:
        # A copy: a context cannot be entered while somebody else is in it.
        self._context = cell.context.copy()
        self._display_id = f"ray-jupyter-async-{uuid.uuid4().hex}"
        self._displayed = False
        self._widget: ProgressWidget | None = None

    @property
    def live(self) -> bool:
        """Whether the widget is there."""
        return self._widget is not None

    def show(self, progress: CellProgress) -> None:
        """Show ``progress`` live; the widget is made when there is none."""
        self._context.run(self._show, progress)

    def finish(self, progress: CellProgress) -> None:
        """Replace the widget by static HTML and text, and close it.

        Nothing happens when there is no widget. `show` may follow: the widget
        then stands in the same place.
        """
        self._context.run(self._finish, progress)

    def _show(self, progress: CellProgress) -> None:
        if self._widget is not None:
            self._widget.show(progress)
            return
        self._widget = ProgressWidget(progress)
        if self._displayed:
            _update_display(self._widget, display_id=self._display_id)
        else:
            _display(self._widget, display_id=self._display_id)
            self._displayed = True

    def _finish(self, progress: CellProgress) -> None:
        widget, self._widget = self._widget, None
        if widget is None:
            return
        try:
            # For who listens to the widget: a screen reader is told the end.
            widget.show(progress)
            _update_display(
                progress_bundle(progress), raw=True, display_id=self._display_id
            )
        finally:
            widget.close()


def widget_state(progress: CellProgress) -> dict[str, Any]:
    """Return what progress.js shows; its `State` type says the same."""
    return {
        "running": not progress.settled,
        "lines": [
            {
                "name": line.name,
                "total": line.total,
                "resolved": line.resolved,
                "ready": line.ready,
                "failed": line.failed,
                "cancelled": line.cancelled,
                "pending": line.pending,
                "elapsed_s": round(line.elapsed(progress.taken), 3),
                "errors": error_names(line),
            }
            for line in progress.lines
        ],
    }
