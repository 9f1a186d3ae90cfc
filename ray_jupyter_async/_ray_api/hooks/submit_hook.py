"""Calls of Ray's submit methods, noted. Private API, seen in Ray 2.40.0 and 2.60.0."""

from __future__ import annotations

import importlib
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from ray import ObjectRef

from ..._log import logger
from ..._replaced import calls_noted

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    NoteTask = Callable[["SubmitCall"], None]

# Ends an actor, and "fails" by that: Ray's own libraries call it, not users.
_TERMINATE = "__ray_terminate__"
#: The function of the task that awaits a placement group in Ray 2.40; 2.60 has no task.
GROUP_FUNCTION = "ray.util.placement_group.bundle_reservation_check_func"


class SubmitCall(NamedTuple):
    """A call that has submitted a task."""

    #: The id of the task's first return, or of its generator.
    key: bytes
    #: The number of its refs; 1 for a generator.
    returns: int
    streams: bool
    #: The class of a method, "" for a function, and the function's or method's name,
    #: each perhaps with its module and of any subclass of `str`.
    actor_class: str
    name: str
    #: The function, or the actor's handle.
    holder: Any
    #: The task's arguments; None for none.
    args: Any
    kwargs: Any
    #: Ray's options.
    options: dict[str, Any]


def hook_submissions(
    undo: ExitStack, note_task: NoteTask, note_group: Callable[[bytes], None]
) -> None:
    """Note what this process submits until `undo` is closed.

    Where this version of Ray has no such method, one warning says so.

    Parameters
    ----------
    undo
        Takes the hooks.
    note_task
        Called after each submission of a task; it may keep and change the options.
    note_group
        Called with the id of each ref that a placement group is awaited by.
    """
    hooks: dict[str, Callable[..., None]] = {
        "ray.remote_function.RemoteFunction._remote": partial(
            note_call, note_task, False
        ),
        "ray.actor.ActorMethod._remote": partial(note_call, note_task, True),
        "ray.util.placement_group.PlacementGroup.ready": partial(
            _note_group_ref, note_group
        ),
    }
    for path, note in hooks.items():
        module, class_name, name = path.rsplit(".", 2)
        owner = getattr(importlib.import_module(module), class_name, None)
        if isinstance(owner, type) and callable(vars(owner).get(name)):
            undo.enter_context(calls_noted(owner, name, note))
        else:
            logger.warning(
                "this version of Ray has no %s: what it makes is shown without its "
                "name",
                path,
            )


def note_call(
    note_task: NoteTask,
    of_method: bool,
    submitted: Any,
    args: tuple[Any, ...],
    options: dict[str, Any],
) -> None:
    """Note a call of `ActorMethod._remote` or `RemoteFunction._remote`."""
    ref, returns, streams = submitted, 1, False
    if type(ref) is not ObjectRef:
        if type(ref) is list:
            returns = len(ref)
            ref = ref[0]
        # A streaming generator: its own ref carries its task's id.
        streams = hasattr(ref, "_generator_ref")
        ref = getattr(ref, "_generator_ref", ref)
        # Not a subclass: `binary()` of a Ray Client ref may wait for the network.
        if type(ref) is not ObjectRef:
            return
    holder = args[0]
    if of_method:
        name = holder._method_name
        if name == _TERMINATE:
            return
        actor = getattr(holder, "_actor", None)  # 2.60
        if actor is None:
            actor = holder._actor_hard_ref or holder._actor_ref()  # 2.40
        holder = actor
        actor_class = actor._ray_actor_creation_function_descriptor.class_name
    else:
        name, actor_class = holder._function_name, ""
    # Ray passes the task's arguments by name or first; what is left are options.
    of_task = args[1] if len(args) > 1 else options.pop("args", None)
    named = args[2] if len(args) > 2 else options.pop("kwargs", None)
    key = ref.binary()
    fields = key, returns, streams, actor_class, name, holder, of_task, named, options
    # As `SubmitCall(*fields)`, without the Python function in between.
    note_task(tuple.__new__(SubmitCall, fields))


def _note_group_ref(note_group: Callable[[bytes], None], ref: Any, *_: Any) -> None:
    if type(ref) is ObjectRef:
        note_group(ref.binary())
