"""Calls of `ray.cancel`: the tasks that were asked to end.

The tracker counts such a task as cancelled when nothing else is known of its end. This
package cancels through the same function, so buttons, magics, `cancel_task=True` and a
user's own calls are alike.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ray import ObjectRef

from ..._log import logger
from ..._ray_api.core_worker import local_implementation
from ..._replaced import Replacements, calls_noted
from ..events import WatchEvent

if TYPE_CHECKING:
    from contextlib import ExitStack

    from ..tracker import Tracker


class Cancels(Replacements):
    """Records in the tracker what is cancelled. Thread-safe."""

    def __init__(self, tracker: Tracker) -> None:
        super().__init__()
        self._tracker = tracker

    def _replace(self, undo: ExitStack) -> None:
        cell = local_implementation("cancel")
        if cell is None:
            logger.warning("this version of Ray does not show what is cancelled")
        else:
            undo.enter_context(calls_noted(cell, "cell_contents", self._note))

    def _note(self, _: None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        ref = args[0] if args else kwargs.get("ray_waitable")
        # A generator's own ref carries its task's id.
        ref = getattr(ref, "_generator_ref", ref)
        # Not of a subclass: `binary()` of a Ray Client ref may wait for the network.
        if type(ref) is ObjectRef:
            at = time.monotonic()
            self._tracker.record([WatchEvent("cancelling", ref.binary(), None, at)])
