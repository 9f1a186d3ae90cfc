"""What is awaited through `ref.future()`, Ray's future for threads.

Its `result()` blocks where nothing of Ray can be seen, so the future counts as an
await from the moment it is made until it is done.
"""

from __future__ import annotations

import functools
import logging
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from ray import ObjectRef

from ..._awaiting.events import AwaitEvent, Outcome, origin, settled
from ..._awaiting.fetch.pool import readers
from ..._ray_api.ref_type import replaced_method
from ..._replaced import Link

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from concurrent.futures import Future

    from ..tracker import Tracker

logger = logging.getLogger("ray_jupyter_async")


class RefFutures(Link):
    """Shows the futures of refs to the tracker; any thread.

    Parameters
    ----------
    tracker
        Takes the events.
    """

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._installed = False
        self._undo = ExitStack()

    def install(self) -> None:
        """Wrap `ObjectRef.future`; nothing happens when it is wrapped already."""
        if self._installed:
            return
        self._installed = True
        try:
            self._undo.enter_context(replaced_method("future", self._wrap))
        except Exception:
            logger.warning("this version of Ray does not show who waits for a future")

    def uninstall(self) -> None:
        """Put back what was there, unless somebody has wrapped it since."""
        self._installed = False
        self._undo.close()

    def note(self, ref: Any, future: Future[Any]) -> None:
        """Count a future as an await of the cell that made it."""
        who = origin.get()
        # Not of a subclass: `binary()` of a Ray Client ref may wait for the network.
        if not self._installed or who is None or type(ref) is not ObjectRef:
            return
        key = ref.binary()
        self._tracker.record([AwaitEvent("awaited", key, who, time.monotonic())])
        future.add_done_callback(functools.partial(self._done, key, who))

    def _done(self, key: bytes, who: Hashable, future: Future[Any]) -> None:
        # Called on Ray's io thread, where an error's own code must not run.
        if future.cancelled():
            at = time.monotonic()
            self._tracker.record(
                [AwaitEvent("settled", key, who, at, Outcome.CANCELLED)]
            )
        else:
            readers.call(self._settled, key, who, future.exception())

    def _settled(self, key: bytes, who: Hashable, error: BaseException | None) -> None:
        self._tracker.record([settled(key, who, error, None)])

    def _wrap(self, original: Callable[..., Future[Any]]) -> Callable[..., Future[Any]]:
        link: RefFutures | None = self

        @functools.wraps(original)
        def future(self: Any) -> Future[Any]:
            made = original(self)
            if link is not None:
                link.note(self, made)
            return made

        # A method of C code, as before Ray 2.60, has no module.
        future.__module__ = getattr(original, "__module__", None) or (
            ObjectRef.__module__
        )
        return future
