"""`map`: a remote function over inputs without end, with bounded work in flight."""

from __future__ import annotations

import builtins
from collections.abc import AsyncIterable, Iterable
from typing import TYPE_CHECKING, Any, cast

import ray

from ..converter import as_future
from ..fetch.pool import readers
from ..fetch.sessions import require_session, shown
from .flow import Flow

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..future import RefFuture


def map(  # noqa: A001 - the builtin's and ipyparallel's name for it
    fn: Any,
    *iterables: Iterable[Any] | AsyncIterable[Any],
    max_in_flight: int | None = None,
    ordered: bool = True,
    return_exceptions: bool = False,
    cancel_task: bool = False,
) -> Flow[Any]:
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
        A step that is cancelled or timed out loses nothing. To leave it early and at
        once, close it: `async with`, `aclose()` or `contextlib.aclosing`. An error of
        an iterable is raised after the results of the inputs before it.

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
            f"map() takes a remote function or actor method, got {shown(fn)}; "
            "decorate it with @ray.remote"
        )
    if not iterables:
        raise TypeError("map() takes at least one iterable of inputs")
    if max_in_flight is not None and max_in_flight < 1:
        raise ValueError(f"max_in_flight must be at least 1, got {max_in_flight}")
    return Flow(
        _Submitted(submit, _Inputs(iterables), cancel_task=cancel_task),
        max_in_flight or _twice_the_cpus,
        ordered=ordered,
        return_exceptions=return_exceptions,
    )


class _Submitted:
    """The futures of tasks, each submitted when it is asked for."""

    def __init__(
        self, submit: Callable[..., Any], inputs: _Inputs, *, cancel_task: bool
    ) -> None:
        self._submit = submit
        self._inputs = inputs
        self._cancel_task = cancel_task

    def __aiter__(self) -> _Submitted:
        return self

    async def __anext__(self) -> RefFuture:
        items = await anext(self._inputs)
        try:
            ref = self._submit(*items)
        except StopAsyncIteration as error:  # would pass for the end of the inputs
            raise RuntimeError("submitting raised StopAsyncIteration") from error
        return as_future(ref, cancel_task=self._cancel_task)


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
