"""Notebook files: writing one, running one on a real kernel, reading what it shows."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import nbformat
from nbclient import NotebookClient

from harness.rays import ENVIRONMENT, process_environment, short_folder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def write_notebook(path: Path, *cells: str) -> Path:
    """Write a notebook of code cells, and return its path."""
    made = [nbformat.v4.new_code_cell(code.strip("\n")) for code in cells]
    # Without a kernel's name JupyterLab asks for one, in a dialog.
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = nbformat.v4.new_notebook(cells=made, metadata={"kernelspec": kernel})
    nbformat.write(notebook, path)
    return path


def execute_notebook(
    path: Path,
    *,
    timeout: int = 100,
    env: Mapping[str, str] | None = None,
    as_reader: bool = False,
) -> Any:
    """Run a notebook in an empty folder and return it with its outputs.

    The file is only read. A cell with the tag ``raises-exception`` may fail.

    Parameters
    ----------
    path
        The notebook.
    timeout
        Seconds for each cell.
    env
        Additional environment variables of the kernel.
    as_reader
        Run it in a copy of its own folder, and set nothing that keeps Ray silent.

    Returns
    -------
    nbformat.NotebookNode
        The executed notebook.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        When a cell failed.
    """
    notebook = nbformat.read(path, as_version=4)
    with short_folder() as folder:
        environment = process_environment(folder, env)
        place = folder
        if as_reader:
            place = folder / "notebooks"
            shutil.copytree(path.parent, place)
            # Where Ray keeps the token that it makes itself.
            environment["HOME"] = str(folder)
            for variable in ENVIRONMENT:
                del environment[variable]
        client = NotebookClient(
            notebook,
            timeout=timeout,
            kernel_name="python3",
            # ipykernel 7 warns at each start that its sockets are on TCP.
            extra_arguments=["--IPKernelApp.log_level=ERROR"],
            # As in `harness.kernel.Kernel.shutdown`.
            shutdown_kernel="immediate",
            resources={"metadata": {"path": str(place)}},
        )
        client.execute(env=environment)
    return notebook


def texts(cell: Any) -> str:
    """Return everything that a reader of a cell's outputs sees, as plain text."""
    parts = []
    for output in cell.outputs:
        if output.output_type == "stream":
            parts.append(output.text)
        elif output.output_type == "error":
            parts.append(f"{output.ename}: {output.evalue}")
        else:
            parts.append(output.data.get("text/plain", ""))
    return "\n".join(parts)


def value_of(cell: Any) -> str:
    """Return the plain text of a cell's result."""
    (result,) = (o for o in cell.outputs if o.output_type == "execute_result")
    return str(result.data["text/plain"])


def printed_by(cell: Any) -> str:
    """Return what a cell wrote to stdout."""
    return "".join(o.text for o in cell.outputs if o.get("name") == "stdout")


def shown_by(cell: Any, mime: str) -> list[str]:
    """Return what a cell's outputs hold of a MIME type."""
    bundles = [output.get("data", {}) for output in cell.outputs]
    return [bundle[mime] for bundle in bundles if mime in bundle]
