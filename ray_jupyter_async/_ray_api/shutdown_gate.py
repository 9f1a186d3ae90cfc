"""Keeps threads out of Ray's C++ parts while Ray tears them down.

`ray.shutdown()` destroys the core worker without asking who is inside it: in
2.40.0 a thread blocked in `CoreWorker.wait` at that moment ends the process with
a segmentation fault. It unmaps the object store, too, while objects may be loaded
from it. The gate admits calls while the session stands and, when Ray is about to
disconnect, waits for those inside to return.

The moment is found by `global_worker.set_is_connected`, private API of Ray (seen in
2.40.0 and 2.60.0). Without it nothing is called.
"""

from __future__ import annotations

import functools
import inspect
import threading
import weakref
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

from ray._private import worker as _worker_module

from .._replaced import replaced

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds that a disconnect waits for calls to return. Ours block for one round of
#: `readiness` at the longest; an object may take any time to be loaded.
PATIENCE_SECONDS = 5.0


class ClosedError(Exception):
    """The session is ending or has ended; the call was not made."""


class Gate:
    """Counts the calls inside, and closes once for all."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether calls are turned away; read without a lock."""
        return self._closed

    def __enter__(self) -> None:
        """Admit calls into Ray, reentrantly; ClosedError if the gate has closed."""
        with self._changed:
            if self._closed:
                raise ClosedError("the Ray session has ended")
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._inside -= 1
            if self._closed and not self._inside:
                self._changed.notify_all()

    def close(self) -> None:
        """Turn calls away and wait for those inside; any thread."""
        with self._changed:
            self._closed = True
            self._changed.wait_for(lambda: self._inside == 0, PATIENCE_SECONDS)


# The core worker of the session, and its one gate.
_known: tuple[Any, Gate] | None = None
_lock = threading.Lock()


def gate_of(core: Any) -> Gate:
    """Return the gate of a core worker, which closes before Ray destroys it."""
    global _known
    with _lock:
        if _known is None or _known[0] is not core:
            gate = Gate()
            before_disconnect(gate.close)
            _known = core, gate
        return _known[1]


def forget_gate() -> None:
    """Release the core worker; the next `gate_of` makes another gate for it."""
    global _known
    with _lock:
        _known = None


# Callbacks, newest last. A method of an object that is gone yields None.
_callbacks: list[Callable[[], Callable[[], None] | None]] = []
_hook = ExitStack()
_hooked = False


def before_disconnect(callback: Callable[[], None]) -> None:
    """Call `callback` once, right before the session's C++ part is destroyed.

    `ray.shutdown`, at exit too, ends with `global_worker.set_is_connected(False)`
    and then destroys the core worker; the method is shadowed on that one object
    while there are callbacks. Without it nothing is called. A bound method does not
    keep its object alive.
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
