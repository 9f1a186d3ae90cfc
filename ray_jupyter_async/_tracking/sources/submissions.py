"""The tasks that this process has submitted: their names, cells and arguments' tasks.

Ids, a name, a cell and a time are kept per task: no ref and no handle. A task's id
stands for all its refs: each of ``num_returns``, and every item of a generator. How to
submit a task again is in `kept_arguments`.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any

from ray import ObjectRef

from ..._awaiting.events import origin
from ..._ray_api.hooks.submit_hook import GROUP_FUNCTION, hook_submissions
from ..._ray_api.object_ids import TASK_ID_BYTES, is_put, return_id
from ..._replaced import Replacements
from ..bounded_dict import Recent
from ..events import Submission
from ..foreign_text import clean_name, exact
from .kept_arguments import GENERATOR, KeptArguments
from .submitters import Submitters

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from contextlib import ExitStack

    from ..._ray_api.hooks.submit_hook import SubmitCall

PUT_NAME = "ray.put"
PLACEMENT_GROUP_NAME = "placement group"
UNKNOWN_NAME = "other refs"

# The most submissions that wait to be taken; the oldest is dropped.
_MOST_FRESH = 200_000
# Waiting submissions for each call of `on_backlog`.
_BACKLOG = 10_000
#: The most tasks of one task's arguments that are remembered.
MOST_DEPENDENCIES = 16


class Submissions(Replacements):
    """Remembers what this process has submitted, and under which names.

    `install` may be called before ``ray.init()``. All other methods are thread-safe.

    Parameters
    ----------
    limit
        How many tasks are surely remembered (about 110 bytes each; up to twice as many
        may be held).

    Attributes
    ----------
    kept_arguments : KeptArguments
        How the last tasks can be submitted again.
    on_backlog : list of callable
        Called now and then while many submissions wait to be taken, by the thread that
        submits; they may only wake another one.
    on_session_end : list of callable
        Called as a Ray session in which something was submitted is about to end.
    """

    def __init__(self, limit: int = 200_000) -> None:
        super().__init__()
        self.kept_arguments = KeptArguments()
        self.on_backlog: list[Callable[[], object]] = []
        self.on_session_end: list[Callable[[], object]] = [self.kept_arguments.clear]
        # By task, its name and cell. Tasks in a row that have the same share one pair,
        # so that each costs no more than its place in the dict.
        self._known: Recent[bytes, tuple[str, Hashable]] = Recent(limit)
        self._last_pair: tuple[str, Hashable] = "", None
        # One string per function. Names given by `.options(name=...)` are not among
        # them, because there may be as many as tasks.
        self._names: Recent[tuple[str, str], str] = Recent(10_000)
        # By task that takes refs as arguments, the tasks that make these.
        self._dependencies: Recent[bytes, tuple[bytes, ...]] = Recent(limit)
        # The refs of placement groups look as if `ray.put` had made them.
        self._groups: Recent[bytes, bool] = Recent(10_000)
        # The tasks that are streaming generators.
        self._streams: Recent[bytes, bool] = Recent(limit)
        self._fresh: deque[Submission] = deque(maxlen=_MOST_FRESH)
        self._submitters = Submitters(self._session_ends)

    def uninstall(self) -> None:
        """Take the hooks out, unless somebody has wrapped them since."""
        super().uninstall()
        self.kept_arguments.clear()

    def name_of(self, key: bytes) -> str:
        """Return the name of a ref.

        Parameters
        ----------
        key
            The ref's ``binary()``.

        Returns
        -------
        str
            The name of the task that makes it, ``"ray.put"``, ``"placement group"``, or
            ``"other refs"`` for one from elsewhere or long ago.
        """
        known = self._known.get(key[:TASK_ID_BYTES])
        if known is not None:
            return known[0]
        if is_put(key):
            return PLACEMENT_GROUP_NAME if key in self._groups else PUT_NAME
        return UNKNOWN_NAME

    def origin_of(self, task: bytes) -> Hashable | None:
        """Return `events.origin` as it was when a task was submitted."""
        known = self._known.get(task[:TASK_ID_BYTES])
        return None if known is None else known[1]

    def may_stream(self, task: bytes) -> bool:
        """Whether a task is a streaming generator, or not known not to be."""
        return task in self._streams or task not in self._known

    def is_item(self, key: bytes) -> bool:
        """Whether a ref is known to be an item of a streaming generator."""
        task = key[:TASK_ID_BYTES]
        return task in self._streams and key != return_id(task)

    def streams(self, task: bytes) -> bool:
        """Whether a task is known to be a streaming generator."""
        return task in self._streams

    def dependencies_of(self, task: bytes) -> tuple[bytes, ...]:
        """Return the ids of tasks that make a task's arguments.

        Those of its first refs, not of refs within lists.
        """
        return self._dependencies.get(task) or ()

    def take_fresh(self) -> list[Submission]:
        """Return what was submitted since the last call, at most 200,000."""
        fresh = self._fresh
        # Not "until empty": more may come in meanwhile.
        return [fresh.popleft() for _ in range(len(fresh))]

    def unfinished(self) -> list[bytes] | None:
        """Return the ids of the tasks of this process that have not ended.

        About 0.3 us for each and every thread that has submitted some. None when Ray
        is not connected, or has no such list.
        """
        return self._submitters.unfinished()

    def __len__(self) -> int:
        return len(self._known)

    def _replace(self, undo: ExitStack) -> None:
        hook_submissions(undo, self._note_task, self._note_group)

    def _note_group(self, key: bytes) -> None:
        self._groups[key] = True

    def _note_task(self, call: SubmitCall) -> None:
        key, returns, streams, actor_class, own, holder, args, kwargs, options = call
        name = ""
        given = options.get("name")
        if given is not None:
            name = clean_name(given)
            if name is not given:
                # The one that was given may be long, or of any class.
                options = {**options, "name": name}
        if not name:
            name = self._name(actor_class, own)
        task = key[:TASK_ID_BYTES]
        cell = origin.get()
        pair = self._last_pair
        if pair[0] is not name or pair[1] is not cell:
            pair = self._last_pair = name, cell
        self._known[task] = pair
        if streams:
            self._streams[task] = True
        if args:
            for arg in args:
                if type(arg) is ObjectRef:
                    self._note_dependencies(task, args)
                    break
        followed = self._submitters.is_followed()
        fields = (key, returns, name, cell, time.monotonic(), followed)
        # As `Submission(*fields)`, without the Python function in between.
        self._fresh.append(tuple.__new__(Submission, fields))
        if len(self._fresh) % _BACKLOG == 0:
            for call_back in self.on_backlog.copy():
                call_back()
        if streams:
            self.kept_arguments.refuse(task, GENERATOR)
        else:
            method = own if actor_class else ""
            self.kept_arguments.keep(task, holder, method, args, kwargs, options)

    def _name(self, actor_class: str, own: str) -> str:
        full = exact(actor_class), exact(own)
        name = self._names.get(full)
        if name is None:
            parts = [part.rpartition(".")[2] for part in full if part]
            name = clean_name(".".join(parts))
            if full == ("", GROUP_FUNCTION):
                name = PLACEMENT_GROUP_NAME
            self._names[full] = name
        return name

    def _note_dependencies(self, task: bytes, args: Any) -> None:
        made_by = [
            key[:TASK_ID_BYTES]
            for arg in args
            if type(arg) is ObjectRef and not is_put(key := arg.binary())
        ]
        self._dependencies[task] = tuple(made_by[:MOST_DEPENDENCIES])

    def _session_ends(self) -> None:
        for call_back in self.on_session_end.copy():
            call_back()
