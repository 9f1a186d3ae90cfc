"""Calls right before Ray destroys the C++ part of a session.

Stands on `global_worker.set_is_connected` (seen in 2.40.0 and 2.60.0): private API of
Ray, touched here and in `objects`.
"""

from __future__ import annotations

import functools
import inspect
import weakref
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

from ray._private import worker as _worker_module

from .._replaced import replaced

if TYPE_CHECKING:
    from collections.abc import Callable

#: What is to be called, newest last. Methods of objects that have gone give None.
_callbacks: list[Callable[[], Callable[[], None] | None]] = []
_hook = ExitStack()
_hooked = False


def before_disconnect(callback: Callable[[], None]) -> None:
    """Call `callback` once, right before the session's C++ part is destroyed.

    `ray.shutdown`, at exit too, ends with `global_worker.set_is_connected(False)`
    and then destroys the core worker; the method is shadowed on that one object
    while there are callbacks. Without it nothing is called.

    Parameters
    ----------
    callback
        If it is a method, its object is not kept alive by it.
    """
    global _hooked
    worker: Any = _worker_module.global_worker
    if getattr(worker, "set_is_connected", None) is None:
        return
    # First, so that a callback that goes meanwhile is not the last one.
    _callbacks.append(
        weakref.WeakMethod(callback, _forget)
        if inspect.ismethod(callback)
        else lambda: callback
    )
    if not _hooked:
        _hooked = True
        _hook.enter_context(replaced(worker, "set_is_connected", _make_hook))


def _forget(gone: Any) -> None:
    # Perhaps in the middle of a garbage collection: nothing but this.
    with suppress(ValueError):
        _callbacks.remove(gone)
    if not _callbacks:
        _unhook()


def _unhook() -> None:
    global _hooked
    _hook.close()
    _hooked = False


def _make_hook(original: Callable[[bool], None]) -> Callable[[bool], None]:
    """Make what shadows `set_is_connected`."""

    @functools.wraps(original)
    def set_is_connected(is_connected: bool) -> None:
        if not is_connected:
            # The next session's worker is the same object.
            _unhook()
            _call_back()
        original(is_connected)

    return set_is_connected


def _call_back() -> None:
    callbacks, _callbacks[:] = _callbacks[:], []
    for of in reversed(callbacks):
        callback = of()
        if callback is not None:
            callback()
