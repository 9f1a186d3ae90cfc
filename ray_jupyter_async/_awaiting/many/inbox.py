"""What an `as_completed` has begun to await, and what has arrived of it."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from ..converter import converter_of
from ..fetch.sessions import shared_session
from ..requests import Need
from .batches import Intake, drop_all
from .streamed import StreamedSweep
from .sweep import FEWEST_TO_SWEEP

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from ..._ray_api.objects import Ref
    from ..requests import Part, Sweepable
    from .streamed import Arrival
    from .sweep import Sweep


class Inbox:
    """What an `as_completed` awaits, and what has arrived of it."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, need: Need, *, cancel_task: bool
    ) -> None:
        self.loop = loop
        self.need = need
        self.cancel_task = cancel_task
        #: Indices of refs that were ready when the time was over and have not arrived.
        self.found: set[int] = set()
        #: Indices of those that have arrived; only where `found` is used.
        self.seen: set[int] | None = None
        self.parts: dict[int, Part] = {}
        #: Those that may make more parts.
        self._intakes: list[Intake] = []
        self._sweeps: list[StreamedSweep] = []
        #: Refs that have not arrived, with those for which no part was made yet.
        self.pending = 0
        self.arrived: deque[Arrival] = deque()
        self.waiter: asyncio.Future[None] | None = None

    def part_settled(self, part: Part, value: Any, error: BaseException | None) -> None:
        del self.parts[part.index]
        self.found.discard(part.index)
        if self.seen is not None:
            self.seen.add(part.index)
        self.pending -= 1
        assert part.ref is not None, "the converter clears it after this call"
        self.arrived.append((part.ref, value, error))
        self.wake()

    def take_arrivals(self, arrivals: list[Arrival]) -> None:
        self.arrived.extend(arrivals)
        self.pending -= len(arrivals)
        self.wake()

    def take_in(self, refs: list[Ref], first: int, *, sweep: bool) -> None:
        """Await refs with the indices from `first` on; many may be swept.

        Raises as `as_future`; then none of them is awaited.
        """
        self.pending += len(refs)
        try:
            many = sweep and len(refs) >= FEWEST_TO_SWEEP and self.need is Need.VALUE
            session = shared_session(refs) if many else None
            if session is None:
                self._await_each(refs, range(first, first + len(refs)))
            else:
                self._sweep(refs, first, session)
        except BaseException:
            self.pending -= len(refs)
            raise

    def left_over(self, sweep: Sweep, refs: dict[int, Ref]) -> None:
        self._await_each(
            list(refs.values()), list(refs), session=sweep.session, origin=sweep.origin
        )

    def _sweep(self, refs: list[Ref], first: int, session: Sweepable) -> None:
        sweep = StreamedSweep(refs, self, session, converter_of(self.loop), first)
        self._sweeps = [one for one in (*self._sweeps, sweep) if not one.done()]

    def _await_each(
        self, refs: Sequence[Ref], indices: Sequence[int], **known: Any
    ) -> None:
        intake = Intake(
            refs,
            self,
            self._made,
            self.loop,
            need=self.need,
            cancel_task=self.cancel_task,
            indices=indices,
            **known,
        )
        self._intakes = [one for one in (*self._intakes, intake) if not one.done]

    def _made(self, parts: list[Part]) -> None:
        self.parts.update((part.index, part) for part in parts)

    def wake(self) -> None:
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    def ended(self) -> bool:
        return not self.pending and not self.arrived

    def close(self) -> None:
        for sweep in self._sweeps:
            sweep.drop(cancel_task=self.cancel_task)
        self._sweeps = []
        for intake in self._intakes:
            intake.stop()
        self._intakes = []
        self.pending = 0
        parts, self.parts = self.parts, {}
        drop_all(list(parts.values()), converter_of(self.loop))
        self.arrived.clear()
        self.found.clear()
        self.wake()
