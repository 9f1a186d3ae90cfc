"""The examples in public docstrings run on a real Ray, as in a cell with `await`."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import doctest
import inspect
import io
import itertools
import sys
import time

import pytest
import ray

import ray_jupyter_async as rja
from ray_jupyter_async import async_api

DOCUMENTED = [
    async_api.as_future,
    async_api.init,
    async_api.shutdown,
    rja.as_completed,
    rja.as_future,
    rja.cancel,
    rja.gather,
    rja.get,
    rja.map,
    rja.patched,
    rja.progress,
    rja.stream,
    rja.terminal_progress,
    rja.wait,
]


def run_examples(documented):
    """Run the examples of a docstring, and fail at the first with another output.

    They may use the names of the package and of the modules below without an import.
    """
    names = {name: getattr(rja, name) for name in rja.__all__}
    names |= {"asyncio": asyncio, "itertools": itertools, "ray": ray, "time": time}
    name = f"{documented.__module__}.{documented.__qualname__}"
    examples = doctest.DocTestParser().get_examples(inspect.getdoc(documented), name)
    assert examples, f"{name} has no example"
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        for example in examples:
            printed = output_of(example.source, names, loop)
            if not doctest.OutputChecker().check_output(example.want, printed, 0):
                pytest.fail(
                    f"{name}:\n{example.source}expected:\n{example.want}got:\n{printed}"
                )
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def output_of(source, names, loop):
    code = compile(source, "<example>", "single", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        awaited = eval(code, names)
        if inspect.iscoroutine(awaited):
            loop.run_until_complete(asyncio.wait_for(awaited, 60))
    return printed.getvalue()


@pytest.fixture(autouse=True)
def _display_by_repr(monkeypatch):
    def show(value):
        if value is not None:
            print(repr(value))

    monkeypatch.setattr(sys, "displayhook", show)


@pytest.mark.parametrize("documented", DOCUMENTED, ids=lambda one: one.__qualname__)
def test_examples_run(ray_session, documented):
    run_examples(documented)


def test_wrong_output_fails(ray_session):
    def wrong():
        """
        >>> await get(ray.put(1))
        2
        """

    with pytest.raises(pytest.fail.Exception, match="expected:\n2\ngot:\n1"):
        run_examples(wrong)


def test_raising_example_fails(ray_session):
    def broken():
        """
        >>> await get("not a ref")
        """

    with pytest.raises(TypeError, match="ObjectRef"):
        run_examples(broken)
