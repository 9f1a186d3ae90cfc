"""The names of submitted tasks: a hook on Ray's two submit methods.

Only here is Ray's private submit API touched. The hook remembers a name and a
cell per task id and nothing else: no ref, no argument, no handle. A task id
names all that comes of the task: each of ``num_returns`` refs, and every item of
a generator.
"""

# Private names of Ray, in this one place.

from __future__ import annotations

import functools
import importlib
import logging
from collections.abc import Callable, Hashable
from typing import Any

from ..awaiting.observing import origin
from .recent import Recent

logger = logging.getLogger("ray_jupyter_async")

PUT_NAME = "ray.put"
UNKNOWN_NAME = "other refs"

# The layout of an object id, Ray 2.40 to 2.60: 24 bytes of task id, then an
# index (little endian). What `ray.put` makes has an index above all possible
# returns of a task (`kMaxReturns` in src/ray/common/id.h, 100,000,000).
TASK_ID_BYTES = 24
_FIRST_PUT_INDEX = 100_000_001

Wrapped = Callable[..., Any]
Note = Callable[[Any, Any, dict[str, Any]], None]


class Submissions:
    """Remembers under which name each task of this process was submitted.

    `install` may be called before ``ray.init()``. It imports ray. All other
    methods may be called on any thread.

    Parameters
    ----------
    limit
        The names of how many submitted tasks are surely remembered (about
        110 bytes each; up to twice as many may be held).
    """

    def __init__(self, limit: int = 200_000) -> None:
        self._names: Recent[bytes, str] = Recent(limit)
        # The same keys, so that each costs no more than its place in the dict.
        self._origins: Recent[bytes, Hashable] = Recent(limit)
        # One string per function, however many tasks: the ring then holds a
        # pointer per task. Names given by `.options(name=...)` stay out of it,
        # because there may be as many as tasks.
        self._method_names: Recent[tuple[str, str], str] = Recent(10_000)
        self._function_names: Recent[str, str] = Recent(10_000)
        self._hooks: list[_Hook] = []
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
        hooks = (
            _hook("ray.remote_function", "RemoteFunction", self._note_function),
            _hook("ray.actor", "ActorMethod", self._note_method),
        )
        self._hooks = [hook for hook in hooks if hook is not None]

    def uninstall(self) -> None:
        """Take the hooks out, exactly; does nothing when there are none.

        A method that somebody else has wrapped since is left as it is, and our
        part in it only passes calls on.
        """
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

    def name_of(self, key: bytes) -> str:
        """Return the name of a ref.

        Parameters
        ----------
        key
            The ref's ``binary()``.

        Returns
        -------
        str
            The name of the task that makes it, ``"ray.put"``, or
            ``"other refs"`` for one from elsewhere or long ago.
        """
        name = self._names.get(key[:TASK_ID_BYTES])
        if name is not None:
            return name
        if int.from_bytes(key[TASK_ID_BYTES:], "little") >= _FIRST_PUT_INDEX:
            return PUT_NAME
        return UNKNOWN_NAME

    def origin_of(self, task: bytes) -> Hashable | None:
        """Return `observing.origin` as it was when a task was submitted.

        Parameters
        ----------
        task
            The task's id, or the id of one of its refs.
        """
        return self._origins.get(task[:TASK_ID_BYTES])

    def __len__(self) -> int:
        return len(self._names)

    def _note_function(
        self, submitted: Any, function: Any, options: dict[str, Any]
    ) -> None:
        name = options.get("name")
        if not name:
            full: str = function._function_name  # "module.name", 2.40 to 2.60
            name = self._function_names.get(full)
            if name is None:
                name = self._function_names[full] = full.rpartition(".")[2]
        self._remember(submitted, name)

    def _note_method(
        self, submitted: Any, method: Any, options: dict[str, Any]
    ) -> None:
        name = options.get("name")
        if not name:
            creation = _actor_of(method)._ray_actor_creation_function_descriptor
            key = (creation.class_name, method._method_name)
            name = self._method_names.get(key)
            if name is None:
                name = f"{key[0].rpartition('.')[2]}.{key[1]}"
                self._method_names[key] = name
        self._remember(submitted, name)

    def _remember(self, submitted: Any, name: str) -> None:
        ref: Any = submitted
        if type(ref) is not self._ref_type:
            if type(ref) is list:
                ref = ref[0]
            # A streaming generator: its own ref carries its task's id.
            ref = getattr(ref, "_generator_ref", ref)
            # Not a subclass: `binary()` of a Ray Client ref may wait for the
            # network.
            if type(ref) is not self._ref_type:
                return
        task = ref.binary()[:TASK_ID_BYTES]
        self._names[task] = name
        self._origins[task] = origin.get()


class _Hook:
    """One hooked method: what was there, what we put there, and what it does."""

    def __init__(self, owner: type, note: Note) -> None:
        self.owner = owner
        self.original: Wrapped = owner.__dict__["_remote"]
        self.note: Note | None = note
        self.wrapper = self._wrap()
        owner._remote = self.wrapper  # type: ignore[attr-defined]

    def remove(self) -> None:
        # Also where the wrapper must stay, nothing of ours stays alive in it.
        self.note = None
        if self.owner.__dict__.get("_remote") is self.wrapper:
            self.owner._remote = self.original  # type: ignore[attr-defined]

    def _wrap(self) -> Wrapped:
        original = self.original

        @functools.wraps(original)
        def _remote(submitter: Any, *args: Any, **options: Any) -> Any:
            submitted = original(submitter, *args, **options)
            note = self.note
            if note is not None:
                try:
                    note(submitted, submitter, options)
                except Exception:
                    # The task is submitted: its ref must reach the caller
                    # whatever became of the name.
                    logger.debug("no name for a submitted task", exc_info=True)
            return submitted

        return _remote


def _hook(module: str, class_name: str, note: Note) -> _Hook | None:
    owner = getattr(importlib.import_module(module), class_name, None)
    if not isinstance(owner, type) or not callable(owner.__dict__.get("_remote")):
        logger.warning(
            "this version of Ray has no %s.%s._remote: what it submits is shown as %r",
            module,
            class_name,
            UNKNOWN_NAME,
        )
        return None
    return _Hook(owner, note)


def _actor_of(method: Any) -> Any:
    actor = getattr(method, "_actor", None)  # 2.60
    if actor is None:
        actor = method._actor_hard_ref or method._actor_ref()  # 2.40
    return actor
