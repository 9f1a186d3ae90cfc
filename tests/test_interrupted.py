"""What an interrupted cell says, which tasks it ends, and `%ray_cancel`."""

from __future__ import annotations

import os

import pytest

from harness import rays
from harness.polling import poll
from ray_jupyter_async._ray_api.objects import HAS_ON_READY

pytestmark = pytest.mark.skipif(os.name == "nt", reason="sends SIGINT")

SETUP = f"""
%load_ext ray_jupyter_async
import asyncio, os, time
import ray_jupyter_async as rja
{rays.RAY_INIT};

@ray.remote(num_cpus=0)
def work():
    while True:
        time.sleep(0.01)

@ray.remote(num_cpus=0)
def deaf():
    # What C code does that looks for no signals: the exception stays for later.
    while not os.path.exists({{gate}}):
        try:
            open({{deaf}}, "w").close()
            time.sleep(0.01)
        except BaseException:
            pass

@ray.remote(num_cpus=0)
class Actor:
    def until(self, path):
        while not os.path.exists(path):
            time.sleep(0.01)

    def method(self):
        return "ran"

@ray.remote(num_cpus=0, max_concurrency=1000)
class Holder:
    async def hold(self):
        await asyncio.sleep(3600)

holder = Holder.remote()
await holder.__ray_ready__.remote()

def running():
    from ray_jupyter_async._notebook import extension
    return sorted(task.name for task in extension._loaded.tasks.all())
"""


@pytest.fixture(scope="module")
def prepared(kernel):
    paths = {name: kernel.folder / name for name in ("gate", "deaf")}
    kernel.ok(SETUP.format(**{name: repr(str(path)) for name, path in paths.items()}))
    yield kernel
    paths["gate"].touch()


@pytest.fixture
def ready(prepared):
    """The module's kernel; afterwards no task runs and the settings are as before."""
    yield prepared
    prepared.ok("%config RayAsync.cancel_on_interrupt = 'never'")
    prepared.ok("%ray_cancel --all")
    wait_until_running(prepared, [])


def running(kernel):
    return eval(kernel.ok("running()").value)


def wait_until_running(kernel, names):
    kernel.ok(
        f"until = time.monotonic() + 30\n"
        f"while running() != {names} and time.monotonic() < until:\n"
        "    await asyncio.sleep(0.02)"
    )
    assert running(kernel) == names


def submit_deaf(kernel):
    """Submit a task that ignores a cancel, and wait until it does."""
    begun = kernel.folder / "deaf"
    begun.unlink(missing_ok=True)
    kernel.ok("ref = deaf.remote()")
    poll(begun.exists, what="the task to begin")


def interrupted(kernel, code):
    begin = "asyncio.get_running_loop().call_later(0.1, print, 'begun')\n"
    result = kernel.submit(begin + code)
    kernel.poll(lambda: "begun" in result.stdout, of=result)
    kernel.interrupt()
    return kernel.wait(result, 20)


def notice(result):
    # On a slow machine the cell waits long enough to show its progress as well.
    found = [output for output in result.displays if "Ray task" in output.text]
    assert len(found) == 1, str(result)
    return found[0]


def test_the_message_tells_where_what_and_how_many_run_on(ready):
    result = interrupted(ready, "await asyncio.gather(*[holder.hold.remote()] * 3)")
    number = result.reply["execution_count"]
    lines = result.traceback.splitlines()
    assert lines[0].startswith("CancelledError: stopped after 0.")
    assert lines[0].endswith(
        "at line 2: await asyncio.gather(*[holder.hold.remote()] * 3)"
    )
    assert lines[1].startswith("Awaited for 0.")
    assert lines[1].endswith(": 1 × Holder.hold")
    assert lines[2] == (
        "Still running: 1 Ray task (1 × Holder.hold). "
        f"To cancel: %ray_cancel --cell {number}"
    )
    assert len(lines) == 3


def test_a_cell_without_ray_that_awaits_tells_where(ready):
    result = interrupted(ready, "await asyncio.sleep(60)")
    assert len(result.traceback.splitlines()) == 1
    assert result.traceback.endswith("at line 2: await asyncio.sleep(60)")
    assert result.displays == []


