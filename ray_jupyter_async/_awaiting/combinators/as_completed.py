"""`as_completed`: refs in the order in which they become ready."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING, Any, final

from ...errors import UnknownRefError
from ..arguments import refs_of
from ..fetch.pool import readers
from ..fetch.sessions import session_of
from ..requests import Need
from .batches import Intake

if TYPE_CHECKING:
    from types import TracebackType

    from ..._ray_api.objects import Ref
    from ..requests import Part, Session


class _Inbox:
    """Takes what completes.

    Apart from `as_completed` itself, which whoever iterates may simply drop:
    nothing that Ray or the loop holds leads to that.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        #: Indices of refs that were ready when the time was over, and are on their way.
        self.found: set[int] = set()
        #: Indices of those that have arrived, where `found` has need of them.
        self.seen: set[int] | None = None
        self.parts: dict[int, Part] = {}
        #: Those of which more parts may come.
        self.intakes: list[Intake] = []
        #: Refs that have not arrived, those included of which no part was made yet.
        self.pending = 0
        self.arrived: deque[tuple[Ref, Any, BaseException | None]] = deque()
        self.waiter: asyncio.Future[None] | None = None

    def part_settled(self, part: Part, value: Any, error: BaseException | None) -> None:
        del self.parts[part.index]
        self.found.discard(part.index)
        if self.seen is not None:
            self.seen.add(part.index)
        self.pending -= 1
        assert part.ref is not None, "it is let go of after this"
        self.arrived.append((part.ref, value, error))
        self.wake()

    def take(self, parts: list[Part]) -> None:
        self.parts.update((part.index, part) for part in parts)

    def wake(self) -> None:
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    def close(self) -> None:
        for intake in self.intakes:
            intake.stop()
        self.intakes = []
        self.pending = 0
        parts, self.parts = self.parts, {}
        for part in parts.values():
            part.drop()
        self.arrived.clear()
        self.found.clear()
        self.wake()


