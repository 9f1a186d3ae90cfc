"""Running a notebook file on a real kernel, from its first cell to its last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import nbformat
from nbclient import NotebookClient

from harness.rays import process_environment, short_folder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def execute_notebook(
    path: Path, *, timeout: int = 100, env: Mapping[str, str] | None = None
) -> Any:
    """Run a notebook in an empty folder and give it with its outputs.

    The file is only read. A cell with the tag ``raises-exception`` may fail.

    Parameters
    ----------
    path
        The notebook.
    timeout
        Seconds for each cell.
    env
        Additional environment variables of the kernel.

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
        client = NotebookClient(
            notebook,
            timeout=timeout,
            kernel_name="python3",
            # As in `harness.kernel.Kernel.shutdown`.
            shutdown_kernel="immediate",
            resources={"metadata": {"path": str(folder)}},
        )
        client.execute(env=process_environment(folder, env))
    return notebook


def texts(cell: Any) -> str:
    """Give everything a reader of a cell's outputs sees as plain text."""
    parts = []
    for output in cell.outputs:
        if output.output_type == "stream":
            parts.append(output.text)
        elif output.output_type == "error":
            parts.append(f"{output.ename}: {output.evalue}")
        else:
            parts.append(output.data.get("text/plain", ""))
    return "\n".join(parts)
