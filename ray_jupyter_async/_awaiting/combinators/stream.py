"""`stream`: the values of a streaming generator as they come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ray import ObjectRefGenerator

from ..converter import as_future
from ..fetch.sessions import not_a_ref
from .flow import Flow

if TYPE_CHECKING:
    from ..future import RefFuture


def stream(generator: ObjectRefGenerator, *, prefetch: int = 8) -> Flow[Any]:
    """Iterate over the values that a remote generator yields.

    ::

        async for value in stream(f.remote()): ...

    Parameters
    ----------
    generator : ray.ObjectRefGenerator
        What a remote generator function or method returns.
    prefetch : int, default 8
        How many values are fetched ahead of those that were taken; no ref
        beyond is asked for. To hold back the task itself, submit it with Ray's
        `_generator_backpressure_num_objects`.

    Returns
    -------
    async iterator
        Ends with the generator, or with the error that it, or a value, failed
        with. A step that is cancelled or timed out loses nothing. Leaving it early
        drops what was fetched; the task runs on. To leave it at once, close it:
        `async with`, `aclose()` or `contextlib.aclosing`.

    Raises
    ------
    TypeError
        If `generator` is not one.
    ValueError
        If `prefetch` is less than 1.
    """
    if not isinstance(generator, ObjectRefGenerator):
        raise TypeError(not_a_ref(generator, "a ray.ObjectRefGenerator"))
    if prefetch < 1:
        raise ValueError(f"prefetch must be at least 1, got {prefetch}")
    return Flow(_Futures(generator), prefetch)


class _Futures:
    """The futures of a generator's refs, each begun when it is asked for."""

    def __init__(self, generator: Any) -> None:
        self._generator = generator

    def __aiter__(self) -> _Futures:
        return self

    async def __anext__(self) -> RefFuture:
        return as_future(await anext(self._generator))
