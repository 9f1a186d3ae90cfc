"""`run_until_complete` of futures of refs inside a running loop, without nesting.

The results come from other threads, so that the loop's thread can block until they
arrive; the loop need not be re-entrant. This covers what Ray's document of 2019
shows: futures of refs, and `asyncio.gather` of them. For coroutines see
`blocking_tasks`.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import Any

from ..._interruptible import interruptible
from ..converter import converter_of
from ..future import RefFuture
from ..many.gathered import Gathering
from .blocking_gathers import is_gathers, taken_over


def can_serve(loop: asyncio.AbstractEventLoop, future: object) -> bool:
    """Whether `serve` can complete this while the loop is blocked.

    True for this loop's futures of refs, for `gather` of refs, and for `asyncio.gather`
    of these alone.
    """
    if isinstance(future, RefFuture):
        return future.get_loop() is loop
    if isinstance(future, Gathering):
        return future.get_loop() is loop and future.of_refs_alone
    children = _gathered(future)
    return (
        bool(children)
        and (hasattr(loop, "_ready") or not all(child.done() for child in children))
        and all(can_serve(loop, child) for child in children)
    )


@interruptible
def serve(loop: asyncio.AbstractEventLoop, future: asyncio.Future[Any]) -> Any:
    """Block until a future that `can_serve` accepts is done, and return its result.

    The loop runs in this thread. After a KeyboardInterrupt the future stays pending.
    """
    wait_until_done(loop, future)
    return future.result()


@interruptible
def wait_until_done(
    loop: asyncio.AbstractEventLoop, future: asyncio.Future[Any]
) -> None:
    """Block until a future that `can_serve` accepts is done."""
    gatherings = _gatherings(future)
    with ExitStack() as undo:
        taken = [
            undo.enter_context(taken_over(gathering, _gathered(gathering)))
            for gathering in ([] if hasattr(loop, "_ready") else gatherings)
        ]
        while not future.done():
            pending = _pending(future)
            if pending:
                converter_of(loop).wait_blocking(pending)
            for gathering in gatherings:
                _call_back(loop, gathering)
            for calls in taken:
                calls.make()


def _gathered(future: object) -> list[asyncio.Future[Any]]:
    # asyncio.tasks._GatheringFuture, seen in 3.11.
    if type(future).__name__ != "_GatheringFuture":
        return []
    return list(getattr(future, "_children", ()))


def _gatherings(future: asyncio.Future[Any]) -> list[asyncio.Future[Any]]:
    """Return the gathers within `future`, innermost first."""
    children = _gathered(future)
    if not children:
        return []
    return [inner for child in children for inner in _gatherings(child)] + [future]


def _pending(future: asyncio.Future[Any]) -> list[asyncio.Future[Any]]:
    """Return the futures within `future` that a converter completes."""
    if isinstance(future, (RefFuture, Gathering)):
        return [] if future.done() else [future]
    return [one for child in _gathered(future) for one in _pending(child)]


def _call_back(loop: asyncio.AbstractEventLoop, gathering: asyncio.Future[Any]) -> None:
    """Make the calls that done children have queued with the loop for their gather."""
    children = set(_gathered(gathering))
    # A private name of asyncio's own loops (seen in 3.11).
    ready: Any = getattr(loop, "_ready", ())
    for handle in list(ready):
        callback, args = handle._callback, handle._args
        if len(args or ()) == 1 and args[0] in children and is_gathers(callback):
            ready.remove(handle)
            handle._run()
