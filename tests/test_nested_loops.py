"""`run_until_complete` in a cell, where the loop is running already.

Refs are served without nesting anything; the first other coroutine brings in
nest-asyncio2, which cannot be taken out again: its tests have their own kernel.
"""

from __future__ import annotations

import textwrap

import pytest

from harness import rays
from harness.document import DOCUMENT, DOCUMENT_MANY, DOCUMENT_VALUE

NESTED = "from ray_jupyter_async._notebook.nested_loops import nested; nested()"

NOTICE = "nest-asyncio2 has been applied to this kernel"


@pytest.fixture(scope="module")
def document(kernel):
    """Run the document's code in a kernel with the extension; both results."""
    kernel.ok("%load_ext ray_jupyter_async")
    # A Ray with room for two, as all tests have, and not another's.
    arguments = ", ".join(f"{k}={v!r}" for k, v in rays.INIT_ARGUMENTS.items())
    kernel.ok(
        "import functools, ray, harness.lean_ray\n"
        f"ray.init = functools.partial(ray.init, {arguments})"
    )
    return [kernel.ok(DOCUMENT), kernel.ok(DOCUMENT_MANY + "print(results)")]


@pytest.fixture
def ready(kernel, document):
    """The kernel after the document's code, with a task that can fail."""
    kernel.ok(
        "@ray.remote(num_cpus=0)\n"
        "def give(value):\n"
        "    if isinstance(value, Exception): raise value\n"
        "    return value"
    )
    return kernel


@pytest.fixture(scope="module")
def plain_kernel():
    """A kernel with the extension and no Ray session, to be nested in."""
    from harness.kernel import running_kernel

    with rays.short_folder() as folder, running_kernel(folder) as kernel:
        kernel.ok("%load_ext ray_jupyter_async")
        yield kernel


def test_the_documents_future_is_run_until_complete(document):
    assert document[0].value == repr(DOCUMENT_VALUE)


def test_the_documents_gather_is_run_until_complete(document):
    assert document[1].stdout == f"{[DOCUMENT_VALUE] * 4}\n"


def test_the_documents_code_needs_no_nesting(kernel, document):
    assert kernel.ok(NESTED).value is None
    assert [result.stderr for result in document][1:] == [""]


def test_a_bare_ref_is_run_until_complete(ready):
    code = "asyncio.get_event_loop().run_until_complete(give.remote(5))"
    assert ready.ok(code).value == "5"
    assert ready.ok(NESTED).value is None


def test_a_gather_with_an_error_raises_it(ready):
    result = ready.run(
        "refs = [give.remote(1), give.remote(ValueError('bad luck'))]\n"
        "futures = [async_api.as_future(ref) for ref in refs]\n"
        "try:\n"
        "    asyncio.get_event_loop().run_until_complete(asyncio.gather(*futures))\n"
        "except ValueError as error:\n"
        "    print('caught', error.cause)"
    )
    assert result.stdout == "caught bad luck\n"
    assert ready.ok(NESTED).value is None


def test_a_gather_gives_errors_as_values_when_asked_to(ready):
    result = ready.ok(
        "refs = [give.remote(1), give.remote(ValueError('bad luck'))]\n"
        "futures = [async_api.as_future(ref) for ref in refs]\n"
        "both = asyncio.gather(*futures, return_exceptions=True)\n"
        "one, error = asyncio.get_event_loop().run_until_complete(both)\n"
        "print(one, isinstance(error, ValueError))"
    )
    assert result.stdout == "1 True\n"
    assert ready.ok(NESTED).value is None


def test_a_cell_after_a_served_one_can_await(ready):
    ready.ok("asyncio.get_event_loop().run_until_complete(give.remote(1))")
    assert ready.ok("await give.remote(2)").value == "2"


def test_a_coroutine_brings_in_nesting_once_with_one_line(plain_kernel):
    code = textwrap.dedent(
        """
        import asyncio
        async def later(value):
            await asyncio.sleep(0.05)
            return value
        asyncio.get_event_loop().run_until_complete(later({value}))
        """
    )
    first = plain_kernel.ok(code.format(value=1))
    second = plain_kernel.ok(code.format(value=2))
    assert (first.value, second.value) == ("1", "2")
    assert NOTICE in first.stderr
    assert first.stderr.count("\n") == 1
    assert second.stderr == ""
    assert plain_kernel.ok(NESTED).value == "'nest-asyncio2'"
    assert "nest-asyncio2" in plain_kernel.ok("%ray_async").stdout.splitlines()[-2]


def test_queued_cells_all_run_after_nesting(plain_kernel):
    plain_kernel.ok(
        "import asyncio\nasync def nap(value):\n"
        "    await asyncio.sleep(0.1)\n    return value"
    )
    run = "asyncio.get_event_loop().run_until_complete(nap({i}))"
    queued = []
    for i in range(8):
        # Blocking and awaiting in turn: nest-asyncio 1.6 lost such cells.
        code = run.format(i=i) if i % 2 else f"await nap({i})"
        queued.append(plain_kernel.submit(code))
    results = [plain_kernel.wait(result, 20) for result in queued]
    assert [result.value for result in results] == [str(i) for i in range(8)]


