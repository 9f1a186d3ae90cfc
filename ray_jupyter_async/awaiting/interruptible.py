"""Functions of this package that an interrupt may unwind like their caller's code.

Stop lets this package's code finish, except where it blocks on behalf of the caller:
in a wrapper of a blocking call of Ray's, or in a wait for a result. Such functions are
marked here. They are recognised by their code objects, not by names in strings,
because a name goes stale silently when a function moves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType

_Function = TypeVar("_Function", bound="Callable[..., Any]")

_codes: set[CodeType] = set()


def interruptible(function: _Function) -> _Function:
    """Mark a Python function; a decorator, to be applied before `functools.wraps`.

    The function may be unwound at any call that it makes to code of others. Code of
    its own that must not be left half done belongs in unmarked functions, or in a
    ``finally``.
    """
    _codes.add(cast("Any", function).__code__)
    return function


def is_interruptible(code: CodeType) -> bool:
    """Whether a frame with this code belongs to a marked function."""
    return code in _codes
