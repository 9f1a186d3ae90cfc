"""Calls of `ray.get` and `ray.wait`: which cells block, and on what.

What is wrapped is what the two end in, see `local_implementation`, so that every call
is seen: from inside Ray's libraries, and by code that imported the two by name. A call
leaves its refs in a table while it lasts: it holds them itself meanwhile, so nothing
is pinned for longer. A call that is found there after a while is watched.

A loop of short calls blocks its cell, too: what a cell has blocked in earlier calls is
added to what it blocks in this one. The refs of `ray.wait` stay watched between its
calls, until the cell has ended, so that each is registered with Ray once.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import time
from typing import TYPE_CHECKING, Any

from ray import ObjectRef

from ..._awaiting.events import AwaitEvent, Outcome, origin
from ..._awaiting.fetch.pool import readers
from ..._awaiting.fetch.watch import watch_ready
from ..._interruptible import BlockingInRay, interruptible
from ..._log import logger
from ..._ray_api.core_worker import local_implementation
from ..._replaced import Link, Replacements, replaced, wraps

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from contextlib import ExitStack

    from ..tracker import Tracker

# What is wrapped, and its first parameter.
_REFS = {"get": "object_refs", "wait": "ray_waitables"}
# Values that are recorded on the caller's own thread.
_MOST_AT_ONCE = 1_000
# Cells whose blocked time is remembered.
_MOST_CELLS = 100


@dataclasses.dataclass(slots=True, eq=False)
class _Call:
    """A call that blocks."""

    refs: Any
    origin: Hashable
    #: Whether it returns values.
    fetches: bool
    began: float = dataclasses.field(default_factory=time.monotonic)
    #: Ends its watch; None while it has none.
    end_watch: Callable[[], None] | None = None


@dataclasses.dataclass(slots=True, eq=False)
class _Blocked:
    """What a cell has blocked in calls that are over."""

    #: For how long, as far as no watch has counted it.
    seconds: float = 0.0
    #: Whether it has blocked for long enough to be watched at once.
    shown: bool = False
    #: The refs that stay watched between calls of `ray.wait`, and what ends that.
    keys: set[bytes] = dataclasses.field(default_factory=set)
    ends: list[Callable[[], None]] = dataclasses.field(default_factory=list)


class BlockingGets(Replacements):
    """Shows the refs of blocking calls to the tracker. Thread-safe."""

    def __init__(self, tracker: Tracker) -> None:
        super().__init__()
        self._tracker = tracker
        self._numbers = itertools.count()
        self._calls: dict[int, _Call] = {}
        self._cells: dict[Hashable, _Blocked] = {}

    def look(self, after: float) -> float | None:
        """Watch the calls that have blocked for `after` seconds.

        Returns
        -------
        float or None
            When to look again, ``time.monotonic()``; None when no call of a cell
            blocks without being watched.
        """
        now = time.monotonic()
        next_look: float | None = None
        for call in list(self._calls.values()):
            if call.end_watch is not None or call.origin is None:
                continue
            cell = self._cells.setdefault(call.origin, _Blocked())
            due = call.began if cell.shown else call.began + after - cell.seconds
            if due <= now:
                self._watch(call, cell)
            else:
                next_look = due if next_look is None else min(next_look, due)
        return next_look

    def cell_ended(self, origin: Hashable) -> None:
        """Forget what a cell has blocked in."""
        cell = self._cells.pop(origin, None)
        if cell is not None:
            for end in cell.ends:
                # It takes a while for many refs, and not of the cell's time.
                readers.call(end)

    def _replace(self, undo: ExitStack) -> None:
        for name in _REFS:
            cell = local_implementation(name)
            if cell is None:
                logger.warning(
                    "this version of Ray does not show who blocks in %s", name
                )
            else:
                wrap = functools.partial(self._wrap, name)
                undo.enter_context(replaced(cell, "cell_contents", wrap))

    def _wrap(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        calls, numbers, note = self._calls, self._numbers, self._note_blocked
        note_values = self._note_values
        # What `wait` returns is ready, and no caller has its value yet.
        parameter, fetches = _REFS[name], name == "get"
        link = Link()

        @wraps(original)
        @interruptible
        def blocking(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = _rich_traceback_omit = True
            number = next(numbers)
            refs = args[0] if args else kwargs.get(parameter)
            calls[number] = call = _Call(refs, origin.get(), fetches)
            del refs
            try:
                with BlockingInRay():
                    values = original(*args, **kwargs)
            except BaseException as error:
                link.hide(error)
                raise
            else:
                if fetches:
                    note_values(call)
                return values
            finally:
                del calls[number]
                if call.origin is not None and call.end_watch is None:
                    note(call)
                # The caller's list is not kept by a frame of a traceback either.
                call.refs = None
                if call.end_watch is not None:
                    # It takes a while for many refs, and not of the cell's time.
                    readers.call(_end_watch, call)

        return blocking

    def _note_values(self, call: _Call) -> None:
        """Record that the caller gets the values of all its refs."""
        try:
            keys = [ref.binary() for ref in _local_refs(call.refs)]
            if len(keys) > _MOST_AT_ONCE:
                readers.call(self._record_got, keys, call.origin)
            elif keys:
                self._record_got(keys, call.origin)
        except Exception:
            # The caller gets the values in any case.
            logger.debug("the values of a blocking call are not shown", exc_info=True)

    def _record_got(self, keys: list[bytes], cell: Hashable) -> None:
        at = time.monotonic()
        self._tracker.record(
            [AwaitEvent("got", key, cell, at, Outcome.RESOLVED) for key in keys]
        )

    def _note_blocked(self, call: _Call) -> None:
        """Add up what a call has blocked that was not watched."""
        cell = self._cells.get(call.origin)
        if cell is None:
            if len(self._cells) >= _MOST_CELLS:
                # Of a thread that blocks on after its cell has ended.
                self.cell_ended(next(iter(list(self._cells))))
            cell = self._cells.setdefault(call.origin, _Blocked())
        cell.seconds += time.monotonic() - call.began

    def _watch(self, call: _Call, cell: _Blocked) -> None:
        local = _local_refs(call.refs)
        if not call.fetches:
            local = [ref for ref in local if ref.binary() not in cell.keys]
        since, cell.seconds, cell.shown = call.began - cell.seconds, 0.0, True
        end: Callable[[], None] = _nothing
        if local:
            try:
                end = self._tracker.watch(local, watch_ready, call.origin, since)
            except Exception:
                logger.debug("a blocking call cannot be watched", exc_info=True)
        if not call.fetches:
            cell.keys.update(ref.binary() for ref in local)
            cell.ends.append(end)
            call.end_watch = _nothing
            return
        call.end_watch = end
        if call.refs is None:
            # It ended meanwhile, perhaps before its watch could be seen.
            end()


def _local_refs(refs: Any) -> list[ObjectRef[Any]]:
    """Return the refs among a call's first argument that are not Ray Client's."""
    if type(refs) is ObjectRef:
        return [refs]
    if not isinstance(refs, (list, tuple)):
        return []
    # A copy: the call may be over at any moment, and its list change.
    return [ref for ref in list(refs) if type(ref) is ObjectRef]


def _end_watch(call: _Call) -> None:
    """End the watch of a call that is over; on a reader thread."""
    end, call.end_watch = call.end_watch, _nothing
    if end is not None:
        end()


def _nothing() -> None:
    pass
