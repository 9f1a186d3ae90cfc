"""The last lines of a terminal, redrawn in place below all that is written to it.

`rich.live.Live` times and renders them. Its redirect and its cursor moves are not used:
output would be lost, as a table in docs/how_to/terminal.md shows. Instead the
cursor waits on an empty line above the lines, and the unbuffered files below the
streams are watched.
"""

from __future__ import annotations

import builtins
import contextlib
import functools
import io
import os
import re
import select
import sys
import time
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.live import Live

from ..._replaced import Link, replaced

if sys.platform != "win32":
    import termios

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator
    from typing import TextIO

    from rich.console import ConsoleRenderable, RenderableType

# From the cursor to the end of the screen.
_ERASE = b"\r\x1b[J"
# Colours, erased ends of lines and modes leave the cursor where it is.
_STAYS = rb"(?:\x1b\[[0-9;?]*[mKhl])*"
_STAYS_IN_PLACE = re.compile(_STAYS + rb"\Z")
_ENDS_LINE = re.compile(rb"\n" + _STAYS + rb"\Z")
_ASCII = str.maketrans("⠋⠙⠹⠸⠼⠴⠦⠧✓✕⊘◦–█▒·…", "|/-\\|/-\\+xo.-#=..")


class TerminalScreen(Live, Link):
    """What is shown on one terminal, in blocks, while there is something to show.

    Meanwhile what is written to the files of `sys.stdout` and `sys.stderr` stands
    above the lines, from any thread and through any stream, and `input()` has the
    terminal to itself. Thread-safe. Of `Live`, `_lock` and `_live_render` are private
    (rich 15.0).
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._process = os.getpid()
        self._blocks: dict[Hashable, Callable[[int, float | None], RenderableType]] = {}
        self._taken = contextlib.ExitStack()
        # An own descriptor stays on the terminal when the stream's is redirected.
        self._terminal = -1
        # What was rendered last, and whether it is on the screen.
        self._frame = b""
        self._drawn = False
        self._hidden = 0
        # Whether the cursor is at the start of a line; None when unknown.
        self._at_start: bool | None = None
        # Nothing is written to the console's file: a flush of the stream under our
        # lock, and ours under the stream's, would wait for each other.
        unused = io.TextIOWrapper(io.BytesIO(), stream.encoding or "utf-8")
        super().__init__(
            console=Console(file=unused, force_terminal=True, force_jupyter=False),
            get_renderable=lambda: self._rendered(time.monotonic(), *self._blocks),
            refresh_per_second=5,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="crop",
        )

    def shows(self, block: Hashable) -> bool:
        """Whether a block is shown."""
        return block in self._blocks

    def show(
        self, block: Hashable, render: Callable[[int, float | None], RenderableType]
    ) -> None:
        """Show what ``render(columns, now)`` returns for each refresh, until `end`."""
        with self._lock:
            self._blocks[block] = render
            if self.is_started:
                self.refresh()
                return
            with contextlib.ExitStack() as undo:
                self._take_terminal(undo)
                undo.callback(self.stop)
                self.start(refresh=True)
                self._taken = undo.pop_all()

    def end(self, block: Hashable) -> None:
        """Leave ``render(columns, None)`` in a block's place; no-op without a block."""
        # Before the lock, which a flush in another thread takes after the stream's.
        with contextlib.suppress(OSError, ValueError):  # it may have been closed
            self._stream.flush()
        with self._lock:
            if block not in self._blocks:
                return
            # Live adds what it shows to all that is printed.
            self._live_render.set_renderable("")
            with self.console.capture() as captured:
                self.console.print(self._rendered(None, block), soft_wrap=True)
            del self._blocks[block]
            lines = [line.rstrip() + "\n" for line in captured.get().splitlines()]
            self._frame = b""
            with contextlib.suppress(OSError):  # the terminal may be gone
                self._draw(self._line_start() + self._encoded("".join(lines)))
            if self._blocks:
                self.refresh()
            else:
                self._taken.close()

    def refresh(self) -> None:
        """Render and draw, even what is the same: others may have written over it."""
        with self._lock, contextlib.suppress(OSError):  # the terminal may be gone
            columns, rows = os.get_terminal_size(self._terminal)
            # Some terminals go on to the next line after the last column.
            self.console.size = (max(20, columns or 80) - 1, max(3, rows or 25) - 2)
            with self.console.capture() as captured:
                super().refresh()
            self._frame = self._encoded(captured.get())
            # Not even erased while keys are read: another process may have painted
            # the screen. What this process writes erases the lines.
            if not _is_read(self._terminal):
                self._draw()

    def process_renderables(
        self, renderables: list[ConsoleRenderable]
    ) -> list[ConsoleRenderable]:
        """Return the lines without Live's cursor moves; `_draw` places them."""
        return [*renderables, self._live_render]

    def _take_terminal(self, undo: contextlib.ExitStack) -> None:
        self._at_start = None
        self._terminal = os.dup(self._stream.fileno())
        undo.callback(self._close)
        streams = (self._stream, sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)
        for file in set(map(_file_below, streams)):
            if self._is_end_of(file):
                watched = functools.partial(self._watched, file)
                undo.enter_context(replaced(file, "write", watched))
        undo.enter_context(replaced(builtins, "input", self._reading))

    def _close(self) -> None:
        terminal, self._terminal = self._terminal, -1
        os.close(terminal)

    def _watched(self, file: Any, original: Callable[[Any], int | None]) -> Any:
        """Return a `write` whose output stands above the lines.

        It becomes an attribute of the file, which CPython's buffers look up for each
        write. The `write` of the stream above belongs to others, IPython among them.
        """

        def write(data: Any, /) -> int | None:
            # In a fork the lines are the parent's, and the lock may be held for ever.
            if self._process == os.getpid():
                with self._lock:
                    # Its descriptor may lead elsewhere by now.
                    if self._is_end_of(file):
                        self._draw(text := bytes(data))
                        return len(text)
            return original(data)

        return write

    def _reading(self, original: Callable[[object], str]) -> Callable[[object], str]:
        link: TerminalScreen | None = self

        @functools.wraps(original)
        def read(prompt: object = "", /) -> str:
            __tracebackhide__ = _rich_traceback_omit = True
            try:
                with contextlib.nullcontext() if link is None else link._hidden_lines():
                    return original(prompt)
            except BaseException as error:
                if link is not None:
                    link.hide(error)
                raise

        return read

    @contextlib.contextmanager
    def _hidden_lines(self) -> Iterator[None]:
        if self._process != os.getpid():
            yield
            return
        with self._lock:
            self._hidden += 1
            self.refresh()
        try:
            yield
        finally:
            with self._lock:
                self._hidden -= 1
                # The end of what was typed is the start of a line, most of the time.
                self._at_start = None

    def _rendered(self, now: float | None, *blocks: Hashable) -> RenderableType:
        return Group(*(self._blocks[one](self.console.width, now) for one in blocks))

    def _encoded(self, text: str) -> bytes:
        encoding = self.console.encoding
        if not encoding.startswith("utf"):
            text = text.translate(_ASCII)
        return text.encode(encoding, "replace")

    def _draw(self, data: bytes = b"") -> None:
        """Write ``data``, then the lines below it where they have a place.

        In one piece: nothing flickers, and an interrupt finds either all of it written
        or nothing.
        """
        out = (_ERASE if self._drawn else b"") + data
        if not _STAYS_IN_PLACE.match(data):
            self._at_start = _ENDS_LINE.search(data) is not None
        if _is_read(self._terminal):
            self._at_start, self._drawn = None, False
        else:
            # A line that others have begun will end.
            begun = self._at_start is False
            self._drawn = bool(self._frame) and not self._hidden and not begun
        if self._drawn:
            up = self._frame.count(b"\n") + 1
            out += self._line_start() + b"\n%b\x1b[%dA\r" % (self._frame, up)
        while out:
            try:
                out = out[os.write(self._terminal, out) :]
            except BlockingIOError:  # uvloop makes terminals non-blocking
                select.select([], [self._terminal], [])

    def _line_start(self) -> bytes:
        before, self._at_start = self._at_start, True
        if before is None:
            # As many blanks as there are columns end on the line after a text, and on
            # their own after none: shells do this before a prompt.
            return b" " * (self.console.width + 1) + _ERASE
        return b"" if before else b"\n"

    def _is_end_of(self, file: Any) -> bool:
        """Whether an unbuffered file ends on this terminal."""
        try:
            return os.path.sameopenfile(file.fileno(), self._terminal)
        except (AttributeError, OSError, ValueError):
            return False


def _file_below(stream: object) -> object:
    """Return the unbuffered file that a text stream ends in; None if there is none."""
    for name in ("buffer", "raw"):
        stream = getattr(stream, name, stream)
    return stream if isinstance(stream, io.RawIOBase) else None


def _is_read(terminal: int) -> bool:
    """Whether single keys or a password are read: a prompt, an editor, a debugger."""
    if sys.platform == "win32":
        return False
    try:
        flags = termios.tcgetattr(terminal)[3]
    except (OSError, termios.error):
        return False
    return not (flags & termios.ICANON and flags & termios.ECHO)
