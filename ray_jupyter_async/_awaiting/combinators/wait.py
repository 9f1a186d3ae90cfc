"""`wait`: which refs are ready, without their values."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, TypeVar, overload

from ..arguments import check_timeout, refs_of
from ..converter import converter_of
from ..fetch.pool import readers
from ..fetch.sessions import session_of
from ..many.batches import Intake, drop_all
from ..requests import Need
from ..steering import fail

if TYPE_CHECKING:
    from ray import ObjectRef

    from ..._ray_api.objects import Ref
    from ..requests import Part

T = TypeVar("T")


class _Waiting(asyncio.Future[None]):
    """Done when enough refs are ready."""

    def __init__(self, num_returns: int, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self._num_returns = num_returns
        self.ready: set[int] = set()

    def part_settled(self, part: Part, value: Any, error: BaseException | None) -> None:
        if self.done():
            return
        if error is not None:
            fail(self, error)
            return
        self.ready.add(part.index)
        if len(self.ready) == self._num_returns:
            self.set_result(None)


@overload
async def wait(
    refs: Iterable[ObjectRef[T]],
    *,
    num_returns: int = 1,
    timeout: float | None = None,
    fetch_local: bool = True,
) -> tuple[list[ObjectRef[T]], list[ObjectRef[T]]]: ...
@overload
async def wait(
    refs: Iterable[ObjectRef[Any]],
    *,
    num_returns: int = 1,
    timeout: float | None = None,
    fetch_local: bool = True,
) -> tuple[list[ObjectRef[Any]], list[ObjectRef[Any]]]: ...


async def wait(
    refs: Iterable[Ref],
    *,
    num_returns: int = 1,
    timeout: float | None = None,
    fetch_local: bool = True,
) -> tuple[list[Ref], list[Ref]]:
    """Await what `ray.wait` would block for.

    Parameters
    ----------
    refs : iterable of ray.ObjectRef
        Without duplicates.
    num_returns : int, default 1
        How many refs to wait for.
    timeout : float, optional
        Seconds; 0 looks once and returns.
    fetch_local : bool, default True
        Whether a ref is ready only when its object is on this node, to which it is
        pulled if necessary. With False nothing is downloaded (ray #41587).

    Returns
    -------
    ready : list of ray.ObjectRef
        In the order of `refs`, never more than `num_returns`.
    not_ready : list of ray.ObjectRef
        The others, in that order.

    Raises
    ------
    TypeError
        If one of them is not a ref.
    ValueError
        If there are duplicates, if there are fewer refs than `num_returns`, or if
        `timeout` is negative.
    UnknownRefError
        If one does not belong to the connected session.

    Examples
    --------
    >>> @ray.remote
    ... def nap(seconds):
    ...     time.sleep(seconds)
    >>> done, napping = ray.put("done"), nap.remote(0.5)
    >>> ready, not_ready = await wait([napping, done])
    >>> ready == [done], not_ready == [napping]
    (True, True)
    """
    given = refs_of(refs)
    if not given:
        return [], []
    if not 1 <= num_returns <= len(given):
        raise ValueError(
            f"num_returns must be between 1 and the number of refs, {len(given)}, "
            f"got {num_returns}"
        )
    check_timeout(timeout)
    keys = await readers.run(lambda: [ref.binary() for ref in given])
    if len(set(keys)) < len(keys):
        raise ValueError("A ref was passed twice. wait() takes each ref once.")
    if timeout == 0:
        session = session_of(given[0])
        found = set(await readers.run(session.look, given, fetch_local))
        ready = {i for i, key in enumerate(keys) if key in found}
        return _split(given, ready, num_returns)

    loop = asyncio.get_running_loop()
    waiting = _Waiting(num_returns, loop)
    parts: list[Part | None] = []
    intake = Intake(
        given,
        waiting,
        parts.extend,
        loop,
        need=Need.HERE if fetch_local else Need.EXISTS,
    )
    try:
        await asyncio.wait([waiting], timeout=timeout)
        if waiting.done():
            waiting.result()
    finally:
        waiting.cancel()
        intake.stop()
        drop_all(parts, converter_of(loop))
    return _split(given, waiting.ready, num_returns)


def _split(
    refs: list[Ref], ready: set[int], num_returns: int
) -> tuple[list[Ref], list[Ref]]:
    chosen = set(sorted(ready)[:num_returns])
    return (
        [ref for i, ref in enumerate(refs) if i in chosen],
        [ref for i, ref in enumerate(refs) if i not in chosen],
    )
