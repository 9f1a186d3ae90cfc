"""Put the executed notebooks where the docs site shows them: docs/tutorial.

They are taken from the folder that RAY_JUPYTER_ASYNC_NOTEBOOKS names, otherwise from
build/notebooks, where ``make binder-check`` saves them. There, a notebook that is
missing or older than the code is executed first, on a real kernel and a real Ray.

The copies show no widgets and hold nothing of the machine that ran them: addresses are
replaced, and a path or the machine's name is an error.

Usage: ``PYTHONPATH=tests python .ci/tutorial.py``
"""

from __future__ import annotations

import json
import os
import re
import socket
import sys
from pathlib import Path
from typing import Any

import nbformat

from harness.demo import EXECUTED, NOTEBOOKS, execute_demo

ROOT = NOTEBOOKS.parent
BUILT = ROOT / "build/notebooks"
TUTORIAL = ROOT / "docs/tutorial"

# No page shows these: HTML stands beside each. For LaTeX, Sphinx would load MathJax.
_UNSHOWN = ("application/vnd.jupyter.widget-view+json", "text/latex")

# An IPv4 address, but not one of this machine's loopback or all of its interfaces.
_ADDRESS = re.compile(r"(?<![\d.])(?!127\.|0\.0\.0\.0)\d{1,3}(?:\.\d{1,3}){3}(?![\d.])")
#: The address of a documentation (RFC 5737), which stands for all others.
_NO_ADDRESS = "192.0.2.1"

# Folders of a person or of a machine, also in Windows' form.
_PATH = re.compile(
    r"(?<![\w.:/<-])/(?:home|root|Users|tmp|var|opt|usr|work|mnt|srv|private)/[^\s\"'<]*"
    r"|\b[A-Z]:\\\\?[^\s\"'<]+"
)


class TutorialError(Exception):
    """The notebooks cannot be shown; the message says why."""


def main() -> int:
    """Fill docs/tutorial; return 1 if that is not possible."""
    try:
        folder = _executed_folder()
        for path in sorted(NOTEBOOKS.glob("*.ipynb")):
            _write(TUTORIAL / path.name, publishable(_read(folder / path.name)))
    except TutorialError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def publishable(notebook: Any) -> Any:
    """Return an executed notebook without widgets, times and addresses.

    Raises
    ------
    TutorialError
        If an output names a folder or the machine.
    """
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", ()):
            for mime in _UNSHOWN:
                output.get("data", {}).pop(mime, None)
            for holder, key in _texts(output):
                holder[key] = _ADDRESS.sub(_NO_ADDRESS, holder[key])
                personal = _personal(holder[key])
                if personal:
                    raise TutorialError(
                        f"Cell {cell.id} shows {personal!r}, which belongs to the "
                        "machine that ran it."
                    )
    return notebook


def _texts(output: Any) -> list[tuple[Any, Any]]:
    """Return where an output holds text that is shown, as containers and keys."""
    found: list[tuple[Any, Any]] = [
        (output, key) for key in ("text", "ename", "evalue") if key in output
    ]
    data = output.get("data", {})
    found += [(data, mime) for mime in data if mime.startswith("text/")]
    traceback = output.get("traceback", [])
    return found + [(traceback, index) for index in range(len(traceback))]


def _personal(text: str) -> str | None:
    found = _PATH.search(text)
    name = socket.gethostname()
    # A shorter one is a word like any other ("vm", "host").
    if not found and len(name) > 4:
        found = re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text)
    return found[0] if found else None


def _executed_folder() -> Path:
    """Return the folder with the executed notebooks, after executing what is stale."""
    given = os.environ.get(EXECUTED)
    folder = Path(given) if given else BUILT
    paths = sorted(NOTEBOOKS.glob("*.ipynb"))
    stale = [path for path in paths if not _is_run_of(folder / path.name, path)]
    if given and stale:
        raise TutorialError(f"{folder} has no complete run of {stale[0].name}.")
    if not given:
        newest = max(path.stat().st_mtime for path in _sources())
        stale += [
            path
            for path in paths
            if path not in stale and (folder / path.name).stat().st_mtime < newest
        ]
    if stale:
        print(
            f"Executing {len(stale)} notebooks for the tutorial; "
            f"this takes about {max(1, round(len(stale) / 2))} min.",
            flush=True,
        )
        folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(stale):
        nbformat.write(execute_demo(path.stem), folder / path.name)
        print(f"  {path.name}", flush=True)
    return folder


def _sources() -> list[Path]:
    """Return the files on which outputs depend."""
    package = ROOT / "ray_jupyter_async"
    return [
        *(path for path in package.rglob("*") if path.suffix in (".py", ".js", ".css")),
        *NOTEBOOKS.glob("*.py"),
    ]


def _is_run_of(executed: Path, notebook: Path) -> bool:
    """Whether a file is a complete run of a notebook as it is now."""
    if not executed.is_file():
        return False
    theirs, ours = _read(executed).cells, _read(notebook).cells
    return [cell.source for cell in theirs] == [cell.source for cell in ours] and all(
        cell.execution_count for cell in theirs if cell.cell_type == "code"
    )


def _read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def _write(path: Path, notebook: Any) -> None:
    """Write a notebook if it has changed: Sphinx reads the pages that are newer."""
    text = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
