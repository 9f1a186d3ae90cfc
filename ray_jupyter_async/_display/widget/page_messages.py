"""What a page may ask the kernel for: one table of messages, and their checks.

A message comes from whatever runs in a page, and from pages of other versions. It is
parsed into a `Request` whole or refused whole: a field that is missing, unknown, of
another type or too large must not turn it into another request. "Cancel these refs"
without its line would else cancel the cell.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from ..._tracking.foreign_text import LONGEST_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

logger = logging.getLogger("ray_jupyter_async")

#: Characters of what a page calls itself and its requests.
LONGEST_ID = 100
#: Refs that one request may name; the table of an open line cancels one at a time.
MOST_REFS = 10_000
_LARGEST_INDEX = 2**32


class Request(NamedTuple):
    """A request that is well formed.

    Attributes
    ----------
    do
        What is asked for: a key of `REQUESTS`.
    view
        Which view of the widget asks.
    request
        The number by which it is answered; "" for what needs no answer.
    line
        The name of a line; None for all.
    refs
        The indices of some of the line's refs; None for all.
    on
        Whether to pause or to resume.
    """

    do: str
    view: str
    request: str = ""
    line: str | None = None
    refs: frozenset[int] | None = None
    on: bool = False


class Report(NamedTuple):
    """What a page reports of a display's place in its notebook; well formed.

    Attributes
    ----------
    do
        A key of `REPORTS`.
    page
        Which page.
    view
        Which of its views is gone.
    writes
        Whether the page can write into its notebook.
    found
        Whether the display's output is still in the notebook.
    number
        Which form has arrived.
    stands
        Whether that form stands in the notebook.
    """

    do: str
    page: str
    view: str = ""
    writes: bool = False
    found: bool = False
    number: int = 0
    stands: bool = False


class RefusedError(Exception):
    """A message that is neither a request nor a report.

    Attributes
    ----------
    kind
        What was wrong, in words of this module: no part of the message.
    """

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


def _is_id(value: object) -> bool:
    return type(value) is str and len(value) <= LONGEST_ID


def _is_name(value: object) -> bool:
    return type(value) is str and 0 < len(value) <= LONGEST_NAME


def _is_index(value: object) -> bool:
    # Not `isinstance`: a bool would pass for 0 or 1.
    return type(value) is int and 0 <= value < _LARGEST_INDEX


def _are_refs(value: object) -> bool:
    if type(value) is not list or len(value) > MOST_REFS:
        return False
    return all(map(_is_index, value))


def _is_bool(value: object) -> bool:
    return type(value) is bool


_FIELDS: Mapping[str, Callable[[object], bool]] = {
    "view": _is_id,
    "request": _is_id,
    "line": _is_name,
    "refs": _are_refs,
    "on": _is_bool,
    "page": _is_id,
    "writes": _is_bool,
    "found": _is_bool,
    "number": _is_index,
    "stands": _is_bool,
}
_ALWAYS = frozenset({"do", "view", "request"})
_LINE = frozenset({"line"})
_NONE: frozenset[str] = frozenset()

#: The fields that each request must have, in all their combinations.
REQUESTS: Mapping[str, tuple[frozenset[str], ...]] = {
    "show": (_NONE,),
    "renew": (_NONE,),
    "open": (_LINE,),
    "close": (_LINE,),
    "retry": (_LINE,),
    "pause": (frozenset({"on"}),),
    "cancel": (_NONE, _LINE, _LINE | {"refs"}),
    "force": (_NONE, _LINE, _LINE | {"refs"}),
}


#: The fields that each report has.
REPORTS: Mapping[str, frozenset[str]] = {
    "here": frozenset({"do", "page", "writes"}),
    "left": frozenset({"do", "page"}),
    "gone": frozenset({"do", "page", "view", "found"}),
    "arrived": frozenset({"do", "page", "number", "stands"}),
    "rerun": frozenset({"do", "page"}),
}


def parse(content: object) -> Request | Report:
    """Return the request or the report that a message is.

    Parameters
    ----------
    content
        The content of a custom message, as it came.

    Raises
    ------
    RefusedError
        If it is neither.
    """
    if type(content) is not dict:
        raise RefusedError("a message that is no object")
    fields: dict[Any, Any] = content
    what = fields.get("do")
    if type(what) is not str or not (what in REQUESTS or what in REPORTS):
        raise RefusedError("an unknown request")
    if what in REPORTS:
        known = fields.keys() == REPORTS[what]
    else:
        known = any(fields.keys() == _ALWAYS | more for more in REQUESTS[what])
    if not known:
        raise RefusedError(f"{what!r} with other fields than it has")
    for name, value in fields.items():
        if name != "do" and not _FIELDS[name](value):
            raise RefusedError(f"{what!r} with a wrong value of {name!r}")
    if what in REPORTS:
        return Report(**fields)
    refs = fields.get("refs")
    return Request(
        **{**fields, "refs": None if refs is None else frozenset(refs)},
    )


_noted: set[str] = set()
_noting = threading.Lock()


def note_refusal(kind: str) -> None:
    """Log that a message was refused, once for each kind; thread-safe.

    Parameters
    ----------
    kind
        As in `RefusedError`: one of few.
    """
    with _noting:
        if kind in _noted:
            return
        _noted.add(kind)
    logger.warning(
        "refused a message of a page: %s. If a button does nothing, reload the page.",
        kind,
    )
