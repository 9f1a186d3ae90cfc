"""How often Ray's blocking calls look for signals.

`ray.get` and `ray.wait` wait in C++ and look for a Ctrl-C once a second. Ray has a
setting for this, which a session takes over at its start and reads for each look.
`_raylet.Config.initialize` changes it in this process alone, at any time: nothing is
put into the environment, which workers would inherit.

Private API, seen in 2.40.0 and 2.60.0, where the setting has different names. Given an
unknown name, `initialize` ends the process: the name is looked for in Ray's library.
"""

from __future__ import annotations

import functools
import json
import os
import threading
from typing import TYPE_CHECKING, Any, Literal

import ray
from ray._private import worker as _worker_module

from ..._log import logger
from ..._replaced import Replacements, calls_noted
from ..._threads import start_thread
from ..core_worker import connected_core, local_implementation

if TYPE_CHECKING:
    from contextlib import ExitStack

#: Milliseconds between two looks.
OFTEN_MS = 100
#: Ray's default.
SELDOM_MS = 1000
#: Names of the setting. The second one is also the patience of a read of the store.
_NAMES = ("get_check_signal_interval_milliseconds", "get_timeout_milliseconds")
_CHUNK = 2**20
# For which an unload waits for the search.
_SECONDS = 5.0


class SignalChecks(Replacements):
    """Makes blocking calls look often, in the connected session and in later ones.

    What the user has set stays, by a variable of the environment or in `ray.init`.
    """

    def __init__(self) -> None:
        super().__init__()
        # The core worker whose setting was changed.
        self._changed: Any = None
        self._thread: threading.Thread | None = None

    @property
    def state(self) -> Literal["often", "seldom", "yours", "unknown"]:
        """How often the connected session looks; unknown without a local one."""
        core = connected_core()
        if core is None:
            return "unknown"
        if _chosen_by_user():
            return "yours"
        return "often" if core is self._changed else "seldom"

    def _replace(self, undo: ExitStack) -> None:
        undo.callback(self._restore)
        init = local_implementation("init")
        if init is not None:
            undo.enter_context(
                calls_noted(init, "cell_contents", lambda *_: self._look_often())
            )
        # A thread, because the search in Ray's library takes a moment.
        self._thread = start_thread(self._look_often, name="ray_jupyter_async signals")

    def _look_often(self) -> None:
        name = _name()
        core = connected_core()
        if core is None or name is None or not self._installed or _chosen_by_user():
            return
        self._changed = core
        _set(name, OFTEN_MS)

    def _restore(self) -> None:
        if self._thread is not None:
            self._thread.join(_SECONDS)
            self._thread = None
        changed, self._changed = self._changed, None
        name = _name()
        if changed is not None and changed is connected_core() and name is not None:
            _set(name, SELDOM_MS)


def _set(name: str, milliseconds: int) -> None:
    _config().initialize(json.dumps({name: milliseconds}).encode())


def _config() -> Any:
    return getattr(ray._raylet, "Config", None)


@functools.cache
def _name() -> str | None:
    """Return the setting's name, or None where this Ray has no such setting."""
    try:
        if not callable(getattr(_config(), "initialize", None)):
            return None
        with open(ray._raylet.__file__, "rb") as library:  # noqa: PTH123 - a file's path
            last = b""
            while chunk := library.read(_CHUNK):
                for name in _NAMES:
                    if name.encode() in last + chunk:
                        return name
                last = chunk[-len(max(_NAMES, key=len)) :]
    except Exception:
        logger.debug("Ray's library cannot be read", exc_info=True)
    return None


def _chosen_by_user() -> bool:
    # `_config` holds `_system_config` of `ray.init` (2.40 and 2.60).
    node = getattr(_worker_module, "_global_node", None)
    chosen = getattr(node, "_config", None) or {}
    return any(name in chosen or f"RAY_{name}" in os.environ for name in _NAMES)
