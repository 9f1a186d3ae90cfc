"""Calls of `ref.future()`, Ray's future for threads.

Nothing of Ray can be seen while its `result()` blocks, so the future counts as an await
from the moment it is made until it is done.
"""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING, Any

from ray import ObjectRef

from ..._awaiting.events import AwaitEvent, Outcome, origin, settled
from ..._awaiting.fetch.pool import readers
from ..._log import logger
from ..._ray_api.hooks.ref_type import ref_methods
from ..._replaced import Replacements, calls_noted

if TYPE_CHECKING:
    from collections.abc import Hashable
    from concurrent.futures import Future
    from contextlib import ExitStack

    from ..tracker import Tracker


class RefFutures(Replacements):
    """Records in the tracker the futures that cells make of refs. Thread-safe."""

    def __init__(self, tracker: Tracker) -> None:
        super().__init__()
        self._tracker = tracker

    def _replace(self, undo: ExitStack) -> None:
        try:
            undo.enter_context(calls_noted(ref_methods, "future", self._note))
        except Exception:
            logger.warning("this version of Ray does not show who waits for a future")

    def _note(self, future: Future[Any], args: tuple[Any, ...], _: Any) -> None:
        ref, cell = args[0], origin.get()
        # Not of a subclass: `binary()` of a Ray Client ref may wait for the network.
        if cell is None or type(ref) is not ObjectRef:
            return
        key = ref.binary()
        self._tracker.record([AwaitEvent("awaited", key, cell, time.monotonic())])
        future.add_done_callback(functools.partial(self._done, key, cell))

    def _done(self, key: bytes, cell: Hashable, future: Future[Any]) -> None:
        # Called on Ray's io thread, where an error's own code must not run.
        if future.cancelled():
            at = time.monotonic()
            cancelled = AwaitEvent("settled", key, cell, at, Outcome.CANCELLED)
            self._tracker.record([cancelled])
        else:
            readers.call(self._settled, key, cell, future.exception())

    def _settled(self, key: bytes, cell: Hashable, error: BaseException | None) -> None:
        self._tracker.record([settled(key, cell, error, None)])
