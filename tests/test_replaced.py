"""Replaced functions of other packages: what users see of them."""

from __future__ import annotations

import asyncio
import builtins
import gc
import inspect
import logging
import os
import subprocess
import sys
import threading
import traceback
import weakref
from contextlib import ExitStack
from types import SimpleNamespace

import pytest
import ray
import ray.actor
import ray.remote_function
from ray import cloudpickle

from ray_jupyter_async import patched
from ray_jupyter_async._awaiting.events import origin
from ray_jupyter_async._awaiting.patching import asyncio_gather
from ray_jupyter_async._display.terminal.screen import TerminalScreen
from ray_jupyter_async._ray_api import shutdown_gate
from ray_jupyter_async._replaced import Replacements, calls_noted, replaced
from ray_jupyter_async._tracking.instrumentation import Tracking

# As users have them: from before the load.
from ray import cancel as early_cancel  # isort: skip
from ray import get as early_get  # isort: skip
from ray import wait as early_wait  # isort: skip

#: The name of the function that `asyncio.gather` calls, in its own code.
CALLED = next(filter(asyncio_gather._is_called, asyncio_gather._NAMES))

PLACES = {
    "get": lambda: ray.get,
    "wait": lambda: ray.wait,
    "cancel": lambda: ray.cancel,
    "the submission of a task": lambda: ray.remote_function.RemoteFunction._remote,
    "the submission of a method": lambda: ray.actor.ActorMethod._remote,
    "as_future": lambda: ray.ObjectRef.as_future,
    "future": lambda: ray.ObjectRef.future,
    "the function that gather calls": lambda: getattr(asyncio.tasks, CALLED),
}

# Of a process that has no ray_jupyter_async, as workers elsewhere.
ELSEWHERE = """
import asyncio, importlib.abc, sys
class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "ray_jupyter_async":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Missing())
import pickle
for line in sys.stdin:
    found = pickle.loads(bytes.fromhex(line))
    print(found.__qualname__)
"""


@pytest.fixture
def tracking():
    made = Tracking()
    made.install()
    yield made
    made.uninstall()


@pytest.fixture
def everything(tracking, ray_session):
    with patched():
        yield tracking


@pytest.fixture(scope="module")
def as_they_were():
    return {name: place() for name, place in PLACES.items()}


def _description(function):
    try:
        signature = str(inspect.signature(function))
    except ValueError:
        signature = None  # of C code before Ray 2.60
    return function.__name__, function.__qualname__, inspect.getdoc(function), signature


@pytest.mark.parametrize("place", PLACES)
def test_name_docs_and_signature_stay(as_they_were, everything, place):
    assert _description(PLACES[place]()) == _description(as_they_were[place])


def test_uninstall_restores_every_function(as_they_were, ray_session):
    tracking = Tracking()
    with patched():
        tracking.install()
        tracking.uninstall()
    assert {name: place() for name, place in PLACES.items()} == as_they_were


def test_public_functions_stay_the_same_objects(everything):
    assert (ray.get, ray.wait, ray.cancel) == (early_get, early_wait, early_cancel)


def test_wrappers_pickle_while_in_and_afterwards(ray_session):
    tracking = Tracking()
    with patched():
        tracking.install()
        held = [place() for place in PLACES.values()]
        pickled = [cloudpickle.dumps(function) for function in held]
        tracking.uninstall()
    pickled += [cloudpickle.dumps(function) for function in held]
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE],
        input="\n".join(one.hex() for one in pickled),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    names = [function.__qualname__ for function in held]
    assert done.stdout.split() == names * 2, done.stderr


def test_input_keeps_its_look_beside_terminal_lines():
    original = builtins.input
    leader, follower = os.openpty()
    try:
        with os.fdopen(follower, "w", encoding="utf-8") as stream:
            screen = TerminalScreen(stream)
            screen.show("block", lambda _columns, _now: "a line")
            held = builtins.input
            try:
                assert held is not original
                assert _description(held) == _description(original)
                assert cloudpickle.loads(cloudpickle.dumps(held)) is held
            finally:
                screen.end("block")
            assert builtins.input is original
            cloudpickle.dumps(held)
    finally:
        os.close(leader)


def test_functions_imported_by_name_work_in_workers(everything):
    @ray.remote(num_cpus=0)
    def task(given):
        value = early_get([ray.put(1)])
        ready, _ = early_wait([ray.put(2)])
        return value, given(ready), early_cancel.__name__

    @ray.remote(num_cpus=0)
    class Actor:
        def method(self):
            return early_get(ray.put(3))

    assert ray.get(task.remote(early_get)) == ([1], [2], "cancel")
    assert ray.get(Actor.remote().method.remote()) == 3


