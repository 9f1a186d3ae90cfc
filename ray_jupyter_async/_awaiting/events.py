"""Events of awaits, and the observers that receive them.

An observer is a function that takes a batch of events. It is called on any thread,
including the event loop's, so it may only record: no blocking, no I/O. Events carry
ids, never a ref, a value or an exception, so an observer cannot pin anything.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Literal, NamedTuple

from .._log import logger
from ..errors import RayAwaitError
from .error_text import describe
from .requests import Need

if TYPE_CHECKING:
    from .error_text import Description
    from .requests import Await


#: The origin of awaits. The notebook room sets it to the running cell's id, and each
#: await stores the value at its creation.
origin: ContextVar[object | None] = ContextVar("ray_jupyter_async_origin", default=None)


class Outcome(enum.Enum):
    """How an await ended."""

    RESOLVED = "resolved"
    FAILED = "failed"
    #: The object exists; whether it is a value or an error was not checked.
    EXISTS = "exists"
    #: The object is known to be a value, which the await did not need.
    READY = "ready"
    #: No connected session has the ref. The state of its task is not known.
    UNREACHABLE = "unreachable"
    #: The await was cancelled; the Ray task may keep running.
    CANCELLED = "cancelled"


class AwaitEvent(NamedTuple):
    """An event of one await.

    Attributes
    ----------
    kind : {"awaited", "settled", "known", "got"}
        "known" follows a "settled" with `Outcome.EXISTS` and carries whether the
        object is a value or an error. "got" reports a value that a blocking call
        has returned.
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
        Its message, as one shortened line, and its remote traceback. Only the first
        of several equal errors have one; see `error_text.describe`.
    size : int or None
        The size of the object in bytes, for `Outcome.RESOLVED`; None if unknown.
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

# Replaced and never changed, so that reading needs no lock.
_observers: tuple[Observer, ...] = ()


def add_observer(observer: Observer) -> None:
    """Call `observer` with every batch of events; a no-op if it was added before."""
    global _observers
    if observer not in _observers:
        _observers = (*_observers, observer)


def remove_observer(observer: Observer) -> None:
    """Stop calling `observer`; a no-op if it was not added."""
    global _observers
    _observers = tuple(known for known in _observers if known != observer)


def observed() -> bool:
    """Whether there are observers; without any, no events are needed."""
    return bool(_observers)


def emit(events: Sequence[AwaitEvent]) -> None:
    """Call every observer with a batch of events.

    An error of an observer is only logged: the display must not prevent an await from
    completing.
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
    """Return the event of an await that has just ended."""
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
    """Report to the observers the awaits of this batch whose keys are known."""
    if awaits and _observers:
        now = time.monotonic()
        emit(
            [
                AwaitEvent("awaited", await_.key, await_.origin, now)
                for await_ in awaits
                if await_.key is not None
            ]
        )
