"""The sweep of `as_completed`: results are delivered while others are loaded."""

from __future__ import annotations

import threading
from collections import deque
from itertools import compress, repeat
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from ..._ray_api.shutdown_gate import ClosedError
from ..fetch.pool import readers
from ..steering import raisable
from ..task_errors import error_of
from .sweep import STEP, Report, Sweep, SweepReceiver

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..._ray_api.objects import Raw, Ref
    from ..converter import Converter
    from ..requests import Sweepable

#: A ref with its value or its error.
Arrival: TypeAlias = "tuple[Ref, Any, BaseException | None]"


class StreamReceiver(SweepReceiver, Protocol):
    """The owner of a streamed sweep; called on the loop's thread."""

    def take_arrivals(self, arrivals: list[Arrival]) -> None:
        """Take results."""


class StreamedSweep(Sweep):
    """Delivers each result soon after it was loaded.

    Parameters
    ----------
    refs, session, converter, first
        As of `Sweep`.
    receiver : StreamReceiver
    """

    def __init__(
        self,
        refs: list[Ref],
        receiver: StreamReceiver,
        session: Sweepable,
        converter: Converter,
        first: int,
    ) -> None:
        self._stream = receiver
        #: Objects whose loading runs code of the user's and may take long: the chunk,
        #: the position in it, and what was read. Shared by the readers, so that one
        #: that takes long holds up none of the others.
        self._slow: deque[tuple[list[Ref], int, Raw]] = deque()
        self._loaded: deque[list[Arrival]] = deque()
        #: Whether the loop will look at `_loaded`.
        self._told = False
        #: Held while a ref moves from its chunk to what the loop will take.
        self._moving = threading.Lock()
        super().__init__(refs, receiver, session, converter, first)

    def settle(self, value: Report | None, error: BaseException | None) -> None:
        """Take a reader's report, or what has been loaded; on the loop's thread."""
        if value is None and error is None:
            # Cleared first, so that a reader reports what it adds from now on.
            self._told = False
            self._take_loaded()
        else:
            super().settle(value, error)

    def _take_loaded(self) -> None:
        while self._loaded:
            arrivals = self._loaded.popleft()
            self._have_read(len(arrivals))
            self._stream.take_arrivals(arrivals)

    def _filled(self, count: int) -> None:
        raise AssertionError("results come through `_loaded`")

    def _fail(self, error: BaseException) -> None:
        """Fail each ref that has not been read."""
        with self._moving:
            rest = self._rest()
            self._end()
        self._take_loaded()
        self._stream.take_arrivals([(ref, None, error) for ref in rest])

    def _rest(self) -> list[Ref]:
        return list(filter(None, super()._rest()))

    def _end(self) -> None:
        super()._end()
        self._slow.clear()

    def _leave(self, start: int, refs: list[Ref], found: set[int]) -> None:
        left = [i for i in range(len(refs)) if i not in found]
        with self._moving:
            super()._leave(start, refs, found)
            self._remove(refs, left)

    def _load(
        self, start: int, refs: list[Ref], positions: Sequence[int], raws: list[Raw]
    ) -> None:
        plain = list(map(self.session.is_plain, raws))
        if not all(plain):
            slow = [not one for one in plain]
            self._slow.extend(
                (refs, i, raw)
                for i, raw in compress(zip(positions, raws, strict=True), slow)
            )
            positions = list(compress(positions, plain))
            raws = list(compress(raws, plain))
        for at in range(0, len(raws), STEP):
            if self._unwanted:
                return
            step = positions[at : at + STEP]
            self._load_plain([refs[i] for i in step], refs, step, raws[at : at + STEP])
        self._converter.wake()
        if self._slow:
            # Not here: while one takes long, this frame would hold all of the chunk.
            readers.call(self._guarded, self._load_slow)

    def _load_plain(
        self,
        refs: list[Ref],
        chunk: list[Ref],
        positions: Sequence[int],
        raws: list[Raw],
    ) -> None:
        values = self.session.load_plain(refs, raws)
        readers.moved()
        self._announce(refs, raws, {})
        self._deliver(list(zip(refs, values, repeat(None))), chunk, positions)

    def _load_slow(self) -> None:
        """Load objects one by one; on a reader."""
        if not self._slow:
            return
        # For another reader, while one object holds this one up.
        readers.call(self._guarded, self._load_slow)
        loaded = []
        while not self._unwanted:
            try:
                chunk, position, raw = self._slow.popleft()
            except IndexError:
                break
            ref = chunk[position]
            value: Any = None
            try:
                value = self.session.load(ref, raw)
                error = error_of(value)
            except ClosedError:
                raise
            except BaseException as failure:
                error = raisable(failure)
            readers.moved()
            self._announce([ref], [raw], {} if error is None else {0: error})
            self._deliver(
                [(ref, None if error is not None else value, error)], chunk, [position]
            )
            loaded.append(raw)
            del ref, raw, value, error
        self._converter.wake()
        readers.let_go(loaded)

    def _deliver(
        self, arrivals: list[Arrival], chunk: list[Ref], positions: Sequence[int]
    ) -> None:
        """Leave results to the loop, without waking it: it also looks by a timer."""
        with self._moving:
            self._loaded.append(arrivals)
            self._remove(chunk, positions)
        if not self._told:
            self._told = True
            self._converter.deliver(self, None, None)

    def _remove(self, chunk: list[Any], positions: Sequence[int]) -> None:
        """Take refs out of their chunk, so that it keeps no object for the others."""
        if not self._done:
            for i in positions:
                chunk[i] = None
