"""Ray's `ray.experimental.async_api` of 2019 (Ray 0.6 to 0.8) on top of this package.

The examples of its document run as written in a script and, after `%load_ext
ray_jupyter_async`, in a notebook cell, where the original failed::

    future = async_api.as_future(f.remote())
    asyncio.get_event_loop().run_until_complete(future)

There are two differences from 2019. A task's error is raised; the original returned it
as a value. And `init` works in a running loop; the original refused to.

New code does not need this module: `await ref` and the package's own `as_future` do the
same and never block the loop.
"""

from __future__ import annotations

import asyncio
import weakref
from typing import TYPE_CHECKING, Any, TypeVar

from ._awaiting.as_future import current_loop
from ._awaiting.converter import converter_of
from ._awaiting.fetch.sessions import require_session

if TYPE_CHECKING:
    from ray import ObjectRef

__all__ = ["as_future", "init", "shutdown"]

T = TypeVar("T")

# What `shutdown` cancels; weak, because nothing awaits a future that was collected.
_made: weakref.WeakSet[asyncio.Future[Any]] = weakref.WeakSet()


def init() -> None:
    """Check that Ray is connected; `as_future` checks it too.

    Raises
    ------
    RayNotInitializedError
        If `ray.init()` was not called.

    Examples
    --------
    >>> async_api.init()
    """
    require_session()


def as_future(object_id: ObjectRef[T]) -> asyncio.Future[T]:
    """Return a future for an object id.

    Parameters
    ----------
    object_id : ray.ObjectRef
        Several futures of one id are allowed.

    Returns
    -------
    asyncio.Future
        Of the running loop, or else of the current one. It is done if the object is on
        this node: as in 2019, the object is then deserialised in this call. Cancelling
        it does not cancel the task.

    Raises
    ------
    TypeError
        If `object_id` is not an object id.
    RayNotInitializedError
        If `ray.init()` was not called.

    Examples
    --------
    >>> @ray.remote
    ... def double(n):
    ...     return 2 * n
    >>> futures = [async_api.as_future(double.remote(n)) for n in range(3)]
    >>> asyncio.get_event_loop().run_until_complete(asyncio.gather(*futures))
    [0, 2, 4]
    """
    converter = converter_of(current_loop())
    future = converter.convert(object_id, cancel_task=False)
    if not converter.settle_now(future):
        _made.add(future)
    return future


def shutdown() -> None:
    """Cancel the futures that are pending, on the loop's thread; idempotent.

    Ray and its tasks keep running.

    Examples
    --------
    >>> @ray.remote
    ... def work():
    ...     time.sleep(0.5)
    >>> future = async_api.as_future(work.remote())
    >>> async_api.shutdown()
    >>> future.cancelled()
    True
    """
    pending = list(_made)
    _made.clear()
    for future in pending:
        future.cancel()
