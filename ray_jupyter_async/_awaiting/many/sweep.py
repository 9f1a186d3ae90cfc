"""One pass over many refs that reads the objects that exist.

Most refs that are awaited by the thousand are ready, and a `Part` for each would cost
as much as reading it. `gather` therefore begins with a sweep: readers put the values of
ready refs in their places, chunk by chunk. Only the rest is awaited ref by ref.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

from ..._log import logger
from ..._ray_api.objects import errors_among
from ..._ray_api.shutdown_gate import ClosedError
from ..events import AwaitEvent, emit, observed, origin, settled
from ..fetch.pool import readers
from ..requests import Need
from ..steering import raisable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..._ray_api.objects import Raw, Ref
    from ..converter import Converter
    from ..fetch.local import LocalSession

#: Refs of one check and one read. Each costs a turn of the GIL, which another busy
#: thread keeps for five milliseconds.
CHUNK = 1024
#: Values loaded between two checks that they are still wanted.
STEP = 128


class Swept:
    """What a sweep reports to its loop.

    Attributes
    ----------
    filled : int
        How many more results are in their places.
    left : list of (int, ObjectRef)
        Refs that have to be awaited, with their index.
    ends_chunk : bool
        Whether its chunk is complete.
    taken : bool
        Whether the loop has taken it; after a KeyboardInterrupt it may come twice.
    """

    __slots__ = ("ends_chunk", "filled", "left", "taken")

    def __init__(
        self,
        *,
        filled: int = 0,
        left: Sequence[tuple[int, Ref]] = (),
        ends_chunk: bool = False,
    ) -> None:
        self.filled = filled
        self.left = left
        self.ends_chunk = ends_chunk
        self.taken = False


class SweepReceiver(Protocol):
    """The owner of a sweep; called on the loop's thread."""

    def swept(self, filled: int, left: Sequence[tuple[int, Ref]]) -> None:
        """Take the number of new results, and refs that have to be awaited."""

    def sweep_failed(self, error: BaseException) -> None:
        """Take an error that ends it."""


