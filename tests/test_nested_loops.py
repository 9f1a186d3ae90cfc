"""`run_until_complete` in a cell, where the loop is running already.

Refs are served without nesting anything; the first other coroutine brings in
nest-asyncio2, which cannot be taken out again: its tests have their own kernel.
"""

from __future__ import annotations

import textwrap

import pytest

from harness import rays
from harness.document import DOCUMENT, DOCUMENT_MANY, DOCUMENT_VALUE

NESTED = "from ray_jupyter_async.notebook.nested_loops import nested; nested()"

NOTICE = "nest-asyncio2 has been applied to this kernel"


@pytest.fixture(scope="module")
def document(kernel):
    """Run the document's code in a kernel with the extension; both results."""
    kernel.ok("%load_ext ray_jupyter_async")
    # A Ray with room for two, as all tests have, and not another's.
    arguments = ", ".join(f"{k}={v!r}" for k, v in rays.INIT_ARGUMENTS.items())
    kernel.ok(
        f"import functools, ray\nray.init = functools.partial(ray.init, {arguments})"
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
