"""`loop.run_until_complete(...)` in a cell, where the loop is running already.

Futures of refs are served by blocking, without nesting anything. Any other
awaitable needs a re-entrant loop: nest-asyncio2 is applied at the first such
call and not before, because it replaces asyncio's Task and Future by slower
ones, for good.
"""

from __future__ import annotations

import asyncio
import functools
import sys
import weakref
from importlib.metadata import version
from typing import Any

from IPython.core.getipython import get_ipython
from ray import ObjectRef

from ..awaiting import as_future
from ..awaiting.blocking import can_serve, serve

_NAME = "run_until_complete"


class NestedLoops:
    """Stands in for `run_until_complete` on the loops that cells run in."""

    def __init__(self) -> None:
        self._attached: weakref.WeakSet[asyncio.AbstractEventLoop] = weakref.WeakSet()
        self._warned = False

    def attach(self) -> None:
        """Attach to this thread's running loop; nothing without one."""
        self._warn_of_unsafe_nesting()
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        if loop in self._attached or _NAME in getattr(loop, "__dict__", {}):
            return  # ours, or somebody else's to answer for
        try:
            setattr(
                loop, _NAME, functools.partial(_run_until_complete, weakref.ref(loop))
            )
        except AttributeError:
            return  # uvloop: cannot be attached to, nor nested
        self._attached.add(loop)

    def detach(self) -> None:
        """Give every loop its own method back."""
        for loop in list(self._attached):
            stand_in = loop.__dict__.get(_NAME)
            if getattr(stand_in, "func", None) is _run_until_complete:
                delattr(loop, _NAME)
        self._attached.clear()

    def _warn_of_unsafe_nesting(self) -> None:
        what = None if self._warned else unsafe_nesting()
        if what is None:
            return
        self._warned = True
        print(
            f"ray_jupyter_async: {what} is active, which loses queued cells on "
            "ipykernel 7. Use nest-asyncio2 1.7.3 or newer in its place (`import "
            "nest_asyncio2`), and restart the kernel.",
            file=sys.stderr,
        )


def nested() -> str | None:
    """Name what has made asyncio re-entrant in this process, if anything has."""
    if hasattr(asyncio, "_nest_asyncio2"):
        return "nest-asyncio2"
    return "nest-asyncio" if hasattr(asyncio, "_nest_patched") else None


def unsafe_nesting() -> str | None:
    """Name what has nested the loop, if it loses queued cells of this kernel.

    nest-asyncio, up to its last version 1.6.0, and nest-asyncio2 before 1.7.3 do
    so on ipykernel 7 ("already entered").
    """
    kernel = sys.modules.get("ipykernel")
    if kernel is None or kernel.version_info[0] < 7:
        return None
    what = nested()
    if what == "nest-asyncio2":
        found = version("nest-asyncio2")
        numbers = tuple(int(part) for part in found.split(".")[:3] if part.isdigit())
        return None if numbers >= (1, 7, 3) else f"nest-asyncio2 {found}"
    return what


def _run_until_complete(
    weak_loop: weakref.ref[asyncio.AbstractEventLoop], future: Any
) -> Any:
    loop = weak_loop()
    assert loop is not None, "it is being called"
    if asyncio._get_running_loop() is loop:
        if isinstance(future, ObjectRef):
            future = as_future(future)
        if can_serve(loop, future):
            return serve(loop, future)
        if nested() is None:
            _nest(loop)
    else:
        return type(loop).run_until_complete(loop, future)
    # A coroutine that an interrupt left behind would go on in later cells.
    task = asyncio.ensure_future(future, loop=loop)
    try:
        # The class's method, looked up now: nesting replaces it.
        return type(loop).run_until_complete(loop, task)
    except KeyboardInterrupt:
        task.cancel()
        raise


def _nest(loop: asyncio.AbstractEventLoop) -> None:
    import nest_asyncio2

    nest_asyncio2.apply(loop)
    print(
        "ray_jupyter_async: run_until_complete() of something other than refs inside "
        "the running loop: nest-asyncio2 has been applied to this kernel"
        f"{_by_cell()}.",
        file=sys.stderr,
    )


def _by_cell() -> str:
    shell = get_ipython()
    history = None if shell is None else shell.history_manager
    return "" if history is None else f", by In [{len(history.input_hist_parsed) - 1}]"
