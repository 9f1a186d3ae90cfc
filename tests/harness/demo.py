"""The demo notebooks, each executed once for all tests that look at it."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any

import nbformat

from harness.notebooks import execute_notebook

#: The folder with the notebooks and their modules.
NOTEBOOKS = Path(__file__).parent.parent.parent / "notebooks"

#: Names a folder in which they lie executed already: ``binder/check.py --save``
#: runs them under the limits of mybinder.org, and once is enough.
EXECUTED = "RAY_JUPYTER_ASYNC_NOTEBOOKS"


def read_demo(name: str) -> Any:
    """Read a notebook as it is committed, such as ``01_quickstart``."""
    return nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)


@functools.cache
def executed_cells(name: str) -> dict[str, Any]:
    """Return a notebook's executed cells by their ids.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        When a cell failed that should not have.
    AssertionError
        When what lies in the folder of `EXECUTED` is of another version.
    """
    folder = os.environ.get(EXECUTED)
    if folder:
        executed = nbformat.read(Path(folder) / f"{name}.ipynb", as_version=4)
        ours = [cell.source for cell in read_demo(name).cells]
        theirs = [cell.source for cell in executed.cells]
        assert ours == theirs, f"{folder} holds another {name}"
    else:
        executed = execute_demo(name)
    return {cell.id: cell for cell in executed.cells}


def execute_demo(name: str) -> Any:
    """Run a notebook as a reader would, and return it with its outputs.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        When a cell failed that should not have.
    """
    return execute_notebook(
        NOTEBOOKS / f"{name}.ipynb",
        env={"MPLCONFIGDIR": _matplotlib_folder()},
        as_reader=True,
    )


@functools.cache
def _matplotlib_folder() -> str:
    """Return matplotlib's folder, with its list of fonts, which takes long to make."""
    from matplotlib import font_manager, get_configdir

    del font_manager
    return get_configdir()
