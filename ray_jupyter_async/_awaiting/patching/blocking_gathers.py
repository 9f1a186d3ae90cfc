"""`asyncio.gather` in a blocked loop whose queue is not accessible.

A child that is done queues the call of its gather with the loop, which is blocked. The
queue of asyncio's own loops is accessible, that of uvloop is not. There the callbacks
are removed from the children before they are done, and called here.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator, Sequence


class TakenCalls:
    """The callbacks of one gather, removed from its children."""

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
        # The loop will make their calls again; the gather is done by then.
        self._done_before = [child for child in unique if child.done()]
        for child in unique:
            for callback, _ in getattr(child, "_callbacks", None) or ():
                if is_gathers(callback):
                    child.remove_done_callback(callback)
                    self._pending.append((child, callback))
        self._call = self._pending[0][1] if self._pending else None

    def make(self) -> None:
        """Make the calls of children that are done."""
        due = [one for one in self._pending if one[0].done()]
        self._pending = [one for one in self._pending if one not in due]
        for child, callback in due:
            callback(child)
        if self._call is not None and not self._pending:
            for child in self._done_before:
                if not self._gathering.done():
                    self._call(child)

    def give_back(self) -> None:
        """Return the other calls to the children."""
        for child, callback in self._pending:
            child.add_done_callback(callback)
        self._pending = []


@contextmanager
def taken_over(
    gathering: asyncio.Future[Any], children: Sequence[asyncio.Future[Any]]
) -> Iterator[TakenCalls]:
    """Remove the callbacks of a gather for the length of a ``with`` block."""
    taken = TakenCalls(gathering, children)
    try:
        yield taken
    finally:
        taken.give_back()


def is_gathers(callback: object) -> bool:
    """Whether this is a callback of an `asyncio.gather` (seen in 3.10 to 3.13)."""
    return getattr(callback, "__qualname__", "").startswith("gather.<locals>.")
