"""What the combinators accept: refs one by one, or one iterable of them."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ray import ObjectRef

from .fetch.sessions import not_a_ref

if TYPE_CHECKING:
    from .._ray_api.objects import Ref


def spread(arguments: tuple[Any, ...]) -> list[Any]:
    """Turn `f(a, b)` and `f([a, b])` into the same list."""
    if len(arguments) == 1 and not inspect.isawaitable(arguments[0]):
        (only,) = arguments
        if isinstance(only, Iterable) and not isinstance(only, (str, bytes)):
            return list(only)
    return list(arguments)


def refs_of(given: Ref | Iterable[Ref]) -> list[Ref]:
    """Give refs as a list.

    Raises
    ------
    TypeError
        If one of them is not a ref; it is named.
    """
    refs = spread((given,))
    for ref in refs:
        if not isinstance(ref, ObjectRef):
            raise TypeError(not_a_ref(ref))
    return refs
