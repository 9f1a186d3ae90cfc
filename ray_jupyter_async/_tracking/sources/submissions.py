"""What is submitted, and under which name: a hook on Ray's two submit methods.

Only here is Ray's private submit API touched. The hook remembers ids, a name, a
cell and a time per task: no ref and no handle. Of the last tasks it also keeps
arguments that are small plain values, see `kept_arguments`. A task id names all that
comes of the task: each of ``num_returns`` refs, and every item of a generator.
"""

# Private names of Ray, in this one place.

from __future__ import annotations

import importlib
import time
from collections import deque
from collections.abc import Callable, Hashable
from typing import Any

from ..._awaiting.events import origin
from ..._ray_api.object_ids import TASK_ID_BYTES, is_put, return_id
from ..._ray_api.submit_hook import SubmitHook, hook_method
from ..bounded_dict import Recent
from ..events import Submission
from ..foreign_text import clean_name, exact
from .kept_arguments import GENERATOR, KeptArguments
from .submitters import Submitters

PUT_NAME = "ray.put"
PLACEMENT_GROUP_NAME = "placement group"
UNKNOWN_NAME = "other refs"

# Ends an actor, and "fails" by that: Ray's own libraries call it, not users.
_TERMINATE = "__ray_terminate__"

#: So many submissions wait for somebody to take them, at most; the oldest goes.
_MOST_FRESH = 200_000
#: When more wait than this, somebody is asked to take them.
_MANY_FRESH = 10_000
#: Of the tasks whose results a task takes as arguments, so many are remembered.
MOST_DEPENDENCIES = 16


