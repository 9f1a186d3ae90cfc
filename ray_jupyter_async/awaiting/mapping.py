"""`map`: a remote function over inputs without end, with bounded work in flight."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import TYPE_CHECKING, Any, cast

import ray

from .completion import as_completed
from .converter import as_future
from .in_order import drop, in_order, next_of
from .reading import readers
from .sessions import require_session

if TYPE_CHECKING:
    from collections.abc import Callable

    from .future import RefFuture


def map(  # noqa: A001 - the builtin's and ipyparallel's name for it
    fn: Any,
    *iterables: Iterable[Any] | AsyncIterable[Any],
    max_in_flight: int | None = None,
    ordered: bool = True,
    return_exceptions: bool = False,
    cancel_task: bool = False,
) -> AsyncIterator[Any]:
    """Submit a remote function for each input, and iterate over the results.

    ::

        async for result in map(f, inputs, max_in_flight=16): ...

    Parameters
    ----------
    fn : remote function or actor method
        Called as `fn.remote(*items)`.
    *iterables : iterable or async iterable
        Taken from in step, until the shortest ends; may be endless. An ordinary
        iterable is advanced on the loop and should not block.
    max_in_flight : int, optional
        How many tasks may be submitted whose results have not been taken yet.
        By default twice the cluster's CPUs, at least 2.
    ordered : bool, default True
        Whether results come in the order of the inputs, or as they complete.
    return_exceptions : bool, default False
        Whether a task's error is given as a result. By default it is raised and
        ends the iteration.
    cancel_task : bool, default False
        Whether tasks whose results were not taken are cancelled when the
        iteration ends early. By default they run on.

    Returns
    -------
    async iterator
        To leave it early and at once, close it: `contextlib.aclosing`.

    Raises
    ------
    TypeError
        If `fn` is not remote, or an input cannot be iterated over.
    ValueError
        If `max_in_flight` is less than 1.
    """
    submit = getattr(fn, "remote", None)
    if not callable(submit):
        raise TypeError(
            f"map() takes a remote function or actor method, got {fn!r:.80}; "
            "decorate it with @ray.remote"
        )
    if not iterables:
        raise TypeError("map() takes at least one iterable of inputs")
    if max_in_flight is not None and max_in_flight < 1:
        raise ValueError(f"max_in_flight must be at least 1, got {max_in_flight}")
    inputs = _Inputs(iterables)
    if ordered:
        return _ordered(submit, inputs, max_in_flight, return_exceptions, cancel_task)
    return _as_completed(submit, inputs, max_in_flight, return_exceptions, cancel_task)


async def _ordered(
    submit: Callable[..., Any],
    inputs: _Inputs,
    max_in_flight: int | None,
    return_exceptions: bool,
    cancel_task: bool,
) -> AsyncIterator[Any]:
    async def futures() -> AsyncIterator[RefFuture]:
        async for items in inputs:
            yield as_future(submit(*items), cancel_task=cancel_task)

    limit = max_in_flight or await _twice_the_cpus()
    results = in_order(futures(), limit, return_exceptions=return_exceptions)
    try:
        async for result in results:
            yield result
    finally:
        await results.aclose()


async def _as_completed(
    submit: Callable[..., Any],
    inputs: _Inputs,
    max_in_flight: int | None,
    return_exceptions: bool,
    cancel_task: bool,
) -> AsyncIterator[Any]:
    limit = max_in_flight or await _twice_the_cpus()
    results = as_completed(
        with_results=True, raise_errors=not return_exceptions, cancel_task=cancel_task
    )
    # Both at once: a source that is slow holds back no result.
    following: asyncio.Task[list[Any]] | None = None
    arriving: asyncio.Task[Any] | None = None
    exhausted = False
    try:
        while True:
            if following is None and not exhausted and len(results) < limit:
                following = asyncio.ensure_future(next_of(inputs))
            if arriving is None and len(results):
                arriving = asyncio.ensure_future(next_of(results))
            waiting = [task for task in (following, arriving) if task is not None]
            if not waiting:
                return
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if following is not None and following.done():
                done, following = following, None
                try:
                    results.add(submit(*done.result()))
                except StopAsyncIteration:
                    exhausted = True
            if arriving is not None and arriving.done():
                done, arriving = arriving, None
                yield done.result()[1]
    finally:
        for task in (following, arriving):
            if task is not None:
                drop(task)
        results.close()


class _Inputs:
    """The inputs of one call after the other, in step."""

    def __init__(self, iterables: tuple[Any, ...]) -> None:
        self._iterators = [
            aiter(iterable) if hasattr(iterable, "__aiter__") else iter(iterable)
            for iterable in iterables
        ]

    def __aiter__(self) -> _Inputs:
        return self

    async def __anext__(self) -> list[Any]:
        items = []
        for iterator in self._iterators:
            if hasattr(iterator, "__anext__"):
                items.append(await anext(iterator))
                continue
            try:
                items.append(next(iterator))
            except StopIteration:
                raise StopAsyncIteration from None
        return items


async def _twice_the_cpus() -> int:
    resources: dict[str, float] = await readers.run(_cluster_resources)
    return builtins.max(2, int(2 * resources.get("CPU", 1)))


def _cluster_resources() -> dict[str, float]:
    # Over Ray Client even this check may ask the network.
    require_session()
    resources: dict[str, float] = cast(Any, ray).cluster_resources()
    return resources
