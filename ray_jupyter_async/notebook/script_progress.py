"""Progress in a plain script: what `ray_jupyter_async.terminal_progress` does.

The tracker, the pump and a terminal, as in a terminal IPython, for one stretch of
code that counts as a cell. Imports no IPython.
"""

from __future__ import annotations

import contextvars
import sys
from contextlib import ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING

from ..awaiting import patched
from ..awaiting.observing import add_observer, origin, remove_observer
from ..awaiting.sessions import local_session_of
from ..awaiting.watching import watch_ready
from ..tracking.blocking_gets import BlockingGets
from ..tracking.cluster_view import ClusterView
from ..tracking.submissions import Submissions
from ..tracking.tracker import Tracker
from .cells import Cell
from .pump import Pump
from .terminal_screen import is_screen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager

    from ..awaiting.ray_internals import Ref

_stretch: Stretch | Unseen | None = None


class Unseen:
    """A stretch of code whose progress nobody can see."""

    def shown(self) -> AbstractContextManager[None]:
        """Do nothing around a block."""
        return nullcontext()

    def show_progress(self, refs: list[Ref] | None) -> None:
        """Show nothing."""


class Stretch:
    """The code whose progress is shown.

    Parameters
    ----------
    delay
        Seconds that it must have waited before anything is shown.
    """

    def __init__(self, delay: float) -> None:
        from .terminal_progress import TerminalProgress

        self._submissions = Submissions()
        self._tracker = Tracker(
            self._submissions.name_of, take_submitted=self._submissions.take_fresh
        )
        self._submissions.on_session_end = self._tracker.end_session
        self._view = ClusterView(self._tracker, self._submissions)
        self._blocking = BlockingGets(self._tracker)
        self._terminal = TerminalProgress()
        self._pump = Pump(
            self._tracker,
            self._terminal.display,
            self._view,
            self._blocking,
            delay=delay,
        )

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show what the code of this block waits for."""
        with ExitStack() as undo:
            undo.enter_context(patched())
            undo.callback(self._submissions.uninstall)
            self._submissions.install()
            undo.callback(self._blocking.uninstall)
            self._blocking.install()
            add_observer(self._tracker.record)
            undo.callback(remove_observer, self._tracker.record)
            undo.callback(self._view.stop)
            self._view.start()
            undo.callback(self._pump.stop)
            self._pump.start()
            undo.callback(self._tracker.end_watches)
            before = origin.set(self)
            undo.callback(origin.reset, before)
            cell = Cell(self, None, contextvars.copy_context(), lambda: True)
            self._pump.cell_started(cell)
            undo.callback(self._terminal.cell_ended, self)
            undo.callback(self._pump.cell_finished, self)
            yield

    def show_progress(self, refs: list[Ref] | None) -> None:
        """Show refs, or all that runs; see `ray_jupyter_async.progress`."""
        if refs is None:
            self._tracker.adopt(self, self._view.running_refs())
        else:
            for ref in refs:
                local_session_of(ref)
            self._tracker.watch(refs, watch_ready, self)
        self._pump.show_at_once(self)


@contextmanager
def terminal_progress(delay: float) -> Iterator[None]:
    """Carry out `ray_jupyter_async.terminal_progress`."""
    global _stretch
    extension = sys.modules.get("ray_jupyter_async.notebook.extension")
    shown = _stretch is not None or (extension is not None and extension.is_loaded())
    if shown:
        yield
        return
    # With nobody who could see it, nothing is tracked either.
    _stretch = Stretch(delay) if is_screen(sys.stdout) else Unseen()
    try:
        with _stretch.shown():
            yield
    finally:
        _stretch = None


def show_progress(refs: Iterable[Ref] | None) -> bool:
    """Show refs as `ray_jupyter_async.progress` does; False outside a stretch."""
    if _stretch is None:
        return False
    _stretch.show_progress(None if refs is None else list(refs))
    return True
