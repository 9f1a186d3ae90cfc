"""What is needed to submit one of the last tasks again.

Functions and actors are held weakly, and arguments only if all of them are small plain
values: a kept ref, array or object would keep alive whatever it refers to.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any
from weakref import ref

from ..._ray_api.connection import connected
from ..bounded_dict import Recent

if TYPE_CHECKING:
    from collections.abc import Collection

#: Tasks that are remembered, the last ones.
MOST_KEPT = 1_000
# The longest argument: characters, bytes or, for an int, bits.
_LONGEST = 1_000
# The most arguments of one task, with the items of tuples.
_MOST_VALUES = 8
_NUMBERS = frozenset({type(None), bool, float, complex})

TOO_LONG_AGO = "submitted too long ago, or while nothing was tracked"
NOT_PLAIN = "arguments that are not kept: only small plain values are"
GENERATOR = "a generator"
GONE = "its function or its actor's handle is gone"
AGAIN = "submitted again before"


# For a task that can be submitted again: the function or the actor's handle, the
# method's name ("" for a function), arguments and options. For others the reason.
_Kept = tuple["ref[Any]", str, Any, Any, dict[str, Any]]


class NotKeptError(Exception):
    """A task cannot be submitted again; the message is the reason."""


class KeptArguments:
    """Remembers how to submit the last tasks again. Thread-safe."""

    def __init__(self) -> None:
        # Tasks by id. A deque, because each submission pays for it, and only a click
        # searches it.
        self._last: deque[tuple[bytes, _Kept | str]] = deque(maxlen=MOST_KEPT)
        # Tasks that were submitted again; written under the lock.
        self._again: Recent[bytes, bool] = Recent(MOST_KEPT)
        self._lock = threading.Lock()

    def keep(
        self,
        task: bytes,
        holder: Any,
        method: str,
        args: Any,
        kwargs: Any,
        options: dict[str, Any],
    ) -> None:
        """Keep how a task was submitted, if its arguments allow it; about 0.5 us.

        Parameters
        ----------
        task
            Its id.
        holder, method
            The function and "", or the actor's handle and the method's name.
        args, kwargs
            The task's arguments; None for none.
        options
            Ray's options, which must not change afterwards.
        """
        if args:
            if not _all_plain(args):
                self._last.append((task, NOT_PLAIN))
                return
            if type(args) is not tuple:
                args = tuple(args)  # a list may change
        if kwargs:
            if not _all_plain(kwargs.values()):
                self._last.append((task, NOT_PLAIN))
                return
            kwargs = dict(kwargs)
        self._last.append((task, (ref(holder), method, args, kwargs, options)))

    def refuse(self, task: bytes, why: str) -> None:
        """Note that a task cannot be submitted again, and why."""
        self._last.append((task, why))

    def tasks(self) -> list[bytes]:
        """Return the ids of the tasks that can be submitted again."""
        return [
            task
            for task, kept in self._last.copy()
            if not isinstance(kept, str) and _is_there(kept) and task not in self._again
        ]

    def submit(self, task: bytes, name: str) -> Any:
        """Submit a task again, under this name, once.

        Returns
        -------
        ObjectRef, or list of ObjectRef
            As Ray returns it.

        Raises
        ------
        NotKeptError
            If the task is not remembered, or was submitted again before.
        ClosedError
            If no session is connected.
        """
        kept = dict(self._last.copy()).get(task, TOO_LONG_AGO)
        if isinstance(kept, str):
            raise NotKeptError(kept)
        holder, method, args, kwargs, options = kept
        again = holder()
        if again is None:
            raise NotKeptError(GONE)
        with self._lock:
            if task in self._again:
                raise NotKeptError(AGAIN)
            self._again[task] = True
        try:
            # Without a session Ray would start one.
            with connected():
                submitter = getattr(again, method) if method else again
                options = {**options, "name": name}
                return submitter._remote(args=args, kwargs=kwargs, **options)
        except BaseException:
            self._again.pop(task)
            raise

    def clear(self) -> None:
        """Forget everything."""
        self._last.clear()


def _is_there(kept: _Kept) -> bool:
    holder, *_ = kept
    return holder() is not None


def _all_plain(values: Collection[Any], *, within: bool = False) -> bool:
    """Whether all are small and plain, by their exact types."""
    count = len(values)
    if count > _MOST_VALUES:
        return False
    for value in values:
        kind = type(value)
        if kind is int:
            if value.bit_length() > _LONGEST:
                return False
        elif kind is str or kind is bytes:
            if len(value) > _LONGEST:
                return False
        elif kind in _NUMBERS:
            continue
        elif kind is tuple and not within:
            count += len(value)
            if count > _MOST_VALUES or not _all_plain(value, within=True):
                return False
        else:
            return False
    return True
