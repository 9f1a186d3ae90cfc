"""Texts that try to be more than text, and checks that none succeeded.

The set is the same for every place that shows something. A kernel of a test imports a
copy of this file, so nothing of the package is imported here.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

from ray import _raylet

MARKUP = (
    '<img src=x onerror="window.pwned=1">\'&amp;</span></div></svg>'
    "<script>window.pwned=1</script>"
)
ESCAPES = (
    "\x1b[31mred\x1b[2J\x1b[1;1H\x1b]0;title\x07\x1b]8;;http://evil\x1b\\link\x1bPq#0\x1b\\"
    "\x9b31m\x9d0;title\x9c\r\x08\x7f"
)
DIRECTIONS = "abc\u202edef\u2066ghi\u200fjkl\u061cmno\u2028pqr\ufeffstu\U000e0041"
NUL = "nul\x00nul"
FRAMES = (
    'first\r\n  File "/etc/hosts", line 1, in f\n\ttab\n'
    f'  File "/etc/hosts", line {"9" * 5000}, in f\nValueError: no'
)
LONG = "long " + "<b>\x1b" * 2_500_000
#: Ray itself refuses these for names: they have no UTF-8.
SURROGATES = "half \ud83d a pair \udc80"

NAMES = {
    "markup": MARKUP,
    "escapes": ESCAPES,
    "directions": DIRECTIONS,
    "nul": NUL,
    "frames": FRAMES,
    "long": LONG,
}
TEXTS = {**NAMES, "surrogates": SURROGATES}

if not hasattr(_raylet, "setproctitle"):
    del NAMES["nul"]  # ends the worker of Ray 2.40

#: Methods of `HostileStr` that were called.
called: list[str] = []


def _hostile(method: str) -> Any:
    def call(*_args: Any, **_keywords: Any) -> Any:
        called.append(method)
        raise RuntimeError(f"{method} of a name was called")

    return call


class HostileStr(str):
    """A string whose methods fail."""

    __slots__ = ()


for _method in (
    *("__eq__", "__ne__", "__hash__", "__len__", "__format__", "__str__", "__repr__"),
    *("__getitem__", "__iter__", "__contains__", "__add__", "__radd__", "__lt__"),
    *("encode", "isprintable", "isascii", "partition", "rpartition", "replace"),
):
    setattr(HostileStr, _method, _hostile(_method))

_ACTIVE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
_TAGS = {
    *("div", "span", "b", "table", "tr", "td"),
    *("details", "summary", "code", "pre", "svg", "path"),
}
_ATTRIBUTES = {
    *("style", "class", "title", "role", "aria-hidden"),
    *("viewbox", "preserveaspectratio", "width", "height", "d"),
}


def problem(text: str) -> str | None:
    """Return what a text would do to a terminal or a page, or None."""
    if type(text) is not str:
        return f"a {type(text)}"
    found = _ACTIVE.search(text)
    if found:
        around = text[max(0, found.start() - 40) : found.end() + 20]
        return f"{found[0]!r} in {around!r}"
    if len(text) > 100_000:
        return f"{len(text):,} characters"
    return None


def problem_in(value: Any) -> str | None:
    """Return the same for all strings within lists and dicts."""
    if isinstance(value, str):
        return problem(value)
    items: list[Any] = []
    if isinstance(value, dict):
        items = [*value.keys(), *value.values()]
    elif isinstance(value, (list, tuple)):
        items = list(value)
    return next(filter(None, map(problem_in, items)), None)


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.foreign: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _TAGS:
            self.foreign.append(tag)
        self.foreign += [name for name, _ in attrs if name not in _ATTRIBUTES]
        self.foreign += filter(None, (problem(value or "") for _, value in attrs))

    def handle_data(self, data: str) -> None:
        self.text += data


def problem_in_html(source: str) -> str | None:
    """Return which markup or text in some HTML is not the package's own."""
    page = _Page()
    page.feed(source)
    page.close()
    if page.foreign:
        return f"foreign markup: {page.foreign}"
    return problem(page.text)