def _frames_of_ours(error):
    return [
        frame.f_code.co_qualname if hasattr(frame.f_code, "co_qualname") else frame
        for frame, _ in traceback.walk_tb(error.__traceback__)
        if str(frame.f_globals["__name__"]).startswith("ray_jupyter_async")
    ]


@pytest.mark.skipif(
    sys.version_info < (3, 11), reason="frames that can be removed are of Python 3.11"
)
def test_errors_have_no_frame_of_ours(everything):
    @ray.remote(num_cpus=0)
    def fails():
        raise ValueError("bad")

    async def gather_nothing():
        await asyncio.gather("nothing to await")

    failing = fails.remote()
    for call in (
        lambda: ray.get(failing),
        lambda: ray.get("no ref"),
        lambda: ray.wait("no list"),
        lambda: ray.cancel("no ref"),
        lambda: fails.remote(threading.Lock()),
        lambda: asyncio.run(gather_nothing()),
    ):
        with pytest.raises(Exception) as caught:  # noqa: PT011
            call()
        assert not _frames_of_ours(caught.value)


def test_keyword_calls_and_futures_are_seen(everything, gate):
    cell = object()
    before = origin.set(cell)
    try:
        future = gate.hold(7).future()
        assert everything.tracker.read_cell(cell).pending == 1
        gate.open()
        assert future.result(timeout=30) == 7
        blocked = everything.blocking._calls
        seen = []
        with ExitStack() as undo:
            for name, keyword in (("get", "object_refs"), ("wait", "ray_waitables")):
                refs = [ray.put(name)]
                undo.enter_context(
                    replaced(
                        ray._private.worker.global_worker,
                        "check_connected",
                        lambda original: (
                            lambda: (
                                seen.extend(call.refs for call in blocked.values()),
                                original(),
                            )
                        ),
                    )
                )
                getattr(ray, name)(**{keyword: refs})
                assert refs in seen
    finally:
        origin.reset(before)


def test_replaced_method_of_a_class_stays_there():
    class Owner:
        def name(self):
            return "class"

    owner = Owner()
    with replaced(owner, "name", lambda original: lambda: f"not {original()}"):
        assert owner.name() == "not class"
    assert vars(owner) == {}


def test_replaced_leaves_a_later_replacement_alone():
    owner = SimpleNamespace(name=1)
    with replaced(owner, "name", lambda original: original + 1):
        owner.name = "theirs"
    assert owner.name == "theirs"


def test_replaced_restores_a_functions_module():
    def function():
        pass

    with replaced(function, "__module__", lambda _: "elsewhere"):
        assert function.__module__ == "elsewhere"
    assert function.__module__ == __name__


def test_replaced_by_proxy_keeps_nothing_alive():
    class Owner:
        name = "class"

    owner = Owner()
    gone = weakref.ref(owner)
    with replaced(weakref.proxy(owner), "name", lambda _: "ours"):
        assert owner.name == "ours"
        del owner
        assert gone() is None
    owner = Owner()
    with replaced(weakref.proxy(owner), "name", lambda _: "ours"):
        pass
    assert vars(owner) == {}


def test_calls_are_noted_while_in():
    owner = SimpleNamespace(double=lambda number, *, by=2: number * by)
    seen = []
    with calls_noted(owner, "double", lambda *call: seen.append(call)):
        held = owner.double
        assert held(3, by=4) == 12
    assert held(5) == owner.double(5) == 10
    assert seen == [(12, (3,), {"by": 4})]


def test_error_of_a_note_stays_from_the_caller(caplog):
    owner = SimpleNamespace(double=lambda number: 2 * number)

    def fails(*_):
        raise ValueError("no note")

    with (
        caplog.at_level(logging.DEBUG, "ray_jupyter_async"),
        calls_noted(owner, "double", fails),
    ):
        assert owner.double(2) == 4
    assert "no note" in caplog.text


def test_failed_install_leaves_nothing_in():
    owner = SimpleNamespace(name=1)

    class Fails(Replacements):
        def _replace(self, undo):
            undo.enter_context(replaced(owner, "name", lambda _: 2))
            undo.enter_context(replaced(owner, "missing", lambda _: 3))

    failing = Fails()
    with pytest.raises(AttributeError):
        failing.install()
    assert vars(owner) == {"name": 1}


def test_session_end_callback_keeps_no_object(ray_session):
    class Owner:
        def ends(self):
            raise AssertionError("it is gone")

    owner = Owner()
    shutdown_gate.before_disconnect(owner.ends)
    gone = weakref.ref(owner)
    del owner
    gc.collect()
    assert gone() is None
    shadowed = "set_is_connected" in vars(ray._private.worker.global_worker)
    assert shadowed == bool(shutdown_gate._callbacks)
