"""Who asks Ray to cancel what: a wrapper of the public `ray.cancel`.

Of a task that was asked to end, and of whose end nothing else is told, the tracker
concludes that it was cancelled. All of this package cancels through that function
too, so that a button, a magic, `cancel_task=True` and a user's own call are alike.
"""

from __future__ import annotations

import functools
import logging
import time
from typing import TYPE_CHECKING, Any, cast

import ray
from ray import ObjectRef

from .watches import WatchEvent

if TYPE_CHECKING:
    from collections.abc import Callable

    from .tracker import Tracker

logger = logging.getLogger("ray_jupyter_async")


class Cancels:
    """Tells the tracker of tasks that were asked to end; on any thread.

    Parameters
    ----------
    tracker
        Whom it tells.
    """

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        # What was there, and what we put there.
        self._wrapped: tuple[Any, Any] | None = None

    def install(self) -> None:
        """Wrap the function; nothing happens when it is wrapped already."""
        if self._wrapped is None:
            module = cast("Any", ray)
            original = module.cancel
            module.cancel = wrapper = self._wrap(original)
            self._wrapped = (original, wrapper)

    def uninstall(self) -> None:
        """Put back what was there, unless somebody has wrapped it since."""
        wrapped, self._wrapped = self._wrapped, None
        module = cast("Any", ray)
        if wrapped is not None and module.cancel is wrapped[1]:
            module.cancel = wrapped[0]

    def _wrap(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def cancel(*args: Any, **kwargs: Any) -> Any:
            answer = original(*args, **kwargs)
            try:
                self._note(args[0] if args else kwargs.get("ray_waitable"))
            except Exception:
                logger.debug("a cancel is not shown", exc_info=True)
            return answer

        return cancel

    def _note(self, ref: Any) -> None:
        # A generator's own ref carries its task's id.
        ref = getattr(ref, "_generator_ref", ref)
        # Not of a subclass: `binary()` of a Ray Client ref may wait for the network.
        if self._wrapped is not None and type(ref) is ObjectRef:
            at = time.monotonic()
            self._tracker.record([WatchEvent("cancelling", ref.binary(), None, at)])