class Submissions:
    """Remembers what this process has submitted, and under which names.

    `install` may be called before ``ray.init()``. It imports ray. All other
    methods may be called on any thread.

    Parameters
    ----------
    limit
        The names of how many submitted tasks are surely remembered (about
        110 bytes each; up to twice as many may be held).
    """

    def __init__(self, limit: int = 200_000) -> None:
        # A name and an origin. Tasks in a row that have the same share one pair, so
        # that each costs no more than its place in the dict.
        self._known: Recent[bytes, tuple[str, Hashable]] = Recent(limit)
        self._last_pair: tuple[str, Hashable] = "", None
        # One string per function, however many tasks. Names given by
        # `.options(name=...)` stay out of it, because there may be as many as tasks.
        self._method_names: Recent[tuple[str, str], str] = Recent(10_000)
        self._function_names: Recent[str, str] = Recent(10_000)
        # Of tasks that take refs as arguments: the tasks that make these.
        self._dependencies: Recent[bytes, tuple[bytes, ...]] = Recent(limit)
        # The refs of placement groups look as if `ray.put` had made them.
        self._groups: Recent[bytes, bool] = Recent(10_000)
        # The tasks that are streaming generators; a dict without values.
        self._streams: Recent[bytes, bool] = Recent(limit)
        self._fresh: deque[Submission] = deque(maxlen=_MOST_FRESH)
        #: How the last tasks can be submitted again.
        self.kept_arguments = KeptArguments()
        #: Called now and then while many submissions wait to be taken; it may
        #: only wake somebody up.
        self.on_many: Callable[[], None] | None = None
        #: Called as a Ray session in which something was submitted is about to
        #: end.
        self.on_session_end: Callable[[], None] | None = None
        self._submitters = Submitters(self._session_ends)
        self._hooks: list[SubmitHook] = []
        self._ref_type: Any = None

    @property
    def installed(self) -> bool:
        """Whether new submissions are being remembered."""
        return bool(self._hooks)

    def install(self) -> None:
        """Wrap Ray's submit methods; nothing happens when they are wrapped already.

        Where Ray no longer has such a method, its tasks stay unnamed and one
        warning says so.
        """
        if self._hooks:
            return
        self._ref_type = importlib.import_module("ray").ObjectRef
        hooked = {
            "ray.remote_function.RemoteFunction._remote": self._note_function,
            "ray.actor.ActorMethod._remote": self._note_method,
            "ray.util.placement_group.PlacementGroup.ready": self._note_group,
        }
        hooks = [hook_method(path, note) for path, note in hooked.items()]
        self._hooks = [hook for hook in hooks if hook is not None]

    def uninstall(self) -> None:
        """Take the hooks out, exactly; does nothing when there are none.

        A method that somebody else has wrapped since is left as it is, and our
        part in it only passes calls on.
        """
        for hook in self._hooks:
            hook.remove()
        self._hooks = []
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
        """Return `events.origin` as it was when a task was submitted.

        Parameters
        ----------
        task
            The task's id, or the id of one of its refs.
        """
        known = self._known.get(task[:TASK_ID_BYTES])
        return None if known is None else known[1]

    def may_stream(self, task: bytes) -> bool:
        """Return whether a task is a streaming generator, or not known not to be.

        Parameters
        ----------
        task
            Its id.
        """
        return task in self._streams or task not in self._known

    def is_item(self, key: bytes) -> bool:
        """Return whether a ref is known to be an item of a streaming generator."""
        task = key[:TASK_ID_BYTES]
        return task in self._streams and key != return_id(task)

    def streams(self, task: bytes) -> bool:
        """Return whether a task is known to be a streaming generator."""
        return task in self._streams

    def dependencies_of(self, task: bytes) -> tuple[bytes, ...]:
        """Return the ids of the tasks that make a task's arguments.

        Some of the first refs among its arguments, not those within lists.
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
        is not connected, or does not say.
        """
        return self._submitters.unfinished()

    def __len__(self) -> int:
        return len(self._known)

    def _note_function(
        self,
        submitted: Any,
        function: Any,
        args: Any,
        kwargs: Any,
        options: dict[str, Any],
    ) -> None:
        name, options = _given_name(options)
        if not name:
            full = exact(function._function_name)  # "module.name", 2.40 to 2.60
            known = self._function_names.get(full)
            if known is None:
                known = clean_name(full.rpartition(".")[2])
                self._function_names[full] = known
            name = known
        task = self._remember(submitted, name, args)
        if task is not None:
            self.kept_arguments.keep(task, function, "", args, kwargs, options)

    def _note_method(
        self,
        submitted: Any,
        method: Any,
        args: Any,
        kwargs: Any,
        options: dict[str, Any],
    ) -> None:
        if method._method_name == _TERMINATE:
            return
        actor = _actor_of(method)
        name, options = _given_name(options)
        if not name:
            creation = actor._ray_actor_creation_function_descriptor
            key = (exact(creation.class_name), exact(method._method_name))
            known = self._method_names.get(key)
            if known is None:
                known = clean_name(f"{key[0].rpartition('.')[2]}.{key[1]}")
                self._method_names[key] = known
            name = known
        task = self._remember(submitted, name, args)
        if task is not None:
            self.kept_arguments.keep(
                task, actor, method._method_name, args, kwargs, options
            )

    def _note_group(self, submitted: Any, *_: Any) -> None:
        if type(submitted) is self._ref_type:
            self._groups[submitted.binary()] = True

    def _remember(self, submitted: Any, name: str, args: Any) -> bytes | None:
        """Note a task; give its id, if it may be submitted again."""
        ref: Any = submitted
        returns = 1
        streams = False
        if type(ref) is not self._ref_type:
            if type(ref) is list:
                returns = len(ref)
                ref = ref[0]
            # A streaming generator: its own ref carries its task's id.
            streams = hasattr(ref, "_generator_ref")
            ref = getattr(ref, "_generator_ref", ref)
            # Not a subclass: `binary()` of a Ray Client ref may wait for the
            # network.
            if type(ref) is not self._ref_type:
                return None
        key = ref.binary()
        task: bytes = key[:TASK_ID_BYTES]
        who = origin.get()
        pair = self._last_pair
        if pair[0] is not name or pair[1] is not who:
            pair = self._last_pair = name, who
        self._known[task] = pair
        if streams:
            self._streams[task] = True
        if args:
            ref_type = self._ref_type
            for arg in args:
                if type(arg) is ref_type:
                    self._note_dependencies(task, args)
                    break
        followed = self._submitters.is_followed()
        fields = (key, returns, name, who, time.monotonic(), followed)
        # As `Submission(*fields)`, without the Python function in between.
        self._fresh.append(tuple.__new__(Submission, fields))
        if len(self._fresh) % _MANY_FRESH == 0 and self.on_many is not None:
            self.on_many()
        if streams:
            self.kept_arguments.refuse(task, GENERATOR)
            return None
        return task

    def _note_dependencies(self, task: bytes, args: Any) -> None:
        ref_type = self._ref_type
        made_by = [
            key[:TASK_ID_BYTES]
            for arg in args
            if type(arg) is ref_type and not is_put(key := arg.binary())
        ]
        self._dependencies[task] = tuple(made_by[:MOST_DEPENDENCIES])

    def _session_ends(self) -> None:
        self.kept_arguments.clear()
        if self.on_session_end is not None:
            self.on_session_end()


def _given_name(options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the name in a task's options, "" if none, and the options to keep."""
    given = options.get("name")
    if given is None:
        return "", options
    name = clean_name(given)
    if name is not given:
        # The one that was given may be long, or of any class.
        options = {**options, "name": name}
    return name, options


def _actor_of(method: Any) -> Any:
    actor = getattr(method, "_actor", None)  # 2.60
    if actor is None:
        actor = method._actor_hard_ref or method._actor_ref()  # 2.40
    return actor
