"""Who blocks in `ray.get` or `ray.wait`, and on what.

What is wrapped is what the two end in, see `local_implementation`, so that every call
is seen: from inside Ray's libraries, and by those who imported the two by name. A call
leaves its refs in a table while it lasts: it holds them itself meanwhile, so nothing
is pinned for longer. Whoever finds it there after a while has it watched.
"""

from __future__ import annotations

import functools
import itertools
import logging
import time
from collections.abc import Callable, Hashable
from contextlib import ExitStack
from typing import Any

from ray import ObjectRef

from ..awaiting.observing import AwaitEvent, Outcome, origin
from ..awaiting.ray_internals import local_implementation
from ..awaiting.reading import readers
from ..awaiting.watching import watch_ready
from ..replaced import Link, replaced
from .tracker import Tracker

logger = logging.getLogger("ray_jupyter_async")

#: What is wrapped, and its first parameter.
_REFS = {"get": "object_refs", "wait": "ray_waitables"}


class _Call:
    """A call that blocks."""

    __slots__ = ("began", "end_watch", "keys", "origin", "refs")

    def __init__(self, refs: Any, who: Hashable) -> None:
        self.refs = refs
        self.origin = who
        self.began = time.monotonic()
        #: The ids of the refs that are being watched.
        self.keys: list[bytes] = []
        #: Ends its watch; None while it has none, and once the call is over.
        self.end_watch: Callable[[], None] | None = None


class BlockingGets:
    """Shows the refs of blocking calls to the tracker.

    Every method may be called on any thread.

    Parameters
    ----------
    tracker
        Takes the watches.
    """

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._numbers = itertools.count()
        self._calls: dict[int, _Call] = {}
        self._installed = False
        self._undo = ExitStack()

    def install(self) -> None:
        """Wrap the two functions; nothing happens when they are wrapped already."""
        if self._installed:
            return
        self._installed = True
        for name, parameter in _REFS.items():
            cell = local_implementation(name)
            if cell is None:
                logger.warning(
                    "this version of Ray does not show who blocks in %s", name
                )
                continue
            # What `wait` gives back is ready, and nobody has its value yet.
            wrap = functools.partial(
                self._wrap, parameter=parameter, fetches=name == "get"
            )
            self._undo.enter_context(replaced(cell, "cell_contents", wrap))

    def uninstall(self) -> None:
        """Put back what was there, unless somebody has wrapped it since."""
        self._installed = False
        self._undo.close()

    def look(self, after: float) -> float | None:
        """Have the calls watched that have blocked for a while.

        Parameters
        ----------
        after
            Seconds.

        Returns
        -------
        float or None
            When to look again, ``time.monotonic()``; None when no call of a
            cell blocks that is not being watched.
        """
        now = time.monotonic()
        next_look: float | None = None
        for call in list(self._calls.values()):
            if call.end_watch is not None or call.origin is None:
                continue
            due = call.began + after
            if due <= now:
                self._watch(call)
            else:
                next_look = due if next_look is None else min(next_look, due)
        return next_look

    def _wrap(
        self, original: Callable[..., Any], *, parameter: str, fetches: bool
    ) -> Callable[..., Any]:
        calls, numbers = self._calls, self._numbers
        link = Link()

        @functools.wraps(original)
        def blocking(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = _rich_traceback_omit = True
            number = next(numbers)
            refs = args[0] if args else kwargs.get(parameter)
            calls[number] = call = _Call(refs, origin.get())
            del refs
            resolved = False
            try:
                values = original(*args, **kwargs)
            except BaseException as error:
                link.hide(error)
                raise
            else:
                resolved = fetches
                return values
            finally:
                del calls[number]
                # The caller's list is not kept by a frame of a traceback either.
                call.refs = None
                if call.end_watch is not None:
                    # Of many refs it takes a while, and not of the cell's time.
                    readers.call(self._end, call, resolved)

        return blocking

    def _end(self, call: _Call, resolved: bool) -> None:
        """End the watch of a call that is over; on a reader thread."""
        end_watch, call.end_watch = call.end_watch, _nothing
        if resolved:
            now = time.monotonic()
            self._tracker.record(
                [
                    AwaitEvent("settled", key, call.origin, now, Outcome.RESOLVED)
                    for key in call.keys
                ]
            )
        if end_watch is not None:
            end_watch()

    def _watch(self, call: _Call) -> None:
        refs = call.refs
        if type(refs) is ObjectRef:
            refs = [refs]
        # A copy: the call may be over at any moment, and its list change.
        local = (
            [ref for ref in list(refs) if type(ref) is ObjectRef]
            if isinstance(refs, (list, tuple))
            else []
        )
        try:
            end = (
                self._tracker.watch(local, watch_ready, call.origin, call.began)
                if local
                else _nothing
            )
        except Exception:
            logger.debug("a blocking call cannot be watched", exc_info=True)
            end = _nothing
        call.keys = [ref.binary() for ref in local]
        call.end_watch = end
        if call.refs is None:
            # It ended meanwhile, and may not have seen that there is a watch.
            end()


def _nothing() -> None:
    pass
