"""`loop.run_until_complete(...)` in a cell, where the loop is already running.

Futures of refs, and coroutines that await only refs, are completed by blocking, without
nesting. Any other awaitable needs a re-entrant loop: nest-asyncio2 is applied at the
first such call and not earlier, because it replaces asyncio's Task and Future
permanently by slower ones. It is not applied if it would patch asyncio and then reject
the loop.
"""

from __future__ import annotations

import asyncio
import functools
import sys
import weakref
from contextlib import ExitStack
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, TextIO

from IPython.core.getipython import get_ipython
from ray import ObjectRef

from .._awaiting.as_future import as_future
from .._awaiting.patching.blocking_loop import can_serve, serve
from .._awaiting.patching.blocking_tasks import can_step, step_to_end
from .._display.plain_text import print_text
from .._interruptible import interruptible
from .._replaced import Link, replaced

if TYPE_CHECKING:
    from collections.abc import Callable

_NAME = "run_until_complete"


class NestedLoops:
    """Replaces `run_until_complete` of the loops that cells run in."""

    def __init__(self) -> None:
        self._attached: weakref.WeakKeyDictionary[
            asyncio.AbstractEventLoop, ExitStack
        ] = weakref.WeakKeyDictionary()
        self._warned = False
        # Messages go to the cell's stderr, not to that of a `%%capture` in it.
        self._stderr: TextIO = sys.stderr

    def attach(self, *, nested_cell: bool = False) -> None:
        """Attach to this thread's running loop; a no-op without one."""
        if not nested_cell:
            self._stderr = sys.stderr
        self._warn_of_unsafe_nesting()
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        if loop in self._attached or _NAME in getattr(loop, "__dict__", {}):
            return  # already attached, or patched by other code
        make = functools.partial(self._stand_in, weakref.ref(loop))
        undo = ExitStack()
        try:
            undo.enter_context(replaced(weakref.proxy(loop), _NAME, make))
        except AttributeError:
            return  # a loop in C that cannot be attached to
        self._attached[loop] = undo

    def detach(self) -> None:
        """Restore the method of every loop."""
        for undo in list(self._attached.values()):
            undo.close()
        self._attached.clear()

    def _stand_in(
        self,
        weak_loop: weakref.ref[asyncio.AbstractEventLoop],
        method: Callable[..., Any],
    ) -> Callable[[Any], Any]:
        link = Link()
        weak_self = weakref.ref(self)

        @functools.wraps(method)
        @interruptible
        def run_until_complete(future: Any) -> Any:
            __tracebackhide__ = _rich_traceback_omit = True
            loop = weak_loop()
            assert loop is not None, "it is being called"
            loops = weak_self()
            stderr = sys.stderr if loops is None else loops._stderr
            try:
                return _run_until_complete(loop, future, stderr)
            except BaseException as error:
                link.hide(error)
                raise

        # Keeps the signature of a bound method.
        del run_until_complete.__wrapped__
        return run_until_complete

    def _warn_of_unsafe_nesting(self) -> None:
        what = None if self._warned else unsafe_nesting()
        if what is None:
            return
        self._warned = True
        print_text(
            f"ray_jupyter_async: {what} is active, which loses queued cells on "
            "ipykernel 7. Use nest-asyncio2 1.7.3 or newer in its place (`import "
            "nest_asyncio2`), and restart the kernel.",
            file=self._stderr,
        )


def nested() -> str | None:
    """Return the name of the package that has made asyncio re-entrant, or None."""
    if hasattr(asyncio, "_nest_asyncio2"):
        return "nest-asyncio2"
    return "nest-asyncio" if hasattr(asyncio, "_nest_patched") else None


def unsafe_nesting() -> str | None:
    """Return the name of the nesting package if it loses queued cells, or None.

    nest-asyncio up to its last version, 1.6.0, and nest-asyncio2 before 1.7.3 lose
    them on ipykernel 7 ("already entered").
    """
    kernel = sys.modules.get("ipykernel")
    if kernel is None or kernel.version_info[0] < 7:
        return None
    what = nested()
    if what == "nest-asyncio2":
        found = version("nest-asyncio2")
        numbers = tuple(int(part) for part in found.split(".")[:3] if part.isdecimal())
        return None if numbers >= (1, 7, 3) else f"nest-asyncio2 {found}"
    return what


@interruptible
def _run_until_complete(
    loop: asyncio.AbstractEventLoop, future: Any, stderr: TextIO
) -> Any:
    if asyncio._get_running_loop() is not loop:
        return type(loop).run_until_complete(loop, future)
    if isinstance(future, ObjectRef):
        future = as_future(future)
    if can_serve(loop, future):
        return serve(loop, future)
    if nested() is None and not _can_nest(loop):
        if asyncio.iscoroutine(future):
            future.close()
        raise RuntimeError(
            f"this kernel's event loop ({type(loop).__module__}.{type(loop).__name__}) "
            "is running and cannot be nested. Use `await` in place of "
            "run_until_complete()."
        )
    stepped = nested() is None and asyncio.iscoroutine(future) and can_step(loop)
    # As a task it can be cancelled: after an interrupt it would run on in later cells.
    task = asyncio.ensure_future(future, loop=loop)
    if stepped and step_to_end(loop, task):
        return task.result()
    if nested() is None:
        _nest(loop, stderr)
    try:
        # The class's method, looked up now: nesting replaces it.
        return type(loop).run_until_complete(loop, task)
    except KeyboardInterrupt:
        task.cancel()
        raise


def _can_nest(loop: asyncio.AbstractEventLoop) -> bool:
    # nest-asyncio2 (1.7.4) patches asyncio, for good, before it looks at the loop.
    return isinstance(loop, asyncio.BaseEventLoop)


def _nest(loop: asyncio.AbstractEventLoop, stderr: TextIO) -> None:
    import nest_asyncio2

    nest_asyncio2.apply(loop)
    print_text(
        "ray_jupyter_async: run_until_complete() of something other than refs inside "
        "the running loop: nest-asyncio2 has been applied to this kernel"
        f"{_by_cell()}.",
        file=stderr,
    )


def _by_cell() -> str:
    shell = get_ipython()
    history = None if shell is None else shell.history_manager
    return "" if history is None else f", by In [{len(history.input_hist_parsed) - 1}]"
