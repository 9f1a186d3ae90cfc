"""The last lines of a terminal: redrawn in place below all that is written to it.

Nothing here knows what the lines say. They stand below the cursor, which waits on
an empty line above them: output past Python, by a library in C or by the terminal
that echoes a key, finds a place of its own there, and the lines move on.

What Python writes is seen at the file below `sys.stdout` and `sys.stderr`, because
their `write` belongs to others: IPython (9.1 and later) replaces it in each cell,
prompt_toolkit passes it by, and handlers of logs keep the stream itself.
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
import threading
import weakref
from typing import TYPE_CHECKING, Any

from ..._replaced import Link

if sys.platform != "win32":
    import termios

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TextIO

#: Seconds between two drawings.
_PERIOD = 0.2
# From the cursor to the end of the screen.
_ERASE = b"\r\x1b[J"
# Colours, erased ends of lines and modes: they leave the cursor where it is.
_STAYS = rb"(?:\x1b\[[0-9;?]*[mKhl])*"
_ENDS_LINE = re.compile(rb"\n" + _STAYS + rb"\Z")
_STAYS_IN_PLACE = re.compile(_STAYS + rb"\Z")

_screens: weakref.WeakSet[TerminalScreen] = weakref.WeakSet()


class TerminalScreen:
    """What is shown on one terminal, in blocks, while there is something to show.

    While there is a block, what is written to the files of `sys.stdout` and
    `sys.stderr` stands above the lines, from any thread and through any stream,
    and `input()` has the terminal to itself. Thread-safe.

    Parameters
    ----------
    stream
        A terminal, see `is_screen`.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.RLock()
        self._blocks: dict[object, Callable[[], list[str]]] = {}
        self._lines: list[str] = []
        # An own descriptor stays on the terminal when the stream's is redirected.
        self._terminal: int | None = None
        self._drawn = False
        self._hidden = 0
        # Whether the cursor is at the start of a line; None when unknown.
        self._at_start: bool | None = None
        self._taken = contextlib.ExitStack()
        self._over = threading.Event()
        _screens.add(self)

    def is_on(self, stream: TextIO) -> bool:
        """Whether ``stream`` ends on the same terminal."""
        return stream is self._stream or (
            self._terminal is not None and _is_same(stream, self._terminal)
        )

    def show(self, block: object, render: Callable[[], list[str]]) -> None:
        """Show what ``render`` gives, from now on until `end`.

        Parameters
        ----------
        block
            By which it is known.
        render
            Gives lines that fit the terminal. Called again and again, on a thread
            of the screen's own.
        """
        with self._lock:
            if not self._blocks:
                self._take_terminal()
            self._blocks[block] = render
            self._render()

    def end(self, block: object, text: str) -> None:
        """Leave ``text`` in the place of a block; nothing if there is no such."""
        # Before the lock, which a flush in another thread takes after the stream's.
        with contextlib.suppress(OSError, ValueError):  # it may have been closed
            self._stream.flush()
        with self._lock:
            if self._blocks.pop(block, None) is None:
                return
            final = text if text.endswith("\n") else f"{text}\n"
            self._put(self._erasing() + self._line_start() + self._encoded(final))
            if self._blocks:
                self._render()
            else:
                self._give_back()

    @contextlib.contextmanager
    def hidden(self) -> Iterator[None]:
        """Leave the terminal to another reader."""
        with self._lock:
            self._hidden += 1
            self._put(self._erasing())
        try:
            yield
        finally:
            with self._lock:
                self._hidden -= 1
                # The end of what was typed is the start of a line, most of the time.
                self._at_start = None

    def _take_terminal(self) -> None:
        self._at_start = None
        self._over = threading.Event()
        with contextlib.suppress(OSError, ValueError):  # it may have been closed
            self._terminal = os.dup(self._stream.fileno())
            self._taken.callback(self._close)
        streams = (self._stream, sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)
        for file in {id(file): file for file in map(_file_below, streams)}.values():
            if self._terminal is not None and _is_same(file, self._terminal):
                self._watch(file)
        original = builtins.input

        link: _Hiding | None = _Hiding(self)

        @functools.wraps(original)
        def read(prompt: object = "", /) -> str:
            __tracebackhide__ = _rich_traceback_omit = True
            try:
                with contextlib.nullcontext() if link is None else link.hidden():
                    return original(prompt)
            except BaseException as error:
                if link is not None:
                    link.hide(error)
                raise

        _replace(self._taken, builtins, "input", read)
        threading.Thread(
            target=self._redraw, args=(self._over,),
            name="ray_jupyter_async terminal", daemon=True,
        ).start()  # fmt: skip

    def _give_back(self) -> None:
        self._over.set()
        self._taken.close()

    def _close(self) -> None:
        terminal, self._terminal = self._terminal, None
        if terminal is not None:
            os.close(terminal)

    def _watch(self, file: Any) -> None:
        """Have what is written to a file stand above the lines.

        By an attribute of the object, which CPython's buffers look up at each write.
        """
        original = file.write

        def write(data: Any, /) -> int | None:
            with self._lock:
                if self._terminal is None or not _is_same(file, self._terminal):
                    # Its descriptor leads elsewhere now.
                    written: int | None = original(data)
                    return written
                text = bytes(data)
                erasing = self._erasing()
                if not _STAYS_IN_PLACE.match(text):
                    self._at_start = _ENDS_LINE.search(text) is not None
                # In one piece: nothing flickers, and an interrupt finds either all
                # of it written or nothing.
                _write_all(file.fileno(), erasing + text + self._drawing())
                return len(text)

        _replace(self._taken, file, "write", write)

    def _redraw(self, over: threading.Event) -> None:
        while not over.wait(_PERIOD):
            with self._lock:
                if not over.is_set():
                    self._render()

    def _render(self) -> None:
        # Also the same ones again: others may have written over them.
        self._lines = [line for render in self._blocks.values() for line in render()]
        if self._terminal is None or _is_read(self._terminal):
            # Not even erased: another process may have painted the screen. What
            # this process writes erases them.
            return
        self._put(self._erasing() + self._drawing())

    def _erasing(self) -> bytes:
        drawn, self._drawn = self._drawn, False
        return _ERASE if drawn else b""

    def _drawing(self) -> bytes:
        """Return what draws the lines, or nothing where they have no place now."""
        if self._hidden or self._terminal is None:
            return b""
        if _is_read(self._terminal):
            self._at_start = None
            return b""
        # In the middle of somebody's line there is no place; it will end.
        if self._at_start is False:
            return b""
        lines = self._lines[: max(1, self._size().lines - 2)]
        if not lines:
            return b""
        self._drawn = True
        below = "".join(f"\n{line}" for line in lines) + f"\x1b[{len(lines)}A\r"
        return self._line_start() + self._encoded(below)

    def _line_start(self) -> bytes:
        before, self._at_start = self._at_start, True
        if before is None:
            # So many blanks end on the line after a text, and on its own after
            # none: what shells do before a prompt.
            return b" " * self._size().columns + _ERASE
        return b"" if before else b"\n"

    def _encoded(self, text: str) -> bytes:
        return text.encode(self._stream.encoding or "utf-8", "replace")

    def _put(self, data: bytes) -> None:
        if self._terminal is not None and data:
            with contextlib.suppress(OSError):  # the terminal may be gone
                _write_all(self._terminal, data)

    def _size(self) -> os.terminal_size:
        if self._terminal is not None:
            with contextlib.suppress(OSError):
                return os.get_terminal_size(self._terminal)
        return os.terminal_size((80, 24))

    def _forked(self) -> None:
        """Leave the terminal to the parent; another thread may have had the lock."""
        self._lock = threading.RLock()
        self._blocks.clear()
        self._drawn = False
        self._give_back()


