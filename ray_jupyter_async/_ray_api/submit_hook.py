"""Hooks on the methods of Ray by which a process submits.

Each passes the call on and then notes it; what is noted is in `submissions`.
"""

from __future__ import annotations

import functools
import importlib
import logging
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from .._interruptible import interruptible
from .._replaced import Link, replaced

logger = logging.getLogger("ray_jupyter_async")

Wrapped = Callable[..., Any]
Note = Callable[[Any, Any, Any, Any, dict[str, Any]], None]


class SubmitHook(Link):
    """One hooked method, and what notes its calls."""

    def __init__(self, owner: type, method: str, note: Note) -> None:
        self._note: Note | None = note
        self._undo = ExitStack()
        self._undo.enter_context(replaced(owner, method, self._wrap))

    def remove(self) -> None:
        """Take the hook out, unless somebody has wrapped it since."""
        # Also where the wrapper must stay, nothing of ours stays alive in it.
        self._note = None
        self._undo.close()

    def note(self, submitted: Any, submitter: Any, args: Any, options: Any) -> None:
        """Pass on what a call has made, and with which arguments."""
        note = self._note
        if note is None:
            return
        try:
            # Ray passes the task's arguments by name or first; what is left are
            # options.
            of_task = args[0] if args else options.pop("args", None)
            named = args[1] if len(args) > 1 else options.pop("kwargs", None)
            note(submitted, submitter, of_task, named, options)
        except Exception:
            # The task is submitted: its ref must reach the caller whatever became
            # of the name.
            logger.debug("no name for a submitted task", exc_info=True)

    def _wrap(self, original: Wrapped) -> Wrapped:
        hook: SubmitHook | None = self

        @functools.wraps(original)
        @interruptible
        def _remote(submitter: Any, *args: Any, **options: Any) -> Any:
            __tracebackhide__ = _rich_traceback_omit = True
            try:
                submitted = original(submitter, *args, **options)
            except BaseException as error:
                if hook is not None:
                    hook.hide(error)
                raise
            if hook is not None:
                hook.note(submitted, submitter, args, options)
            return submitted

        return _remote


def hook_method(path: str, note: Note) -> SubmitHook | None:
    """Put a hook on a method of Ray's; None, with a warning, if it has no such method.

    Parameters
    ----------
    path
        Module, class and method.
    note
        Called after each call with what it returned, on which object it was called, the
        task's arguments by position and by name, and Ray's options.
    """
    module, class_name, method = path.rsplit(".", 2)
    owner = getattr(importlib.import_module(module), class_name, None)
    if not isinstance(owner, type) or not callable(owner.__dict__.get(method)):
        logger.warning(
            "this version of Ray has no %s: what it makes is shown without its name",
            path,
        )
        return None
    return SubmitHook(owner, method, note)
