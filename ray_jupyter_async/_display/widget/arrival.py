"""Whether what a cell shows stands in the notebooks of the pages that have it open.

`update_display_data` alone does not arrive after `clear_output`, inside
`ipywidgets.Output`, in a page that was reloaded, or in one that is closed. A page of
JupyterLab or Notebook 7 is therefore sent the display's static form as well: it
writes it into its notebook when that is saved or when the display ends, and
acknowledges the end (``frontend/arrival.js`` is the twin). Until then the widget is
kept, and a page that opens later gets what it missed.

All of it is called on the pump's thread; nothing here starts a thread.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from math import inf
from typing import TYPE_CHECKING, Any, Protocol

from IPython.core.getipython import get_ipython

if TYPE_CHECKING:
    import contextvars
    from collections.abc import Callable, Collection

    from .page_messages import Report

#: Key of an output's metadata by which a page finds the display in its notebook.
MARK = "ray_jupyter_async"

# Between two states that a page keeps for the next save of its notebook, in seconds.
_PERIOD = 2.0
# After all has settled, workers report for about so long when their tasks ran.
_LATE_REPORTS = 4.0

# A display that a running cell has cleared comes back after a pause. One that is
# cleared again soon stands in a loop of `clear_output`: it comes back at the end.
_BEFORE_RETURN = 2.0
_LASTING = 5.0

# A page reports what its cell cleared a moment after the cell has ended.
_REPORTS_LATE = 3.0

# Pages of one display that are known at once.
_MOST_PAGES = 100

#: Widgets that no page has acknowledged; a page that opens loads them all.
MOST_KEPT = 30

_VIEW = "application/vnd.jupyter.widget-view+json"


class Sender(Protocol):
    """What a display sends to its pages through: an ipywidgets widget."""

    @property
    def model_id(self) -> Any:
        """The id of what is viewed."""

    def send(self, content: Any) -> Any:
        """Send a custom message."""


class Closable(Protocol):
    """What `KeptWidgets` asks of a widget."""

    def close(self) -> Any:
        """Remove the widget from its pages."""


def cell_id_of(context: contextvars.Context) -> str:
    """Return the front end's id of the cell that a context belongs to.

    JupyterLab, Notebook 7 and VS Code send it with each cell that they run; nbclient
    and papermill do not. "" where it is unknown.
    """
    get_parent = getattr(get_ipython(), "get_parent", None)
    if not callable(get_parent):
        return ""
    parent = context.copy().run(get_parent)
    metadata = parent.get("metadata") if isinstance(parent, dict) else None
    cell = metadata.get("cellId") if isinstance(metadata, dict) else None
    return cell if isinstance(cell, str) else ""


def marked(display_id: str) -> dict[str, Any]:
    """Return the metadata by which a page finds a display's output."""
    return {MARK: {"display": display_id}}


