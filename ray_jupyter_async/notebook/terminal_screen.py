"""The last lines of a terminal: redrawn in place below all that is written to it.

Nothing here knows what the lines say. They stand below the cursor, which waits on
an empty line above them: whatever else is written there, by a library in C or by
the terminal that echoes a key, finds a place of its own, and the lines move on.
"""

from __future__ import annotations

import builtins
import contextlib
import functools
import os
import re
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any

from ..replaced import Link

if sys.platform != "win32":
    import termios

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TextIO

#: Seconds between two drawings.
_PERIOD = 0.2
# From the cursor to the end of the screen.
_ERASE = "\r\x1b[J"
# Colours that are ended after the end of a line.
_ENDS_LINE = re.compile(r"\n(?:\x1b\[[0-9;]*m)*\Z")

_screens: weakref.WeakSet[TerminalScreen] = weakref.WeakSet()


class TerminalScreen:
    """What is shown on one terminal, in blocks, while there is something to show.

    As long as there is a block, `sys.stdout` and `sys.stderr` write above the
    lines, on any thread and also for those who have kept the two; and `input()`
    has the terminal to itself. Every method may be called on any thread.

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
        self._drawn = False
        self._hidden = 0
        # Whether the cursor is at the start of a line; None when nobody knows.
        self._at_start: bool | None = None
        self._taken = contextlib.ExitStack()
        self._over = threading.Event()
        _screens.add(self)

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
        with self._lock:
            if self._blocks.pop(block, None) is None:
                return
            self._erase()
            self._start_line()
            self._put(text if text.endswith("\n") else f"{text}\n")
            if self._blocks:
                self._render()
            else:
                self._give_back()

    @contextlib.contextmanager
    def hidden(self) -> Iterator[None]:
        """Leave the terminal to somebody else."""
        with self._lock:
            self._hidden += 1
            self._erase()
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
        for stream in (self._stream, sys.stdout, sys.stderr):
            if is_screen(stream) and "write" not in vars(stream):
                self._watch(stream)
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

    def _watch(self, stream: Any) -> None:
        """Have what is written to a stream stand above the lines.

        An attribute of the object itself, because handlers of logs, and others,
        keep the object.
        """
        original = stream.write

        def write(text: str, /) -> int:
            with self._lock:
                self._erase()
                written: int = original(text)
                if text:
                    self._at_start = _ENDS_LINE.search(text) is not None
                stream.flush()
                self._draw()
            return written

        write.original = original  # type: ignore[attr-defined]
        _replace(self._taken, stream, "write", write)

    def _redraw(self, over: threading.Event) -> None:
        while not over.wait(_PERIOD):
            with self._lock:
                if not over.is_set():
                    self._render()

    def _render(self) -> None:
        # Also the same ones again: others may have written over them.
        self._lines = [line for render in self._blocks.values() for line in render()]
        self._erase()
        self._draw()

    def _draw(self) -> None:
        # In the middle of somebody's line there is no place; it will end.
        if self._hidden or self._at_start is False or _is_read(self._stream):
            return
        self._start_line()
        lines = self._lines[: max(1, self._size().lines - 2)]
        if lines:
            self._put("".join(f"\n{line}" for line in lines) + f"\x1b[{len(lines)}A\r")
            self._drawn = True

    def _start_line(self) -> None:
        if self._at_start is None:
            # So many blanks end on the line after a text, and on its own after
            # none: what shells do before a prompt.
            self._put(" " * self._size().columns + _ERASE)
        elif not self._at_start:
            self._put("\n")
        self._at_start = True

    def _erase(self) -> None:
        if self._drawn:
            self._put(_ERASE)
            self._drawn = False

    def _put(self, text: str) -> None:
        write = self._stream.write
        with contextlib.suppress(OSError, ValueError):  # it may have been closed
            getattr(write, "original", write)(text)
            self._stream.flush()

    def _size(self) -> os.terminal_size:
        try:
            return os.get_terminal_size(self._stream.fileno())
        except (OSError, ValueError):
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
        return bool(stream.isatty()) and os.environ.get("TERM") != "dumb"  # type: ignore[attr-defined]
    except (AttributeError, ValueError):
        return False


def _is_read(stream: TextIO) -> bool:
    """Whether somebody reads single keys: a prompt, an editor, a debugger."""
    if sys.platform == "win32":
        return False
    try:
        flags = termios.tcgetattr(stream.fileno())[3]
    except (OSError, ValueError, termios.error):
        return False
    return not flags & termios.ICANON


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
