"""Ray's `ray.experimental.async_api` of 2019 (Ray 0.6-0.8), at work again.

What its document promised runs as written, in a script and, after `%load_ext
ray_jupyter_async`, in a notebook cell, where the original could not::

    future = async_api.as_future(f.remote())
    asyncio.get_event_loop().run_until_complete(future)

Two things differ from 2019. A task's error is raised; the original gave it back
as a value. And `init` in a running loop works; the original refused.

New code has no need of this module: `await ref` and `as_future` of the package
do the same and never block the loop.
"""

from __future__ import annotations

import asyncio
import weakref
from typing import Any

from ray import ObjectRef

from ._awaiting.converter import as_future as _as_future
from ._awaiting.fetch.sessions import require_session

__all__ = ["as_future", "init", "shutdown"]

# What `shutdown` cancels. Weak: a future that nobody has is nobody's to cancel.
_made: weakref.WeakSet[asyncio.Future[Any]] = weakref.WeakSet()


def init() -> None:
    """Check that Ray is ready; `as_future` does so by itself.

    Raises
    ------
    RayNotInitializedError
        If `ray.init()` was not called.
    """
    require_session()


def as_future(object_id: ObjectRef[Any]) -> asyncio.Future[Any]:
    """Turn an object id into a future.

    Parameters
    ----------
    object_id : ray.ObjectRef
        Several futures of one id are allowed.

    Returns
    -------
    asyncio.Future
        Of the running loop, else of the current one. Done already if the object
        is on this node, in which case it was deserialised in this call, as in
        2019. Cancelling it does not cancel the task.

    Raises
    ------
    TypeError
        If `object_id` is not an object id.
    RayNotInitializedError
        If `ray.init()` was not called.
    """
    future = _as_future(object_id)
    if not future.keeper.settle_now(future):
        _made.add(future)
    return future


def shutdown() -> None:
    """Cancel the futures that still wait; may be called twice.

    The Ray tasks run on, and so does Ray. To be called on the loop's thread.
    """
    waiting = list(_made)
    _made.clear()
    for future in waiting:
        future.cancel()
