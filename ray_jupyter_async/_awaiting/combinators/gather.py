"""`gather` and `get`: the values of many refs at once."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Iterable
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from ray import ObjectRef
from ray.exceptions import GetTimeoutError

from ..arguments import check_timeout, refs_of, spread
from ..as_future import as_future, current_loop
from ..fetch.pool import readers
from ..fetch.sessions import all_local, not_a_ref
from ..many.gathered import Gathering
from .wait import wait

if TYPE_CHECKING:
    from ..._ray_api.objects import Ref

T = TypeVar("T")
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
T4 = TypeVar("T4")
T5 = TypeVar("T5")
T6 = TypeVar("T6")


# As typeshed's `asyncio.gather`, whose overloads overlap in the same way.
@overload
def gather(  # type: ignore[overload-overlap]
    a1: Awaitable[T1],
    /,
    *,
    return_exceptions: Literal[False] = False,
    cancel_task: bool = False,
) -> asyncio.Future[tuple[T1]]: ...
@overload
def gather(  # type: ignore[overload-overlap]
    a1: Awaitable[T1],
    a2: Awaitable[T2],
    /,
    *,
    return_exceptions: Literal[False] = False,
    cancel_task: bool = False,
) -> asyncio.Future[tuple[T1, T2]]: ...
@overload
def gather(  # type: ignore[overload-overlap]
    a1: Awaitable[T1],
    a2: Awaitable[T2],
    a3: Awaitable[T3],
    /,
    *,
    return_exceptions: Literal[False] = False,
    cancel_task: bool = False,
) -> asyncio.Future[tuple[T1, T2, T3]]: ...
@overload
def gather(  # type: ignore[overload-overlap]
    a1: Awaitable[T1],
    a2: Awaitable[T2],
    a3: Awaitable[T3],
    a4: Awaitable[T4],
    /,
    *,
    return_exceptions: Literal[False] = False,
    cancel_task: bool = False,
) -> asyncio.Future[tuple[T1, T2, T3, T4]]: ...
@overload
def gather(  # type: ignore[overload-overlap]
    a1: Awaitable[T1],
    a2: Awaitable[T2],
    a3: Awaitable[T3],
    a4: Awaitable[T4],
    a5: Awaitable[T5],
    /,
    *,
    return_exceptions: Literal[False] = False,
    cancel_task: bool = False,
) -> asyncio.Future[tuple[T1, T2, T3, T4, T5]]: ...
@overload
def gather(  # type: ignore[overload-overlap]
    a1: Awaitable[T1],
    a2: Awaitable[T2],
    a3: Awaitable[T3],
    a4: Awaitable[T4],
    a5: Awaitable[T5],
    a6: Awaitable[T6],
    /,
    *,
    return_exceptions: Literal[False] = False,
    cancel_task: bool = False,
) -> asyncio.Future[tuple[T1, T2, T3, T4, T5, T6]]: ...
@overload
def gather(
    a1: Awaitable[T1],
    /,
    *,
    return_exceptions: bool,
    cancel_task: bool = False,
) -> asyncio.Future[tuple[T1 | BaseException]]: ...
@overload
def gather(
    a1: Awaitable[T1],
    a2: Awaitable[T2],
    /,
    *,
    return_exceptions: bool,
    cancel_task: bool = False,
) -> asyncio.Future[tuple[T1 | BaseException, T2 | BaseException]]: ...
@overload
def gather(
    a1: Awaitable[T1],
    a2: Awaitable[T2],
    a3: Awaitable[T3],
    /,
    *,
    return_exceptions: bool,
    cancel_task: bool = False,
) -> asyncio.Future[
    tuple[T1 | BaseException, T2 | BaseException, T3 | BaseException]
]: ...
@overload
def gather(
    a1: Awaitable[T1],
    a2: Awaitable[T2],
    a3: Awaitable[T3],
    a4: Awaitable[T4],
    /,
    *,
    return_exceptions: bool,
    cancel_task: bool = False,
) -> asyncio.Future[
    tuple[
        T1 | BaseException, T2 | BaseException, T3 | BaseException, T4 | BaseException
    ]
]: ...
@overload
def gather(
    a1: Awaitable[T1],
    a2: Awaitable[T2],
    a3: Awaitable[T3],
    a4: Awaitable[T4],
    a5: Awaitable[T5],
    /,
    *,
    return_exceptions: bool,
    cancel_task: bool = False,
) -> asyncio.Future[
    tuple[
        T1 | BaseException,
        T2 | BaseException,
        T3 | BaseException,
        T4 | BaseException,
        T5 | BaseException,
    ]
]: ...
@overload
def gather(
    a1: Awaitable[T1],
    a2: Awaitable[T2],
    a3: Awaitable[T3],
    a4: Awaitable[T4],
    a5: Awaitable[T5],
    a6: Awaitable[T6],
    /,
    *,
    return_exceptions: bool,
    cancel_task: bool = False,
) -> asyncio.Future[
    tuple[
        T1 | BaseException,
        T2 | BaseException,
        T3 | BaseException,
        T4 | BaseException,
        T5 | BaseException,
        T6 | BaseException,
    ]
]: ...
@overload
def gather(
    awaitables: Iterable[Awaitable[T]],
    /,
    *,
    return_exceptions: Literal[False] = False,
    cancel_task: bool = False,
) -> asyncio.Future[list[T]]: ...
@overload
def gather(
    awaitables: Iterable[Awaitable[T]],
    /,
    *,
    return_exceptions: bool,
    cancel_task: bool = False,
) -> asyncio.Future[list[T | BaseException]]: ...
@overload
def gather(
    *awaitables: Awaitable[T],
    return_exceptions: Literal[False] = False,
    cancel_task: bool = False,
) -> asyncio.Future[list[T]]: ...
@overload
def gather(
    *awaitables: Awaitable[T],
    return_exceptions: bool,
    cancel_task: bool = False,
) -> asyncio.Future[list[T | BaseException]]: ...


def gather(
    *awaitables: Any, return_exceptions: bool = False, cancel_task: bool = False
) -> asyncio.Future[Any]:
    """Await many refs, and other awaitables among them, as one.

    Like `asyncio.gather`, without a task for each ref. A ref that is passed twice is
    awaited twice: two results never share a value.

    Parameters
    ----------
    *awaitables : ray.ObjectRef, coroutine or asyncio.Future
        Or one iterable of them.
    return_exceptions : bool, default False
        Whether errors are returned among the results. By default the first one is
        raised and the other refs are dropped; their tasks keep running.
    cancel_task : bool, default False
        Whether cancelling the gather also cancels the Ray tasks.

    Returns
    -------
    asyncio.Future
        For the list of results, in the order of the awaitables. It belongs to the
        running loop or, without one, to the thread's current loop. Its type names the
        results of up to six arguments one by one, as typeshed's `asyncio.gather`.

    Raises
    ------
    TypeError
        If one of them cannot be awaited; then none is.
    RayNotInitializedError
        If a ref is among them and no Ray session is connected.

    Examples
    --------
    >>> @ray.remote
    ... def invert(n):
    ...     return 1 / n
    >>> await gather(*[invert.remote(n) for n in (1, 2, 4)])
    [1.0, 0.5, 0.25]
    >>> await gather(invert.remote(2), asyncio.sleep(0, "slept"))
    [0.5, 'slept']
    >>> half, error = await gather(
    ...     invert.remote(2), invert.remote(0), return_exceptions=True
    ... )
    >>> half, isinstance(error, ZeroDivisionError)
    (0.5, True)
    """
    given = spread(awaitables)
    if not all_local(given):
        for one in given:
            if not (isinstance(one, ObjectRef) or inspect.isawaitable(one)):
                raise TypeError(not_a_ref(one))
    return Gathering(
        given,
        return_exceptions=return_exceptions,
        cancel_task=cancel_task,
        loop=current_loop(),
    )


@overload
async def get(refs: ObjectRef[T], *, timeout: float | None = None) -> T: ...
@overload
async def get(
    refs: Iterable[ObjectRef[T]], *, timeout: float | None = None
) -> list[T]: ...
@overload
async def get(
    refs: Iterable[ObjectRef[Any]], *, timeout: float | None = None
) -> list[Any]: ...


async def get(refs: Ref | Iterable[Ref], *, timeout: float | None = None) -> Any:
    """Await what `ray.get` would block for.

    Parameters
    ----------
    refs : ray.ObjectRef or iterable of ray.ObjectRef
    timeout : float, optional
        Seconds; 0 returns only what is ready now.

    Returns
    -------
    object or list
        The value of one ref, or those of several in their order.

    Raises
    ------
    ray.exceptions.GetTimeoutError
        If a ref was not ready in time. The tasks keep running.
    TypeError
        If one of them is not a ref.
    ValueError
        If `timeout` is negative.
    Exception
        The error of the first of them that failed.

    Examples
    --------
    >>> await get(ray.put("a"), timeout=30)
    'a'
    >>> await get([ray.put("a"), ray.put("b")])
    ['a', 'b']
    """
    check_timeout(timeout)
    single = isinstance(refs, ObjectRef)
    given = refs_of(refs)
    if not given:
        return []
    if timeout == 0:
        # No time to begin in: look first, then fetch without a limit.
        unique = await readers.run(_unique, given)
        _, missing = await wait(unique, num_returns=len(unique), timeout=0)
        if missing:
            raise _timed_out(len(missing), len(unique), timeout)
        timeout = None
    result: asyncio.Future[Any] = as_future(given[0]) if single else gather(given)
    try:
        return await asyncio.wait_for(result, timeout)
    except asyncio.TimeoutError:
        if timeout is None or not result.cancelled():
            raise  # a task's own TimeoutError
        left = result.missing if isinstance(result, Gathering) else 1
        raise _timed_out(left, len(given), timeout) from None


def _unique(refs: list[Ref]) -> list[Ref]:
    """Leave out duplicates; on a reader, because Ray Client may not know an id yet."""
    return list({ref.binary(): ref for ref in refs}.values())


def _timed_out(missing: int, total: int, timeout: float) -> GetTimeoutError:
    return GetTimeoutError(
        f"get() timed out after {timeout:g} s: {missing} of {total} refs were not "
        "ready. Their tasks keep running."
    )