def test_a_coroutine_that_awaits_refs_alone_needs_no_nesting(ready):
    code = (
        "async def main():\n"
        "    first = await give.remote(1)\n"
        "    rest = await asyncio.gather(give.remote(2), give.remote(3))\n"
        "    many = await rja.gather(give.remote(i) for i in range(40))\n"
        "    try:\n"
        "        await give.remote(KeyError('bad'))\n"
        "    except KeyError:\n"
        "        return [first, *rest, sum(many), await rja.get(give.remote(4))]\n"
        "import ray_jupyter_async as rja\n"
        "asyncio.get_event_loop().run_until_complete(main())"
    )
    assert ready.ok(code).value == "[1, 2, 3, 780, 4]"
    assert ready.ok(NESTED).value is None


def test_a_captured_cell_that_awaits_refs_needs_no_nesting(ready):
    code = "%%capture captured\nprint('kept')\nvalue = await give.remote(1)"
    assert ready.ok(code).outputs == []
    assert ready.ok("print(value, repr(captured.stdout))").stdout == "1 'kept\\n'\n"
    assert ready.ok(NESTED).value is None


def test_the_error_of_a_coroutine_has_no_frame_of_ours(ready):
    result = ready.run(
        "async def main():\n    await give.remote(KeyError('bad'))\n"
        "asyncio.get_event_loop().run_until_complete(main())"
    )
    assert result.ename == "RayTaskError(KeyError)"
    assert "nested_loops" not in result.traceback
    assert ready.ok(NESTED).value is None


@pytest.mark.parametrize("awaited", ["{}", "asyncio.gather({0}, {0})"])
def test_a_coroutine_that_is_stepped_is_interrupted(ready, tmp_path, awaited):
    awaited = awaited.format(f"hold.remote({str(tmp_path / 'end')!r})")
    code = (
        "@ray.remote(num_cpus=0)\n"
        "def hold(path):\n"
        "    import os, time\n"
        "    while not os.path.exists(path): time.sleep(0.01)\n"
        "async def main():\n"
        "    print('begun')\n"
        "    try:\n"
        f"        await {awaited}\n"
        "    finally:\n"
        "        print('ended')\n"
        "asyncio.get_event_loop().run_until_complete(main())"
    )
    result = ready.submit(code)
    ready.poll(lambda: "begun" in result.stdout, of=result)
    pressed = ready.interrupt()
    ready.wait(result, 20)
    (tmp_path / "end").touch()
    assert result.ename == "KeyboardInterrupt"
    assert result.stdout == "begun\nended\n"
    assert result.replied - pressed < 1.5
    assert ready.ok(NESTED).value is None


def test_a_captured_cell_that_needs_the_loop_says_so_past_the_capture():
    from harness.kernel import running_kernel

    with rays.short_folder() as folder, running_kernel(folder) as kernel:
        kernel.ok("%load_ext ray_jupyter_async\nimport asyncio")
        result = kernel.ok("%%capture captured\nawait asyncio.sleep(0.05)")
        assert NOTICE in result.stderr
        assert kernel.ok("captured.stderr").value == "''"
        assert kernel.ok(NESTED).value == "'nest-asyncio2'"


UVLOOP = """
import asyncio, uvloop
asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
"""


@pytest.fixture(scope="module")
def uvloop_kernel():
    """A kernel on uvloop, with the extension and a Ray."""
    from harness.kernel import running_kernel

    pytest.importorskip("uvloop")
    with rays.short_folder() as folder:
        profile = folder / "ipython" / "profile_default"
        profile.mkdir(parents=True)
        (profile / "ipython_kernel_config.py").write_text(UVLOOP, encoding="utf-8")
        environment = {"IPYTHONDIR": str(folder / "ipython")}
        with running_kernel(folder, env=environment) as kernel:
            kernel.ok("%load_ext ray_jupyter_async")
            kernel.ok(f"{rays.RAY_INIT};")
            kernel.ok(
                "import asyncio\nimport ray_jupyter_async as rja\n"
                "@ray.remote(num_cpus=0)\n"
                "def give(value):\n"
                "    import time; time.sleep(0.1)\n"
                "    return value\n"
                "loop = asyncio.get_running_loop()"
            )
            assert "uvloop" in kernel.ok("type(loop).__module__").value
            yield kernel


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ("give.remote(1)", "1"),
        ("asyncio.gather(give.remote(1), give.remote(2))", "[1, 2]"),
        ("asyncio.gather(give.remote(1), asyncio.gather(give.remote(2)))", "[1, [2]]"),
        ("rja.gather(give.remote(i) for i in range(3))", "[0, 1, 2]"),
    ],
)
def test_refs_are_served_on_uvloop(uvloop_kernel, given, value):
    assert uvloop_kernel.ok(f"loop.run_until_complete({given})").value == value


def test_a_gather_of_what_is_partly_done_is_served_on_uvloop(uvloop_kernel):
    code = (
        "from ray_jupyter_async import as_future\n"
        "done = as_future(give.remote(1))\n"
        "loop.run_until_complete(done)\n"
        "loop.run_until_complete(asyncio.gather(done, give.remote(2)))"
    )
    assert uvloop_kernel.ok(code).value == "[1, 2]"


def test_a_coroutine_on_uvloop_is_refused_before_asyncio_is_patched(uvloop_kernel):
    result = uvloop_kernel.run(
        "async def main(): return await give.remote(3)\n"
        "before = asyncio.Task\n"
        "loop.run_until_complete(main())"
    )
    assert result.ename == "RuntimeError"
    assert "cannot be nested. Use `await`" in result.evalue
    assert uvloop_kernel.ok("asyncio.Task is before").value == "True"
    assert uvloop_kernel.ok(NESTED).value is None
    assert uvloop_kernel.ok("await main()").value == "3"