class Arrival:
    """One display in the notebooks of its pages.

    Parameters
    ----------
    display_id
        The display's; pages find its output by it.
    cell_id
        The front end's id of the cell, "" if unknown.
    """

    def __init__(self, display_id: str, cell_id: str) -> None:
        #: What pages look for: the widget's trait of this name.
        self.place = {"display": display_id, "cell": cell_id}
        self._began = time.monotonic()
        # Pages that have the widget, and whether they can write into a notebook.
        self._pages: dict[str, bool] = {}
        self._number = 0
        self._next = 0.0
        self._settled = False
        self._completed = False
        # When the cell's code was last known to run.
        self._code_ran_at = self._began
        # Since when the output is missing in a page, and when it was last put back.
        self._lost_at: float | None = None
        self._returned_at: float | None = None
        # Removed by a person, or by another run of the cell.
        self._dismissed = False

    @property
    def expected(self) -> bool:
        """Whether a page has the widget, or may come to have it."""
        return bool(self.place["cell"] or self._pages)

    def is_replaced(self, views: Collection[str]) -> bool:
        """Whether the static form has replaced all views, as far as can be known.

        Front ends that cannot write into a notebook report no more than that a view
        has gone.
        """
        return bool(self._pages) and not any(self._pages.values()) and not views

    def receive(self, report: Report) -> str:
        """Note what a page reports.

        Returns
        -------
        str
            What it means: ``"ask"`` (the page wants the current form), ``"stands"``
            (the final form is in its notebook), or "".
        """
        if report.do == "here":
            if len(self._pages) < _MOST_PAGES or report.page in self._pages:
                self._pages[report.page] = report.writes
            return "ask"
        if report.do == "left":
            self._pages.pop(report.page, None)
        elif report.do == "gone" and not report.found:
            self._lose()
        elif report.do == "rerun":
            self._dismissed = True
        elif report.do == "arrived" and report.number == self._number:
            return "stands" if report.stands else ""
        return ""

    def _lose(self) -> None:
        """Note that a page's notebook has lost the output: to code, or to a person."""
        now = time.monotonic()
        if now - self._code_ran_at >= _REPORTS_LATE:
            self._dismissed = True
        elif self._lost_at is None:
            self._lost_at = now

    def tell(
        self,
        widget: Sender,
        make_bundle: Callable[[], dict[str, str]],
        *,
        settled: bool,
        code_finished: bool,
        at_once: bool = False,
    ) -> None:
        """Send the state that a page saves while the display is live.

        Parameters
        ----------
        widget
            The display's.
        make_bundle
            Makes the state text and HTML. Called if it is time for that.
        settled
            Whether nothing is pending now.
        code_finished
            Whether the cell's code has ended.
        at_once
            Send it although the last one was sent just before.
        """
        now = time.monotonic()
        if not code_finished:
            self._code_ran_at = now
        if not any(self._pages.values()):
            return
        add = self._returns(now, code_finished=code_finished)
        due = self._is_due(now, settled=settled)
        if not (add or at_once or due):
            return
        if add:
            self._lost_at, self._returned_at = None, now
        elif at_once:
            # A page that was reloaded may have lost the output of a running cell.
            add = now - self._began > 1.0 and not self._dismissed
        self._send(widget, make_bundle(), view=True, add=add)

    def _is_due(self, now: float, *, settled: bool) -> bool:
        """Whether it is time for a state; if so, set when it is time for the next."""
        if settled != self._settled:
            self._settled = settled
            self._next = now
            self._completed = False
        if now < self._next:
            return False
        if not settled:
            self._next = now + _PERIOD
        else:
            self._next = inf if self._completed else now + _LATE_REPORTS
            self._completed = True
        return True

    def _returns(self, now: float, *, code_finished: bool) -> bool:
        """Whether a display that was cleared is to be put back now."""
        lost_at, returned_at = self._lost_at, self._returned_at
        if lost_at is None or self._dismissed:
            return False
        if code_finished:
            return True
        if returned_at is not None and lost_at - returned_at < _LASTING:
            return False
        return now - lost_at >= _BEFORE_RETURN

    def finish(self, widget: Sender, bundle: dict[str, str]) -> None:
        """Send the final form; a page answers when it stands in its notebook."""
        self._send(widget, bundle, view=False, add=not self._dismissed)

    def _send(
        self, widget: Sender, bundle: dict[str, str], *, view: bool, add: bool
    ) -> None:
        self._number += 1
        shown = {"version_major": 2, "version_minor": 0, "model_id": widget.model_id}
        widget.send(
            {
                "place": self._number,
                "data": bundle,
                "metadata": marked(self.place["display"]),
                "view": {_VIEW: shown} if view else None,
                "add": add,
            }
        )


class KeptWidgets:
    """Widgets of displays that have ended and that no page has acknowledged yet."""

    def __init__(self) -> None:
        self._kept: OrderedDict[int, Closable] = OrderedDict()

    def keep(self, widget: Closable) -> None:
        """Keep a widget; the oldest of too many is closed."""
        self._kept[id(widget)] = widget
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)[1].close()

    def close(self, widget: Closable) -> None:
        """Close a widget, kept or not."""
        self._kept.pop(id(widget), None)
        widget.close()

    def close_all(self) -> None:
        """Close all that are kept."""
        while self._kept:
            self._kept.popitem()[1].close()