def test_a_busy_loop_without_ray_keeps_its_traceback(ready):
    result = ready.submit("print('begun')\nwhile True: pass")
    ready.poll(lambda: "begun" in result.stdout, of=result)
    ready.interrupt()
    ready.wait(result)
    assert "Traceback" in result.traceback


def test_a_cancelled_error_without_an_interrupt_keeps_its_traceback(ready):
    result = ready.run("await asyncio.sleep(0)\nraise asyncio.CancelledError('mine')")
    assert "Traceback" in result.traceback


def test_by_default_no_task_is_ended(ready):
    interrupted(ready, "await work.remote()")
    assert running(ready) == ["work"]


# Other ways to show a traceback; "before" takes the place of the shell's own.
RICH = "import rich.traceback; _ = rich.traceback.install(width=100)"
CUSTOM = "get_ipython().set_custom_exc((BaseException,), lambda *_, **__: print('!'))"
RELOAD = "%unload_ext ray_jupyter_async\n{}\n%load_ext ray_jupyter_async"
OTHER_TRACEBACKS = {
    "rich before": RELOAD.format(RICH),
    "rich after": RICH,
    "set_custom_exc": CUSTOM,
    "xmode": "%xmode Minimal",
}
ITS_OWN = RELOAD.format(
    "for name in ('showtraceback', '_showtraceback', 'showsyntaxerror'):\n"
    "    vars(get_ipython()).pop(name, None)\n"
    "get_ipython().set_custom_exc((), None)\n"
    "%xmode Context"
)


@pytest.mark.parametrize("other", OTHER_TRACEBACKS.values(), ids=OTHER_TRACEBACKS)
def test_another_traceback_display_leaves_the_report(ready, other):
    ready.ok(other)
    try:
        result = interrupted(ready, "await work.remote()")
        shown = result.traceback + result.stderr
        assert shown.count("Still running: 1 Ray task (1 × work)") == 1, str(result)
        notices = [o for o in result.displays if "still running" in o.text]
        assert len(notices) == 1
        assert "Ended: 1 Ray task (1 × work)" in ready.ok("%ray_cancel").stdout
    finally:
        ready.ok(ITS_OWN)


def test_cell_ends_what_this_cell_submitted_and_nothing_older(ready):
    ready.ok("%config RayAsync.cancel_on_interrupt = 'cell'")
    ready.ok("earlier = holder.hold.remote(); at_work = work.remote()")
    result = interrupted(ready, "await asyncio.gather(work.remote(), earlier)")
    assert "Cancelling 1 Ray task (1 × work)" in result.traceback
    wait_until_running(ready, ["Holder.hold", "work"])


def test_awaited_ends_what_this_cell_awaits_and_nothing_else(ready):
    ready.ok("%config RayAsync.cancel_on_interrupt = 'awaited'")
    ready.ok("earlier = holder.hold.remote()")
    result = interrupted(ready, "at_work = work.remote()\nawait earlier")
    assert "Cancelling 1 Ray task (1 × Holder.hold)" in result.traceback
    wait_until_running(ready, ["work"])


def test_a_cell_that_catches_the_interrupt_still_ends_its_tasks(ready):
    ready.ok("%config RayAsync.cancel_on_interrupt = 'cell'")
    code = "try: await work.remote()\nexcept asyncio.CancelledError: print('caught')"
    result = interrupted(ready, code)
    assert result.status == "ok"
    wait_until_running(ready, [])


def test_the_magic_ends_the_tasks_of_the_last_interrupted_cell(ready):
    ready.ok("earlier = holder.hold.remote()")
    interrupted(ready, "await work.remote()")
    printed = ready.ok("%ray_cancel").stdout.splitlines()
    assert printed == [
        "Cancelling 1 Ray task (1 × work) …",
        "Ended: 1 Ray task (1 × work)",
    ]
    assert running(ready) == ["Holder.hold"]


def test_the_magic_ends_tasks_whose_refs_are_gone(ready):
    ready.ok("work.remote();")
    ready.ok("Out.clear(); _ = __ = ___ = None; import gc; gc.collect();")
    assert "Ended: 1 Ray task (1 × work)" in ready.ok("%ray_cancel --all").stdout


