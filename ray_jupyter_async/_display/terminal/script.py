"""Progress in a plain script: what `ray_jupyter_async.terminal_progress` does.

The tracker, the pump and a terminal, as in a terminal IPython, for one stretch of
code that counts as a cell. Imports no IPython.
"""

from __future__ import annotations

import contextvars
import sys
from contextlib import ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING

from ..._awaiting.events import origin
from ..._awaiting.patching.object_ref import patched
from ..._tracking.instrumentation import Tracking
from ..cell import Cell
from ..pump import Pump
from .screen import is_screen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager

    from ..._ray_api.objects import Ref

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
        from .display import TerminalProgress

        self._tracking = Tracking()
        self._terminal = TerminalProgress()
        self._pump = Pump(
            self._tracking.tracker,
            self._terminal.display,
            self._tracking.view,
            self._tracking.blocking,
            delay=delay,
        )

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show what the code of this block waits for."""
        with ExitStack() as undo:
            undo.enter_context(patched())
            undo.callback(self._tracking.uninstall)
            self._tracking.install()
            undo.callback(self._tracking.view.stop)
            self._tracking.view.start()
            undo.callback(self._pump.stop)
            self._pump.start()
            undo.callback(self._tracking.tracker.end_watches)
            before = origin.set(self)
            undo.callback(origin.reset, before)
            cell = Cell(self, None, contextvars.copy_context(), lambda: True)
            self._pump.cell_started(cell)
            undo.callback(self._terminal.cell_ended, self)
            undo.callback(self._pump.cell_finished, self)
            undo.callback(self._tracking.blocking.cell_ended, self)
            yield

    def show_progress(self, refs: list[Ref] | None) -> None:
        """Show refs, or all that runs; see `ray_jupyter_async.progress`."""
        self._tracking.count(refs, self)
        self._pump.show_at_once(self)


@contextmanager
def terminal_progress(delay: float) -> Iterator[None]:
    """Carry out `ray_jupyter_async.terminal_progress`."""
    global _stretch
    extension = sys.modules.get("ray_jupyter_async._notebook.extension")
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
