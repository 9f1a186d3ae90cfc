"""Errors by class and message, with the traceback of the first of each.

Only text is kept, and little of it: no exception and no frame ever comes here.
"""

from __future__ import annotations

import linecache
import re
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..awaiting.failures import cut_middle
from .progress import ErrorGroup

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_GROUPS = 20
OTHER_ERRORS = "other errors"
#: Characters.
LONGEST_TRACEBACK = 6_000
_LONGEST_SHORT = 2_000
_MOST_FRAMES = 6

_FRAME = re.compile(r'^  File "(?P<file>[^"]+)", line (?P<line>\d+), in (?P<where>.*)$')
# Colours that Ray writes around a task's name.
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")

_LIBRARIES = tuple(
    str(Path(folder)) + "/"
    for folder in {
        sysconfig.get_path(name)
        for name in ("stdlib", "platstdlib", "purelib", "platlib")
    }
)


class _Group:
    __slots__ = ("again", "count", "full", "short", "task")

    def __init__(self) -> None:
        self.count = 0
        #: Those of them that another cell counts, too.
        self.again = 0
        self.short = self.full = ""
        self.task: bytes | None = None


class Failure(NamedTuple):
    """What is told of one error.

    Attributes
    ----------
    kind, message : str
        As in `ErrorGroup`.
    traceback : str
        The remote one, "" if it is not known (any more).
    """

    kind: str
    message: str = ""
    traceback: str = ""


class ErrorGroups:
    """Counts a line's errors.

    Beyond `MAX_GROUPS` groups only the classes are told apart, and beyond as
    many classes nothing.
    """

    __slots__ = ("_groups",)

    def __init__(self) -> None:
        self._groups: dict[tuple[str, str], _Group] = {}

    def add(
        self, failure: Failure, task: bytes | None, count: int = 1, again: int = 0
    ) -> None:
        """Count an error, which another cell may count, too (`again`)."""
        key = self._key(failure.kind, failure.message)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = _Group()
        group.count += count
        group.again += again
        self._tell(group, failure, task)

    def tell(self, failure: Failure, task: bytes) -> None:
        """Add the text of an error that was counted without it."""
        group = self._groups.get(self._key(failure.kind, failure.message))
        if group is not None:
            self._tell(group, failure, task)

    def remove(self, kind: str, message: str, again: int = 0) -> None:
        """Take back one error that `add` has counted."""
        for key in ((kind, message), (kind, ""), (OTHER_ERRORS, "")):
            group = self._groups.get(key)
            if group is not None:
                group.count -= 1
                group.again -= again
                if not group.count:
                    del self._groups[key]
                return

    def merge(self, other: ErrorGroups) -> None:
        """Add all of `other` that no other cell counts."""
        for (kind, message), theirs in other._groups.items():
            if count := theirs.count - theirs.again:
                failure = Failure(kind, message, theirs.full)
                self.add(failure, theirs.task, count=count)

    def read(self) -> tuple[ErrorGroup, ...]:
        """Give the groups, most frequent first."""
        groups = [
            ErrorGroup(kind, message, g.count, g.short, g.full, g.task)
            for (kind, message), g in self._groups.items()
        ]
        return tuple(sorted(groups, key=lambda g: (-g.count, g.kind, g.message)))

    def _key(self, kind: str, message: str) -> tuple[str, str]:
        groups = self._groups
        if (kind, message) in groups or len(groups) < MAX_GROUPS:
            return kind, message
        if (kind, "") in groups or len(groups) < 2 * MAX_GROUPS:
            return kind, ""
        return OTHER_ERRORS, ""

    def _tell(self, group: _Group, failure: Failure, task: bytes | None) -> None:
        if group.task is None:
            group.task = task
        if failure.traceback and not group.full:
            plain = _COLOUR.sub("", failure.traceback).strip("\n")
            group.full = cut_middle(plain, LONGEST_TRACEBACK)
            group.short = short_traceback(failure.traceback)


def short_traceback(full: str) -> str:
    """Give the frames that are the user's own, and the error.

    Those of Ray, of the standard library and of installed packages are left
    out, unless there are no others. A function that was defined in a cell has
    no source file where it ran; its lines come from this process's `linecache`.

    Parameters
    ----------
    full
        The text of a traceback, as Ray gives it.
    """
    lines = _COLOUR.sub("", full).rstrip().splitlines()
    frames: list[tuple[str, list[str]]] = []
    rest: list[str] = []
    for line in lines:
        found = _FRAME.match(line)
        if found:
            frames.append((found["file"], [line, *_source(found)]))
            rest = []
        elif frames and line.startswith("    ") and not rest:
            # What the worker knew of the source; `_source` gave it unless the
            # file is not here.
            if len(frames[-1][1]) == 1:
                frames[-1][1].append(line)
        else:
            rest.append(line)
    own = [told for file, told in frames if not _of_a_library(file)]
    shown = (own or [told for _, told in frames[-1:]])[-_MOST_FRAMES:]
    return cut_middle("\n".join([*_flat(shown), *rest]), _LONGEST_SHORT)


def _source(frame: re.Match[str]) -> list[str]:
    line = linecache.getline(frame["file"], int(frame["line"])).strip()
    return [f"    {line}"] if line else []


def _of_a_library(file: str) -> bool:
    return (
        file.startswith((*_LIBRARIES, "python/ray/", "<frozen"))
        or "/site-packages/" in file
        or "/dist-packages/" in file
        or file.endswith((".pyx", ".pxi"))
    )


def _flat(lists: Iterable[list[str]]) -> list[str]:
    return [item for items in lists for item in items]