class Sweep:
    """Reads the objects that exist of many refs of the local session.

    Pending in its converter like an await, so that it fails with the session.

    Parameters
    ----------
    refs : list of ObjectRef
    results : list
        Takes the values, each at the index of its ref.
    receiver : SweepReceiver
    session : LocalSession
    converter : Converter
    errors_are_results : bool
        Whether errors are put among the results. If not, the first one found ends the
        sweep.
    """

    # The rest of `requests.Pending`; a sweep has no ref of its own.
    ref: Ref | None = None
    key: bytes | None = None
    size: int | None = None
    need = Need.VALUE

    def __init__(
        self,
        refs: list[Ref],
        results: list[Any],
        receiver: SweepReceiver,
        session: LocalSession,
        converter: Converter,
        *,
        errors_are_results: bool,
    ) -> None:
        self.session = session
        self.origin = origin.get()
        self._results = results
        self._receiver = receiver
        self._converter = converter
        self._errors_are_results = errors_are_results
        self._began = time.monotonic()
        self._done = False
        starts = range(0, len(refs), CHUNK)
        #: By their first index, until they are complete.
        self._chunks = {start: refs[start : start + CHUNK] for start in starts}
        self._next = deque(starts)
        self._unfinished = len(starts)
        converter.watch_over(self)
        readers.call(self._go_on)

    def done(self) -> bool:
        """Whether it is over. Thread-safe."""
        return self._done

    def settle(self, value: Swept | None, error: BaseException | None) -> None:
        """Take a reader's report; on the loop's thread."""
        if error is not None:
            self._end()
            self._receiver.sweep_failed(error)
            return
        if value is None or value.taken:
            return
        value.taken = True
        self._unfinished -= value.ends_chunk
        if not self._unfinished:
            self._end()
        self._receiver.swept(value.filled, value.left)

    def drop(self, *, cancel_task: bool) -> None:
        """End it; cancel the tasks of unread refs if asked. On the loop's thread."""
        if self._done:
            return
        refs = [ref for chunk in list(self._chunks.values()) for ref in chunk]
        self._end()
        self._converter.forget(self)
        if cancel_task:
            readers.call(_cancel_tasks, self.session, refs)

    def _end(self) -> None:
        self._done = True
        self._next.clear()
        for refs in list(self._chunks.values()):
            refs.clear()  # a reader that is held up still has the list
        self._chunks.clear()

    def _go_on(self) -> None:
        """Sweep the next chunk; on a reader."""
        if self._done or self._converter.loop_is_closed():
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
        session = self.session
        try:
            self._sweep(start, refs)
        except BaseException as error:
            if session.is_current():
                self._report(error=raisable(error))
        if not session.is_current():
            session.sit_out_end()  # keeps the refs until the loop has failed it

    def _sweep(self, start: int, refs: list[Ref]) -> None:
        try:
            positions, raws = self.session.read_ready(refs)
        except ClosedError:
            raise
        except Exception:  # the await of each ref raises its own error
            positions, raws = [], []
        if len(positions) < len(refs):
            found = set(positions)
            left = [(start + i, ref) for i, ref in enumerate(refs) if i not in found]
            self._report(Swept(left=left))
        count = len(raws)
        # Errors before values, which may take long to load.
        for i in errors_among(raws):
            if not self._load(start, refs, [positions[i]], [raws[i]]):
                return
            raws[i] = None
        if None in raws:
            positions = [i for i, raw in zip(positions, raws, strict=True) if raw]
            raws = [raw for raw in raws if raw]
        for at in range(0, len(raws), STEP):
            end = at + STEP
            if not self._load(start, refs, positions[at:end], raws[at:end]):
                return
        self._chunks.pop(start, None)
        self._report(Swept(filled=count, ends_chunk=True), wake=not self._chunks)
        readers.let_go(raws)

    def _load(
        self, start: int, refs: list[Ref], positions: Sequence[int], raws: list[Raw]
    ) -> bool:
        """Put values in their places, and return whether to continue."""
        if self._done or self._converter.loop_is_closed():
            return False
        # Mostly a whole chunk was read: slices are faster.
        whole = isinstance(positions, range) and len(positions) > 0
        if whole:
            refs = refs[positions[0] : positions[-1] + 1]
        else:
            refs = [refs[i] for i in positions]
        values, errors = self.session.load_each(refs, raws)
        readers.moved()
        for i, error in errors.items():
            values[i] = error
        if observed():
            self._announce(refs, raws, errors)
        if errors and not self._errors_are_results:
            self._report(error=errors[min(errors)])
            return False
        if whole:
            first = start + positions[0]
            self._results[first : first + len(values)] = values
        else:
            for position, value in zip(positions, values, strict=True):
                self._results[start + position] = value
        return True

    def _report(
        self,
        swept: Swept | None = None,
        *,
        error: BaseException | None = None,
        wake: bool = True,
    ) -> None:
        self._converter.deliver(self, swept, error)
        if wake:
            self._converter.wake()

    def _announce(
        self, refs: list[Ref], raws: list[Raw], errors: dict[int, BaseException]
    ) -> None:
        """Emit the events of refs that were awaited and are resolved."""
        if self._done:
            return
        keys = [ref.binary() for ref in refs]
        events = [AwaitEvent("awaited", key, self.origin, self._began) for key in keys]
        events += [
            settled(key, self.origin, errors.get(i), self.session.size(raw))
            for i, (key, raw) in enumerate(zip(keys, raws, strict=True))
        ]
        emit(events)


def _cancel_tasks(session: LocalSession, refs: list[Ref]) -> None:
    for ref in dict.fromkeys(refs):
        try:
            session.cancel_task(ref)
        except Exception:  # an object that was put has no task
            logger.debug("%r was not cancelled", ref, exc_info=True)
