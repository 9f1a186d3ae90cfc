"""One await of one ref, as the rooms of this package see it.

`RefFuture` is the await that a user holds; `Part` is one of the many behind a
`gather` or an `as_completed`, which need no future each. The converter, the
readers and the sessions know only what is declared here.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from .._ray_api.objects import Ref


class Need(enum.Enum):
    """What an await waits for."""

    #: The value, on this node and deserialised.
    VALUE = enum.auto()
    #: The object on this node; `ray.wait(fetch_local=True)`.
    HERE = enum.auto()
    #: The object anywhere; nothing is transferred.
    EXISTS = enum.auto()


class Session(Protocol):
    """A connection to Ray that refs belong to, local or through Ray Client."""

    def is_current(self) -> bool:
        """Whether the connection still stands; cheap, any thread."""

    def is_over(self) -> bool:
        """Whether the connection is gone for good and dropping refs is safe."""

    def sit_out_end(self) -> None:
        """Return when it is over; for threads that hold refs of a session that ends."""

    def ended(self) -> Exception:
        """Make the error for an await that the session's end cut short."""

    def begin(self, awaits: list[Await], *, ready: bool) -> None:
        """Start to fetch what is needed; on a reader thread, never on a loop."""

    def load(self, ref: Ref, raw: Any) -> Any:
        """Deserialise what `begin` read; errors are returned, not raised."""

    def size(self, raw: Any) -> int | None:
        """Return the bytes of what `begin` read, where they are known."""

    def look(self, refs: list[Ref], fetch_local: bool) -> list[bytes]:
        """Return the ids of those that are ready now; on a reader thread."""

    def read_now(self, ref: Ref) -> Any | None:
        """Read an object that needs no waiting for, or give None; any thread."""

    def cancel_task(
        self, ref: Ref, *, force: bool = False, recursive: bool = True
    ) -> None:
        """Cancel the task behind a ref; on a reader thread."""


class Pending(Protocol):
    """What a converter waits for: one await, or many as one.

    Attributes
    ----------
    ref : ObjectRef or None
        What is awaited; None once it is settled or dropped.
    key : bytes or None
        The ref's id, known once a reader has begun on it (over Ray Client the
        id itself may have to be waited for).
    origin : object or None
        Who awaits, see `events.origin`.
    size : int or None
        The bytes of the object, once it has been read on this node.
    need : Need
        What it waits for.
    """

    ref: Ref | None
    key: bytes | None
    origin: object | None
    size: int | None
    need: Need

    @property
    def session(self) -> Session:
        """The await or group that it belongs to."""

    def done(self) -> bool:
        """Whether it is settled or dropped; any thread."""

    def settle(self, value: Any, error: BaseException | None) -> None:
        """Take a result; on the loop's thread."""


class Keeper(Protocol):
    """The side of a converter that its awaits talk to."""

    def dropped(self, await_: Await, ref: Ref) -> None:
        """Note that an await was cancelled; on the loop's thread."""

    def deliver(self, await_: Pending, value: Any, error: Any) -> None:
        """Hand over a result; any thread."""

    def settle_now(self, await_: Await) -> bool:
        """Complete an await at once if its object is here; on the loop's thread."""

    def wake(self) -> None:
        """Let the loop take what was delivered; any thread."""

    def loop_is_closed(self) -> bool:
        """Whether nothing can be delivered any more."""


class Await(Pending, Protocol):
    """One await of one ref.

    Attributes
    ----------
    keeper : Keeper
        The converter that made it.
    cancel_task : bool
        Whether cancelling the await cancels the task.
    known : bool
        Whether the ref was found to belong to the session.
    unwatch : callable or None
        Ends the watch for readiness, where there is one.
    watcher : object or None
        The waiter thread that looks after it, where there is one.
    """

    keeper: Keeper
    cancel_task: bool
    known: bool
    unwatch: Callable[[], None] | None
    watcher: object | None


def release(await_: Await) -> None:
    """Let go of the ref and of the watch for it."""
    await_.ref = None
    unwatch, await_.unwatch = await_.unwatch, None
    if unwatch is not None:
        unwatch()


class Receiver(Protocol):
    """Who a `Part` belongs to."""

    def part_settled(self, part: Part, value: Any, error: BaseException | None) -> None:
        """Take the result of one part; on the loop's thread."""


class Part:
    """An await that is one of many; its result goes to their receiver."""

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
        """Whether it is settled or dropped; any thread."""
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
        release(self)
        self.keeper.dropped(self, ref)