class _Hiding(Link):
    """The link from the `input` that was put in to the screen."""

    def __init__(self, screen: TerminalScreen) -> None:
        self.hidden = screen.hidden


def is_screen(stream: object) -> bool:
    """Whether lines can be redrawn where this stream ends."""
    try:
        # Some editors' consoles call themselves a terminal, but have no descriptor.
        stream.fileno()  # type: ignore[attr-defined]
        return bool(stream.isatty()) and os.environ.get("TERM") != "dumb"  # type: ignore[attr-defined]
    except (AttributeError, OSError, ValueError):
        return False


def _file_below(stream: object) -> object:
    """Return the unbuffered file that a text stream ends in; None if there is none."""
    for name in ("buffer", "raw"):
        stream = getattr(stream, name, stream)
    return stream if isinstance(stream, io.RawIOBase) else None


def _is_same(stream: Any, terminal: int) -> bool:
    """Whether a stream or file ends on this terminal."""
    try:
        return os.path.sameopenfile(stream.fileno(), terminal)
    except (AttributeError, OSError, ValueError):
        return False


def _is_read(terminal: int) -> bool:
    """Whether single keys or a password are read: a prompt, an editor, a debugger."""
    if sys.platform == "win32":
        return False
    try:
        flags = termios.tcgetattr(terminal)[3]
    except (OSError, termios.error):
        return False
    return not (flags & termios.ICANON and flags & termios.ECHO)


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:  # uvloop makes terminals non-blocking
            select.select([], [descriptor], [])


def _replace(undo: contextlib.ExitStack, owner: Any, name: str, new: object) -> None:
    """Set an attribute, and have it restored exactly, unless somebody else has it."""
    before = vars(owner).get(name)
    setattr(owner, name, new)

    def restore() -> None:
        if vars(owner).get(name) is not new:
            return
        if before is None:
            delattr(owner, name)
        else:
            setattr(owner, name, before)

    undo.callback(restore)


def _leave_to_parent() -> None:
    for screen in list(_screens):
        screen._forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)
