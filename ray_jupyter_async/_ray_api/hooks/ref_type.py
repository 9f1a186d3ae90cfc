"""The methods of `ray.ObjectRef`, an immutable type whose methods can be replaced.

No attribute of it can be set, but the dict behind the read-only proxy can be
written. No C slot is touched: a replacement is found by name only.
"""

from __future__ import annotations

import ctypes
import gc
from typing import Any

from ray import ObjectRef


class _RefMethods:
    """The methods of `ObjectRef` as attributes that can be set.

    Each access raises TypeError if the type is not made as expected.
    """

    __slots__ = ()

    @property
    def __dict__(self) -> dict[str, Any]:  # type: ignore[override]
        return _namespace()

    def __getattr__(self, name: str) -> Any:
        try:
            return _namespace()[name]
        except KeyError:
            raise AttributeError(name) from None

    def __setattr__(self, name: str, method: Any) -> None:
        _namespace()[name] = method
        # The interpreter caches method look-ups by type version.
        ctypes.pythonapi.PyType_Modified(ctypes.py_object(ObjectRef))


def _namespace() -> dict[str, Any]:
    """Return the live dict behind the read-only proxy `ObjectRef.__dict__`."""
    (namespace,) = gc.get_referents(ObjectRef.__dict__)
    if type(namespace) is not dict or namespace.get("__await__") is None:
        raise TypeError("the proxy does not hold the type's dict")
    return namespace


#: To be used with `replaced`.
ref_methods = _RefMethods()
