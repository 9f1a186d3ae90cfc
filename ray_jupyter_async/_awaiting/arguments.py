"""Arguments that several combinators take: refs, timeouts and limits."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ray import ObjectRef

from .fetch.sessions import not_a_ref

if TYPE_CHECKING:
    from .._ray_api.objects import Ref


def spread(arguments: tuple[Any, ...]) -> list[Any]:
    """Return the same list for `f(a, b)` and `f([a, b])`."""
    if len(arguments) == 1 and not inspect.isawaitable(arguments[0]):
        (only,) = arguments
        if isinstance(only, Iterable) and not isinstance(only, (str, bytes)):
            return list(only)
    return list(arguments)


def refs_of(refs: Ref | Iterable[Ref]) -> list[Ref]:
    """Return refs as a list, or raise a TypeError that names what is not a ref."""
    listed = spread((refs,))
    for ref in listed:
        if not isinstance(ref, ObjectRef):
            raise TypeError(not_a_ref(ref))
    return listed


def check_timeout(timeout: float | None) -> None:
    """Raise ValueError if a timeout is negative."""
    if timeout is not None and timeout < 0:
        raise ValueError(f"timeout must not be negative, got {timeout}")


def check_limit(name: str, limit: int) -> None:
    """Raise ValueError if a limit is less than 1."""
    if limit < 1:
        raise ValueError(f"{name} must be at least 1, got {limit}")
