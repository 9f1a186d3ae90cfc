"""One pass over many refs that reads the objects that exist.

Most refs that are awaited by the thousand are ready, and a `Part` for each would cost
as much as reading it. `gather` and `as_completed` therefore begin with a sweep: readers
read and load what exists, chunk by chunk. Only the rest is awaited ref by ref.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

from ..._log import logger
from ..._ray_api.shutdown_gate import ClosedError
from ..events import AwaitEvent, emit, observed, origin, settled
from ..fetch.pool import readers
from ..requests import Need
from ..steering import raisable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..._ray_api.objects import Raw, Ref
    from ..converter import Converter
    from ..requests import Sweepable

#: From this many refs on, a sweep is worth the turn of the loop that its report takes.
FEWEST_TO_SWEEP = 9
#: Refs of one check and one read. Each costs a turn of the GIL, which another busy
#: thread keeps for five milliseconds.
CHUNK = 1024
#: Values loaded between two checks that they are still wanted.
STEP = 128


class SweepReceiver(Protocol):
    """The owner of a sweep; called on the loop's thread."""

    def left_over(self, sweep: Sweep, refs: dict[int, Ref]) -> None:
        """Take refs that have to be awaited, by index."""


class Report:
    """What a reader has found out about some refs.

    Attributes
    ----------
    filled : int
        How many more results are in their places.
    left : dict of int to ObjectRef
        Refs that have to be awaited, by index.
    taken : bool
        Whether the loop has taken it; after a KeyboardInterrupt it may come twice.
    """

    __slots__ = ("filled", "left", "taken")

    def __init__(self, filled: int, left: dict[int, Ref]) -> None:
        self.filled = filled
        self.left = left
        self.taken = False


