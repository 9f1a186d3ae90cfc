"""Ray refs as first-class awaitables, in a notebook and out of it.

`%load_ext ray_jupyter_async` in IPython or Jupyter; `patch()` in a script.
Importing this package imports no IPython and no widget: those come in with
`%load_ext`.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from . import async_api
from ._awaiting.combinators.as_completed import as_completed
from ._awaiting.combinators.cancel import Cancellation, CancelOutcome, cancel
from ._awaiting.combinators.gather import gather, get
from ._awaiting.combinators.map import map  # noqa: A004 - see its definition
from ._awaiting.combinators.stream import stream
from ._awaiting.combinators.wait import wait
from ._awaiting.converter import as_future
from ._awaiting.patching.object_ref import is_patched, patch, patched, unpatch
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
    "map",
    "patch",
    "patched",
    "progress",
    "retried",
    "stream",
    "terminal_progress",
    "unload_ipython_extension",
    "unpatch",
    "wait",
]


def progress(refs: Iterable[ObjectRef[Any]] | None = None) -> None:
    """Show the progress of refs under the running cell, live, at once.

    Nothing is awaited and no value fetched, so that the cell goes on; it may
    also block in `ray.get` while the display stays live. Whether a ref failed is
    told where that needs no transfer from another node.

    Parameters
    ----------
    refs : iterable of ray.ObjectRef, optional
        Of a local session, not of Ray Client. Without them everything that this
        kernel has submitted from its main thread and that has not ended.

    Raises
    ------
    RuntimeError
        Outside a cell, or before `%load_ext ray_jupyter_async`; in a script,
        outside `terminal_progress`.
    TypeError
        If one of them is not a ref.
    RayNotInitializedError
        If no Ray session is connected.
    """
    from ._display.terminal.script import show_progress

    if show_progress(refs):
        return
    from ._notebook.extension import progress as show

    show(refs)


def retried() -> list[ObjectRef[Any]]:
    """Give the refs of the tasks that "Retry failed" has submitted again.

    In the order of the clicks, and each once: the next call gives what was
    retried after this one. Until then they are kept, so that their results stay.

    Raises
    ------
    RuntimeError
        Before `%load_ext ray_jupyter_async`, and in a script.
    """
    from ._notebook.extension import retried as take

    return take()


def terminal_progress(*, delay: float = 0.5) -> AbstractContextManager[None]:
    """Show in the terminal what a script waits for, within a ``with`` block.

    The lines stand below what is printed meanwhile, Ray's worker logs included,
    and remain as plain text at the end. `await ref` goes through the converter
    within the block, as in `patched`. Nothing at all happens where `sys.stdout`
    is no terminal, and where the extension is loaded, which shows it already.

    Parameters
    ----------
    delay : float
        Seconds that the block must have waited before it shows anything.

    Examples
    --------
    >>> with terminal_progress():
    ...     results = asyncio.run(main())
    """
    from ._display.terminal.script import terminal_progress as shown

    return shown(delay)


def load_ipython_extension(ipython: InteractiveShell) -> None:
    """Carry out `%load_ext ray_jupyter_async`."""
    from ._notebook.extension import load

    load(ipython)


def unload_ipython_extension(ipython: InteractiveShell) -> None:
    """Carry out `%unload_ext ray_jupyter_async`."""
    from ._notebook.extension import unload

    unload(ipython)
