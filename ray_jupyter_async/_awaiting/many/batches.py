"""Awaits of many refs that begin without stalling the loop."""

from __future__ import annotations

import time
from functools import partial
from itertools import islice, repeat
from typing import TYPE_CHECKING

from ..converter import SLICE_SECONDS, converter_of
from ..events import origin as current_origin
from ..fetch.pool import readers
from ..fetch.sessions import sessions_of
from ..requests import Need, Part

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator, Sequence

    from ..._ray_api.objects import Ref
    from ..converter import Converter
    from ..requests import Receiver, Session

#: Parts made between two checks of the time.
CHUNK = 256


def drop_all(
    parts: list[Part | None], converter: Converter, *, cancel_task: bool = True
) -> None:
    """Drop parts, for a slice of time in each turn of the loop; on its thread.

    `cancel_task` only takes effect for parts that were made with it.
    """
    until = time.monotonic() + SLICE_SECONDS
    while parts:
        for part in parts[-CHUNK:]:
            if part is not None:
                part.cancel_task = part.cancel_task and cancel_task
                part.drop()
        del parts[-CHUNK:]
        if parts and time.monotonic() > until:
            converter.soon(partial(drop_all, parts, converter, cancel_task=cancel_task))
            return


class Intake:
    """Makes the parts of a combinator, for a slice of time in each turn of the loop.

    The first slice is made at once: few refs are all awaited with the call. Everything
    runs on the loop's thread. Raises as `as_future`; then none of the refs is awaited.

    Parameters
    ----------
    refs : sequence of ray.ObjectRef
    receiver : Receiver
        Takes the results, by index.
    made : callable
        Takes the parts as they are made, before any of them can be settled.
    loop : asyncio.AbstractEventLoop
    need : Need
    cancel_task : bool
        Whether the tasks of refs that are dropped are cancelled.
    indices : sequence of int, optional
        Of the parts; by default from 0 on.
    session : Session, optional
        Of all refs, if it is known.
    origin : object, optional
        See `events.origin`; by default the current one.

    Attributes
    ----------
    done : bool
        Whether no more parts will be made.
    """

    def __init__(
        self,
        refs: Sequence[Ref],
        receiver: Receiver,
        made: Callable[[list[Part]], None],
        loop: asyncio.AbstractEventLoop,
        *,
        need: Need = Need.VALUE,
        cancel_task: bool = False,
        indices: Sequence[int] | None = None,
        session: Session | None = None,
        origin: object | None = None,
    ) -> None:
        sessions = sessions_of(refs) if session is None else repeat(session, len(refs))
        if indices is None:
            indices = range(len(refs))
        self._given: Iterator[tuple[int, Ref, Session]] = iter(
            zip(indices, refs, sessions, strict=True)
        )
        self._receiver = receiver
        self._made = made
        self._converter = converter_of(loop)
        self._need = need
        self._cancel_task = cancel_task
        self._origin = current_origin.get() if origin is None else origin
        self.done = False
        self._go_on()

    def stop(self, *, cancel_task: bool = True) -> None:
        """Make no more parts; cancel the tasks of the rest if both flags are set."""
        self.done = True
        rest, self._given = self._given, iter(())
        if self._cancel_task and cancel_task:
            for _, ref, session in rest:
                readers.call(session.cancel_task, ref)

    def _go_on(self) -> None:
        until = time.monotonic() + SLICE_SECONDS
        while True:
            parts = [
                Part(
                    ref,
                    index,
                    self._receiver,
                    self._need,
                    session,
                    self._converter,
                    self._origin,
                    self._cancel_task,
                )
                for index, ref, session in islice(self._given, CHUNK)
            ]
            if not parts:
                self.done = True
                # An exhausted zip keeps its last item.
                self._given = iter(())
                return
            self._made(parts)
            self._converter.take(parts)
            if time.monotonic() > until:
                self._converter.soon(self._go_on)
                return
