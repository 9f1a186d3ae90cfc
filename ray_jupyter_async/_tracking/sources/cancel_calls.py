"""Who asks Ray to cancel what: a wrapper of what `ray.cancel` ends in.

Of a task that was asked to end, and of whose end nothing else is told, the tracker
concludes that it was cancelled. All of this package cancels through that function
too, so that a button, a magic, `cancel_task=True` and a user's own call are alike.
"""

from __future__ import annotations

import functools
import logging
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from ray import ObjectRef

from ..._interruptible import interruptible
from ..._ray_api.core_worker import local_implementation
from ..._replaced import Link, replaced
from ..events import WatchEvent

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..tracker import Tracker

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
        self._installed = False
        self._undo = ExitStack()

    def install(self) -> None:
        """Wrap the function; nothing happens when it is wrapped already."""
        if self._installed:
            return
        self._installed = True
        cell = local_implementation("cancel")
        if cell is None:
            logger.warning("this version of Ray does not show what is cancelled")
        else:
            self._undo.enter_context(replaced(cell, "cell_contents", self._wrap))

    def uninstall(self) -> None:
        """Put back what was there, unless somebody has wrapped it since."""
        self._installed = False
        self._undo.close()

    def _wrap(self, original: Callable[..., Any]) -> Callable[..., Any]:
        link = Link()

        @functools.wraps(original)
        @interruptible
        def cancel(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = _rich_traceback_omit = True
            try:
                answer = original(*args, **kwargs)
            except BaseException as error:
                link.hide(error)
                raise
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
        if self._installed and type(ref) is ObjectRef:
            at = time.monotonic()
            self._tracker.record([WatchEvent("cancelling", ref.binary(), None, at)])
