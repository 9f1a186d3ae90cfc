"""`stream`: the values of a streaming generator as they come."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from ray import ObjectRefGenerator

from .converter import as_future
from .in_order import in_order
from .sessions import not_a_ref

if TYPE_CHECKING:
    from .future import RefFuture


def stream(generator: ObjectRefGenerator, *, prefetch: int = 8) -> AsyncIterator[Any]:
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
        with. Leaving it early lets go of what was fetched; the task runs on.

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
    return in_order(_futures(generator), prefetch)


async def _futures(generator: Any) -> AsyncIterator[RefFuture]:
    async for ref in generator:
        yield as_future(ref)
