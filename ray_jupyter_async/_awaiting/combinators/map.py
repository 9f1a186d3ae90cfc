"""`map`: a remote function over inputs without end, with bounded work in flight."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import AsyncIterable, Callable, Iterable
from typing import (
    TYPE_CHECKING,
    Any,
    Literal,
    Protocol,
    TypeAlias,
    TypeVar,
    cast,
    overload,
)

import ray

from ..arguments import check_limit
from ..as_future import as_future
from ..fetch.pool import readers
from ..fetch.sessions import require_session, shown
from ..many.flow import Flow

if TYPE_CHECKING:
    from ray import ObjectRef

R = TypeVar("R")
A = TypeVar("A")
B = TypeVar("B")
A_contra = TypeVar("A_contra", contravariant=True)
B_contra = TypeVar("B_contra", contravariant=True)


class _Remote1(Protocol[R, A_contra]):
    """As Ray types remote functions and, from 2.60, methods with `@ray.method`."""

    def remote(self, a1: A_contra, /) -> ObjectRef[R]: ...


class _Remote2(Protocol[R, A_contra, B_contra]):
    def remote(self, a1: A_contra, a2: B_contra, /) -> ObjectRef[R]: ...


class _Remote(Protocol[R]):
    @property
    def remote(self) -> Callable[..., ObjectRef[R]]: ...


_Inputs: TypeAlias = Iterable[A] | AsyncIterable[A]


@overload
def map(
    fn: _Remote1[R, A],
    a1: _Inputs[A],
    /,
    *,
    max_in_flight: int | None = None,
    ordered: bool = True,
    return_exceptions: Literal[False] = False,
    cancel_task: bool = False,
) -> Flow[R]: ...
@overload
def map(
    fn: _Remote1[R, A],
    a1: _Inputs[A],
    /,
    *,
    max_in_flight: int | None = None,
    ordered: bool = True,
    return_exceptions: bool,
    cancel_task: bool = False,
) -> Flow[R | BaseException]: ...
@overload
def map(
    fn: _Remote2[R, A, B],
    a1: _Inputs[A],
    a2: _Inputs[B],
    /,
    *,
    max_in_flight: int | None = None,
    ordered: bool = True,
    return_exceptions: Literal[False] = False,
    cancel_task: bool = False,
) -> Flow[R]: ...
@overload
def map(
    fn: _Remote2[R, A, B],
    a1: _Inputs[A],
    a2: _Inputs[B],
    /,
    *,
    max_in_flight: int | None = None,
    ordered: bool = True,
    return_exceptions: bool,
    cancel_task: bool = False,
) -> Flow[R | BaseException]: ...
@overload
def map(
    fn: _Remote[R],
    a1: _Inputs[Any],
    a2: _Inputs[Any],
    a3: _Inputs[Any],
    /,
    *more: _Inputs[Any],
    max_in_flight: int | None = None,
    ordered: bool = True,
    return_exceptions: Literal[False] = False,
    cancel_task: bool = False,
) -> Flow[R]: ...
@overload
def map(
    fn: _Remote[R],
    a1: _Inputs[Any],
    a2: _Inputs[Any],
    a3: _Inputs[Any],
    /,
    *more: _Inputs[Any],
    max_in_flight: int | None = None,
    ordered: bool = True,
    return_exceptions: bool,
    cancel_task: bool = False,
) -> Flow[R | BaseException]: ...


def map(
    fn: Any,
    *iterables: _Inputs[Any],
    max_in_flight: int | None = None,
    ordered: bool = True,
    return_exceptions: bool = False,
    cancel_task: bool = False,
) -> Flow[Any]:
    """Submit a remote function for each input, and iterate over the results.

    `from ray_jupyter_async import *` leaves the builtin `map` in place: import this one
    by name, or use it as an attribute of the package.

    Parameters
    ----------
    fn : remote function or actor method
        Called as `fn.remote(*items)`.
    *iterables : iterable or async iterable
        Advanced in step until the shortest ends; may be endless. An ordinary iterable
        is advanced on the loop and should not block.
    max_in_flight : int, optional
        How many tasks may be submitted whose results have not been taken. By default
        twice the cluster's CPUs, at least 2.
    ordered : bool, default True
        Whether results come in the order of the inputs, or as they complete.
    return_exceptions : bool, default False
        Whether a task's error is returned as a result. By default it is raised and
        ends the iteration.
    cancel_task : bool, default False
        Whether tasks whose results were not taken are cancelled when the iteration
        ends early. By default they keep running.

    Returns
    -------
    async iterator
        A step that is cancelled or times out loses nothing. Close it to end it early:
        `async with`, `close()`, `aclose()` or `contextlib.aclosing`. An error of an
        iterable is raised after the results of the inputs before it.

    Raises
    ------
    TypeError
        If `fn` is not remote, or an input is not iterable.
    ValueError
        If `max_in_flight` is less than 1.

    Examples
    --------
    >>> import ray_jupyter_async as rja
    >>> @ray.remote
    ... def power(base, exponent):
    ...     return base**exponent
    >>> powers = rja.map(power, [2, 3, 5], itertools.count(1), max_in_flight=2)
    >>> [value async for value in powers]
    [2, 9, 125]
    """
    submit = getattr(fn, "remote", None)
    if not callable(submit):
        raise TypeError(
            f"map() takes a remote function or actor method, got {shown(fn)}. "
            "Decorate it with @ray.remote."
        )
    if not iterables:
        raise TypeError("map() takes at least one iterable of inputs")
    if max_in_flight is not None:
        check_limit("max_in_flight", max_in_flight)
    return Flow(
        _Submitted(submit, iterables, cancel_task=cancel_task),
        max_in_flight or _twice_the_cpus,
        ordered=ordered,
        return_exceptions=return_exceptions,
    )


class _Submitted:
    """The futures of tasks, each submitted when it is asked for."""

    def __init__(
        self,
        submit: Callable[..., Any],
        iterables: tuple[Any, ...],
        *,
        cancel_task: bool,
    ) -> None:
        self._submit = submit
        self._inputs = [
            aiter(iterable) if hasattr(iterable, "__aiter__") else iter(iterable)
            for iterable in iterables
        ]
        self._waits = any(hasattr(iterator, "__anext__") for iterator in self._inputs)
        self._cancel_task = cancel_task

    def next_now(self) -> asyncio.Future[Any] | None:
        if self._waits:
            return None
        return self._begin([_next_item(iterator) for iterator in self._inputs])

    async def __anext__(self) -> asyncio.Future[Any]:
        items = []
        for iterator in self._inputs:
            if hasattr(iterator, "__anext__"):
                items.append(await anext(iterator))
            else:
                items.append(_next_item(iterator))
        return self._begin(items)

    def _begin(self, items: list[Any]) -> asyncio.Future[Any]:
        try:
            ref = self._submit(*items)
        except StopAsyncIteration as error:  # would pass for the end of the inputs
            raise RuntimeError("submitting raised StopAsyncIteration") from error
        return as_future(ref, cancel_task=self._cancel_task)


def _next_item(iterator: Any) -> Any:
    try:
        return next(iterator)
    except StopIteration:
        raise StopAsyncIteration from None


async def _twice_the_cpus() -> int:
    resources: dict[str, float] = await readers.run(_cluster_resources)
    return builtins.max(2, int(2 * resources.get("CPU", 1)))


def _cluster_resources() -> dict[str, float]:
    # Over Ray Client even this check may use the network.
    require_session()
    resources: dict[str, float] = cast(Any, ray).cluster_resources()
    return resources
