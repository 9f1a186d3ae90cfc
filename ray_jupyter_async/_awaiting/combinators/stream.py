"""`stream`: the values of a remote generator as they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar, overload

from ray import ObjectRefGenerator

from ..arguments import check_limit
from ..as_future import as_future
from ..fetch.sessions import not_a_ref
from ..many.flow import Flow

if TYPE_CHECKING:
    from ray import ObjectRef

T = TypeVar("T")


# Ray types what a remote generator function returns as a ref of an iterator. The second
# overload is what it is at run time.
@overload
def stream(
    generator: Awaitable[Iterator[T] | AsyncIterator[T]], *, prefetch: int = 8
) -> Flow[T]: ...
@overload
def stream(generator: AsyncIterator[ObjectRef[T]], *, prefetch: int = 8) -> Flow[T]: ...


def stream(generator: Any, *, prefetch: int = 8) -> Flow[Any]:
    """Iterate over the values that a remote generator yields.

    Parameters
    ----------
    generator : ray.ObjectRefGenerator
        What a remote generator function or method returns.
    prefetch : int, default 8
        How many values are fetched ahead of those that were taken; no further ref is
        asked for. To hold back the task itself, submit it with Ray's
        `_generator_backpressure_num_objects`.

    Returns
    -------
    async iterator
        Ends with the generator, or with the error of the generator or of a value. A
        step that is cancelled or times out loses nothing. Close it to end it early
        (`async with`, `close()`, `aclose()` or `contextlib.aclosing`), which drops what
        was fetched. The task keeps running.

    Raises
    ------
    TypeError
        If `generator` is not an `ObjectRefGenerator`.
    ValueError
        If `prefetch` is less than 1.

    Examples
    --------
    >>> @ray.remote
    ... def count(end):
    ...     for n in range(end):
    ...         yield n
    >>> [n async for n in stream(count.remote(4))]
    [0, 1, 2, 3]
    """
    if not isinstance(generator, ObjectRefGenerator):
        raise TypeError(not_a_ref(generator, "a ray.ObjectRefGenerator"))
    check_limit("prefetch", prefetch)
    return Flow(_Futures(generator), prefetch)


class _Futures:
    """The futures of a generator's refs, each made when it is asked for."""

    def __init__(self, generator: Any) -> None:
        self._generator = generator

    def next_now(self) -> None:
        """Return None: the generator has to be waited for."""

    async def __anext__(self) -> asyncio.Future[Any]:
        return as_future(await anext(self._generator))
