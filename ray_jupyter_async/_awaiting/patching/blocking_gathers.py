"""`asyncio.gather` in a blocked loop that does not show what is queued with it.

A done child queues the call to its gather with the loop, which stands still. With
asyncio's own loops the call is found in the queue; uvloop shows none. There the
calls are taken off the children before they are done, and made by us.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator, Sequence


class TakenCalls:
    """The calls of one gather by its children."""

    def __init__(
        self,
        gathering: asyncio.Future[Any],
        children: Sequence[asyncio.Future[Any]],
    ) -> None:
        self._gathering = gathering
        self._pending: list[
            tuple[asyncio.Future[Any], Callable[[asyncio.Future[Any]], None]]
        ] = []
        unique = dict.fromkeys(children)
        # Their calls are queued with the loop and will be made again, of a gather that
        # is done by then.
        self._done_before = [child for child in unique if child.done()]
        for child in unique:
            for callback, _ in getattr(child, "_callbacks", None) or ():
                if is_gathers(callback):
                    child.remove_done_callback(callback)
                    self._pending.append((child, callback))
        self._call = self._pending[0][1] if self._pending else None

    def make(self) -> None:
        """Make the calls of children that are done by now."""
        due = [one for one in self._pending if one[0].done()]
        self._pending = [one for one in self._pending if one not in due]
        for child, callback in due:
            callback(child)
        if self._call is not None and not self._pending:
            for child in self._done_before:
                if not self._gathering.done():
                    self._call(child)

    def give_back(self) -> None:
        """Have the loop make the calls that are left."""
        for child, callback in self._pending:
            child.add_done_callback(callback)
        self._pending = []


@contextmanager
def taken_over(
    gathering: asyncio.Future[Any], children: Sequence[asyncio.Future[Any]]
) -> Iterator[TakenCalls]:
    """Take the calls over for the length of a ``with`` block."""
    taken = TakenCalls(gathering, children)
    try:
        yield taken
    finally:
        taken.give_back()


def is_gathers(callback: object) -> bool:
    """Whether this is the callback of an `asyncio.gather` (seen in 3.10 to 3.13)."""
    return getattr(callback, "__qualname__", "").startswith("gather.<locals>.")