class Sweep(ABC):
    """Reads the objects that exist of many refs of one session.

    Pending in its converter like an await, so that it fails with the session.

    Parameters
    ----------
    refs : list of ObjectRef
    receiver : SweepReceiver
    session : Sweepable
    converter : Converter
    first : int, default 0
        The index of the first ref; the others follow.
    """

    # The rest of `requests.Pending`; a sweep has no ref of its own.
    ref: Ref | None = None
    key: bytes | None = None
    size: int | None = None
    need = Need.VALUE

    def __init__(
        self,
        refs: list[Ref],
        receiver: SweepReceiver,
        session: Sweepable,
        converter: Converter,
        first: int = 0,
    ) -> None:
        self.session = session
        self.origin = origin.get()
        self._receiver = receiver
        self._converter = converter
        self._began = time.monotonic()
        self._done = False
        #: Refs of which the loop has taken no report.
        self._unread = len(refs)
        #: By the index of their first ref, until they are complete.
        self._chunks = {
            first + at: refs[at : at + CHUNK] for at in range(0, len(refs), CHUNK)
        }
        self._next = deque(self._chunks)
        #: Refs that were reported as left over, until the loop has taken the report.
        self._leaving: dict[int, Ref] = {}
        converter.watch_over(self)
        readers.call(self._go_on)

    def done(self) -> bool:
        """Whether it is over. Thread-safe."""
        return self._done

    def settle(self, value: Report | None, error: BaseException | None) -> None:
        """Take a reader's report; on the loop's thread."""
        if error is not None:
            self._fail(error)
        elif value is not None and not value.taken:
            value.taken = True
            self._have_read(value.filled + len(value.left))
            if value.left:
                for index in value.left:
                    self._leaving.pop(index, None)
                self._receiver.left_over(self, value.left)
            if value.filled:
                self._filled(value.filled)

    @abstractmethod
    def _filled(self, count: int) -> None:
        """Take the number of new results; on the loop's thread."""

    @abstractmethod
    def _fail(self, error: BaseException) -> None:
        """Take an error that ends the sweep; on the loop's thread."""

    def _have_read(self, count: int) -> None:
        self._unread -= count
        if not self._unread:
            self._end()

    def drop(self, *, cancel_task: bool) -> None:
        """End it; cancel the tasks of unread refs if asked. On the loop's thread."""
        if self._done:
            return
        refs = self._rest()
        self._end()
        self._converter.forget(self)
        if cancel_task:
            readers.call(_cancel_tasks, self.session, refs)

    def _rest(self) -> list[Ref]:
        """Return the refs that have not been read, and that nothing else awaits."""
        rest = [ref for chunk in list(self._chunks.values()) for ref in chunk]
        return [*rest, *list(self._leaving.values())]

    def _end(self) -> None:
        self._done = True
        self._next.clear()
        for refs in list(self._chunks.values()):
            refs.clear()  # a reader that is held up still has the list
        self._chunks.clear()
        self._leaving = {}

    def _go_on(self) -> None:
        """Sweep the next chunk; on a reader."""
        if self._unwanted:
            return
        try:
            start = self._next.popleft()
            refs = self._chunks[start]
        except (IndexError, KeyError):  # it has just ended
            return
        if self._next:
            # First, so that another reader can take the next chunk while a slow object
            # holds this one up.
            readers.call(self._go_on)
        self._guarded(self._sweep, start, refs)

    def _guarded(self, function: Callable[..., None], *args: Any) -> None:
        """Run a function on a reader; its error ends the sweep."""
        try:
            function(*args)
        except BaseException as error:
            if self.session.is_current():
                self._converter.deliver(self, None, raisable(error))
                self._converter.wake()
        if not self.session.is_current():
            self.session.sit_out_end()  # keeps the refs until the loop has failed it

    def _sweep(self, start: int, refs: list[Ref]) -> None:
        try:
            positions, raws = self.session.read_ready(refs)
        except ClosedError:
            raise
        except Exception:  # the await of each ref raises its own error
            positions, raws = [], []
        if len(positions) < len(refs):
            self._leave(start, refs, set(positions))
        self._load(start, refs, positions, raws)
        readers.let_go(raws)

    def _leave(self, start: int, refs: list[Ref], found: set[int]) -> None:
        """Report the refs of a chunk whose objects were not found."""
        left = {start + i: ref for i, ref in enumerate(refs) if i not in found}
        self._leaving.update(left)
        self._report(Report(0, left))

    @abstractmethod
    def _load(
        self, start: int, refs: list[Ref], positions: Sequence[int], raws: list[Raw]
    ) -> None:
        """Load what was read of a chunk, and report it; on a reader.

        Parameters
        ----------
        start : int
            The index of the chunk's first ref.
        refs : list of ObjectRef
            The chunk.
        positions : sequence of int
            Positions in the chunk of the objects that were read.
        raws : list
            These objects.
        """

    @property
    def _unwanted(self) -> bool:
        """Whether no result can be delivered any more."""
        return self._done or self._converter.loop_is_closed()

    def _report(self, report: Report, *, wake: bool = True) -> None:
        self._converter.deliver(self, report, None)
        if wake:
            self._converter.wake()

    def _announce(
        self,
        refs: Sequence[Ref],
        raws: Sequence[Raw],
        errors: dict[int, BaseException],
    ) -> None:
        """Emit the events of refs that were awaited and are resolved."""
        if self._done or not observed():
            return
        keys = [ref.binary() for ref in refs]
        events = [AwaitEvent("awaited", key, self.origin, self._began) for key in keys]
        events += [
            settled(key, self.origin, errors.get(i), self.session.size(raw))
            for i, (key, raw) in enumerate(zip(keys, raws, strict=True))
        ]
        emit(events)


def _cancel_tasks(session: Sweepable, refs: list[Ref]) -> None:
    for ref in dict.fromkeys(refs):
        try:
            session.cancel_task(ref)
        except Exception:  # an object that was put has no task
            logger.debug("%r was not cancelled", ref, exc_info=True)
