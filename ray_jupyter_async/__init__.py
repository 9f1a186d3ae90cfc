"""Ray refs as first-class awaitables, in notebooks and in scripts.

Use `%load_ext ray_jupyter_async` in IPython or Jupyter, `patch()` in a script.
Importing this package imports no Jupyter package: `%load_ext` does.
"""

from __future__ import annotations

import warnings
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from . import async_api
from ._awaiting.as_future import as_future
from ._awaiting.combinators.as_completed import as_completed
from ._awaiting.combinators.cancel import Cancellation, CancelOutcome, cancel
from ._awaiting.combinators.gather import gather, get
from ._awaiting.combinators.map import map as map  # noqa: A004
from ._awaiting.combinators.stream import stream
from ._awaiting.combinators.wait import wait
from ._awaiting.patching.object_ref import (
    is_patched,
    on_patch,
    patch,
    patched,
    unpatch,
)
from ._display.marimo import cells as marimo_cells
from ._requirements import require_notebook
from .errors import (
    ClientDisconnectedError,
    PatchWarning,
    RayAwaitError,
    RayNotInitializedError,
    SessionEndedError,
    UnknownRefError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import AbstractContextManager

    from IPython.core.interactiveshell import InteractiveShell
    from ray import ObjectRef

__version__ = version("ray-jupyter-async")

on_patch.append(marimo_cells.start)

# Without `map`: `from ray_jupyter_async import *` must not shadow the builtin.
__all__ = [
    "CancelOutcome",
    "Cancellation",
    "ClientDisconnectedError",
    "PatchWarning",
    "RayAwaitError",
    "RayNotInitializedError",
    "SessionEndedError",
    "UnknownRefError",
    "as_completed",
    "as_future",
    "async_api",
    "cancel",
    "gather",
    "get",
    "is_patched",
    "load_ipython_extension",
    "patch",
    "patched",
    "progress",
    "stream",
    "take_retried",
    "terminal_progress",
    "unload_ipython_extension",
    "unpatch",
    "wait",
]


def progress(refs: Iterable[ObjectRef[Any]] | None = None) -> None:
    """Show the progress of refs under the running cell, live and at once.

    Nothing is awaited and no value is fetched: the cell continues. The display stays
    live while it blocks in `ray.get`. Failures are shown where this needs no transfer
    from another node.

    Parameters
    ----------
    refs : iterable of ray.ObjectRef, optional
        Of a local session, not of Ray Client. By default all refs that this kernel has
        submitted from its main thread and that have not ended.

    Raises
    ------
    RuntimeError
        Outside a cell, or before `%load_ext ray_jupyter_async`, which marimo does not
        need; in a script, outside `terminal_progress`.
    TypeError
        If one of them is not a ref.
    RayNotInitializedError
        If no Ray session is connected.
    ImportError
        In a notebook, without IPython, ipywidgets or anywidget.

    Examples
    --------
    In a cell no ``with`` is needed.

    >>> @ray.remote
    ... def double(n):
    ...     return 2 * n
    >>> with terminal_progress():
    ...     refs = [double.remote(n) for n in range(4)]
    ...     progress(refs)
    ...     print(ray.get(refs))
    [0, 2, 4, 6]
    """
    from ._display.terminal.script import show_progress

    if marimo_cells.show_progress(refs) or show_progress(refs):
        return
    marimo_cells.check_elsewhere()
    require_notebook("progress() in a notebook")
    from ._notebook.extension import progress as show

    show(refs)


def take_retried() -> list[ObjectRef[Any]]:
    """Return and clear the refs of the tasks that "Retry failed" has submitted again.

    They are in the order of the clicks. Until this call they are kept, so that their
    results stay; the next call returns only those of later clicks.

    Raises
    ------
    RuntimeError
        Before `%load_ext ray_jupyter_async`, except in marimo, and in a script.
    """
    refs = marimo_cells.take_retried()
    if refs is not None:
        return refs
    require_notebook("take_retried()")
    from ._notebook.extension import take_retried as take

    return take()


def retried() -> list[ObjectRef[Any]]:
    """Do as `take_retried`; the deprecated name."""
    warnings.warn(
        "retried() is deprecated and will be removed in the next version. "
        "Use take_retried().",
        DeprecationWarning,
        stacklevel=2,
    )
    return take_retried()


def terminal_progress(*, delay: float = 0.5) -> AbstractContextManager[None]:
    """Show in the terminal what a script waits for, within a ``with`` block.

    The lines stay below what is printed meanwhile, including Ray's worker logs, and
    remain as plain text at the end. Within the block `await ref` goes through the
    converter, as in `patched`. No effect if `sys.stdout` is not a terminal, or if the
    extension is loaded, which shows the same.

    Parameters
    ----------
    delay : float
        Seconds that the block must have waited before it shows anything.

    Raises
    ------
    ImportError
        Without rich, whether or not `sys.stdout` is a terminal.

    Examples
    --------
    >>> with terminal_progress(delay=1):
    ...     value = ray.get(ray.put("value"))
    >>> value
    'value'
    """
    from ._display.terminal.script import terminal_progress as shown

    return shown(delay)


def load_ipython_extension(ipython: InteractiveShell) -> None:
    """Implement `%load_ext ray_jupyter_async`."""
    require_notebook("%load_ext ray_jupyter_async")
    from ._notebook.extension import load

    load(ipython)


def unload_ipython_extension(ipython: InteractiveShell) -> None:
    """Implement `%unload_ext ray_jupyter_async`."""
    from ._notebook.extension import unload

    unload(ipython)
