"""What people call a cell, and its lines, for the file that its code was compiled as.

A file's name comes from a traceback that a worker has sent, or from an error's message
that only looks like one. Lines are shown of the cells of this kernel alone, which
IPython keeps in memory: no file is ever opened here.
"""

from __future__ import annotations

import linecache
import re
import sys
from typing import Any

# Seven digits are more lines than a cell has; no number is too long to be one.
_FRAME = re.compile(
    r'^(?P<indent>[ |]*)File "(?P<file>[^"\n]{1,500})", line (?P<line>[0-9]{1,7})'
    r"(?P<rest>[^0-9\n][^\n]*|)(?P<source>\n[ |]{3}[^\n]*)?$",
    re.MULTILINE,
)
_LONGEST_LINE = 200


def with_cell_names(traceback: str) -> str:
    """Name the cells in a traceback as IPython's own tracebacks do.

    Each cell is compiled as a file of its own, ``/tmp/ipykernel_7/148.py``, which is
    also what a worker names that runs a function of it. The worker has no such file,
    so that the line itself is added here.

    Parameters
    ----------
    traceback : str
        With lines like ``File "...", line 3, in load``; on any thread.

    Returns
    -------
    str
        With ``Cell In[5], line 3, in load`` for those of this shell's cells, also of
        some that were run again: then it is the last run's number.
    """
    names = _compiler()
    if names is None:
        return traceback

    def named(found: re.Match[str]) -> str:
        name = _cell_name(names, found["file"])
        if name is None:
            return found[0]
        source = found["source"] or ""
        if not source:
            line = _line(found["file"], int(found["line"]))
            source = f"\n{found['indent']}  {line}" if line else ""
        return f"{found['indent']}{name}, line {found['line']}{found['rest']}{source}"

    return _FRAME.sub(named, traceback)


def cell_line(file: str, number: int) -> str | None:
    """Return a line of a cell of this kernel; None for what is no cell.

    Parameters
    ----------
    file
        The name that the code was compiled with.
    number
        From 1.
    """
    names = _compiler()
    if names is None or _cell_name(names, file) is None:
        return None
    return _line(file, number)


def _compiler() -> Any:
    # A script that shows its progress has no cells, and need not import IPython.
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module else None
    return None if shell is None else shell.compile


def _cell_name(names: Any, file: str) -> str | None:
    # A label and a name, or None for what is no cell (IPython 8.18 to 9.18).
    name = names.format_code_name(file)
    return " ".join(name) if name else None


def _line(file: str, number: int) -> str:
    """Return a line of what IPython has put into `linecache`; "" if there is none."""
    entry = linecache.cache.get(file)
    # Size, time of change, lines and name; no time where no file stands behind it.
    if entry is None or len(entry) != 4 or entry[1] is not None:
        return ""
    lines = entry[2]
    if not 0 < number <= len(lines):
        return ""
    line = lines[number - 1].strip()
    return line if len(line) <= _LONGEST_LINE else line[: _LONGEST_LINE - 1] + "…"
