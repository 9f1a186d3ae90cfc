"""Text from users, workers and Ray, where it enters: exact, bounded and encodable.

A name may be any subclass of `str`, with methods that raise or never return, and be
megabytes long; a message may hold half a surrogate pair, which no channel to a front
end or terminal can encode. What these functions return is a plain `str` that any thread
may hash, compare and format. ``_display/plain_text.py`` makes it safe to show.
"""

from __future__ import annotations

import re
from typing import Any, cast

#: Characters of a name: of a task, a class, a node.
LONGEST_NAME = 500

#: Stands for a character that cannot be shown.
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

#: What a terminal or a page would act on instead of showing it: control characters
#: (C0, C1) other than tabs and line ends, marks that turn the direction of text,
#: invisible characters, and lone surrogates. The two joiners stay: emoji and Persian
#: words need them.
ACTIVE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e"
    "\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e0fff]"
)
_SURROGATE = re.compile("[\ud800-\udfff]")
_BLANKS = re.compile(r"[\t\n]+")


def exact(text: object, longest: int | None = None) -> str:
    """Return `text` as a `str` of that very class; "" if it is no string.

    A copy is cut to `longest` characters. No method of a subclass runs.
    """
    if type(text) is str:
        return text
    # Not `isinstance`, which asks objects for their `__class__`.
    if not issubclass(type(text), str):
        return ""
    return str.__getitem__(cast("Any", text), slice(longest))


def encodable(text: str) -> str:
    """Return `text` without lone surrogates, which have no UTF-8."""
    return text if text.isascii() else _SURROGATE.sub(REPLACEMENT, text)


def clean(text: object, longest: int) -> str:
    """Return a text from anywhere as one that can be kept and sent, cut at its end."""
    kept = exact(text, longest + 1)
    return encodable(kept if len(kept) <= longest else kept[: longest - 1] + "…")


def clean_name(name: object) -> str:
    """Return a name as one line that is safe to print; about 0.1 us for most names.

    Submitting a task calls this. Pages and magics know a line by the result, so it is
    the same wherever the name is shown.
    """
    if type(name) is str and len(name) <= LONGEST_NAME and name.isprintable():
        return name
    kept = clean(name, LONGEST_NAME)
    if kept.isprintable():
        return kept
    return ACTIVE.sub(REPLACEMENT, _BLANKS.sub(" ", kept))
