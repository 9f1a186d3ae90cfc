"""The types of what patches, shows and loads."""

from contextlib import AbstractContextManager
from typing import Any

import ray
from IPython.core.interactiveshell import InteractiveShell
from ray import ObjectRef
from typing_extensions import assert_type

import ray_jupyter_async as rja
from ray_jupyter_async import *  # noqa: F403 - what it leaves alone

number: ObjectRef[int] = ray.put(1)
text: ObjectRef[str] = ray.put("text")


def patching() -> None:
    assert_type(rja.patch(), bool)
    assert_type(rja.is_patched(), bool)
    assert_type(rja.unpatch(), None)
    with rja.patched() as done:
        assert_type(done, bool)


def showing() -> None:
    assert_type(rja.progress(), None)
    assert_type(rja.progress([number, text]), None)
    assert_type(rja.take_retried(), list[ObjectRef[Any]])
    assert_type(rja.terminal_progress(delay=1), AbstractContextManager[None])
    rja.progress(number)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    rja.terminal_progress(1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def loading(shell: InteractiveShell) -> None:
    assert_type(rja.load_ipython_extension(shell), None)
    assert_type(rja.unload_ipython_extension(shell), None)


def errors() -> list[rja.RayAwaitError]:
    _runtime: RuntimeError = rja.RayNotInitializedError()
    _ended: RuntimeError = rja.SessionEndedError()
    _value: ValueError = rja.UnknownRefError()
    _connection: ConnectionError = rja.ClientDisconnectedError()
    _warning: UserWarning = rja.PatchWarning()
    return [rja.UnknownRefError(), rja.ClientDisconnectedError()]


def builtins_of_a_star_import() -> None:
    assert_type(list(map(str, [1])), list[str])
    assert_type(rja.__version__, str)
