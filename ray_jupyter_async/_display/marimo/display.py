"""The display of one call of `progress` in marimo: the widget, which stays live.

Its last state takes the place of a notebook's static form: marimo keeps the state of
its widgets, and a line opens also after the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..widget.bundle import front_end_styles
from ..widget.display import CellDisplay
from . import host

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..._tracking.retries import Retries
    from ..._tracking.snapshots import CellProgress
    from ..._tracking.tracker import Tracker
    from ..cell import Cell
    from ..widget.widget import ProgressWidget


class MarimoDisplay:
    """A widget below a cell of marimo, until the cell runs again; a `Display`.

    Parameters
    ----------
    cell, tracker, retries
        As for `CellDisplay`.
    wake, call
        As for `CellDisplay`.
    """

    def __init__(
        self,
        cell: Cell,
        tracker: Tracker,
        retries: Retries,
        wake: Callable[[], None],
        call: Callable[[Callable[[], None]], None],
    ) -> None:
        self._widget: ProgressWidget | None = None
        self._live = CellDisplay(
            cell,
            tracker,
            wake,
            # Output of no cell appears in the terminal of the server.
            lambda: None,
            retries,
            call,
            show_first=self._append,
        )

    @property
    def is_closed(self) -> bool:
        """Whether the widget is gone from its page for good."""
        return self._widget is not None and host.is_closed(self._widget)

    @property
    def live(self) -> bool:
        """Whether the widget is there."""
        return self._live.live

    @property
    def held(self) -> bool:
        """Whether a line is open or a message waits."""
        return self._live.held

    def show(self, progress: CellProgress) -> bool:
        """Show ``progress``; first on the thread of the running cell."""
        return not self.is_closed and self._live.show(progress)

    def leave(self, progress: CellProgress) -> None:
        """Do nothing: the page keeps the last state."""

    def finish(self, progress: CellProgress) -> None:
        """Do nothing: the widget stays."""

    def complete(self, progress: CellProgress) -> None:
        """Do nothing: the widget stays."""

    def _append(self, widget: ProgressWidget, _display_id: str) -> None:
        self._widget = widget
        # There a widget has a root of its own, which the page's styles do not reach.
        widget._css = front_end_styles()
        host.append_output(widget)
