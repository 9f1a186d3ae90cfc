"""How other rooms learn what is being awaited, without awaiting knowing them.

An observer is a function that takes a batch of events. It is called on any
thread, the event loop's included, so it may only record: no blocking, no I/O.
Events carry ids, never a ref, a value or an exception, so that an observer
cannot pin anything by accident.
"""

from __future__ import annotations

import enum
import logging
import time
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Literal, NamedTuple

from ..errors import RayAwaitError
from .error_text import describe
from .requests import Need

if TYPE_CHECKING:
    from .error_text import Description
    from .requests import Await

logger = logging.getLogger("ray_jupyter_async")

#: Who awaits. The notebook room sets it to the running cell's id, and every
#: await remembers the value that it was made under.
origin: ContextVar[object | None] = ContextVar("ray_jupyter_async_origin", default=None)


class Outcome(enum.Enum):
    """How an await ended."""

    RESOLVED = "resolved"
    FAILED = "failed"
    #: The object exists; whether it is a value or an error was not looked at.
    EXISTS = "exists"
    #: The object is known to be a value, which the await did not ask for.
    READY = "ready"
    #: No session can answer for the ref (any more), which says nothing of its task.
    UNREACHABLE = "unreachable"
    #: The await was cancelled; the Ray task may run on.
    CANCELLED = "cancelled"


class AwaitEvent(NamedTuple):
    """One thing that happened to one await.

    Attributes
    ----------
    kind : {"awaited", "settled", "known", "got"}
        What happened. "known" follows a "settled" with `Outcome.EXISTS`, and carries
        what the object was found to be. "got" is of a value that a blocking call has
        returned.
    key : bytes
        The ref's id, `ref.binary()`.
    origin : object or None
        The value of `origin` when the await began.
    at : float
        `time.monotonic()`, in seconds.
    outcome : Outcome or None
        None for "awaited".
    error : str or None
        The name of the error's class, for `Outcome.FAILED` and
        `Outcome.UNREACHABLE`.
    message, traceback : str
        Its message, one line and cut, and its remote traceback. Of many alike
        only the first have one; see `error_text.describe`.
    size : int or None
        The bytes of the object, for `Outcome.RESOLVED`; None if unknown.
    """

    kind: Literal["awaited", "settled", "known", "got"]
    key: bytes
    origin: object | None
    at: float
    outcome: Outcome | None = None
    error: str | None = None
    message: str = ""
    traceback: str = ""
    size: int | None = None


Observer = Callable[[Sequence[AwaitEvent]], None]

# A tuple that is replaced, never changed: readers need no lock.
_observers: tuple[Observer, ...] = ()


def add_observer(observer: Observer) -> None:
    """Call `observer` with every batch of events from now on; twice is once."""
    global _observers
    if observer not in _observers:
        _observers = (*_observers, observer)


def remove_observer(observer: Observer) -> None:
    """Stop calling `observer`; nothing happens if it was not added."""
    global _observers
    _observers = tuple(known for known in _observers if known != observer)


def observed() -> bool:
    """Whether there are observers; without any, no events need to be made."""
    return bool(_observers)


def emit(events: Sequence[AwaitEvent]) -> None:
    """Hand a batch of events to every observer.

    An observer that raises is logged and passed over: what is displayed must
    never decide whether an await completes.
    """
    for observer in _observers:
        try:
            observer(events)
        except Exception:
            logger.exception("an observer of awaits failed")


def settled(
    key: bytes,
    origin: object | None,
    error: BaseException | None,
    size: int | None,
    need: Need = Need.VALUE,
) -> AwaitEvent:
    """Return the event of an await that has just ended, with an error or without."""
    now = time.monotonic()
    if error is None:
        outcome = Outcome.RESOLVED if need is Need.VALUE else Outcome.EXISTS
        return AwaitEvent("settled", key, origin, now, outcome, size=size)
    outcome = (
        Outcome.UNREACHABLE if isinstance(error, RayAwaitError) else Outcome.FAILED
    )
    return AwaitEvent("settled", key, origin, now, outcome, *describe(error, origin))


def known(key: bytes, origin: object | None, what: Description) -> AwaitEvent:
    """Return the event of an object that was found to be a value or an error."""
    now = time.monotonic()
    if not what.error:
        return AwaitEvent("known", key, origin, now, Outcome.READY)
    return AwaitEvent("known", key, origin, now, Outcome.FAILED, *what)


def announce(awaits: Sequence[Await]) -> None:
    """Report to the observers that these are being awaited; their keys are known."""
    if awaits and _observers:
        now = time.monotonic()
        emit(
            [
                AwaitEvent("awaited", await_.key, await_.origin, now)
                for await_ in awaits
                if await_.key is not None
            ]
        )
