"""The doors through which text from elsewhere reaches a face: one for each kind.

Names, messages, nodes, reasons and source lines are data. On a terminal they may not
move the cursor or set its title, in HTML and SVG they may not be markup, and nowhere
may they turn the direction of what stands beside them. Every module of this room that
shows or prints something uses these functions and no others.
"""

from __future__ import annotations

import html
import re
import sys
from typing import TYPE_CHECKING

from .._tracking.foreign_text import ACTIVE, REPLACEMENT, clean

if TYPE_CHECKING:
    from typing import TextIO

#: Characters of a text that is shown in lines; longer ones are cut.
_LONGEST_TEXT = 100_000
# Characters that are printed at once, such as the table of all names.
_LONGEST_PRINTED = 1_000_000
#: Characters of a text in one line, such as a reason.
LONGEST_LINE = 400

# Colours are left out without a trace: Ray writes them around a task's name.
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_BLANKS = re.compile(r"\s+")


def printable(text: object, longest: int = _LONGEST_TEXT) -> str:
    """Return a text of one or more lines that only prints, in a terminal or a page.

    Parameters
    ----------
    text
        From anywhere.
    longest
        Characters beyond which it is cut.
    """
    shown = clean(text, longest).replace("\r\n", "\n")
    if shown.isprintable():
        return shown
    return ACTIVE.sub(REPLACEMENT, _COLOUR.sub("", shown)).expandtabs(4)


def one_line(text: object, longest: int = LONGEST_LINE) -> str:
    """Return the same in one line, its blanks joined."""
    # Cut twice: before anything looks through it, and as it is shown.
    shown = _BLANKS.sub(" ", printable(text, 4 * longest)).strip()
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def markup(text: object) -> str:
    """Return a text as the content of an element of HTML or SVG."""
    return html.escape(printable(text), quote=True)


def attribute(text: object) -> str:
    """Return a text as the value of an attribute in double quotes."""
    return html.escape(one_line(text), quote=True)


def print_text(text: object, file: TextIO | None = None) -> None:
    """Print a text, by default to `sys.stdout`.

    A stream without Unicode gets question marks for what it cannot encode.
    """
    stream = sys.stdout if file is None else file
    shown = printable(text, _LONGEST_PRINTED)
    try:
        print(shown, file=stream)
    except UnicodeEncodeError:
        encoding = stream.encoding or "ascii"
        print(shown.encode(encoding, "replace").decode(encoding), file=stream)
