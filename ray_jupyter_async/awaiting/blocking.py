"""`run_until_complete` inside a running loop, for futures of refs, unnested.

A running loop cannot run itself. It need not for these: their results come from
other threads, so the loop's thread can block until they are there. That covers
what Ray's 2019 documents did in a notebook, futures of refs and
`asyncio.gather` of them, without making the loop re-entrant.
"""

from __future__ import annotations

import asyncio
from typing import Any

from .converter import Converter
from .future import RefFuture


def can_serve(loop: asyncio.AbstractEventLoop, future: object) -> bool:
    """Whether `serve` can complete this while the loop is blocked.

    True for futures of refs of this loop, and for `asyncio.gather` of nothing
    but such futures and gathers of them.
    """
    if isinstance(future, RefFuture):
        return future.get_loop() is loop
    children = _gathered(future)
    # The callbacks of done children sit in the loop's queue of ready handles,
    # a private name of asyncio's own loops alone (seen in 3.11).
    return (
        bool(children)
        and hasattr(loop, "_ready")
        and all(can_serve(loop, child) for child in children)
    )


def serve(loop: asyncio.AbstractEventLoop, future: asyncio.Future[Any]) -> Any:
    """Block until the future is done, and give its result.

    Parameters
    ----------
    loop : asyncio.AbstractEventLoop
        Running, in this thread.
    future : asyncio.Future
        One that `can_serve` accepts.

    Raises
    ------
    KeyboardInterrupt
        As any blocking call; the future stays pending.
    Exception
        What the future failed with.
    """
    while not future.done():
        refs = _pending_refs(future)
        if refs:
            _wait(refs)
        for gathering in _gatherings(future):
            _call_back(loop, gathering)
    return future.result()


def _wait(refs: list[RefFuture]) -> None:
    keeper = refs[0].keeper
    assert isinstance(keeper, Converter)
    keeper.wait_blocking(refs)


def _gathered(future: object) -> list[asyncio.Future[Any]]:
    # asyncio.tasks._GatheringFuture, seen in 3.11.
    if type(future).__name__ != "_GatheringFuture":
        return []
    return list(getattr(future, "_children", ()))


def _gatherings(future: asyncio.Future[Any]) -> list[asyncio.Future[Any]]:
    """Give the gathers within `future`, innermost first."""
    children = _gathered(future)
    if not children:
        return []
    return [inner for child in children for inner in _gatherings(child)] + [future]


def _pending_refs(future: asyncio.Future[Any]) -> list[RefFuture]:
    if isinstance(future, RefFuture):
        return [] if future.done() else [future]
    return [ref for child in _gathered(future) for ref in _pending_refs(child)]


def _call_back(loop: asyncio.AbstractEventLoop, gathering: asyncio.Future[Any]) -> None:
    """Make the calls that done children have queued for their gather.

    A done future does not call back at once, it queues the call with the loop,
    which stands still. Only the gather's own calls are made, in their order;
    everything else that is queued stays for the loop.
    """
    children = set(_gathered(gathering))
    ready: Any = getattr(loop, "_ready", ())
    for handle in list(ready):
        callback, args = handle._callback, handle._args
        if (
            len(args or ()) == 1
            and args[0] in children
            and getattr(callback, "__qualname__", "").startswith("gather.<locals>.")
        ):
            ready.remove(handle)
            handle._run()
