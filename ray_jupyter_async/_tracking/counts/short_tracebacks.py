"""The useful part of a remote traceback, from its text alone.

The text is whatever a task has raised as its message. It is cut first, no pattern in
here backtracks, and no file is opened: a line that looks like a frame is no reason to
read the file that it names.
"""

from __future__ import annotations

import functools
import re
import sysconfig
from itertools import chain
from pathlib import Path

from ..._awaiting.error_text import cut_middle

_LONGEST = 20_000
_LONGEST_SHORT = 2_000
_MOST_FRAMES = 6

_FRAME = re.compile(r'  File "(?P<file>[^"\n]+)", line [0-9]+, in ')
# Colours that Ray writes around a task's name.
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")

_SCHEMES = ("stdlib", "platstdlib", "purelib", "platlib")
_LIBRARIES = tuple(
    str(Path(folder)) + "/" for folder in {*map(sysconfig.get_path, _SCHEMES)}
)


@functools.lru_cache(maxsize=512)
def short_traceback(full: str) -> str:
    """Return the frames that are the user's own, and the error.

    Frames of Ray, the standard library and installed packages are left out, unless
    there are no others. Source lines are those that the worker sent.
    """
    lines = _COLOUR.sub("", cut_middle(full, _LONGEST)).rstrip().splitlines()
    frames: list[tuple[str, list[str]]] = []
    rest: list[str] = []
    for line in lines:
        found = _FRAME.match(line)
        if found:
            frames.append((found["file"], [line]))
            rest = []
        elif frames and line.startswith("    ") and not rest:
            # The source line; what follows it only marks a part of it.
            if len(frames[-1][1]) == 1:
                frames[-1][1].append(line)
        else:
            rest.append(line)
    own = [frame for file, frame in frames if not _of_a_library(file)]
    shown = (own or [frame for _, frame in frames[-1:]])[-_MOST_FRAMES:]
    return cut_middle("\n".join([*chain(*shown), *rest]), _LONGEST_SHORT)


def _of_a_library(file: str) -> bool:
    return (
        file.startswith((*_LIBRARIES, "python/ray/", "<frozen"))
        or "/site-packages/" in file
        or "/dist-packages/" in file
        or file.endswith((".pyx", ".pxi"))
    )
