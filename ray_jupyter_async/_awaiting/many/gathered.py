"""The future behind `gather`, which makes no task for a ref."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, Any

from ray import ObjectRef

from ..converter import converter_of
from ..fetch.sessions import shared_session
from ..steering import fail
from .batches import Intake, drop_all
from .in_place import SweepInPlace
from .sweep import FEWEST_TO_SWEEP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..._ray_api.objects import Ref
    from ..requests import Part
    from .sweep import Sweep


class Gathering(asyncio.Future[list[Any]]):
    """The future that `gather` returns."""

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
        #: By index; None where there is none, or it is settled.
        self._parts: list[Part | None] = []
        self._intakes: list[Intake] = []
        self._sweep: SweepInPlace | None = None
        others = {
            i: given
            for i, given in enumerate(awaitables)
            if not isinstance(given, ObjectRef)
        }
        many = not others and len(awaitables) >= FEWEST_TO_SWEEP
        session = shared_session(awaitables) if many else None
        if session is not None:
            self._sweep = SweepInPlace(
                awaitables,
                self,
                session,
                converter_of(loop),
                results=self._results,
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
        """Whether nothing but refs is still awaited."""
        return all(other.done() for other in self._others.values())

    @property
    def missing(self) -> int:
        """How many results have not arrived."""
        return self._left

    def part_settled(self, part: Part, value: Any, error: BaseException | None) -> None:
        if self._parts:
            self._parts[part.index] = None
        self._fill(part.index, value, error)

    def left_over(self, sweep: Sweep, refs: dict[int, Ref]) -> None:
        """Await the refs that the sweep has left over."""
        if not self.done():
            self._take_in(list(refs.values()), list(refs), sweep)

    def filled(self, count: int) -> None:
        if not self.done():
            self._fell(count)

    def sweep_failed(self, error: BaseException) -> None:
        if not self.done():
            self._fail(error)

    def cancel(self, msg: Any | None = None) -> bool:
        """Cancel everything that is still awaited.

        Refs are dropped at once. With coroutines or futures among the awaitables, this
        future is done when they are, as that of `asyncio.gather`.
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
        if self.done() or self._cancelling:
            if not other.cancelled():
                other.exception()  # looked at, so that the loop does not report it
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
        if self.done() or self._cancelling:
            return
        if error is not None and not self._return_exceptions:
            self._fail(error)
            return
        self._results[index] = value if error is None else error
        self._fell(1)

    def _fell(self, count: int) -> None:
        """Count results that are in their places."""
        self._left -= count
        if self._left == 0:
            # These refer back to this future: the values must not wait for the garbage
            # collector.
            self._sweep = None
            self._parts, self._intakes = [], []
            self.set_result(self._results)

    def _fail(self, error: BaseException) -> None:
        fail(self, error)
        # The other results can go nowhere. The tasks keep running, as coroutines do.
        self._drop_parts(cancel_task=False)

    def _take_in(
        self, refs: Sequence[Ref], indices: Sequence[int], sweep: Sweep | None = None
    ) -> None:
        if not refs:
            return
        if not self._parts:
            self._parts = [None] * len(self._results)
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
        sweep, self._sweep = self._sweep, None
        if sweep is not None:
            sweep.drop(cancel_task=self._cancel_task and cancel_task)
        intakes, self._intakes = self._intakes, []
        for intake in intakes:
            intake.stop(cancel_task=cancel_task)
        parts, self._parts = self._parts, []
        drop_all(parts, converter_of(self.get_loop()), cancel_task=cancel_task)
