"""Load and unload in real kernels: what goes in comes out, exactly.

And what is there in between: top-level await, the magic, the settings. How code
runs in a running loop is in ``test_nested_loops.py``, what cells show in
``test_progress_cells.py``.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from harness import rays

# Everything that a load touches, as a dict: `differences(a, b)` names what is
# not the same. Objects are kept, so that no new one gets the id of an old one.
SNAPSHOT = '''
def snapshot():
    import asyncio, signal, sys, threading
    import ray, ray.actor, ray.experimental, ray.remote_function
    shell = get_ipython()
    found = {
        "as_future": ray.ObjectRef.__dict__["as_future"],
        "type dict": sorted(ray.ObjectRef.__dict__),
        "alias module": sys.modules.get("ray.experimental.async_api"),
        "alias attribute": vars(ray.experimental).get("async_api"),
        "function hook": ray.remote_function.RemoteFunction.__dict__["_remote"],
        "method hook": ray.actor.ActorMethod.__dict__["_remote"],
        "future": ray.ObjectRef.__dict__["future"],
        "asyncio.tasks": dict(vars(asyncio.tasks)),
        "public functions": (ray.get, ray.wait, ray.cancel),
        "what they call": [
            cell.cell_contents
            for name in ("get", "wait", "cancel")
            for cell in getattr(ray._private.worker, name).__closure__
        ],
        "kernel": sorted(vars(shell.kernel)),
        "tracebacks": vars(shell).get("_showtraceback"),
        "loop": sorted(vars(asyncio.get_running_loop())),
        "asyncio": dict(vars(asyncio)),
        "configurables": [Same(item) for item in shell.configurables],
        "magic registry": dict(shell.magics_manager.registry),
        "threads": sorted(
            t.name
            for t in threading.enumerate()
            if not t.name.startswith("ray-await")
            # pyzmq's own, from the first message of over 64 kB on: the widget's.
            and type(t).__name__ != "GarbageCollectorThread"
        ),
        "SIGINT": signal.getsignal(signal.SIGINT),
        "excepthook": (sys.excepthook, shell.CustomTB, shell.custom_exceptions),
        "transformers": (
            list(shell.input_transformers_cleanup),
            list(shell.input_transformers_post),
            list(shell.ast_transformers),
        ),
    }
    for event, functions in shell.events.callbacks.items():
        found["event " + event] = list(functions)
    for kind, table in shell.magics_manager.magics.items():
        found["magics " + kind] = dict(table)
    for mime, formatter in shell.display_formatter.formatters.items():
        found["formatter " + mime] = (
            dict(formatter.singleton_printers),
            dict(formatter.type_printers),
            dict(formatter.deferred_printers),
        )
    return found

class Same:
    """Configurables compare by their settings; this by identity."""
    def __init__(self, item):
        self.item = item
    def __eq__(self, other):
        return self.item is other.item
    __hash__ = None
    def __repr__(self):
        return repr(self.item)

def differences(one, other):
    return sorted(k for k in one.keys() | other.keys() if one.get(k) != other.get(k))

before = snapshot()
'''

PUT_IN = [
    "SIGINT",
    "alias attribute",
    "alias module",
    "as_future",
    "asyncio.tasks",
    "configurables",
    "event post_run_cell",
    "event pre_run_cell",
    "function hook",
    "future",
    "kernel",
    "loop",
    "magic registry",
    "magics line",
    "method hook",
    "threads",
    "tracebacks",
    "what they call",
]

# Where a load can fail, and how to make it.
STEPS = {
    "the patch": "ray_jupyter_async._notebook.extension:patch",
    "the alias": "ray_jupyter_async._notebook.extension:add_alias",
    "the hooks": "ray_jupyter_async._tracking.sources.submissions:Submissions.install",
    "the observer": "ray_jupyter_async._notebook.extension:add_observer",
    "the loop": "ray_jupyter_async._notebook.nested_loops:NestedLoops.attach",
    "the pump": "ray_jupyter_async._display.pump:Pump.start",
    "the magics": "ray_jupyter_async._notebook.magics:register",
    "the settings": "ray_jupyter_async._notebook.extension:Extension._configure",
}

BREAK = """
import importlib
from unittest import mock

