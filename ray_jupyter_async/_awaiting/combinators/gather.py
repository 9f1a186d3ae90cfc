"""`gather` and `get`: many refs as one future, without a task for each."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ray import ObjectRef
from ray.exceptions import GetTimeoutError

from ..arguments import refs_of, spread
from ..converter import as_future, converter_of, current_loop
from ..fetch.pool import readers
from ..fetch.sessions import all_local, local_session_of, not_a_ref
from ..steering import fail
from .batches import Intake
from .sweep import Sweep
from .wait import wait

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..._ray_api.objects import Ref
    from ..requests import Part


#: Refs for which a sweep is worth the turn of the loop that its report takes.
FEWEST_TO_SWEEP = 32


class Gathering(asyncio.Future[list[Any]]):
    """The future that `gather` gives."""

    def __init__(
        self,
        awaitables: list[Any],
        *,
        return_exceptions: bool,
        cancel_task: bool,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__(loop=loop)
        self._return_exceptions = return_exceptions
        self._cancel_task = cancel_task
        self._results: list[Any] = [None] * len(awaitables)
        self._left = len(awaitables)
        self._cancelling = False
        #: By their index; None where there is none or it is settled.
        self._parts: list[Part | None] = []
        self._intakes: list[Intake] = []
        self._sweep: Sweep | None = None
        others = {
            i: given
            for i, given in enumerate(awaitables)
            if not isinstance(given, ObjectRef)
        }
        if not others and len(awaitables) >= FEWEST_TO_SWEEP and all_local(awaitables):
            self._sweep = Sweep(
                awaitables,
                self._results,
                self,
                local_session_of(awaitables[0]),
                converter_of(loop),
                errors_are_results=return_exceptions,
            )
        else:
            indices = [i for i in range(len(awaitables)) if i not in others]
            self._take_in([awaitables[i] for i in indices], indices)
        self._others: dict[int, asyncio.Future[Any]] = {
            i: asyncio.ensure_future(given, loop=loop) for i, given in others.items()
        }
        for i, other in self._others.items():
            other.add_done_callback(functools.partial(self._other_done, i))
        if not awaitables:
            self.set_result([])

    @property
    def of_refs_alone(self) -> bool:
        """Whether nothing but refs is left to be awaited."""
        return all(other.done() for other in self._others.values())

    def part_settled(self, part: Part, value: Any, error: BaseException | None) -> None:
        """Take the result of one ref."""
        if self._parts:
            self._parts[part.index] = None
        self._fill(part.index, value, error)

    def swept(self, filled: int, left: Sequence[tuple[int, Ref]]) -> None:
        """Await one by one what the sweep has left over."""
        if self.done():
            return
        if left:
            indices, refs = zip(*left, strict=True)
            self._take_in(refs, indices)
        self._fell(filled)

    def sweep_failed(self, error: BaseException) -> None:
        """End with the error that the sweep found."""
        if not self.done():
            self._fail(error)

    def cancel(self, msg: Any | None = None) -> bool:
        """Cancel all that is still awaited.

        Refs are let go of at once. Where coroutines or futures were given too,
        this is done when they have ended, as `asyncio.gather` has it.
        """
        if self.done():
            return False
        self._drop_parts()
        running = [other for other in self._others.values() if not other.done()]
        if not running:
            return super().cancel(msg=msg)
        self._cancelling = True
        self._left = len(running)
        for other in running:
            other.cancel(msg=msg)
        return True

    def _other_done(self, index: int, other: asyncio.Future[Any]) -> None:
        if self.done():
            if not other.cancelled():
                other.exception()  # seen: nobody is left to be told of it
            return
        if self._cancelling:
            if not other.cancelled():
                other.exception()
            self._left -= 1
            if self._left == 0:
                super().cancel()
            return
        if other.cancelled():
            self._fill(index, None, asyncio.CancelledError())
        else:
            error = other.exception()
            self._fill(index, None if error else other.result(), error)

    def _fill(self, index: int, value: Any, error: BaseException | None) -> None:
        if self.done():
            return
        if error is not None and not self._return_exceptions:
            self._fail(error)
            return
        self._results[index] = value if error is None else error
        self._fell(1)

    def _fell(self, count: int) -> None:
        """Note that this many more results are in their places."""
        self._left -= count
        if self._left == 0:
            self._parts = []
            self.set_result(self._results)

    def _fail(self, error: BaseException) -> None:
        fail(self, error)
        # Nobody can be given the others. Their tasks run on, as coroutines that
        # were given do.
        self._drop_parts(cancel_task=False)

    def _take_in(self, refs: Sequence[Ref], indices: Sequence[int]) -> None:
        """Await refs one by one."""
        if not refs:
            return
        if not self._parts:
            self._parts = [None] * len(self._results)
        sweep = self._sweep
        intake = Intake(
            refs,
            self,
            self._made,
            self.get_loop(),
            cancel_task=self._cancel_task,
            indices=indices,
            session=sweep.session if sweep else None,
            origin=sweep.origin if sweep else None,
        )
        self._intakes = [one for one in (*self._intakes, intake) if not one.done]

    def _made(self, parts: list[Part]) -> None:
        for part in parts:
            self._parts[part.index] = part

    def _drop_parts(self, *, cancel_task: bool = True) -> None:
        if self._sweep is not None:
            self._sweep.drop(cancel_task=self._cancel_task and cancel_task)
        intakes, self._intakes = self._intakes, []
        for intake in intakes:
            intake.stop(cancel_task=cancel_task)
        parts, self._parts = self._parts, []
        for part in parts:
            if part is not None:
                part.cancel_task = part.cancel_task and cancel_task
                part.drop()


def gather(
    *awaitables: Any, return_exceptions: bool = False, cancel_task: bool = False
) -> asyncio.Future[list[Any]]:
    """Await many refs, and other awaitables among them, as one.

    Like `asyncio.gather`, but refs cost no task each. The results come in the
    order in which the awaitables were given; one that was given twice is
    awaited twice.

    Parameters
    ----------
    *awaitables : ray.ObjectRef, coroutine or asyncio.Future
        Or one iterable of them.
    return_exceptions : bool, default False
        Whether errors are put among the results. By default the first one is
        raised and the other refs are let go of.
    cancel_task : bool, default False
        Whether cancelling the gather also cancels the Ray tasks.

    Returns
    -------
    asyncio.Future
        Of a list. Bound to the running loop, or to the current one.

    Raises
    ------
    TypeError
        If one cannot be awaited; then nothing was begun.
    RayNotInitializedError
        If a ref is among them and no Ray session is connected.
    """
    given = spread(awaitables)
    if not all_local(given):
        for one in given:
            if not (isinstance(one, ObjectRef) or inspect.isawaitable(one)):
                raise TypeError(not_a_ref(one))
    return Gathering(
        given,
        return_exceptions=return_exceptions,
        cancel_task=cancel_task,
        loop=current_loop(),
    )


async def get(refs: Ref | Iterable[Ref], *, timeout: float | None = None) -> Any:
    """Await what `ray.get` would block for.

    Parameters
    ----------
    refs : ray.ObjectRef or iterable of ray.ObjectRef
    timeout : float, optional
        Seconds; 0 asks for what is there now.

    Returns
    -------
    object or list
        The value of one ref, or those of several in their order.

    Raises
    ------
    ray.exceptions.GetTimeoutError
        If not all were there in time. The tasks run on.
    TypeError
        If one of them is not a ref.
    Exception
        What the first of them to fail failed with.
    """
    if timeout is not None and timeout < 0:
        raise ValueError(f"timeout must not be negative, got {timeout}")
    single = isinstance(refs, ObjectRef)
    given = refs_of(refs)
    if not given:
        return []
    if timeout == 0:
        # No time to begin in: look first, then fetch without a limit.
        unique = await readers.run(_unique, given)
        _, missing = await wait(unique, num_returns=len(unique), timeout=0)
        if missing:
            raise _timed_out(len(missing), timeout)
        timeout = None
    result: asyncio.Future[Any] = as_future(given[0]) if single else gather(given)
    try:
        return await asyncio.wait_for(result, timeout)
    except asyncio.TimeoutError:
        if result.cancelled():
            raise _timed_out(len(given), timeout) from None
        raise  # a task's own TimeoutError


def _unique(refs: list[Ref]) -> list[Ref]:
    """Leave out duplicates. Over Ray Client an id may have to be waited for."""
    return list({ref.binary(): ref for ref in refs}.values())


def _timed_out(missing: int, timeout: float | None) -> GetTimeoutError:
    return GetTimeoutError(
        f"of the refs awaited, up to {missing} were not ready within {timeout:g} s; "
        "their tasks run on"
    )
