"""The methods of `ray.ObjectRef`, an immutable type whose methods can be replaced.

No attribute of it can be set, but the dict behind the read-only proxy can be
written. No C slot is touched: what replaces a method is found by name only.
"""

from __future__ import annotations

import ctypes
import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ray import ObjectRef

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def methods() -> dict[str, Any]:
    """Return the live dict behind the read-only proxy `ObjectRef.__dict__`.

    Raises
    ------
    TypeError
        If the type is not made as expected.
    """
    (namespace,) = gc.get_referents(ObjectRef.__dict__)
    if type(namespace) is not dict or namespace.get("__await__") is None:
        raise TypeError("the proxy does not hold the type's dict")
    return namespace


def write_method(namespace: dict[str, Any], name: str, method: Any) -> None:
    """Put a method into the live dict."""
    namespace[name] = method
    # The interpreter caches method look-ups by type version.
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(ObjectRef))


@contextmanager
def replaced_method(name: str, make: Callable[[Any], Any]) -> Iterator[None]:
    """Replace a method for the length of a ``with`` block; see `replaced`.

    Raises
    ------
    TypeError, KeyError
        If there is no such method, or it cannot be reached.
    """
    namespace = methods()
    original = namespace[name]
    new = make(original)
    write_method(namespace, name, new)
    try:
        yield
    finally:
        if namespace.get(name) is new:
            write_method(namespace, name, original)
