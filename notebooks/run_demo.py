"""Run the quickstart on a real kernel and show it here, cell by cell.

``make demo`` runs this. It prints each cell's source, what it prints while it
runs, and what it gave; on a terminal it then opens the notebook in JupyterLab.
The notebook is only read: nothing is written into the tree. Exit code 1 when a
cell failed that should not have.

Usage: ``python notebooks/run_demo.py [NOTEBOOK] [--no-lab]``
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import re
import shutil
import sys
import tempfile
import textwrap
import time
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

import demo_cluster  # noqa: F401  it sets environment variables
from open_lab import QUICKSTART, open_lab

# Longer than any cell of a demo; the first one may have to start Ray.
_CELL_SECONDS = 300
# Between two notes on a cell that still runs, in seconds.
_NOTE_EVERY = 10

# What `ray.init` raises when its processes come too late (Ray 2.40 to 2.60); no class
# of its own says so.
_TOO_LATE = re.compile(r"timed out during startup|Failed to start GCS")
# A start that is too late for itself: the raylet of Ray 2.60 ends when its agents
# need more than 15 s, which no setting changes.
_TRIES = 3

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_LINK = re.compile(r"\[([^\]]+)\]\([^)]+\)")


class Terminal:
    """Writes the demo; with colours and to its width if it is a terminal."""

    def __init__(self) -> None:
        self._colours = sys.stdout.isatty()
        self._width = min(shutil.get_terminal_size().columns, 88)
        self._line_open = False

    def heading(self, text: str) -> None:
        """Write a rule with a title."""
        self._end_line()
        rule = "─" * max(0, self._width - len(text) - 4)
        print(f"\n{self._paint('1', f'── {text} {rule}')}", flush=True)

    def prose(self, text: str) -> None:
        """Write a paragraph."""
        print(self._paint("2", textwrap.fill(text, self._width)), flush=True)

    def source(self, code: str) -> None:
        """Write a cell's source."""
        for line in code.splitlines():
            print(self._paint("36", f"  │ {line}"), flush=True)

    def stream(self, text: str) -> None:
        """Write what a running cell prints, as it comes."""
        for piece in text.splitlines(keepends=True):
            if not self._line_open:
                print("    ", end="")
            print(piece.rstrip("\n"), end="", flush=True)
            self._line_open = not piece.endswith("\n")
            if not self._line_open:
                print(flush=True)

    def block(self, mark: str, text: str, colour: str = "32") -> None:
        """Write an output, with a mark before its first line."""
        self._end_line()
        text = text if self._colours else _ANSI.sub("", text)
        for index, line in enumerate(text.splitlines() or [""]):
            lead = mark if index == 0 else " " * len(mark)
            print(f"  {self._paint(colour, lead)} {line}", flush=True)

    def gap(self) -> None:
        """Write an empty line."""
        self._end_line()
        print(flush=True)

    def note(self, text: str) -> None:
        """Write a remark of the demo itself."""
        self._end_line()
        print(self._paint("2", f"    {text}"), flush=True)

    def _end_line(self) -> None:
        if self._line_open:
            print(flush=True)
            self._line_open = False

    def _paint(self, colour: str, text: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._colours else text


class DemoClient(NotebookClient):  # type: ignore[misc,unused-ignore]
    """Run a notebook and show it in a terminal."""

    def __init__(self, notebook: Any, terminal: Terminal, folder: str) -> None:
        super().__init__(
            notebook,
            timeout=_CELL_SECONDS,
            # A kernel's imports come from a disk that may be slow.
            startup_timeout=_CELL_SECONDS,
            kernel_name="python3",
            resources={"metadata": {"path": folder}},
            # ipykernel 7 warns at each start that its sockets are on TCP.
            extra_arguments=["--IPKernelApp.log_level=ERROR"],
            on_cell_start=self._show_cell,
            on_cell_executed=self._show_outputs,
        )
        self._terminal = terminal
        self._started = time.monotonic()
        self._codes = [
            index
            for index, cell in enumerate(notebook.cells)
            if cell.cell_type == "code" and cell.source.strip()
        ]
        # What was last shown of each display; an update after its cell has
        # ended is shown again.
        self._shown: dict[str, str] = {}

    async def async_execute_cell(self, *args: Any, **kwargs: Any) -> Any:
        """Execute a cell, and note now and then that a slow one still runs."""
        notes = asyncio.ensure_future(self._note_long_run())
        try:
            return await super().async_execute_cell(*args, **kwargs)
        finally:
            notes.cancel()

    async def _note_long_run(self) -> None:
        for number in itertools.count(1):
            await asyncio.sleep(_NOTE_EVERY)
            self._terminal.note(f"still running after {number * _NOTE_EVERY} s")

    def process_message(self, msg: Any, cell: Any, cell_index: int) -> Any:
        """Show streams while the cell runs, and later updates of displays."""
        output = super().process_message(msg, cell, cell_index)
        content = msg["content"]
        if msg["msg_type"] == "stream":
            self._terminal.stream(content["text"])
        elif msg["msg_type"] == "update_display_data":
            display_id = content.get("transient", {}).get("display_id")
            text = _text(content["data"])
            if display_id in self._shown and self._shown[display_id] != text:
                self._shown[display_id] = text
                self._terminal.block("↻", text)
        return output

    def _show_cell(self, cell: Any, cell_index: int) -> None:
        if cell.cell_type == "markdown":
            title, prose = _title_and_prose(cell.source)
            if title:
                self._terminal.heading(title)
            for paragraph in prose:
                self._terminal.prose(paragraph)
        elif cell_index in self._codes:
            number = self._codes.index(cell_index) + 1
            self._terminal.gap()
            self._terminal.note(f"cell {number} of {len(self._codes)}")
            self._terminal.source(cell.source)
            self._started = time.monotonic()

    def _show_outputs(self, cell: Any, cell_index: int, **_: Any) -> None:
        took = time.monotonic() - self._started
        for output in cell.outputs:
            if output.output_type == "error":
                # Any other error ends the run, which then shows all of it.
                if "raises-exception" in cell.metadata.get("tags", []):
                    error = f"{output.ename}: {_ANSI.sub('', output.evalue)}"
                    self._terminal.block("✓ raised", error, "33")
            elif output.output_type != "stream":
                mark = "→" if output.output_type == "execute_result" else "•"
                self._terminal.block(mark, _text(output.data))
        for display_id, places in self._display_id_map.items():
            if places.get(cell_index):
                data = cell.outputs[places[cell_index][-1]].get("data", {})
                self._shown[display_id] = _text(data)
        if took > 0.1:
            self._terminal.note(f"{took:.1f} s")


def _text(data: Any) -> str:
    text = data.get("text/plain")
    if text is None:
        return f"({', '.join(data)})"
    return str(text)


def _title_and_prose(markdown: str) -> tuple[str | None, list[str]]:
    """Take a Markdown cell apart into its heading and its paragraphs, without links."""
    title = None
    prose = []
    for block in re.split(r"\n\s*\n", _LINK.sub(r"\1", markdown.strip())):
        heading = re.match(r"#+\s+(.*)", block)
        if heading:
            title = heading[1]
        words = (block[heading.end() :] if heading else block).split()
        if words:
            prose.append(" ".join(words))
    return title, prose


def run(path: Path, terminal: Terminal) -> bool:
    """Run a notebook, and return whether it went as it should."""
    try:
        for attempt in range(1, _TRIES + 1):
            if attempt > 1:
                terminal.heading("Once more, from the first cell")
            if _execute(path, terminal):
                return True
            late = "Ray did not start in time, as on a busy machine."
            terminal.block("✗", late, "33")
        again = f"Tried {_TRIES} times. Try again when the machine is less busy."
        terminal.block("✗", again, "31")
    except CellExecutionError as error:
        terminal.block("✗", f"This cell failed.\n{error.traceback}", "31")
    except (CellTimeoutError, DeadKernelError) as error:
        terminal.block("✗", f"{type(error).__name__}: {error}", "31")
    return False


def _execute(path: Path, terminal: Terminal) -> bool:
    """Run a notebook on a kernel of its own; False if its Ray did not start in time."""
    notebook = nbformat.read(path, as_version=4)
    terminal.note("Starting a Python kernel.")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        # A copy of all that lies beside the notebook, and that it may import.
        beside = Path(folder) / "notebooks"
        shutil.copytree(path.resolve().parent, beside)
        try:
            DemoClient(notebook, terminal, str(beside)).execute()
        except CellExecutionError as error:
            if _TOO_LATE.search(error.evalue):
                return False
            raise
    return True


def main() -> int:
    """Run the demo from the command line."""
    parser = argparse.ArgumentParser(description="Run a notebook and show it here.")
    parser.add_argument("notebook", nargs="?", type=Path, default=QUICKSTART)
    parser.add_argument(
        "--no-lab", action="store_true", help="do not open JupyterLab afterwards"
    )
    arguments = parser.parse_args()
    terminal = Terminal()
    try:
        if not run(arguments.notebook, terminal):
            return 1
    except KeyboardInterrupt:
        terminal.note("Stopped.")
        return 130
    terminal.heading("The demo has ended well")
    if arguments.no_lab or not (sys.stdin.isatty() and sys.stdout.isatty()):
        terminal.note(f"To try it yourself: make lab ({arguments.notebook.name})")
        return 0
    terminal.note("Opening it in JupyterLab; Ctrl-C here ends that.")
    return open_lab(arguments.notebook)


if __name__ == "__main__":
    sys.exit(main())
