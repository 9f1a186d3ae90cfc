"""`cancel`: the tasks of many refs, with the outcome of each request."""

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
    """The outcome of a request to cancel a task."""

    #: Ray was asked. The task ends when it next runs Python code; inside C code it ends
    #: only with `force=True` (ray #32954).
    REQUESTED = "requested"
    #: The object exists, so there was nothing to cancel.
    READY = "ready"
    #: Ray refused; see the reason.
    REFUSED = "refused"


class Cancellation(NamedTuple):
    """The outcome of `cancel` for one ref.

    Attributes
    ----------
    ref : ray.ObjectRef
    outcome : CancelOutcome
    reason : str
        Why the task was not cancelled; empty for `CancelOutcome.REQUESTED`.
    """

    ref: Ref
    outcome: CancelOutcome
    reason: str


async def cancel(
    refs: Ref | Iterable[Ref], *, force: bool = False, recursive: bool = True
) -> list[Cancellation]:
    """Cancel the tasks of refs.

    Awaits of the refs raise `ray.exceptions.TaskCancelledError` when the tasks have
    ended.

    Parameters
    ----------
    refs : ray.ObjectRef or iterable of ray.ObjectRef
        Of tasks and of actor methods.
    force : bool, default False
        Kill the worker at once. Ray refuses this for actor methods.
    recursive : bool, default True
        Also cancel the tasks that these tasks have submitted.

    Returns
    -------
    list of Cancellation
        One for each ref, in their order. A task that cannot be cancelled does not keep
        the others from being cancelled.

    Raises
    ------
    TypeError
        If one of them is not a ref; then no task is cancelled.
    RayNotInitializedError
        If no Ray session is connected.

    Examples
    --------
    >>> @ray.remote
    ... def spin():
    ...     while True:
    ...         time.sleep(0.01)
    >>> [one.outcome.name for one in await cancel([spin.remote(), ray.put(1)])]
    ['REQUESTED', 'READY']
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
