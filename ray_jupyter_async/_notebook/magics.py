"""The line magics."""

from __future__ import annotations

import platform
import time
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

import ray
from IPython.core import magic_arguments as _magic_arguments
from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_magic, magics_class

from .._awaiting.patching.object_ref import is_patched
from .._display.plain_text import one_line, print_text
from .._display.reason_words import reason_words
from .._display.terminal.refs_table import refs_table
from .nested_loops import nested
from .task_words import count, did_not_stop

if TYPE_CHECKING:
    from collections.abc import Callable

    from IPython.core.interactiveshell import InteractiveShell

    from .._ray_api.hooks.signal_checks import SignalChecks
    from .._tracking.cluster.poller import ClusterView
    from .._tracking.cluster.running_tasks import RunningTask, RunningTasks
    from .._tracking.tracker import Tracker
    from .config import RayAsync
    from .stop.report import InterruptedCells
    from .stop.signals import Interrupts

_Method = TypeVar("_Method", bound="Callable[..., Any]")

# Seconds that `%ray_cancel` waits for tasks to end, and the other two for Ray's answer.
_PATIENCE = 2.0

# IPython publishes no types for these.
_untyped: Any = _magic_arguments
argument: Callable[..., Callable[[_Method], _Method]] = _untyped.argument
magic_arguments: Callable[..., Callable[[_Method], _Method]] = _untyped.magic_arguments
parse_argstring: Callable[..., Any] = _untyped.parse_argstring

_LOOKS = {
    "often": "in ray.get within 0.1 s",
    "seldom": "in ray.get within 1 s",
    "yours": "in ray.get as often as your setting of Ray says",
    "unknown": "in ray.get not known without a local connection",
}

_PACKAGES = ("ray-jupyter-async", "ray", "ipython", "ipykernel", "nest-asyncio2")


class Parts(NamedTuple):
    """The parts of the extension that the magics read."""

    config: RayAsync
    tracker: Tracker
    view: ClusterView
    tasks: RunningTasks
    interrupts: Interrupts
    signal_checks: SignalChecks
    interrupted: InterruptedCells


@magics_class
class RayAsyncMagics(Magics):
    """The magics that `%load_ext ray_jupyter_async` adds."""

    def __init__(self, shell: InteractiveShell, parts: Parts) -> None:
        super().__init__(shell)
        self._parts = parts

    @line_magic
    def ray_async(self, line: str) -> None:
        """Print the status of ray_jupyter_async in this kernel.

        Versions, whether it handles `await ref`, how many refs are pending and settled,
        and the configuration.
        """
        if line.strip():
            raise UsageError(f"%ray_async takes no arguments, got {line.strip()!r}")
        for label, text in _status(self._parts):
            print_text(f"{label:<14}{text}")

    @magic_arguments()
    @argument("names", nargs="*", metavar="NAME", help="of functions and methods")
    @line_magic
    def ray_refs(self, line: str) -> None:
        """Print the refs of this kernel by name, with their states.

        They are all refs that were submitted or awaited since the extension was loaded.
        Below the table are the reasons why some wait, and the errors.
        """
        names = parse_argstring(cast("Any", self).ray_refs, line).names
        _refresh(self._parts)
        totals = self._parts.tracker.snapshot().totals
        shown = [line for line in totals if not names or line.name in names]
        print_text(refs_table(shown))

    @magic_arguments()
    @argument("names", nargs="*", metavar="NAME", help="of functions and methods")
    @argument("--all", action="store_true", help="the tasks of all cells")
    @argument("--cell", type=int, metavar="N", help="the tasks of the cell In [N]")
    @argument("--force", action="store_true", help="kill their workers")
    @line_magic
    def ray_cancel(self, line: str) -> None:
        """Cancel running Ray tasks, by default those of the last interrupted cell.

        A cell's tasks are those that it submitted or awaits. Without ``--force`` a task
        ends when it next runs Python code. Ray does not force methods of actors to end.
        """
        arguments = parse_argstring(cast("Any", self).ray_cancel, line)
        tasks = self._chosen(arguments)
        if not tasks:
            print_text("No such Ray task is running. `%ray_refs` lists all names.")
            return
        refused = self._parts.tasks.cancel(tasks, force=arguments.force)
        asked = [task for task in tasks if task not in {task for task, _ in refused}]
        for reason in dict.fromkeys(reason for _, reason in refused):
            of_reason = [task for task, why in refused if why == reason]
            print_text(f"Ray refuses to cancel {count(of_reason)}: {one_line(reason)}")
        if asked:
            print_text(f"Cancelling {count(asked)} …")
            self._report_end(asked)

    def _chosen(self, arguments: Any) -> list[RunningTask]:
        parts = self._parts
        given = [arguments.all, arguments.cell is not None, bool(arguments.names)]
        if sum(given) > 1:
            raise UsageError(
                "--all, --cell N and names cannot be combined. Pass one of them."
            )
        tasks = parts.tasks.all()
        if arguments.all:
            return tasks
        if arguments.names:
            return [task for task in tasks if task.name in arguments.names]
        stopped = parts.interrupted
        if arguments.cell is None:
            if stopped.last is None:
                raise UsageError(
                    "no cell was interrupted yet. Pass --all, --cell N or names."
                )
            return [task for task in tasks if task.belongs_to(stopped.last)]
        return [
            task
            for task in tasks
            if arguments.cell
            in (
                stopped.number_of(task.submitted_by),
                stopped.number_of(task.awaited_by),
            )
        ]

    def _report_end(self, asked: list[RunningTask]) -> None:
        until = time.monotonic() + _PATIENCE
        left = asked
        while left and time.monotonic() < until:
            time.sleep(0.05)
            left = self._parts.tasks.still(left)
        if len(left) < len(asked):
            print_text(f"Ended: {count(task for task in asked if task not in left)}")
        if left:
            begun = self._parts.tasks.begun(left)
            print_text("\n".join(did_not_stop(left, begun, "`--force` kills")))


