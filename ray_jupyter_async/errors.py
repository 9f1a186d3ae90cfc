"""The errors that awaiting a ref can raise of its own.

A task's error is raised as `ray.get` raises it, never as one of these. Each class also
derives from the built-in that fits it, such as `ValueError` or `ConnectionError`.
"""

from __future__ import annotations


class RayAwaitError(Exception):
    """Base of the errors that this package raises instead of hanging."""


class RayNotInitializedError(RayAwaitError, RuntimeError):
    """A ref was awaited while no Ray session was connected."""


class UnknownRefError(RayAwaitError, ValueError):
    """The ref does not belong to the connected Ray session.

    It is nil, made up, of an earlier session, or of another cluster. Ray's own await
    never returns for such a ref.
    """


class SessionEndedError(RayAwaitError, RuntimeError):
    """`ray.shutdown()` was called while the ref was being awaited."""


class ClientDisconnectedError(RayAwaitError, ConnectionError):
    """The Ray Client connection broke while the ref was being awaited."""


class PatchWarning(UserWarning):
    """`await ref` stays Ray's own, because the patch could not be made safely."""
