"""Calls right before Ray destroys the C++ part of a session.

Stands on `global_worker.set_is_connected` (seen in 2.40.0 and 2.60.0): private API of
Ray, touched here and in `ray_internals`.
"""

from __future__ import annotations

import functools
import inspect
import weakref
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

from ray._private import worker as _worker_module

from ..replaced import Link, replaced

if TYPE_CHECKING:
    from collections.abc import Callable

#: What is to be called, newest last; those that were methods of an object that has
#: gone give None.
_before_disconnect: list[Callable[[], Callable[[], None] | None]] = []
_disconnect_hook = ExitStack()


def before_disconnect(callback: Callable[[], None]) -> None:
    """Call `callback` once, right before the session's C++ part is destroyed.

    `ray.shutdown`, at exit too, ends with `global_worker.set_is_connected(False)`
    and then destroys the core worker; the method is shadowed on that one object
    until then, or until no callback is left. Without it (it is there in 2.40.0 and
    2.60.0) nothing is called.

    Parameters
    ----------
    callback
        A method's object is not kept alive by it.
    """
    worker: Any = _worker_module.global_worker
    if getattr(worker, "set_is_connected", None) is None:
        return
    if not _before_disconnect:
        _disconnect_hook.close()  # one of which only the callbacks have gone
        _disconnect_hook.enter_context(
            replaced(worker, "set_is_connected", _disconnecting)
        )
    _before_disconnect.append(
        weakref.WeakMethod(callback, _forget_callback)
        if inspect.ismethod(callback)
        else lambda: callback
    )


def forget_disconnects() -> None:
    """Take the hook out if no callback is left; to be called when some have gone."""
    if not _before_disconnect:
        _disconnect_hook.close()


def _forget_callback(gone: Any) -> None:
    # Perhaps in the middle of a garbage collection: nothing but this.
    with suppress(ValueError):
        _before_disconnect.remove(gone)


def _disconnecting(original: Callable[[bool], None]) -> Callable[[bool], None]:
    """Make what shadows `set_is_connected`."""
    link: _Disconnecting | None = _Disconnecting()

    @functools.wraps(original)
    def set_is_connected(is_connected: bool) -> None:
        if link is not None and not is_connected:
            link.call_back()
        original(is_connected)

    return set_is_connected


class _Disconnecting(Link):
    def call_back(self) -> None:
        # The next session's worker is the same object.
        _disconnect_hook.close()
        callbacks, _before_disconnect[:] = _before_disconnect[:], []
        for of in reversed(callbacks):
            callback = of()
            if callback is not None:
                callback()