def test_a_generator_that_was_let_go_of_is_refused_with_the_reason(ready):
    # Of such a one, Ray 2.60 cancels only this process.
    end = ready.folder / "end of flow"
    ready.ok(
        "@ray.remote(num_cpus=0)\n"
        "def flow():\n"
        f"    while not os.path.exists({str(end)!r}):\n"
        "        time.sleep(0.05)\n"
        "        yield 1\n"
        "generator = flow.remote()\n"
        "await next(generator)\n"
        "del generator"
    )
    wait_until_running(ready, ["flow"])
    printed = ready.ok("%ray_cancel --all").stdout
    assert "cannot cancel a generator whose ref was dropped" in printed
    end.touch()
    wait_until_running(ready, [])


def test_the_magic_ends_the_tasks_of_a_cell_by_its_number(ready):
    number = ready.ok("mine = work.remote()").reply["execution_count"]
    ready.ok("other = holder.hold.remote()")
    assert "1 × work" in ready.ok(f"%ray_cancel --cell {number}").stdout
    wait_until_running(ready, ["Holder.hold"])


def test_the_magic_ends_tasks_by_name(ready):
    ready.ok("refs = [work.remote(), holder.hold.remote()]")
    ready.ok("%ray_cancel Holder.hold")
    wait_until_running(ready, ["work"])


def test_the_magic_says_which_tasks_do_not_yield_and_force_ends_them(ready):
    submit_deaf(ready)
    printed = ready.ok("%ray_cancel deaf").stdout
    assert (
        "1 Ray task (1 × deaf) did not stop; it may be inside C code. "
        "`--force` kills its worker."
    ) in printed
    printed = ready.ok("%ray_cancel --force deaf").stdout
    assert "Ended: 1 Ray task (1 × deaf)" in printed


def test_the_magic_tells_actor_methods_apart_when_forced(ready):
    ready.ok("ref = holder.hold.remote()")
    printed = ready.ok("%ray_cancel --all --force").stdout
    assert "Ray refuses to cancel 1 Ray task (1 × Holder.hold): force=True" in printed
    assert running(ready) == ["Holder.hold"]


def test_the_magic_tells_queued_methods_from_a_running_one(ready):
    code = """
from pathlib import Path
from ray_jupyter_async._notebook import extension
end = Path("end")
actor = Actor.remote()
refs = [actor.until.remote(str(end.resolve()))]
refs += [actor.method.remote() for _ in range(3)]
until = time.monotonic() + 30
tasks = extension._loaded.tasks
while True not in tasks.begun(tasks.all()).values() and time.monotonic() < until:
    await asyncio.sleep(0.1)
"""
    ready.ok(code)
    printed = ready.ok("%ray_cancel --all").stdout
    assert "1 Ray task (1 × Actor.until) did not stop; Ray interrupts" in printed
    assert "3 Ray tasks (3 × Actor.method) did not begin. " in printed
    assert ("An actor drops cancelled methods" in printed) == HAS_ON_READY
    ended = ready.ok(
        "end.touch()\n"
        "[type(x).__name__ for x in await rja.gather(*refs, return_exceptions=True)]"
    )
    # What the first one returned is dropped by Ray 2.60.
    # Ray 2.40 may run the methods all the same.
    kinds = {"TaskCancelledError"} if HAS_ON_READY else {"TaskCancelledError", "str"}
    assert set(eval(ended.value)[1:]) <= kinds


def test_the_magic_says_when_nothing_runs(ready):
    assert ready.ok("%ray_cancel --all").stdout.startswith(
        "No such Ray task is running. "
    )


def test_the_magic_takes_one_choice(ready):
    result = ready.run("%ray_cancel --all work")
    assert result.status == "error"


def click(kernel, subshell=None):
    (button,) = kernel.widgets(_model_name="ButtonModel", description="Cancel them")
    click_button(kernel, button, subshell=subshell)


def click_button(kernel, button, content=None, subshell=None):
    kernel.send_comm(
        button.comm_id,
        {"method": "custom", "content": content or {"event": "click"}},
        subshell=subshell,
    )


