"""Escaping of text from elsewhere: one function for each kind of output.

Names, messages, nodes, reasons and source lines are data. They must not move a
terminal's cursor or set its title, be markup in HTML or SVG, or change the direction of
the text around them. Every module of `_display` and `_notebook` that shows or prints
text uses these functions and no others.
"""

from __future__ import annotations

import html
import re
import sys
from typing import TYPE_CHECKING

from .._tracking.foreign_text import ACTIVE, REPLACEMENT, clean

if TYPE_CHECKING:
    from typing import TextIO

# Characters at which a text of several lines is cut.
_LONGEST_TEXT = 100_000
# Characters that are printed at once, for example the table of all names.
_LONGEST_PRINTED = 1_000_000
#: Characters at which a text in one line is cut, for example a reason.
LONGEST_LINE = 400

# Removed without a replacement: Ray colours a task's name.
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_BLANKS = re.compile(r"\s+")


def printable(text: object, longest: int = _LONGEST_TEXT) -> str:
    """Return a text, cut and without control characters other than line breaks."""
    shown = clean(text, longest).replace("\r\n", "\n")
    if shown.isprintable():
        return shown
    return ACTIVE.sub(REPLACEMENT, _COLOUR.sub("", shown)).expandtabs(4)


def one_line(text: object, longest: int = LONGEST_LINE) -> str:
    """Return the same in one line, with single blanks."""
    # Cut before the search too, so that a huge text costs nothing.
    shown = _BLANKS.sub(" ", printable(text, 4 * longest)).strip()
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def markup(text: object) -> str:
    """Return a text as the content of an element of HTML or SVG."""
    return html.escape(printable(text), quote=True)


def attribute(text: object) -> str:
    """Return a text as the value of an attribute in double quotes."""
    return html.escape(one_line(text), quote=True)


def print_text(text: object, file: TextIO | None = None) -> None:
    """Print a text, by default to `sys.stdout`; "?" replaces what it cannot encode."""
    stream = sys.stdout if file is None else file
    shown = printable(text, _LONGEST_PRINTED)
    try:
        print(shown, file=stream)
    except UnicodeEncodeError:
        encoding = stream.encoding or "ascii"
        print(shown.encode(encoding, "replace").decode(encoding), file=stream)