module, _, path = {step!r}.partition(":")
*owners, attribute = path.split(".")
owner = importlib.import_module(module)
for name in owners:
    owner = getattr(owner, name)
breakage = mock.patch.object(owner, attribute, side_effect=OSError("no luck today"))
breakage.start()
"""


@pytest.fixture(scope="module")
def first_load(kernel):
    """Load into a kernel that has not imported Ray, then start Ray."""
    results = {
        "ray imported": kernel.ok("import sys; 'ray' in sys.modules").value,
        "load": kernel.ok("%load_ext ray_jupyter_async"),
    }
    kernel.ok(f"{rays.RAY_INIT};")
    kernel.ok("@ray.remote(num_cpus=0)\ndef f(value): return value")
    results["await"] = kernel.ok("await f.remote(42)")
    kernel.ok("%unload_ext ray_jupyter_async")
    kernel.ok(SNAPSHOT)
    return results


@pytest.fixture
def unloaded(kernel, first_load):
    """The module's kernel with a Ray, the extension not loaded."""
    yield kernel
    kernel.ok("%unload_ext ray_jupyter_async")
    left = differences(kernel)
    assert not left, "the next test would start with something left behind"


@pytest.fixture
def loaded(unloaded):
    """The module's kernel with a Ray and the extension."""
    unloaded.ok("%load_ext ray_jupyter_async")
    return unloaded


def differences(kernel):
    printed = kernel.ok(
        "print(';'.join(differences(before, snapshot())))"
    ).stdout.strip()
    return printed.split(";") if printed else []


def test_load_before_ray_is_imported_and_started(first_load):
    assert first_load["ray imported"] == "False"
    assert first_load["load"].outputs == []
    assert first_load["await"].value == "42"


def test_load_puts_in_what_it_says_and_nothing_else(loaded):
    assert differences(loaded) == PUT_IN


def test_unload_takes_out_exactly_what_load_put_in(loaded):
    result = loaded.ok("%unload_ext ray_jupyter_async")
    assert result.outputs == []
    assert not differences(loaded)


def test_the_users_names_stay_theirs(unloaded):
    names = "{name for name in get_ipython().user_ns if not name.startswith('_')}"
    unloaded.ok(f"names = None; names = {names}")
    unloaded.ok("%load_ext ray_jupyter_async")
    assert unloaded.ok(f"names == {names}").value == "True"


def test_unload_after_awaits_and_progress_takes_out_all(loaded):
    loaded.ok(
        "from ray_jupyter_async import progress\n"
        "progress([f.remote(0)])\n"
        "import asyncio; await asyncio.gather(*[f.remote(i) for i in range(5)]);"
    )
    loaded.ok("%unload_ext ray_jupyter_async")
    assert not differences(loaded)


def test_reload_leaves_one_extension(loaded):
    loaded.ok("%reload_ext ray_jupyter_async")
    assert loaded.ok("await f.remote(1)").value == "1"
    assert differences(loaded) == PUT_IN
    loaded.ok("%unload_ext ray_jupyter_async")
    assert not differences(loaded)


def test_reloads_leave_nothing_behind(loaded):
    gate = loaded.folder / "gate-reload"
    loaded.ok(
        """
import asyncio, gc, weakref
from ray_jupyter_async import progress
from ray_jupyter_async._notebook import extension

@ray.remote(num_cpus=0)
def wait_for(path):
    import os, time
    while not os.path.exists(path):
        time.sleep(0.01)

kept = []
def keep():
    loaded = extension._loaded
    kept.extend(map(weakref.ref, (loaded, loaded.tracker, loaded.interrupts)))
keep()
"""
    )
    for _ in range(3):
        # What blocks, what is awaited, what is shown, and what runs on.
        loaded.ok(
            f"running = wait_for.remote({str(gate)!r})\n"
            "progress([running])\n"
            "ray.get(f.remote(0)); f.remote(1).future().result()\n"
            "waiting = asyncio.ensure_future(asyncio.gather(running))\n"
            "await f.remote(2);"
        )
        loaded.ok("%reload_ext ray_jupyter_async")
        loaded.ok("keep()")
    loaded.ok("%unload_ext ray_jupyter_async")
    gate.touch()
    loaded.ok("await waiting; del running, waiting")
    loaded.poll(
        lambda: (
            "none"
            in loaded.ok(
                "gc.collect(); print([k() for k in kept if k()] or 'none')"
            ).stdout
        ),
        what="the extensions to be gone",
    )
    # A reader thread that is idle may hold the session for a moment longer.
    hooked = "'set_is_connected' in vars(ray._private.worker.global_worker)"
    loaded.poll(
        lambda: loaded.ok(f"gc.collect(); {hooked}").value == "False",
        what="the hook on Ray's worker to be gone",
    )
    assert not differences(loaded)


