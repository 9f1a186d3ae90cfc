"""`cancel`: many tasks at once, told what became of each."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from ..arguments import refs_of
from ..fetch.pool import readers
from ..fetch.sessions import session_of

if TYPE_CHECKING:
    from ..._ray_api.objects import Ref
    from ..requests import Session


class CancelOutcome(enum.Enum):
    """What became of a request to cancel."""

    #: Ray was asked. The task ends when it next runs Python code, or not at all
    #: if it never does (ray #32954): then only `force=True` ends it.
    REQUESTED = "requested"
    #: There was nothing to cancel: the object exists.
    READY = "ready"
    #: Ray refused; see the reason.
    REFUSED = "refused"


class Cancellation(NamedTuple):
    """One ref's part of the answer of `cancel`.

    Attributes
    ----------
    ref : ray.ObjectRef
    outcome : CancelOutcome
    reason : str
        Why not, in words; empty for `CancelOutcome.REQUESTED`.
    """

    ref: Ref
    outcome: CancelOutcome
    reason: str


async def cancel(
    refs: Ref | Iterable[Ref], *, force: bool = False, recursive: bool = True
) -> list[Cancellation]:
    """Cancel the tasks behind refs.

    The awaits of the refs are not touched: they raise
    `ray.exceptions.TaskCancelledError` when the tasks have ended.

    Parameters
    ----------
    refs : ray.ObjectRef or iterable of ray.ObjectRef
        Of tasks and of actor methods.
    force : bool, default False
        Kill the worker at once. Ray refuses this for actor methods.
    recursive : bool, default True
        Also cancel the tasks that they have submitted.

    Returns
    -------
    list of Cancellation
        One for each ref, in their order. One that could not be cancelled keeps
        none of the others from it.

    Raises
    ------
    TypeError
        If one of them is not a ref; then none was cancelled.
    RayNotInitializedError
        If no Ray session is connected.
    """
    given = refs_of(refs)
    sessions = [session_of(ref) for ref in given]
    return await readers.run(_cancel_all, given, sessions, force, recursive)


def _cancel_all(
    refs: list[Ref], sessions: list[Session], force: bool, recursive: bool
) -> list[Cancellation]:
    return [
        _cancel(ref, session, force, recursive)
        for ref, session in zip(refs, sessions, strict=True)
    ]


def _cancel(ref: Ref, session: Session, force: bool, recursive: bool) -> Cancellation:
    if not session.is_current():
        return Cancellation(ref, CancelOutcome.REFUSED, str(session.ended()))
    try:
        if session.look([ref], fetch_local=False):
            return Cancellation(ref, CancelOutcome.READY, "the object exists already")
        session.cancel_task(ref, force=force, recursive=recursive)
    except Exception as error:
        return Cancellation(ref, CancelOutcome.REFUSED, str(error))
    return Cancellation(ref, CancelOutcome.REQUESTED, "")
