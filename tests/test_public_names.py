"""The public surface."""

from __future__ import annotations

import ast
import builtins
import inspect
from pathlib import Path

import pytest

import ray_jupyter_async
from harness.rays import run_script

NAMES = {
    "CancelOutcome",
    "Cancellation",
    "ClientDisconnectedError",
    "PatchWarning",
    "RayAwaitError",
    "RayNotInitializedError",
    "SessionEndedError",
    "UnknownRefError",
    "as_completed",
    "as_future",
    "async_api",
    "cancel",
    "gather",
    "get",
    "is_patched",
    "load_ipython_extension",
    "patch",
    "patched",
    "progress",
    "stream",
    "take_retried",
    "terminal_progress",
    "unload_ipython_extension",
    "unpatch",
    "wait",
}


def test_these_are_the_public_names():
    assert set(ray_jupyter_async.__all__) == NAMES


@pytest.mark.parametrize("name", [*sorted(NAMES), "map"])
def test_public_name_has_a_docstring(name):
    assert inspect.getdoc(getattr(ray_jupyter_async, name))


def test_public_names_have_typing_tests():
    used = set()
    for path in (Path(__file__).parent.parent / "typing_tests").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == "ray_jupyter_async":
                used.update(alias.name for alias in node.names)
            elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "rja":
                used.add(node.attr)
    assert NAMES | {"map"} <= used


def test_star_import_shadows_no_builtin():
    imported = {}
    exec("from ray_jupyter_async import *", imported)
    shadowed = {name for name in imported if hasattr(builtins, name)}
    assert {name for name in shadowed if not name.startswith("__")} == set()
    assert ray_jupyter_async.map is not builtins.map, "it stays importable by name"


def test_importing_it_imports_no_jupyter():
    done = run_script(
        """
        import sys
        import ray_jupyter_async
        shown = {"IPython", "ipykernel", "ipywidgets", "anywidget", "traitlets", "rich"}
        with ray_jupyter_async.terminal_progress():  # stdout is no terminal
            pass
        print(sorted(shown & set(sys.modules)))
        """
    )
    assert done.stdout == "[]\n"
