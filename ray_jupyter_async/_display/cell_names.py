"""The name of a cell, and its lines, by the file name that its code was compiled with.

File names come from tracebacks that workers sent, or from error messages that look like
one. Only lines of this kernel's cells are shown, from IPython's memory: this module
opens no file.
"""

from __future__ import annotations

import linecache
import re
import sys
from typing import Any

# Seven digits are enough for the lines of a cell, and quick to convert.
_FRAME = re.compile(
    r'^(?P<indent>[ |]*)File "(?P<file>[^"\n]{1,500})", line (?P<line>[0-9]{1,7})'
    r"(?P<rest>[^0-9\n][^\n]*|)(?P<source>\n[ |]{3}[^\n]*)?$",
    re.MULTILINE,
)
_LONGEST_LINE = 200


def with_cell_names(traceback: str) -> str:
    """Return a traceback that names cells as IPython does; thread-safe.

    Each cell is compiled as a file of its own, such as ``/tmp/ipykernel_7/148.py``. A
    worker that runs a function of the cell names that file and does not have it, so the
    source line is added here. For a cell that was run again, the name is that of its
    last run.
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
    """Return a line of a cell of this kernel, from 1; None for another file."""
    names = _compiler()
    if names is None or _cell_name(names, file) is None:
        return None
    return _line(file, number)


def _compiler() -> Any:
    # A script has no cells, and may run without IPython.
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module else None
    return None if shell is None else shell.compile


def _cell_name(names: Any, file: str) -> str | None:
    # A label and a name, or None for another file (IPython 8.18 to 9.18).
    name = names.format_code_name(file)
    return " ".join(name) if name else None


def _line(file: str, number: int) -> str:
    """Return a line that IPython has put into `linecache`, or ""."""
    entry = linecache.cache.get(file)
    # Size, time of change, lines and name; the time is None for code without a file.
    if entry is None or len(entry) != 4 or entry[1] is not None:
        return ""
    lines = entry[2]
    if not 0 < number <= len(lines):
        return ""
    line = lines[number - 1].strip()
    return line if len(line) <= _LONGEST_LINE else line[: _LONGEST_LINE - 1] + "…"
