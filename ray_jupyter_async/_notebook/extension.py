"""Loading and unloading; an unload restores everything that a load has changed."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from .._awaiting.events import add_observer, remove_observer
from .._awaiting.fetch.sessions import forget_session
from .._awaiting.patching.object_ref import patch, unpatch
from .._display.pump import Pump
from .._display.terminal import is_screen, script
from .._display.widget.arrival import KeptWidgets
from .._ray_api.connection import forget_connection
from .._ray_api.hooks.signal_checks import SignalChecks
from .._tracking.instrumentation import Tracking
from .._tracking.retries import Retries
from . import magics
from .async_api_alias import add_alias, remove_alias
from .config import RayAsync
from .nested_loops import NestedLoops
from .running_cells import RunningCells
from .stop.report import InterruptedCells
from .stop.signals import Interrupts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from IPython.core.interactiveshell import InteractiveShell

    from .._display.cell import Cell
    from .._display.protocol import Display
    from .._display.terminal.display import TerminalProgress
    from .._display.widget.display import CellDisplay
    from .._ray_api.objects import Ref

_loaded: Extension | None = None


def load(shell: InteractiveShell) -> None:
    """Load the extension; a no-op if it is loaded.

    A load that fails undoes its steps and raises the error.
    """
    global _loaded
    if _loaded is None:
        extension = Extension(shell)
        extension.load()
        _loaded = extension


def unload(shell: InteractiveShell) -> None:
    """Unload the extension; a no-op if it is not loaded.

    Pending awaits complete. nest-asyncio2 stays if a cell has needed it, because it
    cannot be undone.
    """
    del shell  # the shell of the load
    global _loaded
    extension, _loaded = _loaded, None
    if extension is not None:
        extension.unload()


def progress(refs: Iterable[Ref] | None = None) -> None:
    """Show the progress of refs under the running cell, without awaiting them.

    See `ray_jupyter_async.progress`.
    """
    if _loaded is None:
        raise RuntimeError(
            "progress() shows in a notebook cell: run %load_ext ray_jupyter_async first"
        )
    _loaded.show_progress(None if refs is None else list(refs))


def take_retried() -> list[Ref]:
    """Return and clear the refs of retries; see `ray_jupyter_async.take_retried`."""
    if _loaded is None:
        raise RuntimeError(
            "take_retried() returns the retries of a notebook. Run "
            "%load_ext ray_jupyter_async first."
        )
    return _loaded.retries.take()


class Extension:
    """The parts of the extension, for one shell.

    Attributes
    ----------
    shell : InteractiveShell
    config : RayAsync
    tracker : Tracker
    retries : Retries
    view : ClusterView
    tasks : RunningTasks
    interrupts : Interrupts
    signal_checks : SignalChecks
    interrupted : InterruptedCells
    """

    def __init__(self, shell: InteractiveShell) -> None:
        self.shell = shell
        self.config = RayAsync.of_shell(shell)
        self._tracking = Tracking()
        self.tasks = self._tracking.tasks
        self.tracker = self._tracking.tracker
        self.view = self._tracking.view
        self.retries = Retries(self.tracker, self._tracking.submissions)
        # The refs of retries are of no use without their session.
        self._tracking.submissions.on_session_end.append(self.retries.take)
        self._terminal = None if has_front_end(shell) else _terminal()
        self._shows = has_front_end(shell) or self._terminal is not None
        self._pump = Pump(
            self.tracker,
            self._display_of,
            self.view,
            self._tracking.blocking,
            prepare=_nothing if self._terminal is not None else _widget_display,
        )
        self._kept = KeptWidgets()
        self._loops = NestedLoops()
        self._cells = RunningCells(shell, self._cell_started, self._cell_ended)
        self.interrupts = Interrupts(shell)
        self.signal_checks = SignalChecks()
        self.interrupted = InterruptedCells(
            shell,
            self.config,
            self.interrupts,
            self.tasks,
            self.tracker,
            self._cells.current,
        )
        # Undoes the steps of `load`.
        self._undo = ExitStack()

    def load(self) -> None:
        """Install all parts, or none."""
        with ExitStack() as undo:
            undo.callback(setattr, script, "extension_is_loaded", False)
            script.extension_is_loaded = True
            if patch():
                undo.callback(unpatch)
            if add_alias():
                undo.callback(remove_alias)
            undo.callback(self._track, on=False)
            undo.callback(self._loops.detach)
            self._loops.attach()
            undo.callback(self.view.stop)
            self.view.start()
            if self._shows:
                undo.callback(self._kept.close_all)
                undo.callback(self._pump.stop)
                self._pump.start()
            undo.callback(self.tracker.end_watches)
            parts = magics.Parts(
                self.config,
                self.tracker,
                self.view,
                self.tasks,
                self.interrupts,
                self.signal_checks,
                self.interrupted,
            )
            undo.callback(magics.register(self.shell, parts))
            self._add_config(undo)
            undo.callback(self.signal_checks.uninstall)
            self.signal_checks.install()
            undo.callback(self.interrupts.detach)
            self.interrupts.attach()
            undo.callback(self.interrupted.detach)
            self.interrupted.attach()
            # Last, so that no event meets a partly loaded extension.
            for event, function in (
                ("pre_run_cell", self._cells.started),
                ("post_run_cell", self._cells.ended),
            ):
                self.shell.events.register(event, function)
                undo.callback(self.shell.events.unregister, event, function)
            self._cells.join()
            self._undo = undo.pop_all()

    def unload(self) -> None:
        """Remove all parts, in the opposite order."""
        self._undo.close()
        forget_session()
        forget_connection()

    def show_progress(self, refs: list[Ref] | None) -> None:
        """Show refs under the running cell; see `progress`."""
        cell = self._cells.current()
        if cell is None or not self._shows:
            raise RuntimeError(
                "progress() shows under a running cell, and there is none"
            )
        self._tracking.count(refs, cell.id)
        self._pump.show_at_once(cell.id)

    def _display_of(self, cell: Cell) -> Display:
        if self._terminal is not None:
            return self._terminal.display(cell)
        return _widget_display()(
            cell,
            self.tracker,
            lambda: self._pump.look_at(cell.id),
            self._cells.claim_outputs,
            self.retries,
            self._pump.call,
            self._kept,
        )

    def _cell_started(self, cell: Cell) -> None:
        self._loops.attach(nested_cell=self._cells.nested)
        self.interrupts.cell_started(cell.id)
        self.interrupted.cell_started(cell)
        self._pump.cell_started(cell)

    def _cell_ended(self, cell: Cell, error: BaseException | None) -> None:
        self.interrupts.cell_ended(cell.id)
        self.interrupted.cell_ended(cell, error)
        self._tracking.blocking.cell_ended(cell.id)
        self._pump.cell_finished(cell.id)
        if self._terminal is not None:
            self._terminal.cell_ended(cell.id)
        self.interrupts.forget(cell.id)

    def _add_config(self, undo: ExitStack) -> None:
        configurables: list[Any] = self.shell.configurables
        configurables.append(self.config)
        undo.callback(_remove, configurables, self.config)
        undo.callback(RayAsync.clear_instance)
        self.config.observe(lambda _change: self._configure())
        self._configure()

    def _configure(self) -> None:
        off = self.config.progress == "off"
        self._pump.delay = float("inf") if off else self.config.progress_delay
        self.tracker.limit = self.config.remembered_refs
        self._track(on=self.config.tracking)

    def _track(self, *, on: bool) -> None:
        """Turn all tracking on or off."""
        if on:
            self._tracking.install()
            add_observer(self.tasks.record)
        else:
            remove_observer(self.tasks.record)
            self._tracking.uninstall()


def has_front_end(shell: InteractiveShell) -> bool:
    """Whether the shell is a Jupyter kernel's, which can show more than text."""
    return getattr(shell, "kernel", None) is not None


def _terminal() -> TerminalProgress | None:
    """Return the progress of a terminal, or None without one."""
    if not is_screen(sys.stdout):
        return None
    # A kernel does not need rich.
    from .._display.terminal.display import TerminalProgress

    return TerminalProgress()


def _widget_display() -> type[CellDisplay]:
    # Importing ipywidgets and anywidget takes as long as the rest of a load.
    from .._display.widget.display import CellDisplay

    return CellDisplay


def _nothing() -> None:
    pass


def _remove(from_list: list[Any], item: object) -> None:
    # By identity: configurables compare by their settings.
    from_list[:] = [other for other in from_list if other is not item]