def wait_until_told_that_none_runs(kernel, interrupted_cell):
    kernel.poll(
        lambda: notice(interrupted_cell).text == "No Ray task of this cell is running"
    )
    assert (
        "application/vnd.jupyter.widget-view+json" not in notice(interrupted_cell).data
    )


def test_the_button_cancels(ready):
    interrupted_cell = interrupted(ready, "await work.remote()")
    assert notice(interrupted_cell).text == (
        "1 Ray task (1 × work) of this cell is still running"
    )
    click(ready)
    wait_until_told_that_none_runs(ready, interrupted_cell)


def test_the_button_cancels_while_a_later_cell_awaits(ready):
    interrupted_cell = interrupted(ready, "await work.remote()")
    # ipykernel 7.4 handles a click during an await, older ones after the cell.
    version = eval(ready.ok("import ipykernel; ipykernel.version_info[:2]").value)
    until = "while running(): await asyncio.sleep(0.05)" if version >= (7, 4) else "1"
    later = ready.submit(until)
    click(ready)
    assert ready.wait(later).status == "ok"
    wait_until_told_that_none_runs(ready, interrupted_cell)


def test_a_second_click_is_no_force_until_force_is_offered(ready):
    submit_deaf(ready)
    interrupted_cell = interrupted(ready, "await ref")
    (button,) = ready.widgets(_model_name="ButtonModel", description="Cancel them")
    click(ready)
    click_button(ready, button)
    click_button(ready, button, {"event": "no click"})
    ready.poll(lambda: button.state["description"] == "End by force")
    assert running(ready) == ["deaf"]
    click_button(ready, button)
    wait_until_told_that_none_runs(ready, interrupted_cell)


@pytest.fixture(scope="module")
def subshell(prepared):
    made = prepared.subshell()
    yield made
    if made is not None:
        prepared.control("delete_subshell_request", {"subshell_id": made})


@pytest.mark.parametrize(
    "waits",
    [
        "while running(): await asyncio.sleep(0.05)",
        "while running(): time.sleep(0.05)",
        "ray.get(at_work)",
    ],
    ids=["await", "time.sleep", "ray.get"],
)
def test_the_button_cancels_while_a_later_cell_waits_in_any_way(ready, subshell, waits):
    # JupyterLab sends clicks to a subshell, which ipykernel has from 7.0 on; with
    # 6 they are handled when the cell that blocks has ended.
    interrupted_cell = interrupted(ready, "at_work = work.remote(); await at_work")
    later = ready.submit("print('waits')\n" + (waits if subshell else "1"))
    ready.poll(lambda: "waits" in later.stdout, of=later)
    click(ready, subshell)
    ended = ready.wait(later)
    assert ended.status == "ok" or "TaskCancelledError" in ended.ename
    wait_until_told_that_none_runs(ready, interrupted_cell)


def test_ended_notice_stays_for_pages_that_missed_its_end(ready):
    ready.ok("from ray_jupyter_async._notebook.stop import report")
    ready.ok("report._MOST_NOTICES, most = 1, report._MOST_NOTICES")
    for _ in range(2):
        interrupted_cell = interrupted(ready, "await work.remote()")
        ready.ok("%ray_cancel")
        wait_until_told_that_none_runs(ready, interrupted_cell)
    (text,) = ready.widgets(_model_name="HTMLModel")
    assert text.state["value"] == notice(interrupted_cell).text
    assert ready.widgets(_model_name="ButtonModel") == []
    ready.ok(RELOAD.format("report._MOST_NOTICES = most"))
    assert ready.widgets(_model_name="HTMLModel") == []


def test_after_an_interrupt_of_a_slow_display_the_next_cells_are_told_rightly(ready):
    ready.ok("class Slow:\n    def _repr_html_(self): print('begins'); time.sleep(60)")
    slow = ready.submit("Slow()")
    ready.poll(lambda: "begins" in slow.stdout, of=slow)
    ready.interrupt()
    ready.wait(slow)
    assert slow.ename == "KeyboardInterrupt"
    # ipykernel 7.4 alone tells this as a failure of the type NoneType.
    assert ready.run("await asyncio.sleep(0)").status == "ok"
    assert ready.run("1 / 0").ename == "ZeroDivisionError"
    assert ready.run("await asyncio.sleep(0)").status == "ok"
