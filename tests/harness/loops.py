"""Running a coroutine in a loop of its own, strictly."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")


def run(
    coro: Coroutine[Any, Any, T],
    *,
    timeout: float = 30.0,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
    allow_loop_errors: bool = False,
) -> T:
    """Run `coro` to its end in a fresh event loop, which is closed afterwards.

    Beside what ``asyncio.run`` does, it sets a limit, takes a loop factory on
    Python 3.10 too, and fails when anything was reported to the loop's exception
    handler ("exception was never retrieved", a callback that raised): such a
    report is otherwise a line on stderr that no test sees.

    Parameters
    ----------
    coro
        The coroutine.
    timeout
        Seconds it may take.
    loop_factory
        Makes the loop, such as ``uvloop.new_event_loop``.
    allow_loop_errors
        Do not fail on what was reported to the loop's exception handler.

    Raises
    ------
    TimeoutError
        When it took longer (``asyncio.TimeoutError`` on Python 3.10).
    AssertionError
        When an error was reported to the loop.
    """
    reported: list[dict[str, Any]] = []
    loop = (loop_factory or asyncio.new_event_loop)()
    loop.set_exception_handler(lambda _, context: reported.append(context))
    try:
        asyncio.set_event_loop(loop)
        result = loop.run_until_complete(asyncio.wait_for(coro, timeout))
    finally:
        try:
            _cancel_rest(loop)
            # A future that died unread reports itself only when it is collected;
            # those of this run are young.
            gc.collect(1)
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
        finally:
            asyncio.set_event_loop(None)
            loop.close()
    if reported and not allow_loop_errors:
        raise AssertionError(f"reported to the loop: {reported}")
    return result


async def until_read() -> None:
    """Wait until the package has looked at every ref awaited so far.

    Its readers take awaits in order: those begun before this one are done by then,
    or registered as pending.
    """
    import ray

    from ray_jupyter_async import as_future

    await as_future(ray.put(None))


def _cancel_rest(loop: asyncio.AbstractEventLoop) -> None:
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
