"""The messages between kernel and page, typed, and the checks of what a page sends.

A message comes from whatever runs in a page, and from pages of other versions. It is
parsed into a `Request` or a `Report` whole or refused whole: a field that is missing,
unknown, too large or of another type must not turn it into another request. "Cancel
these refs" without its line would else cancel the cell. The page's side is
``frontend/messages.js``.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

from ..._log import logger
from ..._tracking.foreign_text import LONGEST_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


#: Characters of the ids that a page gives to itself and to its requests.
LONGEST_ID = 100
#: Refs that one request may name; the table of an open line cancels one at a time.
MOST_REFS = 10_000
_LARGEST_INDEX = 2**32


class Button(TypedDict):
    """A button that asks Ray to end tasks."""

    #: "cancel" or "force"; "" disables the button.
    do: str
    text: str
    #: For a screen reader.
    label: str


class LineState(TypedDict):
    """One line: counts for the bar, seconds for the clock, all else in words."""

    name: str
    total: int
    resolved: int
    ready: int
    failed: int
    cancelled: int
    released: int
    unknown: int
    pending: int
    running: int
    cancelling: int
    elapsed_s: float
    mark: str
    sign: str
    done: str
    spoken: str
    rate: str
    left: str
    #: States with their notes.
    notes: list[tuple[str, str]]
    cancel: Button
    #: Whether refs that were cancelled in vain may be cancelled by force.
    force: bool
    #: How many failed tasks can be submitted again.
    retry: int


class State(TypedDict):
    """The trait `state` of the widget."""

    running: bool
    paused: bool
    #: Whether this is the last state: requests are no longer answered.
    over: bool
    #: When the counts were read, seconds since 1970.
    at: float
    summary: str
    #: For a screen reader, at the end; "" before.
    spoken: str
    cancel: Button
    #: Of the columns of names and counts, in characters.
    widths: tuple[int, int]
    lines: list[LineState]


class RefsMessage(TypedDict):
    """Changed refs of an open line; their columns are the message's buffer."""

    refs: str
    start: bool
    seq: int
    count: int
    now: float
    nodes: list[str]
    errors: list[str]


class GroupState(TypedDict):
    """Errors of one class and message."""

    kind: str
    message: str
    count: int
    short: str
    full: str


class ErrorsMessage(TypedDict):
    """All errors of an open line."""

    errors: str
    groups: list[GroupState]


class Answer(TypedDict):
    """The answer to a request."""

    #: The request's id.
    answer: str
    said: str


class Request(NamedTuple):
    """A well-formed request.

    Attributes
    ----------
    do
        A key of `REQUESTS`.
    view
        The view of the widget that asks.
    request
        The id for the answer; "" for no answer.
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
    """A well-formed report on a display's place in its notebook.

    Attributes
    ----------
    do
        A key of `REPORTS`.
    page
        The page that reports; "" if it has no more than the loader of the front end.
    view
        A view of it that is gone.
    writes
        Whether the page can write into its notebook.
    found
        Whether the display's output is still in the notebook.
    number
        The number of the form that has arrived.
    stands
        Whether that form stands in the notebook.
    """

    do: str
    page: str = ""
    view: str = ""
    writes: bool = False
    found: bool = False
    number: int = 0
    stands: bool = False


class RefusedError(Exception):
    """A message that is neither a request nor a report.

    `kind` is the reason in words of this module; it holds no part of the message.
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
_LINE = _ALWAYS | {"line"}

#: The fields of each request, in all their combinations.
REQUESTS: Mapping[str, tuple[frozenset[str], ...]] = {
    "show": (_ALWAYS,),
    "renew": (_ALWAYS,),
    "open": (_LINE,),
    "close": (_LINE,),
    "retry": (_LINE,),
    "pause": (_ALWAYS | {"on"},),
    "cancel": (_ALWAYS, _LINE, _LINE | {"refs"}),
    "force": (_ALWAYS, _LINE, _LINE | {"refs"}),
}

#: The fields of each report.
REPORTS: Mapping[str, tuple[frozenset[str], ...]] = {
    "here": (frozenset({"do", "page", "writes"}),),
    "left": (frozenset({"do", "page"}),),
    "gone": (frozenset({"do", "page", "view", "found"}),),
    "arrived": (frozenset({"do", "page", "number", "stands"}),),
    "rerun": (frozenset({"do", "page"}),),
    "load": (frozenset({"do"}),),
}
_KNOWN = {**REQUESTS, **REPORTS}


def parse(content: object) -> Request | Report:
    """Return the request or the report that the content of a custom message is.

    Raises
    ------
    RefusedError
        If it is neither.
    """
    if type(content) is not dict:
        raise RefusedError("a message that is no object")
    fields: dict[Any, Any] = content
    what = fields.get("do")
    if type(what) is not str or what not in _KNOWN:
        raise RefusedError("an unknown request")
    if fields.keys() not in _KNOWN[what]:
        raise RefusedError(f"{what!r} with other fields than it has")
    for name, value in fields.items():
        if name != "do" and not _FIELDS[name](value):
            raise RefusedError(f"{what!r} with a wrong value of {name!r}")
    if what in REPORTS:
        return Report(**fields)
    refs = fields.get("refs")
    return Request(**{**fields, "refs": None if refs is None else frozenset(refs)})


_noted: set[str] = set()
_noting = threading.Lock()


def note_refusal(kind: str) -> None:
    """Log a refusal once for each `RefusedError.kind`. Thread-safe."""
    with _noting:
        if kind in _noted:
            return
        _noted.add(kind)
    logger.warning(
        "refused a message of a page: %s. If a button does nothing, reload the page.",
        kind,
    )
