"""The harness itself: each part of it shows what it claims to show."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib.metadata
import re
import subprocess
import sys
import threading
import time
from types import SimpleNamespace
from unittest import mock

import pytest

from harness import leaks, rays, skips
from harness.loops import run
from harness.notebooks import execute_notebook, texts, write_notebook
from harness.polling import poll
from harness.skips import allowed_reasons


def test_ray_session_runs_tasks(ray_session):
    import ray

    assert ray.get(ray.remote(lambda: 2).remote()) == 2


def test_script_has_a_ray_of_its_own(ray_session):
    done = rays.run_script(
        rays.RAY_INIT
        + """
import os
assert ray.get(ray.remote(lambda: 1).remote()) == 1
print(ray._private.worker._global_node.get_session_dir_path())
ray.shutdown()
""",
        clean_stderr=True,
    )
    assert re.match(r"\S*/rja-\w+/ray/session_", done.stdout)


def test_script_imports_nothing_of_what_is_left_out():
    # With lark, `rfc3987_syntax` compiles its grammar: see harness/left_out.
    done = rays.run_script("import sys, ray, jsonschema; print('lark' in sys.modules)")
    assert done.stdout == "False\n"


def test_script_that_fails_says_so():
    with pytest.raises(AssertionError, match="no such luck"):
        rays.run_script("raise ValueError('no such luck')")


def test_script_with_a_word_on_stderr_is_not_clean():
    with pytest.raises(AssertionError, match="stderr is not clean"):
        rays.run_script("import sys; print('x', file=sys.stderr)", clean_stderr=True)


def test_script_that_hangs_is_ended():
    with pytest.raises(AssertionError, match="did not end"):
        rays.run_script("import time; time.sleep(60)", timeout=1)


def test_run_gives_the_result_and_leaves_no_loop():
    async def main():
        return asyncio.get_running_loop()

    loop = run(main())
    assert loop.is_closed()


def test_run_fails_on_what_the_loop_was_told():
    async def main():
        asyncio.get_running_loop().call_soon(lambda: 1 / 0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        run(main())


def test_poll_gives_up_at_its_deadline():
    with pytest.raises(AssertionError, match="a miracle"):
        poll(lambda: 0, 0.05, what="a miracle")


def test_allowed_skips_are_patterns():
    patterns = allowed_reasons("# a comment\n\nno .* here\n")
    assert [p.pattern for p in patterns] == ["no .* here"]


def test_unexpected_skip_fails_a_run_in_ci(tmp_path):
    (tmp_path / "conftest.py").write_text(
        "from harness import skips\ndef pytest_configure(config):\n"
        "    skips.register(config)\n"
    )
    (tmp_path / "test_it.py").write_text(
        "import pytest\n"
        "def test_a(): pass\n"
        "@pytest.mark.skip(reason='no browser')\ndef test_b(): pass\n"
        "@pytest.mark.skip(reason='oldest Ray: none')\ndef test_c(): pass\n"
        "@pytest.mark.xfail\ndef test_d(): assert False\n"
    )
    code = (
        "import sys, pytest; sys.path.insert(0, sys.argv[1]);"
        "sys.exit(pytest.main(['-p', 'no:cacheprovider', sys.argv[2]]))"
    )
    for ci, expected in (("true", 1), ("", 0)):
        done = rays.run_script(
            f"import sys; sys.argv += {[_tests(), str(tmp_path)]!r}\n{code}",
            env={"CI": ci},
            check=False,
            cwd=tmp_path,
        )
        assert done.returncode == expected, done.stdout
        assert ("test_b: Skipped: no browser" in done.stdout) is (ci == "true")
        assert "test_c: Skipped" not in done.stdout


@pytest.mark.parametrize(("installed", "skipped"), [("7.3.1", 1), ("7.10.0", 0)])
def test_older_kernel_skips_a_test(monkeypatch, installed, skipped):
    monkeypatch.setattr(importlib.metadata, "version", lambda _name: installed)
    added = []
    item = SimpleNamespace(
        iter_markers=lambda _name: [pytest.mark.kernel_since("7.4", "why").mark],
        add_marker=added.append,
    )
    skips.skip_on_older_kernels(item)
    assert len(added) == skipped
    allowed = allowed_reasons(skips.ALLOWED.read_text("utf-8"))
    for mark in added:
        assert any(pattern.search(mark.kwargs["reason"]) for pattern in allowed)


@contextlib.contextmanager
def thread(tmp_path):
    end = threading.Event()
    made = threading.Thread(target=end.wait)
    made.start()
    yield
    end.set()
    made.join()


@contextlib.contextmanager
def child_process(tmp_path):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=-1) as made:
        yield
        made.kill()


@contextlib.contextmanager
def asyncio_task(tmp_path):
    with contextlib.closing(asyncio.new_event_loop()) as loop:
        made = loop.create_task(asyncio.sleep(60))
        yield
        made.cancel()
        loop.run_until_complete(asyncio.wait([made]))


@contextlib.contextmanager
def reference(tmp_path):
    import ray

    kept = ray.put(1)
    yield
    del kept


@contextlib.contextmanager
def ray_task(tmp_path, **options):
    import ray

    @ray.remote(num_cpus=0)
    def hold(path):
        while not path.exists():
            time.sleep(0.01)

    kept = hold.options(**options).remote(tmp_path / "end")
    yield
    (tmp_path / "end").touch()
    ray.get(kept)


@contextlib.contextmanager
def actor(tmp_path):
    import ray

    kept = ray.remote(num_cpus=0)(type("Idle", (), {})).remote()
    ray.get(kept.__ray_ready__.remote())
    yield
    del kept


LEAKS = {
    "threads": thread,
    "child processes": child_process,
    "open files": lambda tmp_path: (tmp_path / "file").open("w"),
    "names of others": lambda _: mock.patch.object(asyncio, "gather", print),
    "asyncio tasks": asyncio_task,
    "references": reference,
    "Ray tasks": ray_task,
    "actors": actor,
    "CPUs": functools.partial(ray_task, num_cpus=1),
}


@pytest.mark.parametrize("kind", LEAKS)
def test_leak_is_found(ray_session, tmp_path, monkeypatch, kind):
    before = leaks.snapshot()

    def found():
        # At once, after the first look.
        monkeypatch.setattr(leaks, "SECONDS", -1.0)
        return any(words.startswith(f"{kind}: ") for words in leaks.left_since(before))

    with LEAKS[kind](tmp_path):
        poll(found, what=kind)
    monkeypatch.undo()
    assert leaks.left_since(before) == []


def _tests():
    from pathlib import Path

    return str(Path(__file__).parent)


def test_kernel_gives_the_value_of_a_cell(kernel):
    assert kernel.ok("1 + 1").value == "2"


def test_kernel_keeps_streams_apart_and_joined(kernel):
    result = kernel.ok(
        "import sys\nprint('a'); print('b')\nprint('c', file=sys.stderr)"
    )
    assert (result.stdout, result.stderr) == ("a\nb\n", "c\n")


def test_kernel_gives_an_error(kernel):
    result = kernel.run("1 / 0")
    assert result.status == "error"
    assert result.ename == "ZeroDivisionError"
    assert "division by zero" in result.traceback


def test_kernel_applies_display_updates_of_later_cells(kernel):
    first = kernel.ok(
        "from IPython.display import display\n"
        "handle = display({'text/plain': 'old'}, raw=True, display_id=True)"
    )
    assert [output.text for output in first.displays] == ["old"]
    kernel.ok("handle.update({'text/plain': 'new'}, raw=True)")
    assert [output.text for output in first.displays] == ["new"]
    assert first.displays[0].updates == 1


def test_kernel_shows_what_a_running_cell_printed(kernel):
    result = kernel.submit("print('first', flush=True)\nfor _ in iter(input, ''): pass")
    kernel.wait(result)
    assert result.ename == "StdinNotImplementedError"
    gate = kernel.folder / "gate"
    result = kernel.submit(
        "import pathlib, time\nprint('waiting', flush=True)\n"
        f"while not pathlib.Path({str(gate)!r}).exists(): time.sleep(0.01)"
    )
    kernel.poll(lambda: "waiting" in result.stdout)
    assert not result.done
    gate.touch()
    assert kernel.wait(result).status == "ok"


def test_kernel_is_interrupted(kernel):
    result = kernel.submit("print('on', flush=True)\nimport time; time.sleep(60)")
    kernel.poll(lambda: result.stdout)
    pressed = kernel.interrupt()
    kernel.wait(result, 5)
    assert result.ename == "KeyboardInterrupt"
    assert result.replied - pressed < 1


def test_kernel_follows_widget_state(kernel):
    kernel.ok(
        "import ipywidgets\n"
        "bar = ipywidgets.IntProgress(max=7)\n"
        "image = ipywidgets.Image(value=b'abc')\n"
        "bar.value = 3\n"
        "bar.send({'hello': 1}, [b'xyz'])"
    )
    (bar,) = kernel.widgets(_model_name="IntProgressModel")
    assert (bar.state["value"], bar.state["max"]) == (3, 7)
    assert bar.custom == [({"hello": 1}, [b"xyz"])]
    (image,) = kernel.widgets(_model_name="ImageModel")
    assert image.state["value"] == b"abc"
    kernel.ok("bar.close(); image.close()")
    assert not kernel.widgets(_model_name="IntProgressModel")


def test_kernel_hears_a_comm_message(kernel):
    kernel.ok(
        "import ipywidgets\nheard = []\n"
        "button = ipywidgets.Button()\n"
        "button.on_msg(lambda _, content, buffers: heard.append((content, buffers)))"
    )
    (button,) = kernel.widgets(_model_name="ButtonModel")
    kernel.send_comm(
        button.comm_id, {"method": "custom", "content": {"event": "click"}}, [b"q"]
    )
    result = kernel.ok("[(content, bytes(b[0])) for content, b in heard]")
    assert result.value == "[({'event': 'click'}, b'q')]"


def test_fresh_kernel_has_a_ray_of_its_own(fresh_kernel):
    result = fresh_kernel.ok(
        f"{rays.RAY_INIT}\n"
        "print(ray._private.worker._global_node.get_session_dir_path())\n"
        "ray.get(ray.remote(lambda: 5).remote())"
    )
    assert result.value == "5"
    assert str(fresh_kernel.folder) in result.stdout


def test_dead_kernel_is_told(fresh_kernel):
    with pytest.raises(AssertionError, match="the kernel died"):
        fresh_kernel.run("import os; os._exit(3)", 20)


@pytest.mark.kernel
def test_notebook_is_executed_but_its_file_only_read(tmp_path):
    path = write_notebook(tmp_path / "n.ipynb", "print('hi')\n6 * 7")
    before = path.read_bytes()
    notebook = execute_notebook(path)
    assert texts(notebook.cells[0]) == "hi\n\n42"
    assert path.read_bytes() == before


@pytest.mark.parametrize("front_end", ["lab", "notebook"])
def test_browser_shows_a_widget(lab, front_end):
    write_notebook(
        lab.root / "bar.ipynb",
        "import ipywidgets\nbar = ipywidgets.IntProgress(max=7, value=3)\nbar",
        "bar.value = 5",
    )
    notebook = lab.open("bar.ipynb", front_end=front_end)
    notebook.run_all()
    bar = notebook.outputs(0).locator(".progress .progress-bar")
    bar.wait_for()
    assert not notebook.is_dark()
    style = bar.get_attribute("style")
    assert float(re.search(r"width: ([\d.]+)%", style)[1]) == pytest.approx(
        500 / 7, abs=0.01
    )
    assert notebook.screenshot(f"harness-{front_end}").stat().st_size > 10_000
    assert lab.console_errors == []
    assert lab.outside_requests == []


def test_browser_tells_console_errors_and_outside_requests(lab):
    write_notebook(
        lab.root / "bad.ipynb",
        "from IPython.display import HTML\n"
        "HTML('<img src=\"http://host.invalid/x.png\">')",
    )
    notebook = lab.open("bad.ipynb", theme="dark", width=480)
    notebook.run_all()
    assert notebook.is_dark()
    notebook.poll(lambda: lab.outside_requests)
    assert set(lab.outside_requests) == {"http://host.invalid/x.png"}
    notebook.poll(lambda: lab.console_errors)
    assert any("ERR_FAILED" in error for error in lab.console_errors)


def test_browser_leaves_no_loop_behind():
    async def main():
        started = time.monotonic()
        await asyncio.sleep(0)
        return time.monotonic() - started

    assert asyncio.run(main()) < 5
