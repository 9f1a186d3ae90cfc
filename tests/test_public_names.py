"""The public surface, and the direction of imports between the rooms."""

from __future__ import annotations

import ast
import builtins
import inspect
from pathlib import Path

import pytest

import ray_jupyter_async
from harness.rays import run_script

JUPYTER = ("IPython", "ipykernel", "ipywidgets", "anywidget", "rich")
PACKAGE = Path(ray_jupyter_async.__file__).parent

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
    "retried",
    "stream",
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


def imported(path):
    """The modules that a file imports, with `ray_jupyter_async` left out of them."""
    names = set()
    level_names = path.relative_to(PACKAGE).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parent = level_names[: len(level_names) + 1 - node.level]
            base = ".".join(["", *parent]) if node.level else ""
            names.add(f"{base}.{node.module}" if node.module else base)
    return names


@pytest.mark.parametrize(
    ("room", "forbidden"),
    [
        ("_awaiting", ("._tracking", "._display", "._notebook", *JUPYTER)),
        ("_tracking", ("._display", "._notebook", *JUPYTER)),
        ("_display", ("._notebook", "ipykernel")),
    ],
)
def test_imports_run_one_way(room, forbidden):
    files = list((PACKAGE / room).rglob("*.py"))
    assert files
    for path in files:
        for name in imported(path):
            assert not name.startswith(forbidden), f"{path.name} imports {name}"
