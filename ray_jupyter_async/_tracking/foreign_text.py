"""Text from users, workers and Ray, where it enters: exact, bounded and encodable.

A name may be any subclass of `str`, with methods that raise or never return, and be
megabytes long; an error's message may hold half a surrogate pair, which no channel to
a front end or terminal can encode. What passed through here is a plain `str` that any
thread may hash, compare and format. What it may do to a page or a terminal is decided
where it is shown (``_display/plain_text.py``).
"""

from __future__ import annotations

import re
from typing import Any, cast

#: Characters of a name: of a task, a class, a node.
LONGEST_NAME = 500

#: Stands for a character that cannot be shown.
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

#: What a terminal or a page would act on instead of showing it: control characters
#: (C0, C1) other than tabs and line ends, marks that turn the direction of text around
#: them, invisible characters, and lone surrogates. The two joiners stay: emoji and
#: Persian words need them.
ACTIVE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e"
    "\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e0fff]"
)
_SURROGATE = re.compile("[\ud800-\udfff]")
# Other than a space: a name is one line.
_BLANKS = re.compile(r"[\t\n]+")


def exact(text: object) -> str:
    """Return ``text`` as a `str` of that very class; "" if it is no string.

    No method of a subclass runs.
    """
    if type(text) is str:
        return text
    # Not `isinstance`, which asks objects for their `__class__`.
    if not issubclass(type(text), str):
        return ""
    return str.__getitem__(cast("Any", text), slice(None))


def encodable(text: str) -> str:
    """Return ``text`` with lone surrogates replaced: those have no UTF-8."""
    return text if text.isascii() else _SURROGATE.sub(REPLACEMENT, text)


def clean(text: object, longest: int) -> str:
    """Return a text that can be kept and sent, cut at its end.

    Parameters
    ----------
    text
        From anywhere.
    longest
        Characters.
    """
    if type(text) is not str:
        if not issubclass(type(text), str):
            return ""
        # Cut first: the rest is not copied.
        text = str.__getitem__(cast("Any", text), slice(longest + 1))
    if len(text) > longest:
        text = text[: longest - 1] + "…"
    return encodable(text)


def clean_name(name: object) -> str:
    """Return a name as one line that is safe to print; about 0.1 us for most names.

    Submitting a task calls this. The result is also what pages and magics know a line
    by, so it is the same wherever the name is shown.
    """
    if type(name) is str and len(name) <= LONGEST_NAME and name.isprintable():
        return name
    kept = clean(name, LONGEST_NAME)
    if kept.isprintable():
        return kept
    return ACTIVE.sub(REPLACEMENT, _BLANKS.sub(" ", kept))