def test_load_twice_is_load_once(loaded):
    loaded.ok("%load_ext ray_jupyter_async")
    loaded.ok("import ray_jupyter_async as package")
    loaded.ok("package.load_ipython_extension(get_ipython())")
    assert differences(loaded) == PUT_IN
    loaded.ok("%unload_ext ray_jupyter_async")
    assert not differences(loaded)


def test_unload_when_not_loaded_is_nothing(unloaded):
    result = unloaded.ok("%unload_ext ray_jupyter_async")
    assert result.stderr == ""
    assert not differences(unloaded)
    unloaded.ok("import ray_jupyter_async as package")
    unloaded.ok("package.unload_ipython_extension(get_ipython())")
    assert not differences(unloaded)


def test_a_namesake_magic_comes_back_on_unload(unloaded):
    unloaded.ok("get_ipython().register_magic_function(print, 'line', 'ray_async')")
    unloaded.ok("%load_ext ray_jupyter_async")
    assert "versions" in unloaded.ok("%ray_async").stdout
    unloaded.ok("%unload_ext ray_jupyter_async")
    assert unloaded.ok("%ray_async mine").stdout == "mine\n"
    unloaded.ok("del get_ipython().magics_manager.magics['line']['ray_async']")


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_a_failed_load_leaves_nothing_behind_and_says_why(unloaded, step):
    unloaded.ok(BREAK.format(step=step))
    try:
        result = unloaded.run("%load_ext ray_jupyter_async")
    finally:
        unloaded.ok("breakage.stop()")
    assert (result.ename, result.evalue) == ("OSError", "no luck today")
    assert not differences(unloaded)
    unloaded.ok("%load_ext ray_jupyter_async")
    assert unloaded.ok("await f.remote(7)").value == "7"


def test_a_module_that_is_there_already_is_left_alone(unloaded):
    unloaded.ok(
        "import sys, types, ray.experimental\n"
        "theirs = types.ModuleType('ray.experimental.async_api')\n"
        "ray.experimental.async_api = theirs"
    )
    unloaded.ok("%load_ext ray_jupyter_async")
    unloaded.ok("%unload_ext ray_jupyter_async")
    assert unloaded.ok("ray.experimental.async_api is theirs").value == "True"
    unloaded.ok("del ray.experimental.async_api")


def test_top_level_await_goes_through_our_converter(loaded):
    # What a coroutine that awaits a ref hands to its loop.
    code = """
async def wait(ref):
    return await ref

coroutine = wait(f.remote(1))
handed = coroutine.send(None)
print(type(handed).__module__, type(handed).__name__)
handed.cancel(); coroutine.close()
"""
    assert loaded.ok(code).stdout == "ray_jupyter_async._awaiting.future RefFuture\n"


def test_unload_while_refs_are_pending_completes_them(loaded):
    gate = loaded.folder / "gate-unload"
    loaded.ok(
        f"""
@ray.remote(num_cpus=0)
def hold(path):
    import os, time
    while not os.path.exists(path):
        time.sleep(0.01)
    return "in the end"

import asyncio
waiting = asyncio.ensure_future(asyncio.wait_for(hold.remote({str(gate)!r}), 60))
await asyncio.sleep(0)
"""
    )
    loaded.ok("%unload_ext ray_jupyter_async")
    assert loaded.ok("waiting.done()").value == "False"
    gate.touch()
    assert loaded.ok("await waiting").value == "'in the end'"


