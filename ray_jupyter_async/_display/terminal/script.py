"""Progress in a plain script: what `ray_jupyter_async.terminal_progress` does.

The tracker, the pump and a terminal, as in a terminal IPython, for one stretch of
code that counts as a cell. Imports no IPython.
"""

from __future__ import annotations

import contextvars
import sys
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from ..._awaiting.events import origin
from ..._awaiting.patching.object_ref import patched
from ..._requirements import require
from ..._tracking.instrumentation import Tracking
from ..cell import Cell
from ..pump import Pump
from . import is_screen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ..._ray_api.objects import Ref

# Shows refs in the stretch of code that runs; None outside one.
_show: Callable[[list[Ref] | None], None] | None = None
#: Set by the extension while it is loaded: it shows progress by itself.
extension_is_loaded = False


@contextmanager
def terminal_progress(delay: float) -> Iterator[None]:
    """Carry out `ray_jupyter_async.terminal_progress`."""
    global _show
    if _show is not None or extension_is_loaded:
        yield
        return
    # Also where nothing can be seen, so that a script fails the same everywhere.
    require("terminal_progress()", "rich")
    try:
        with ExitStack() as undo:
            # Where it cannot be seen, nothing is tracked either.
            seen = is_screen(sys.stdout)
            _show = _started(undo, delay) if seen else lambda _refs: None
            yield
    finally:
        _show = None


def show_progress(refs: Iterable[Ref] | None) -> bool:
    """Show refs as `ray_jupyter_async.progress` does; False outside a stretch."""
    if _show is None:
        return False
    _show(None if refs is None else list(refs))
    return True


def _started(undo: ExitStack, delay: float) -> Callable[[list[Ref] | None], None]:
    """Show what the code from here on waits for; return a function that shows refs."""
    from .display import TerminalProgress

    tracking, terminal = Tracking(), TerminalProgress()
    tracker, view, blocking = tracking.tracker, tracking.view, tracking.blocking
    pump = Pump(tracker, terminal.display, view, blocking, delay=delay)
    cell = Cell(object(), None, contextvars.copy_context(), lambda: True)
    undo.enter_context(patched())
    undo.callback(tracking.uninstall)
    tracking.install()
    undo.callback(view.stop)
    view.start()
    undo.callback(tracker.end_watches)
    # Only of use after a stop that has timed out.
    undo.callback(terminal.cell_ended, cell.id)
    undo.callback(pump.stop)
    pump.start()
    undo.callback(origin.reset, origin.set(cell.id))
    pump.cell_started(cell)
    undo.callback(pump.cell_finished, cell.id)
    undo.callback(blocking.cell_ended, cell.id)

    def show(refs: list[Ref] | None) -> None:
        tracking.count(refs, cell.id)
        pump.show_at_once(cell.id)

    return show
