"""What people call a cell, for the file that its code was compiled as."""

from __future__ import annotations

import re
import sys

_FILE = re.compile(r'File "(?P<file>[^"]+)", line')


def with_cell_names(traceback: str) -> str:
    """Name the cells in a traceback as IPython's own tracebacks do.

    Each cell is compiled as a file of its own, ``/tmp/ipykernel_7/148.py``, which is
    also what a worker names that runs a function of it.

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
    # A script that shows its progress has no cells, and need not import IPython.
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module else None
    if shell is None:
        return traceback
    names = shell.compile

    def named(found: re.Match[str]) -> str:
        # A label and a name, or None for what is no cell (IPython 8.18 to 9.18).
        name = names.format_code_name(found["file"])
        return f"{' '.join(name)}, line" if name else found[0]

    return _FILE.sub(named, traceback)
