"""The views of one display: which lines are open there, and what these are sent.

All of it is called on the pump's thread.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from .ref_messages import OpenLine

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..._tracking.refs.columns import RefColumns
    from ..._tracking.snapshots import CellProgress
    from .ref_messages import Message

#: Seconds for which a line counts as open after its page last renewed it. Pages do so
#: every 20 seconds; a browser may let a hidden one do so once a minute.
LEASE = 90.0

# Seconds between two messages about an open line, at least, unless more is to be sent
# than fits into one: the page draws not much more often.
_PERIOD = 0.2

_MOST_VIEWS = 100


class _View:
    def __init__(self) -> None:
        self.lines: set[str] = set()
        self.renewed = time.monotonic()


class Views:
    """Where the widget is shown, and the lines that are open there.

    Parameters
    ----------
    read
        Returns what changed in a line since a version, and the new version.
    """

    def __init__(
        self, read: Callable[[str, int], tuple[RefColumns | None, int]]
    ) -> None:
        self._read = read
        self._known: dict[str, _View] = {}
        self._open: dict[str, OpenLine] = {}

    @property
    def names(self) -> list[str]:
        """The known views."""
        return [*self._known]

    @property
    def held(self) -> bool:
        """Whether a line is open in a view whose lease has not run out."""
        now = time.monotonic()
        views = self._known.values()
        return any(view.lines and now - view.renewed < LEASE for view in views)

    def renew(self, name: str) -> None:
        """Note that a view is there; of too many, the oldest is forgotten."""
        view = self._known.get(name)
        if view is not None:
            view.renewed = time.monotonic()
            return
        if len(self._known) >= _MOST_VIEWS:
            self.remove(min(self._known, key=lambda view: self._known[view].renewed))
        self._known[name] = _View()

    def remove(self, name: str) -> None:
        """Forget a view."""
        self._known.pop(name, None)
        self._close_unseen()

    def remove_page(self, page: str) -> None:
        """Forget the views of a page: their names begin with the page's."""
        for view in self.names:
            if view.startswith(f"{page}-"):
                self.remove(view)

    def open(self, name: str, line: str) -> None:
        """Open a line in a view: all of its refs are sent again."""
        self._known[name].lines.add(line)
        opened = self._open.get(line)
        if opened is None:
            self._open[line] = OpenLine(line, lambda since: self._read(line, since))
        else:
            opened.restart()

    def close(self, name: str, line: str) -> None:
        """Close a line in a view."""
        self._known[name].lines.discard(line)
        self._close_unseen()

    def close_all(self) -> None:
        """Close all lines in all views."""
        for view in self._known.values():
            view.lines.clear()
        self._open.clear()

    def clear(self) -> None:
        """Forget all views."""
        self._known.clear()
        self._open.clear()

    def messages(self, progress: CellProgress) -> tuple[list[Message], bool]:
        """Return what open lines are sent now, and whether more is to follow soon."""
        made: list[Message] = []
        behind = False
        for line in progress.lines:
            opened = self._open.get(line.name)
            if opened is None:
                continue
            now = progress.taken - line.first_awaited
            if opened.behind or now - opened.sent_at >= _PERIOD:
                made += opened.messages(line, now)
                behind |= opened.behind
            else:
                behind = True
        return made, behind

    def _close_unseen(self) -> None:
        seen = {line for view in self._known.values() for line in view.lines}
        for line in self._open.keys() - seen:
            del self._open[line]