def _refresh(parts: Parts) -> None:
    """Read Ray's current states, if it answers."""
    if not parts.view.health.now():
        parts.view.refresh(_PATIENCE)


def _status(parts: Parts) -> list[tuple[str, str]]:
    _refresh(parts)
    lines = parts.tracker.snapshot().totals
    counts = {
        "pending": sum(line.pending for line in lines),
        "done": sum(line.done for line in lines),
        "failed": sum(line.failed for line in lines),
        "cancelled": sum(line.cancelled for line in lines),
        "unknown": sum(line.unknown + line.released for line in lines),
    }
    config = parts.config
    return [
        ("versions", _versions()),
        (
            "await ref",
            "through ray_jupyter_async" if is_patched() else "Ray's own (not patched)",
        ),
        ("Ray", _connection(parts)),
        ("refs", ", ".join(f"{number:,} {what}" for what, number in counts.items())),
        ("Stop", f"{parts.interrupts.status}; {_LOOKS[parts.signal_checks.state]}"),
        ("nested loops", nested() or "none"),
        (
            "configuration",
            (
                f"progress={config.progress!r}, "
                f"progress_delay={config.progress_delay}, "
                f"cancel_on_interrupt={config.cancel_on_interrupt!r}, "
                f"tracking={config.tracking}, "
                f"remembered_refs={config.remembered_refs:,} "
                "(%config RayAsync)"
            ),
        ),
    ]


def _connection(parts: Parts) -> str:
    if not ray.is_initialized():
        return "not connected. Call ray.init()."
    trouble = parts.view.health.now()
    if not trouble:
        return "connected"
    silent = reason_words([trouble])
    return f"connected, but {silent}. If it stays away, Ray ends this process."


def _versions() -> str:
    found = []
    for package in _PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"{package} missing")
    return ", ".join([*found, f"Python {platform.python_version()}"])


def register(shell: InteractiveShell, parts: Parts) -> Callable[[], None]:
    """Add the magics; return what removes them and restores those of the same names."""
    magics = RayAsyncMagics(shell, parts)
    table: dict[str, dict[str, Any]] = shell.magics_manager.magics
    before = {
        (kind, name): table[kind].get(name)
        for kind, names in magics.magics.items()
        for name in names
    }
    registry: dict[str, Any] = shell.magics_manager.registry
    shell.register_magics(magics)

    def unregister() -> None:
        for (kind, name), namesake in before.items():
            if namesake is None:
                table[kind].pop(name, None)
            else:
                table[kind][name] = namesake
        registry.pop(type(magics).__name__, None)
        # To IPython, magics are configurables, which compare by their settings.
        configurables: list[Any] = shell.configurables
        configurables[:] = [other for other in configurables if other is not magics]

    return unregister
