"""The rooms of the package: imports run down only, and private API has one address."""

from __future__ import annotations

import ast
import re
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import ray_jupyter_async

PACKAGE = Path(ray_jupyter_async.__file__).parent

#: From the bottom up: a room imports only rooms before it.
ROOMS = ["_ray_api", "_awaiting", "_tracking", "_display", "_notebook"]

JUPYTER = {"IPython", "ipykernel", "ipywidgets", "anywidget", "traitlets", "comm"}
#: What a room must not import of other packages.
FORBIDDEN = {
    "_ray_api": JUPYTER | {"rich"},
    "_awaiting": JUPYTER | {"rich"},
    "_tracking": JUPYTER | {"rich"},
    # A face shows in front ends; it knows no kernel.
    "_display": {"ipykernel", "comm"},
}

PRIVATE_RAY = re.compile(
    r"(from|import) ray\.(_|core\b|util\.client)|\bglobal_worker\b"
)


def module_name(path):
    """Return a file's module, without the package's name: ``_awaiting.fetch.pool``."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports_of(module):
    """Return what a module imports: modules of the package, and other packages."""
    path = MODULES[module]
    package = module.split(".") if module else []
    if path.name != "__init__.py":
        package = package[:-1]
    own, others = set(), set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            others.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            others.add((node.module or "").split(".")[0])
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1]
            base += node.module.split(".") if node.module else []
            for alias in node.names:
                name = ".".join([*base, alias.name])
                own.add(name if name in MODULES else ".".join(base))
    return own - {""}, others


def test_every_module_is_known():
    assert set(ROOMS) < set(MODULES)
    for module in MODULES:
        assert imports_of(module)[0] <= set(MODULES), module


@pytest.mark.parametrize("room", ROOMS)
def test_room_imports_only_rooms_below(room):
    above = tuple(ROOMS[ROOMS.index(room) + 1 :])
    for module in MODULES:
        if module.split(".")[0] == room:
            own, others = imports_of(module)
            upward = {name for name in own if name.split(".")[0] in above}
            assert not upward, module
            assert not others & FORBIDDEN.get(room, set()), module


def test_base_modules_import_no_room():
    for module in (
        *("_log", "_replaced", "_requirements", "_interruptible", "_threads"),
        "errors",
    ):
        own, _ = imports_of(module)
        assert not {name.split(".")[0] for name in own} & set(ROOMS), module


def test_imports_have_no_circles():
    # Imports for type checkers count: a circle of names is one, too.
    graph = {module: imports_of(module)[0] for module in MODULES if module}
    TopologicalSorter(graph).prepare()


def test_threads_are_started_in_one_place():
    # One that a debugger suspends while it holds a lock stops the cell for good.
    for module, path in MODULES.items():
        made = re.search(r"\b(Thread|Timer)\(|ThreadPoolExecutor\(", path.read_text())
        assert bool(made) == (module == "_threads"), module


def test_only_ray_api_names_private_modules_of_ray():
    for module, path in MODULES.items():
        if not module.startswith("_ray_api"):
            found = PRIVATE_RAY.search(path.read_text(encoding="utf-8"))
            assert found is None, f"{module}: {found}"


def test_no_folder_has_more_than_ten_modules():
    for folder in {path.parent for path in MODULES.values()}:
        assert len(list(folder.glob("*.py"))) <= 10, folder
