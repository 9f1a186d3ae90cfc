"""A program at a terminal of its own: its output, and the screen that this makes.

A pseudo-terminal with a terminal emulator behind it, on systems that have those.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time
from typing import TYPE_CHECKING, NamedTuple

import pyte

from harness.polling import poll
from harness.rays import process_environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

COLUMNS = 100
LINES = 40
_PROMPT = r"In \[\d+\]: $"


class Run(NamedTuple):
    """Characters beside each other on a screen, in one style."""

    text: str
    #: As pyte names it: ``default``, ``red``, or six hexadecimal digits.
    colour: str
    bold: bool


class Terminal:
    """A program at a terminal.

    Parameters
    ----------
    command
        The program and its arguments.
    folder
        Its working folder, which also holds its Ray sessions.
    env
        Additional environment variables.

    Attributes
    ----------
    output : str
        What it has written since `wait_for` found something.
    """

    def __init__(
        self, command: Sequence[str], folder: Path, env: Mapping[str, str]
    ) -> None:
        self.output = ""
        self._screen = pyte.Screen(COLUMNS, LINES)
        # The emulator answers where the cursor is, and what it is.
        self._screen.write_process_input = self.type  # type: ignore[assignment,method-assign]
        self._emulator = pyte.ByteStream(self._screen)
        self._terminal, theirs = pty.openpty()
        self.resize(LINES, COLUMNS)
        os.set_blocking(self._terminal, False)
        self._process = subprocess.Popen(
            command,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=folder,
            env=process_environment(folder, {"TERM": "xterm-256color", **env}),
            # Ctrl-C goes to the processes of the terminal that it belongs to.
            preexec_fn=_take_terminal,
        )
        os.close(theirs)

    @property
    def screen(self) -> list[str]:
        """The lines on the screen now, without the empty ones below them."""
        self.read()
        lines = [line.rstrip() for line in self._screen.display]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    @property
    def styled_screen(self) -> list[list[Run]]:
        """The lines on the screen now, in pieces of one style."""
        lines = []
        for number, text in enumerate(self.screen):
            row = self._screen.buffer[number]
            cells = [row[column] for column in range(len(text))]
            styles = itertools.groupby(cells, lambda cell: (cell.fg, cell.bold))
            lines.append(
                [
                    Run("".join(cell.data for cell in of_style), *style)
                    for style, of_style in styles
                ]
            )
        return lines

    def resize(self, lines: int, columns: int) -> None:
        """Make the terminal larger or smaller."""
        self._screen.resize(lines, columns)
        size = struct.pack("HHHH", lines, columns, 0, 0)
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, size)

    def type(self, text: str) -> None:
        """Type a text."""
        os.write(self._terminal, text.encode())

    def press_ctrl_c(self) -> float:
        """Press Ctrl-C, and return the ``time.monotonic()`` of that moment."""
        self.type("\x03")
        return time.monotonic()

    def read(self) -> str:
        """Read what it has written, and return `output`."""
        with contextlib.suppress(OSError):  # nothing there, or it has ended
            data = os.read(self._terminal, 65536)
            self._emulator.feed(data)
            self.output += data.decode(errors="replace")
        return self.output

    def wait_for(self, pattern: str, timeout: float = 20.0) -> str:
        """Wait until it has written this, drop `output` up to there and return it."""
        found = poll(lambda: re.search(pattern, self.read()), timeout, what=pattern)
        assert found is not None
        before, self.output = self.output[: found.start()], self.output[found.end() :]
        return before

    def wait_to_see(self, pattern: str, timeout: float = 20.0) -> str:
        """Wait until a line on the screen is like this, and return it."""

        def look() -> str | None:
            return next((x for x in self.screen if re.search(pattern, x)), None)

        try:
            line = poll(look, timeout, what=pattern)
        except AssertionError as error:
            seen = "\n".join(self.screen)
            raise AssertionError(f"{error}\n--- on the screen\n{seen}") from None
        assert line is not None
        return line

    def run(self, line: str, timeout: float = 20.0) -> str:
        """Type one line to an IPython, and return what it prints."""
        self.type(f"{line}\n")
        return self.wait_for(_PROMPT, timeout)

    def wait_for_end(self, timeout: float = 60.0) -> int:
        """Wait until the program has ended, and return its exit code."""

        def ended() -> bool:
            self.read()
            return self._process.poll() is not None

        poll(ended, timeout, what="the program to end")
        self.read()
        return int(self._process.returncode)

    def end(self) -> None:
        """End it, by the end of its input first."""
        with contextlib.suppress(OSError):
            self.type("\x04")
        # A program that reads nothing does not notice that end.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(20)
        self._process.kill()
        self._process.wait()
        os.close(self._terminal)


def _take_terminal() -> None:
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@contextlib.contextmanager
def running_program(
    command: Sequence[str], folder: Path, env: Mapping[str, str] | None = None
) -> Iterator[Terminal]:
    """Yield a program at a terminal, and end it."""
    terminal = Terminal(command, folder, env or {})
    try:
        yield terminal
    finally:
        terminal.end()


@contextlib.contextmanager
def running_ipython(folder: Path, *options: str) -> Iterator[Terminal]:
    """Yield an IPython whose first prompt has come.

    Parameters
    ----------
    folder
        Its working folder.
    *options
        Of IPython; ``--simple-prompt`` when there are none.
    """
    command = [
        sys.executable, "-m", "IPython", "--no-banner", "--colors=NoColor",
        "--no-confirm-exit", "--HistoryManager.enabled=False",
        *(options or ("--simple-prompt",)),
    ]  # fmt: skip
    environment = {"IPYTHONDIR": str(folder / "i")}
    with running_program(command, folder, environment) as terminal:
        terminal.wait_to_see(r"In \[1\]:", 60)
        yield terminal
