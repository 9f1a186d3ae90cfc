"""The future that stands for one await of one ref."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from .requests import Need
from .steering import fail

if TYPE_CHECKING:
    from .._ray_api.objects import Ref
    from .requests import Keeper, Session

T = TypeVar("T")


class RefFuture(asyncio.Future[T]):
    """An `asyncio.Future` for the value of a ref, made by a converter.

    Cancelling it drops the ref at once and leaves the Ray task running, unless it was
    made with `cancel_task=True`. See `requests.Await` for its attributes.
    """

    need = Need.VALUE

    __slots__ = (
        # Set by `asyncio.gather`; without a slot each future would get a dict.
        "_log_destroy_pending",
        "cancel_task",
        "keeper",
        "key",
        "known",
        "origin",
        "ref",
        "session",
        "size",
        "unwatch",
        "watcher",
    )

    def __init__(
        self,
        ref: Ref,
        session: Session,
        keeper: Keeper,
        origin: object | None,
        *,
        cancel_task: bool,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__(loop=loop)
        self.ref: Ref | None = ref
        self.session = session
        self.keeper = keeper
        self.origin = origin
        self.cancel_task = cancel_task
        self.key: bytes | None = None
        self.known = False
        self.unwatch: Callable[[], None] | None = None
        self.watcher: object | None = None
        self.size: int | None = None

    def cancel(self, msg: Any | None = None) -> bool:
        """Cancel the await, and the Ray task with `cancel_task`; False if done."""
        ref = self.ref
        if not super().cancel(msg=msg):
            return False
        assert ref is not None, "a pending future has its ref"
        self.keeper.dropped(self, ref)
        return True

    def settle(self, value: Any, error: BaseException | None) -> None:
        """Take the result; on the loop's thread."""
        if error is None:
            self.set_result(value)
        else:
            fail(self, error)
