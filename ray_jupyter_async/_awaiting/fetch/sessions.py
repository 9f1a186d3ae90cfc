"""The session of a ref: the local one, or a Ray Client connection."""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING, Any

import ray
from ray import ObjectRef

from ..._ray_api.core_worker import connected_core, core_of_process, is_client_ref
from ...errors import RayNotInitializedError
from .local import LocalSession

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..requests import Session, Sweepable

_local: LocalSession | None = None
_local_core: Any = None
#: In a forked process: the parent's core worker.
_parents_core: Any = None


def session_of(ref: object) -> Session:
    """Return the session of a ref.

    Cheap, without network access: it runs on the event loop for each await.

    Raises
    ------
    TypeError
        If `ref` is not a ref.
    RayNotInitializedError
        If no session of the ref's kind is connected.
    """
    if not isinstance(ref, ObjectRef):
        raise TypeError(not_a_ref(ref))
    if type(ref) is not ObjectRef and is_client_ref(ref):
        from .client import client_session_of

        return client_session_of(ref)
    return _local_session()


def all_local(refs: Sequence[object]) -> bool:
    """Whether all are refs of a local session; fast for many."""
    return set(map(type, refs)) == {ObjectRef}


def shared_session(refs: Sequence[object]) -> Sweepable | None:
    """Return the session that all of these refs have, or None; fast for many.

    None if there are no refs, if one is not a ref, or if there are several sessions.

    Raises
    ------
    RayNotInitializedError
        If no session of the refs' kind is connected.
    """
    kinds = set(map(type, refs))
    if kinds == {ObjectRef}:
        return _local_session()
    if len(kinds) != 1 or not isinstance(refs[0], ObjectRef):
        return None
    from .client import client_session_of

    sessions = set(map(client_session_of, refs))
    return sessions.pop() if len(sessions) == 1 else None


def all_known_refs(given: Sequence[object]) -> bool:
    """Whether all are refs of one kind whose ids are here; fast for many local ones."""
    kinds = set(map(type, given))
    if kinds == {ObjectRef}:
        return True
    if len(kinds) != 1 or not issubclass(kinds.pop(), ObjectRef):
        return False
    from ..._ray_api.client_api import id_in_flight

    return not any(map(id_in_flight, given))


def sessions_of(refs: Sequence[object]) -> Iterable[Session]:
    """Return the session of each ref, as `session_of`; fast for many.

    Raises
    ------
    TypeError, RayNotInitializedError
        As `session_of`, for the first ref that fails.
    """
    if all_local(refs):
        return itertools.repeat(_local_session(), len(refs))
    return [session_of(ref) for ref in refs]


def local_session_of(ref: object) -> LocalSession:
    """Return the session of a ref, which must be a local one.

    Raises
    ------
    TypeError
        If `ref` is not a ref, or is one of Ray Client.
    RayNotInitializedError
        If no local session is connected.
    """
    if isinstance(ref, ObjectRef) and not is_client_ref(ref):
        return _local_session()
    if isinstance(ref, ObjectRef):
        raise TypeError("refs of Ray Client cannot be watched; await them instead")
    raise TypeError(not_a_ref(ref))


def _local_session() -> LocalSession:
    global _local, _local_core
    core = connected_core()
    if core is None:
        _local = _local_core = None
        raise RayNotInitializedError(
            "Ray is not connected: call ray.init() first. A ref of a session that "
            "has ended cannot be awaited; submit its task again."
        )
    if core is _parents_core:
        raise RayNotInitializedError(
            "this process was forked from one that is connected to Ray, whose "
            "connection works in that process alone. Await there, or start this "
            "process with multiprocessing's spawn method and call ray.init() in it."
        )
    if core is not _local_core or _local is None:
        _local, _local_core = LocalSession(core), core
    return _local


def forget_session() -> None:
    """Drop the session; its awaits keep it, and the next await makes another."""
    global _local, _local_core
    _local = _local_core = None


def require_session() -> None:
    """Raise unless Ray is connected, locally or through Ray Client.

    Raises
    ------
    RayNotInitializedError
        If Ray is not connected.
    """
    if not ray.is_initialized():
        _local_session()


def not_a_ref(given: object, expected: str = "a ray.ObjectRef") -> str:
    """Return a message with what was given instead of a ref, and a hint."""
    kind = f"{type(given).__module__}.{type(given).__qualname__}"
    message = f"expected {expected}, got {shown(given)} of type {kind}"
    if isinstance(given, (list, tuple, set, frozenset)):
        return f"{message}; to await several, use gather(*refs)"
    if kind.endswith("ObjectRefGenerator"):
        return f"{message}; iterate over it with `async for ref in generator`"
    if callable(getattr(given, "remote", None)):
        return f"{message}; did you forget to call .remote()?"
    return message


def shown(given: object) -> str:
    """Return the start of an object's `repr`, for a message about it."""
    try:
        return f"{given!r:.80}"
    except Exception:  # an error here must not replace the message
        return "an object whose repr() raises"


def _note_fork() -> None:
    global _parents_core
    _parents_core = core_of_process()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_fork)
