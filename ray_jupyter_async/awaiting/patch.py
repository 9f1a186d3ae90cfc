"""The patch that routes `await ref` through our converter.

`ray.ObjectRef` is an immutable type written in Cython: no attribute of it can
be set. Its `__await__` however calls `self.as_future(_internal=True)` by name,
so replacing `as_future` in the type's own dict redirects the whole protocol
(`await`, `asyncio.gather`, `ensure_future`...), for subclasses and Ray Client's
refs too. No C slot is written. Seen to work on Python 3.10-3.13 and Ray
2.40.0 and 2.60.0; where a check fails, Ray's own await stays, with a warning.
`gather_patch` goes in and out with it.
"""

from __future__ import annotations

import ctypes
import gc
import threading
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any

from ray import ObjectRef

from . import gather_patch
from .converter import as_future
from .errors import PatchWarning

_NAME = "as_future"

_lock = threading.Lock()
_depth = 0
_original: Callable[..., Any] | None = None


def patch() -> bool:
    """Route `await ref` through this package's converter, in the whole process.

    Idempotent in effect and counted: each call is undone by one `unpatch()`,
    and the last one restores Ray's own await.

    Returns
    -------
    bool
        True if the patch is in; False, after a `PatchWarning`, if Ray's own
        await had to be kept.
    """
    global _depth
    with _lock:
        if _depth == 0 and not _install():
            return False
        _depth += 1
        return True


def unpatch() -> None:
    """Undo one `patch()`; without one, do nothing.

    Awaits under way finish as they began.
    """
    global _depth
    with _lock:
        if _depth == 0:
            return
        _depth -= 1
        if _depth == 0:
            _restore()


@contextmanager
def patched() -> Iterator[bool]:
    """Patch for the length of a `with` block; gives what `patch()` returned."""
    done = patch()
    try:
        yield done
    finally:
        if done:
            unpatch()


def is_patched() -> bool:
    """Whether `await ref` goes through this package now."""
    return _depth > 0


def _converting_as_future(self: Any, _internal: bool = False) -> Any:
    """Stand in for `ObjectRef.as_future`."""
    if _internal:
        return as_future(self)
    # Called by name it is deprecated: Ray's own, with Ray's own warning.
    assert _original is not None
    return _original(self, _internal=_internal)


def _install() -> bool:
    global _original
    try:
        namespace = _namespace()
        original = namespace[_NAME]
    except Exception as error:
        return _give_up(f"its type cannot be reached ({error!r})")
    if not callable(original) or "__await__" not in namespace:
        return _give_up("it has no as_future and __await__ of the known kind")
    # Kept alive here for good: the type's method cache only borrows it.
    _original = original
    try:
        redirected = _await_is_redirected(namespace)
    except Exception as error:
        _write(namespace, original)
        return _give_up(f"trying it raised {error!r}")
    if not redirected:
        _write(namespace, original)
        return _give_up("its __await__ does not call as_future")
    _write(namespace, _converting_as_future)
    gather_patch.install()
    return True


def _give_up(reason: str) -> bool:
    warnings.warn(
        f"await ref stays Ray's own: ray.ObjectRef could not be patched because "
        f"{reason}. as_future(ref) works all the same.",
        PatchWarning,
        stacklevel=4,
    )
    return False


def _restore() -> None:
    gather_patch.restore()
    namespace = _namespace()
    # Somebody may have patched on top of us since: theirs to take away.
    if namespace.get(_NAME) is _converting_as_future:
        assert _original is not None
        _write(namespace, _original)


def _namespace() -> dict[str, Any]:
    """Give the live dict behind the read-only proxy `ObjectRef.__dict__`."""
    (namespace,) = gc.get_referents(ObjectRef.__dict__)
    if type(namespace) is not dict or namespace.get("__await__") is None:
        raise TypeError("the proxy does not hold the type's dict")
    return namespace


def _write(namespace: dict[str, Any], function: Callable[..., Any]) -> None:
    namespace[_NAME] = function
    # The interpreter caches method look-ups by type version.
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(ObjectRef))


class _Probe:
    """An awaitable that is done at once, to see where `await ref` goes."""

    def __await__(self) -> Generator[None, None, object]:
        yield from ()
        return self


def _await_is_redirected(namespace: dict[str, Any]) -> bool:
    """Drive one await of a ref by hand and see whether it asks `as_future`."""
    ref: Any = ObjectRef.nil()
    probe = _Probe()

    def as_future_of_probe(self: Any, _internal: bool = False) -> Any:
        # Other threads may await meanwhile.
        return probe if self is ref else _converting_as_future(self, _internal)

    async def await_probe() -> object:
        return await ref

    _write(namespace, as_future_of_probe)
    drive = await_probe()
    try:
        drive.send(None)
    except StopIteration as end:
        return end.value is probe
    finally:
        drive.close()
    return False
