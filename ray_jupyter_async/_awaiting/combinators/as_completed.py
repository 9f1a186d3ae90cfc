"""`as_completed`: refs in the order in which they become ready."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, final, overload

from ...errors import UnknownRefError
from ..arguments import refs_of
from ..fetch.pool import readers
from ..fetch.sessions import session_of
from ..many.flow import Iteration
from ..many.inbox import Inbox
from ..requests import Need

if TYPE_CHECKING:
    from ray import ObjectRef

    from ..._ray_api.objects import Ref
    from ..requests import Session

T = TypeVar("T")
#: What the refs stand for, and what the iteration returns.
Value = TypeVar("Value")
Item = TypeVar("Item")


@final
class as_completed(  # noqa: N801 - used as a function, like asyncio's
    Iteration[Item], Generic[Value, Item]
):
    """Iterate over refs in the order in which they become ready.

    Use it on one loop, from one task at a time. A step that is cancelled loses nothing.
    `close()`, `aclose()`, `async with` and `contextlib.aclosing` end the iteration and
    drop the remaining refs at once; otherwise this happens when it is collected.

    Parameters
    ----------
    refs : iterable of ray.ObjectRef, optional
        More can be added while iterating, see `add`.
    timeout : float, optional
        Seconds from now for all refs; 0 returns those that are ready.
    with_results : bool, default False
        Whether to return `(ref, value)`. Without, no value is fetched.
    return_exceptions : bool, default False
        Whether an error is returned, as `(ref, error)`. By default it is raised when
        its turn comes, and the iteration can go on. No effect without `with_results`.
    cancel_task : bool, default False
        Whether the tasks of refs that were not returned are cancelled when the
        iteration is closed. By default they keep running.
    raise_errors : bool, optional
        The opposite of `return_exceptions`, which it overrides.

        .. deprecated:: 0.1

    Raises
    ------
    TimeoutError
        From the iteration, when `timeout` has passed and refs are pending
        (`asyncio.TimeoutError` on Python 3.10).
    TypeError
        If one of them is not a ref.
    RuntimeError
        If no loop is running; from the iteration, if another step is waiting.

    Examples
    --------
    >>> @ray.remote
    ... def double(n):
    ...     return 2 * n
    >>> total = 0
    >>> async for ref in as_completed([double.remote(n) for n in range(4)]):
    ...     total += await as_future(ref)
    >>> total
    12

    With results, and with refs that are added while it runs:

    >>> async def double_until(limit):
    ...     completed = as_completed([double.remote(1)], with_results=True)
    ...     async for ref, value in completed:
    ...         print(value)
    ...         if value < limit:
    ...             completed.add(double.remote(value))
    >>> await double_until(8)
    2
    4
    8
    """

    @overload
    def __init__(
        self: as_completed[T, ObjectRef[T]],
        refs: Iterable[ObjectRef[T]] = (),
        *,
        timeout: float | None = None,
        with_results: Literal[False] = False,
        return_exceptions: bool = False,
        cancel_task: bool = False,
    ) -> None: ...
    @overload
    def __init__(
        self: as_completed[T, tuple[ObjectRef[T], T]],
        refs: Iterable[ObjectRef[T]] = (),
        *,
        timeout: float | None = None,
        with_results: Literal[True],
        return_exceptions: Literal[False] = False,
        cancel_task: bool = False,
    ) -> None: ...
    @overload
    def __init__(
        self: as_completed[T, tuple[ObjectRef[T], T | BaseException]],
        refs: Iterable[ObjectRef[T]] = (),
        *,
        timeout: float | None = None,
        with_results: Literal[True],
        return_exceptions: bool,
        cancel_task: bool = False,
    ) -> None: ...
    @overload
    def __init__(
        self: as_completed[Any, Any],
        refs: Iterable[ObjectRef[Any]] = (),
        *,
        timeout: float | None = None,
        with_results: bool = False,
        return_exceptions: bool = False,
        cancel_task: bool = False,
        raise_errors: bool | None = None,
    ) -> None: ...

    def __init__(
        self,
        refs: Iterable[Ref] = (),
        *,
        timeout: float | None = None,
        with_results: bool = False,
        return_exceptions: bool = False,
        cancel_task: bool = False,
        raise_errors: bool | None = None,
    ) -> None:
        if raise_errors is not None:
            warnings.warn(
                "raise_errors is deprecated and will be removed in the next version. "
                f"Use return_exceptions={not raise_errors}.",
                DeprecationWarning,
                stacklevel=2,
            )
            return_exceptions = not raise_errors
        loop = asyncio.get_running_loop()
        need = Need.VALUE if with_results else Need.EXISTS
        self._state: Inbox = Inbox(loop, need, cancel_task=cancel_task)
        self._loop = loop
        self._with_results = with_results
        self._return_exceptions = return_exceptions
        self._timeout = timeout
        self._deadline = None if timeout is None else loop.time() + timeout
        # With a timeout of 0 the refs that are ready have to be looked for.
        self._unseen: list[tuple[int, Ref]] | None = [] if timeout == 0 else None
        self._state.seen = set() if timeout == 0 else None
        self._added = 0
        self.add(refs)

    def add(self, refs: ObjectRef[Value] | Iterable[ObjectRef[Value]]) -> None:
        """Await more refs; also between two steps of the iteration.

        Raises
        ------
        TypeError
            If one of them is not a ref; then none was added.
        """
        given = refs_of(refs)
        inbox = self._state
        first = self._added
        # Not where the refs that are ready are looked for.
        inbox.take_in(given, first, sweep=self._unseen is None)
        self._added += len(given)
        if self._unseen is not None:
            self._unseen += enumerate(given, first)

    def __len__(self) -> int:
        """Return how many refs have not been returned yet."""
        return self._state.pending + len(self._state.arrived)

    @property
    def arrived(self) -> bool:
        """Whether the next step of the iteration will not have to wait."""
        return bool(self._state.arrived)

    async def __anext__(self) -> Item:
        await self._alone(self._arrival)
        item: Item = self._item(*self._state.arrived.popleft())
        return item

    async def batches(self) -> AsyncIterator[list[Item]]:
        """Iterate over lists of everything that has arrived since the last one.

        An error that is to be raised ends the batch before it, and is raised in place
        of the next one.
        """
        arrived = self._state.arrived
        while True:
            try:
                await self._alone(self._arrival)
            except StopAsyncIteration:
                return
            batch: list[Item] = []
            while arrived and not (batch and self._raises(arrived[0][2])):
                batch.append(self._item(*arrived.popleft()))
            yield batch

    def close(self) -> None:
        """End the iteration and drop the refs that it has not returned."""
        if self._unseen is not None:
            self._unseen = []
        super().close()

    async def _arrival(self) -> None:
        """Wait until something has arrived; raise StopAsyncIteration if nothing can."""
        inbox = self._state
        while not inbox.arrived:
            if not inbox.pending:
                raise StopAsyncIteration
            left = None
            if self._unseen:
                # Removed after the look only: one that is cancelled is repeated.
                unseen = list(self._unseen)
                inbox.found |= await _ready_among(unseen, fetch=self._with_results)
                inbox.found -= inbox.seen or set()
                del self._unseen[: len(unseen)]
                continue
            if self._deadline is not None and not inbox.found:
                left = max(0.0, self._deadline - inbox.loop.time())
            inbox.waiter = inbox.loop.create_future()
            try:
                await asyncio.wait_for(inbox.waiter, left)
            except asyncio.TimeoutError:
                raise asyncio.TimeoutError(
                    f"as_completed() timed out after {self._timeout:g} s: {len(self)} "
                    f"of {self._added} refs were not ready. Their tasks keep running."
                ) from None
            finally:
                inbox.waiter = None

    def _raises(self, error: BaseException | None) -> bool:
        # Without results the only error is a ref of no session.
        return error is not None and not (
            self._return_exceptions and self._with_results
        )

    def _item(self, ref: Ref, value: Any, error: BaseException | None) -> Any:
        if error is not None and self._raises(error):
            try:
                raise error
            finally:
                del error, value  # this frame is in the error's traceback
        if not self._with_results:
            return ref
        return ref, (value if error is None else error)


async def _ready_among(refs: list[tuple[int, Ref]], *, fetch: bool) -> set[int]:
    """Return the indices of refs that are ready (here, if `fetch`) or unknown."""
    by_session: dict[Session, list[tuple[int, Ref]]] = {}
    for index, ref in refs:
        by_session.setdefault(session_of(ref), []).append((index, ref))
    ready: set[int] = set()
    for session, given in by_session.items():
        ready |= await readers.run(_look, session, given, fetch)
    return ready


def _look(session: Session, refs: list[tuple[int, Ref]], fetch: bool) -> set[int]:
    """Look for ready refs; on a reader thread."""
    indices: dict[bytes, set[int]] = {}
    unique: dict[bytes, Ref] = {}
    for index, ref in refs:
        key = ref.binary()
        indices.setdefault(key, set()).add(index)
        unique[key] = ref
    try:
        keys = session.look(list(unique.values()), fetch)
    except UnknownRefError:
        keys = [key for key, ref in unique.items() if _is_ready(session, ref, fetch)]
    return set().union(*(indices[key] for key in keys))


def _is_ready(session: Session, ref: Ref, fetch: bool) -> bool:
    try:
        return bool(session.look([ref], fetch))
    except UnknownRefError:
        return True  # its await fails at once
