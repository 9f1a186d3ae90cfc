"""What a test leaves behind in this process and in its Ray.

Each probe returns what there is now, as a key that identifies one thing and words for
the failure message. A test may end with nothing that was not there when it began.
What runs in processes of their own (kernels, scripts) ends with them.
"""

from __future__ import annotations

import asyncio
import builtins
import contextlib
import gc
import itertools
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import ray
import ray.actor
import ray.remote_function

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

#: By probe: what there is.
Snapshot: TypeAlias = "dict[str, dict[Hashable, str]]"

#: Ray frees objects, workers and actors some time after their last use.
SECONDS = 20.0
# Ordinary frees are seen without a collection of garbage, which takes longer.
_SECONDS_WITHOUT_COLLECTION = 0.1

#: Threads of the package's pool: they end half a second after their last work.
POOL = "ray-await"

# Owners in `_names` that a test may be the first to import, by their `__name__`.
_IMPORTED_LATER = ("InteractiveShell", "IPython.display")

_PROCESS = Path("/proc/self")
# What Ray's C++ opens by itself, when it first talks to one more worker.
_OF_RAY = ("socket:", "anon_inode:[eventfd]", "anon_inode:[eventpoll]")


def _threads() -> dict[Hashable, str]:
    return {
        (thread.ident, thread.name): thread.name
        for thread in threading.enumerate()
        if not thread.name.startswith(POOL)
        # Threads of C++ that have called Python once.
        and not isinstance(thread, threading._DummyThread)
    }


def _processes() -> dict[Hashable, str]:
    found: dict[Hashable, str] = {}
    for file in _PROCESS.glob("task/*/children"):
        with contextlib.suppress(OSError):  # that thread has ended
            for pid in file.read_text().split():
                found[pid] = f"process {pid} ({_command(pid)})"
    return found


def _command(pid: str) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return "ended"


def _files() -> dict[Hashable, str]:
    ignored = _OF_RAY if ray.is_initialized() else ()
    found: dict[Hashable, str] = {}
    for link in (_PROCESS / "fd").glob("*"):
        with contextlib.suppress(OSError):  # of the listing itself
            target = str(link.readlink())
            if not target.startswith(ignored):
                found[link.name, target] = f"{target} (file descriptor {link.name})"
    return found


def _names() -> dict[Hashable, str]:
    """Return the functions and classes that others publish, and SIGINT's handler."""
    owners = [
        ray, ray._private.worker, ray.ObjectRef, ray.actor.ActorMethod,
        ray.remote_function.RemoteFunction, asyncio, asyncio.base_events,
        asyncio.BaseEventLoop, asyncio.events, asyncio.futures, asyncio.tasks,
        builtins, *_imported("IPython.core.interactiveshell:InteractiveShell"),
        *_imported("IPython:display"),
    ]  # fmt: skip
    found: dict[Hashable, str] = {}
    for owner in owners:
        place = owner.__name__
        for name, value in vars(owner).items():
            # Ray itself replaces `print`, with its first error.
            if callable(value) and (owner, name) != (builtins, "print"):
                found[place, name, id(value)] = f"{place}.{name}"
                # The package replaces what ray.get and its kin call.
                for cell in getattr(value, "__closure__", None) or ():
                    with contextlib.suppress(ValueError):  # it is empty
                        content = id(cell.cell_contents)
                        found[place, name, content] = f"what {place}.{name} calls"
    found[signal.SIGINT, id(signal.getsignal(signal.SIGINT))] = "the handler of SIGINT"
    return found


def _imported(place: str) -> list[Any]:
    module, _, name = place.partition(":")
    return [getattr(sys.modules[module], name)] if module in sys.modules else []


def _tasks() -> dict[Hashable, str]:
    known: Any = asyncio.tasks
    tasks = [*known._all_tasks] if hasattr(known, "_all_tasks") else []
    tasks += [*getattr(known, "_scheduled_tasks", ())]
    return {id(task): f"{task!r}" for task in tasks if not task.done()}


def _references() -> dict[Hashable, str]:
    core = _core_worker()
    if core is None:
        return {}
    counts = core.get_all_reference_counts()
    return {key: f"object {key.decode()}: {counts[key]}" for key in counts}


def _running() -> dict[Hashable, str]:
    """Return tasks of this thread that have not ended."""
    core = _core_worker()
    if core is None:
        return {}
    pending = core.get_pending_children_task_ids(core.get_current_task_id())
    return {task.hex(): f"task {task.hex()}" for task in pending}


def _actors() -> dict[Hashable, str]:
    if _core_worker() is None:
        return {}
    state: Any = ray._private.state.state
    # In the order of an actor's life, so that one that changes is not missed.
    states = ("DEPENDENCIES_UNREADY", "PENDING_CREATION", "RESTARTING", "ALIVE")
    return {
        key: f"actor {actor['Name'] or key}"
        for name in states
        for key, actor in state.actor_table(None, None, name).items()
    }


def _cpus() -> dict[Hashable, str]:
    if _core_worker() is None:
        return {}
    state: Any = ray._private.state.state
    total, free = state.cluster_resources(), state.available_resources()
    used = int(total.get("CPU", 0) - free.get("CPU", 0))
    return dict.fromkeys(range(used), "a CPU in use")


def _core_worker() -> Any:
    worker: Any = ray._private.worker.global_worker
    return worker.core_worker if worker.connected else None


_PROBES: dict[str, Callable[[], dict[Hashable, str]]] = {
    "threads": _threads,
    "child processes": _processes,
    "open files": _files,
    "names of others": _names,
    "asyncio tasks": _tasks,
    "references": _references,
    "Ray tasks": _running,
    "actors": _actors,
    "CPUs": _cpus,
}


def snapshot() -> Snapshot:
    """Return what there is now."""
    return {kind: probe() for kind, probe in _PROBES.items()}


def left_since(before: Snapshot) -> list[str]:
    """Return what is left behind, after it had time to go.

    Parameters
    ----------
    before
        What there was, by `snapshot`.
    """
    began = time.monotonic()
    pause = 0.001
    while left := _new_since(before):
        waited = time.monotonic() - began
        if waited > SECONDS:
            return [*left, *_holders(left)]
        if waited > _SECONDS_WITHOUT_COLLECTION:
            gc.collect()
        time.sleep(pause)
        pause = min(pause * 2, 0.1)
    return []


def _holders(left: list[str]) -> list[str]:
    """Return what holds the refs among what is left, as far as Python can know."""
    holders = (
        f"held by: {type(holder).__qualname__} {holder!r:.300}"
        for holder in gc.get_objects()
        for held in gc.get_referents(holder)
        if isinstance(held, ray.ObjectRef) and held.hex() in "".join(left)
    )
    return list(itertools.islice(holders, 10))


def _new_since(before: Snapshot) -> list[str]:
    return [
        f"{kind}: {words}"
        for kind, probe in _PROBES.items()
        for key, words in probe().items()
        if key not in before[kind] and not _is_imported_since(key, before)
    ]


def _is_imported_since(key: Hashable, before: Snapshot) -> bool:
    """Whether this is a name of IPython's, which was not imported before."""
    if not isinstance(key, tuple) or key[0] not in _IMPORTED_LATER:
        return False
    names = before["names of others"]
    return not any(isinstance(old, tuple) and old[0] == key[0] for old in names)