@final
class as_completed:  # noqa: N801 - used as a function, like asyncio's
    """Iterate over refs in the order in which they become ready.

    ::

        async for ref in as_completed(refs): ...
        async for ref, value in as_completed(refs, with_results=True): ...

    A loop that is left early lets go of the remaining refs; their tasks run on
    unless `cancel_task` is set; so does `close()`, which `async with` and
    `contextlib.aclosing` call. To be used on one loop, by one iteration at a time.

    Parameters
    ----------
    refs : iterable of ray.ObjectRef, optional
        More can be added while iterating, see `add`.
    timeout : float, optional
        Seconds, from now, that all may take; 0 gives what is ready.
    with_results : bool, default False
        Whether to give `(ref, value)`. Without, no value is fetched.
    raise_errors : bool, default True
        Whether an error is raised when its turn comes; the iteration can go on
        afterwards. With False the pair is `(ref, error)`. Means nothing without
        `with_results`.
    cancel_task : bool, default False
        Whether the tasks of refs that were not given are cancelled when the
        iteration is left or closed.

    Raises
    ------
    TimeoutError
        From the iteration, when `timeout` has passed and refs are pending
        (`asyncio.TimeoutError` on Python 3.10).
    TypeError
        If one of them is not a ref.
    RuntimeError
        If no loop is running; from the iteration, if another one is waiting.
    """

    def __init__(
        self,
        refs: Iterable[Ref] = (),
        *,
        timeout: float | None = None,
        with_results: bool = False,
        raise_errors: bool = True,
        cancel_task: bool = False,
    ) -> None:
        loop = asyncio.get_running_loop()
        self._inbox = _Inbox(loop)
        self._with_results = with_results
        self._raise_errors = raise_errors
        self._cancel_task = cancel_task
        self._waiting = False
        self._deadline = None if timeout is None else loop.time() + timeout
        # With no time to wait in, what is ready has to be looked for.
        self._unseen: list[tuple[int, Ref]] | None = [] if timeout == 0 else None
        self._inbox.seen = set() if timeout == 0 else None
        self._added = 0
        self.add(refs)

    def add(self, refs: Ref | Iterable[Ref]) -> None:
        """Await more refs; also between two steps of the iteration.

        Raises
        ------
        TypeError
            If one of them is not a ref; then none was added.
        """
        given = refs_of(refs)
        inbox = self._inbox
        intake = Intake(
            given,
            inbox,
            inbox.take,
            inbox.loop,
            need=Need.VALUE if self._with_results else Need.EXISTS,
            cancel_task=self._cancel_task,
            indices=range(self._added, self._added + len(given)),
        )
        if self._unseen is not None:
            self._unseen += enumerate(given, self._added)
        self._added += len(given)
        inbox.pending += len(given)
        inbox.intakes = [one for one in (*inbox.intakes, intake) if not one.done]

    def __len__(self) -> int:
        """Count the refs not given yet."""
        return self._inbox.pending + len(self._inbox.arrived)

    @property
    def arrived(self) -> bool:
        """Whether the next step of the iteration will not have to wait."""
        return bool(self._inbox.arrived)

    def __aiter__(self) -> as_completed:
        return self

    async def __anext__(self) -> Any:
        await self._some()
        return self._give(*self._inbox.arrived.popleft())

    async def batches(self) -> AsyncIterator[list[Any]]:
        """Iterate over lists of all that has completed since the last one.

        An error that is to be raised is raised instead of its batch's remainder,
        which comes with the next batch.
        """
        while True:
            try:
                await self._some()
            except StopAsyncIteration:
                return
            batch: list[Any] = []
            while self._inbox.arrived:
                if batch and self._raises(self._inbox.arrived[0][2]):
                    break
                batch.append(self._give(*self._inbox.arrived.popleft()))
            yield batch

    def close(self) -> None:
        """Drop the refs not given yet; the iteration is over."""
        if self._unseen is not None:
            self._unseen = []
        self._inbox.close()

    async def aclose(self) -> None:
        """Close it, as `contextlib.aclosing` asks for."""
        self.close()

    async def __aenter__(self) -> as_completed:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    async def _some(self) -> None:
        """Wait until something has arrived.

        Raises
        ------
        StopAsyncIteration
            If nothing is left.
        """
        if self._waiting:
            raise RuntimeError(
                "this as_completed is already waiting for its next ref. "
                "Iterate over it from one task at a time."
            )
        self._waiting = True
        try:
            await self._arrival()
        finally:
            self._waiting = False

    async def _arrival(self) -> None:
        inbox = self._inbox
        while not inbox.arrived:
            if not inbox.pending:
                raise StopAsyncIteration
            left = None
            if self._unseen:
                # Forgotten afterwards: a look that is cancelled is repeated.
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
                    f"{len(self)} refs were not ready in time; their tasks run on"
                ) from None
            finally:
                inbox.waiter = None

    def _raises(self, error: BaseException | None) -> bool:
        # Without results there is only one kind of error: a ref that is no good.
        return error is not None and (self._raise_errors or not self._with_results)

    def _give(self, ref: Ref, value: Any, error: BaseException | None) -> Any:
        if error is not None and self._raises(error):
            try:
                raise error
            finally:
                del error, value  # this frame is in the error's traceback
        if not self._with_results:
            return ref
        return ref, (value if error is None else error)

    def __del__(self) -> None:
        inbox = getattr(self, "_inbox", None)
        if inbox is not None and inbox.pending and not inbox.loop.is_closed():
            # The garbage collector may be on any thread.
            inbox.loop.call_soon_threadsafe(inbox.close)


async def _ready_among(refs: list[tuple[int, Ref]], *, fetch: bool) -> set[int]:
    """Return the indices of refs that are ready now, or fail at once.

    Parameters
    ----------
    fetch : bool
        Whether an object has to be on this node; one that is elsewhere is then not
        ready, though its transfer begins.
    """
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
