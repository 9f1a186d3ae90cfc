"""The await of one ref, and the protocols between converter, readers and sessions.

`RefFuture` is the await that a user holds; `Part` is one of many behind a `gather` or
an `as_completed`, which need no future each. Converter, readers and sessions depend
only on these declarations.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from .._ray_api.objects import Ref


class Need(enum.Enum):
    """The condition under which an await is done."""

    #: The value, on this node and deserialised.
    VALUE = enum.auto()
    #: The object on this node; `ray.wait(fetch_local=True)`.
    HERE = enum.auto()
    #: The object anywhere; nothing is transferred.
    EXISTS = enum.auto()


class Session(Protocol):
    """A connection to Ray, local or through Ray Client, to which refs belong."""

    def is_current(self) -> bool:
        """Whether the session is connected; cheap and thread-safe."""

    def is_over(self) -> bool:
        """Whether the session has ended and dropping its refs is safe."""

    def sit_out_end(self) -> None:
        """Block until it is over; for threads that hold refs of an ending session."""

    def ended(self) -> Exception:
        """Return the error for an await that was pending at the session's end."""

    def begin(self, awaits: list[Await], *, ready: bool) -> None:
        """Start to fetch the objects of awaits; on a reader thread."""

    def begin_now(self, await_: Await, *, watch: bool) -> bool:
        """Begin one await on the loop's thread; return False if a reader has to.

        Never blocks, and runs no code of the user's. A small value is delivered at
        once, and with `watch` a pending object is watched.
        """

    def load(self, ref: Ref, raw: Any) -> Any:
        """Deserialise an object that `begin` has read; return errors as values."""

    def size(self, raw: Any) -> int | None:
        """Return the size in bytes of an object that was read, if known."""

    def look(self, refs: list[Ref], fetch_local: bool) -> list[bytes]:
        """Return the ids of the refs that are ready now; on a reader thread."""

    def read_now(self, ref: Ref) -> Any | None:
        """Read an object if it is ready, or return None. Thread-safe."""

    def cancel_task(
        self, ref: Ref, *, force: bool = False, recursive: bool = True
    ) -> None:
        """Cancel the task behind a ref; on a reader thread."""


class Sweepable(Session, Protocol):
    """A session as `many.sweep` uses it, on reader threads."""

    def read_ready(self, refs: list[Ref]) -> tuple[Sequence[int], list[Any]]:
        """Read objects that are ready: their positions in `refs`, and the objects.

        Those that cannot be read are left out: each await raises its own error.
        """

    def errors_among(self, raws: list[Any]) -> list[int]:
        """Return the indices of read objects that are errors, without loading any."""

    def is_plain(self, raw: Any) -> bool:
        """Whether loading a read object is fast, and runs no code of a user's."""

    def load_plain(self, refs: list[Ref], raws: list[Any]) -> list[Any]:
        """Deserialise objects that are plain."""

    def load_each(
        self, refs: list[Ref], raws: list[Any]
    ) -> tuple[list[Any], dict[int, BaseException]]:
        """Deserialise objects, and return the errors among them by their index."""


class Pending(Protocol):
    """A pending item of a converter: one await, or a group of awaits.

    Attributes
    ----------
    ref : ObjectRef or None
        The awaited ref; None once it is settled or dropped.
    key : bytes or None
        The ref's id, known once a reader has begun to fetch it (over Ray Client the
        id may arrive later).
    origin : object or None
        The value of `events.origin` at its creation.
    size : int or None
        The size of the object in bytes, once it has been read on this node.
    need : Need
        The condition under which it is done.
    """

    ref: Ref | None
    key: bytes | None
    origin: object | None
    size: int | None
    need: Need

    @property
    def session(self) -> Session:
        """The session that its refs belong to."""

    def done(self) -> bool:
        """Whether it is settled or dropped. Thread-safe."""

    def settle(self, value: Any, error: BaseException | None) -> None:
        """Set the result; on the loop's thread."""


class Keeper(Protocol):
    """The methods of a converter that awaits and readers call."""

    def dropped(self, await_: Await, ref: Ref) -> None:
        """Release what is held for a cancelled await; on the loop's thread."""

    def deliver(self, await_: Pending, value: Any, error: Any) -> None:
        """Queue a result. Thread-safe."""

    def exists(self, await_: Await, since: float) -> None:
        """Take an await whose object exists, awaited since a time. Thread-safe."""

    def settle_now(self, await_: Await) -> bool:
        """Complete an await now if its object is ready; on the loop's thread."""

    def wake(self) -> None:
        """Wake the loop to take the delivered results. Thread-safe."""

    def loop_is_closed(self) -> bool:
        """Whether the loop is closed, so that nothing can be delivered."""


class Await(Pending, Protocol):
    """One await of one ref.

    Attributes
    ----------
    keeper : Keeper
        The converter that made it.
    cancel_task : bool
        Whether cancelling the await cancels the task.
    known : bool
        Whether the ref is known to belong to the session.
    unwatch : callable or None
        Ends the watch for readiness, if there is one.
    watcher : object or None
        The waiter that polls for it, if there is one.
    """

    keeper: Keeper
    cancel_task: bool
    known: bool
    unwatch: Callable[[], None] | None
    watcher: object | None


def release(await_: Await) -> None:
    """Drop the ref, and end the watch for it."""
    await_.ref = None
    unwatch, await_.unwatch = await_.unwatch, None
    if unwatch is not None:
        unwatch()


class Receiver(Protocol):
    """The owner of a `Part`."""

    def part_settled(self, part: Part, value: Any, error: BaseException | None) -> None:
        """Take the result of one part; on the loop's thread."""


class Part:
    """One await of many, which passes its result to their receiver."""

    __slots__ = (
        "__weakref__",
        "_done",
        "cancel_task",
        "index",
        "keeper",
        "key",
        "known",
        "need",
        "origin",
        "receiver",
        "ref",
        "session",
        "size",
        "unwatch",
        "watcher",
    )

    def __init__(
        self,
        ref: Ref,
        index: int,
        receiver: Receiver,
        need: Need,
        session: Session,
        keeper: Keeper,
        origin: object | None,
        cancel_task: bool,
    ) -> None:
        self.ref: Ref | None = ref
        self.index = index
        self.receiver = receiver
        self.need = need
        self.session = session
        self.keeper = keeper
        self.origin = origin
        self.cancel_task = cancel_task
        self.key: bytes | None = None
        self.known = False
        self.unwatch: Callable[[], None] | None = None
        self.watcher: object | None = None
        self.size: int | None = None
        self._done = False

    def done(self) -> bool:
        """Whether it is settled or dropped. Thread-safe."""
        return self._done

    def settle(self, value: Any, error: BaseException | None) -> None:
        """Pass the result on; on the loop's thread."""
        self._done = True
        self.receiver.part_settled(self, value, error)

    def drop(self) -> None:
        """Cancel this await; on the loop's thread."""
        ref = self.ref
        if self._done or ref is None:
            return
        self._done = True
        self.keeper.dropped(self, ref)
