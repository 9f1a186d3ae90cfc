"""`as_future`: one ref as a future of the current loop."""

from __future__ import annotations

import asyncio
import threading
import warnings
from typing import TYPE_CHECKING, TypeVar

from .converter import converter_of

if TYPE_CHECKING:
    from ray import ObjectRef

T = TypeVar("T")


def as_future(ref: ObjectRef[T], *, cancel_task: bool = False) -> asyncio.Future[T]:
    """Return an `asyncio.Future` for the value of a ref.

    The object is fetched and deserialised on another thread, once for each call: two
    awaiters never share a value. Call it on the loop's own thread; from another thread
    use `asyncio.run_coroutine_threadsafe`.

    Parameters
    ----------
    ref : ray.ObjectRef
        Of the connected session, local or Ray Client.
    cancel_task : bool, default False
        Whether cancelling the future also cancels the Ray task (`ray.cancel(ref)`). By
        default the task keeps running, as with Ray's own await.

    Returns
    -------
    asyncio.Future
        Of the running loop or, without one, of the thread's current loop, which is made
        if there is none. It fails with the task's error as `ray.get` raises it, or with
        `UnknownRefError`, `SessionEndedError` or `ClientDisconnectedError` where Ray's
        own await would never end.

    Raises
    ------
    TypeError
        If `ref` is not a ref.
    RayNotInitializedError
        If no Ray session is connected.
    RuntimeError
        If the loop is closed, or if a thread other than the main one has no loop.

    Examples
    --------
    >>> @ray.remote
    ... def double(n):
    ...     return 2 * n
    >>> future = as_future(double.remote(4))
    >>> await asyncio.wait_for(future, timeout=60)
    8
    """
    return converter_of(current_loop()).convert(ref, cancel_task=cancel_task)


def current_loop() -> asyncio.AbstractEventLoop:
    """Return the running loop or, without one, the thread's current loop.

    A main thread without a loop gets a new one on every Python version;
    `asyncio.get_event_loop()` no longer makes one in 3.14.
    """
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        pass
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            return asyncio.get_event_loop_policy().get_event_loop()
        except RuntimeError:
            if threading.current_thread() is not threading.main_thread():
                raise
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        return loop
