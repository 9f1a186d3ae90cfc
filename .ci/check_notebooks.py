"""Check that committed notebooks are valid and have no outputs.

Outputs, execution counts and widget state belong to a reader's copy: in the
repository they add noise to every diff and become stale.

Usage: ``python .ci/check_notebooks.py FOLDER...``
"""

import sys
from pathlib import Path
from typing import Any

import nbformat


def problems(notebook: Any) -> list[str]:
    """Return the problems of a notebook, one line each."""
    found = []
    if notebook.metadata.get("kernelspec", {}).get("name") != "python3":
        found.append("its kernelspec is not python3")
    if "widgets" in notebook.metadata:
        found.append("it holds widget state")
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type != "code":
            continue
        if cell.outputs:
            found.append(f"cell {index} has outputs")
        if cell.execution_count is not None:
            found.append(f"cell {index} has an execution count")
        if "execution" in cell.metadata:
            found.append(f"cell {index} has times of execution")
    return found


def main(folders: list[str]) -> int:
    """Check all notebooks below `folders`; return 1 if one has problems."""
    paths = sorted(
        path
        for folder in folders
        for path in Path(folder).rglob("*.ipynb")
        if ".ipynb_checkpoints" not in path.parts
    )
    if not paths:
        print(f"no notebook in {', '.join(folders)}")
        return 1
    failed = False
    for path in paths:
        notebook = nbformat.read(path, as_version=nbformat.NO_CONVERT)
        nbformat.validate(notebook)
        for problem in problems(notebook):
            print(f"{path}: {problem}")
            failed = True
    if not failed:
        print(f"{len(paths)} notebooks without outputs")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