def test_without_the_extension_ray_awaits_as_before(unloaded):
    code = "type(f.remote(1).as_future()).__module__"
    assert unloaded.ok(code).value != "'ray_jupyter_async._awaiting.future'"
    assert unloaded.ok("await f.remote(3)").value == "3"


def test_the_magic_tells_versions_counts_and_settings(loaded):
    loaded.ok("await f.remote(1); await f.remote(2)")
    lines = loaded.ok("%ray_async").stdout.splitlines()
    status = {line[:14].strip(): line[14:] for line in lines}
    assert status["refs"] == "0 pending, 2 done, 0 failed, 0 cancelled, 0 unknown"
    assert status["await ref"] == "through ray_jupyter_async"
    assert status["Ray"] == "connected"
    assert status["nested loops"] == "none"
    assert "progress='auto', progress_delay=0.5" in status["configuration"]
    for package in ("ray-jupyter-async", "ray", "ipython", "ipykernel", "Python"):
        assert f"{package} " in status["versions"]
    assert "missing" not in status["versions"]


def test_the_magic_tells_when_await_is_rays_own(loaded):
    loaded.ok("import ray_jupyter_async as package; package.unpatch()")
    try:
        assert "Ray's own (not patched)" in loaded.ok("%ray_async").stdout
    finally:
        loaded.ok("package.patch()")


def test_the_magic_takes_no_arguments(loaded):
    result = loaded.run("%ray_async x")
    assert result.status == "error"
    printed = result.stderr or result.outputs[0].text
    assert "UsageError: %ray_async takes no arguments, got 'x'" in printed


def test_progress_before_the_load_says_what_to_do(unloaded):
    result = unloaded.run("import ray_jupyter_async as package; package.progress([])")
    assert result.ename == "RuntimeError"
    assert "%load_ext ray_jupyter_async" in result.evalue


def test_progress_of_something_else_names_it(loaded):
    result = loaded.run(
        "import ray_jupyter_async as package; package.progress([f.remote(1), 1])"
    )
    assert result.ename == "TypeError"
    assert "int" in result.evalue


@pytest.mark.parametrize(
    "option",
    ["--IPKernelApp.extensions", "--InteractiveShellApp.extensions"],
)
def test_loaded_at_the_start_of_the_kernel(start_kernel, option):
    kernel = start_kernel(arguments=[f"{option}=['ray_jupyter_async']"])
    assert "through ray_jupyter_async" in kernel.ok("%ray_async").stdout
    # There was no running loop to attach to then; there is one in a cell.
    code = "import asyncio; vars(asyncio.get_running_loop()).get('run_until_complete')"
    assert kernel.ok(code).value is not None
    kernel.ok("%unload_ext ray_jupyter_async")
    assert kernel.ok(code).value is None


def test_terminal_ipython_loads_awaits_and_unloads(short_path):
    cells = f"""
        %load_ext ray_jupyter_async
        {rays.RAY_INIT};
        f = ray.remote(num_cpus=0)(lambda value: value)
        print("awaited", await f.remote(6) * await f.remote(7))
        %ray_async
        %unload_ext ray_jupyter_async
        import threading, ray_jupyter_async
        print("patched", ray_jupyter_async.is_patched())
        print("threads", [t for t in threading.enumerate() if "pump" in t.name])
        print("magic", get_ipython().find_line_magic("ray_async"))
        print("own", await f.remote(8))
        ray.shutdown()
    """
    done = subprocess.run(
        [
            sys.executable, "-m", "IPython", "--simple-prompt", "--no-banner",
            "--colors=NoColor", "--no-confirm-exit", "--HistoryManager.enabled=False",
        ],
        input=textwrap.dedent(cells),
        capture_output=True,
        text=True,
        timeout=90,
        cwd=short_path,
        env=rays.process_environment(short_path, {"IPYTHONDIR": str(short_path / "i")}),
        check=False,
    )  # fmt: skip
    printed = f"{done.stdout}\n{done.stderr}"
    assert done.returncode == 0, printed
    assert "Error" not in printed
    for line in ("awaited 42", "patched False", "threads []", "magic None", "own 8"):
        assert line in done.stdout, printed
    assert "through ray_jupyter_async" in done.stdout
    assert "2 done" in done.stdout
