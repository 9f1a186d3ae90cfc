"""The refs of an open line as messages for the page.

A message holds what changed since the last one, in columns of bytes: 30 for each ref;
``frontend/ref_columns.js`` reads them. Nothing here sends or starts a thread: all is
called on the pump's.
"""

from __future__ import annotations

import sys
from array import array
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple

from ..plain_text import one_line
from ..words import traceback_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..._tracking.refs.columns import RefColumns
    from ..._tracking.snapshots import ErrorGroup, LineProgress
    from .page_messages import ErrorsMessage, RefsMessage

#: Refs in one message: the page takes them in within a few milliseconds.
REFS_PER_MESSAGE = 4_096
#: Messages about one line in one round. 100,000 refs take 1.3 s at 10 rounds a
#: second, and the lines' counts go on meanwhile.
MESSAGES_PER_ROUND = 2

# Different texts are sent once each. Their codes have 16 bits, and a page should not
# have to keep a text for each of 100,000 refs.
_MOST_TEXTS = 4_000
_OTHER = "(one of many others)"


class Message(NamedTuple):
    """A custom message: JSON, and bytes beside it."""

    content: RefsMessage | ErrorsMessage
    buffers: list[bytes]


class OpenLine:
    """One line as the page knows it, and what it has not been sent yet.

    Parameters
    ----------
    name
        The line's.
    read
        Returns what changed since a version, and the new version.
    """

    def __init__(
        self, name: str, read: Callable[[int], tuple[RefColumns | None, int]]
    ) -> None:
        self.name = name
        self._read = read
        self.restart()

    def restart(self) -> None:
        """Send everything again: another view has opened the line."""
        self._version = 0
        # Messages so far; what was read, and how many refs of it were sent.
        self._sent = 0
        self._backlog: RefColumns | None = None
        self._position = 0
        self._nodes = _Texts()
        self._errors = _Texts()
        self._groups: tuple[ErrorGroup, ...] | None = None
        #: When something was last sent, on the clock of the line's records.
        self.sent_at = -inf

    @property
    def behind(self) -> bool:
        """Whether more is to be sent than fits into one round."""
        return self._backlog is not None

    def messages(self, line: LineProgress, now: float) -> list[Message]:
        """Return the messages of one round; ``now`` is on the records' clock."""
        if self._backlog is None:
            self._backlog, self._version = self._read(self._version)
            self._position = 0
        made: list[Message] = []
        while len(made) < MESSAGES_PER_ROUND:
            part = self._next_part()
            # The first message is sent also if empty: it voids what the page had.
            if part is None and self._sent:
                break
            made.append(self._refs(part, now))
            self._sent += 1
        if line.errors != self._groups:
            self._groups = line.errors
            made.append(self._error_groups(line.errors))
        if made:
            self.sent_at = now
        return made

    def _next_part(self) -> RefColumns | None:
        backlog = self._backlog
        if backlog is None:
            return None
        start, self._position = self._position, self._position + REFS_PER_MESSAGE
        if self._position >= backlog.length:
            self._backlog = None
        if start >= backlog.length:
            return None
        return backlog.part(start, self._position)

    def _refs(self, part: RefColumns | None, now: float) -> Message:
        columns = b"" if part is None else _bytes(part, self._nodes, self._errors)
        content: RefsMessage = {
            "refs": self.name,
            "start": self._sent == 0,
            "seq": self._sent,
            "count": 0 if part is None else part.length,
            "now": round(now, 3),
            "nodes": self._nodes.take_new(),
            "errors": self._errors.take_new(),
        }
        return Message(content, [columns])

    def _error_groups(self, groups: tuple[ErrorGroup, ...]) -> Message:
        content: ErrorsMessage = {
            "errors": self.name,
            "groups": [
                {
                    "kind": one_line(group.kind),
                    "message": one_line(group.message),
                    "count": group.count,
                    "short": traceback_text(group.short),
                    "full": traceback_text(group.full),
                }
                for group in groups
            ],
        }
        return Message(content, [])


class _Texts:
    """Codes for texts: 0 for the empty one, then in the order of their arrival."""

    def __init__(self) -> None:
        self._codes = {"": 0}
        # The same, by the numbers of `RefColumns.words`.
        self._by_number = {0: 0}
        self._new: list[str] = []

    def codes(self, numbers: array[int], words: Sequence[str]) -> array[int]:
        """Return the code of each of these words."""
        if not any(numbers):
            return numbers
        known = self._by_number
        for number in sorted(set(numbers).difference(known)):
            known[number] = self._code(words[number])
        return array("H", map(known.__getitem__, numbers))

    def _code(self, text: str) -> int:
        text = one_line(text)
        code = self._codes.get(text)
        if code is None:
            if len(self._codes) >= _MOST_TEXTS:
                text = _OTHER
                if text in self._codes:
                    return self._codes[text]
            code = self._codes[text] = len(self._codes)
            self._new.append(text)
        return code

    def take_new(self) -> list[str]:
        new, self._new = self._new, []
        return new


def _bytes(part: RefColumns, nodes: _Texts, errors: _Texts) -> bytes:
    columns: list[array[Any]] = [
        part.size,
        part.index,
        array("f", part.started),
        array("f", part.ended),
        part.worker,
        nodes.codes(part.node, part.words),
        errors.codes(part.error, part.words),
        part.state,
        part.attempt,
    ]
    if sys.byteorder == "big":
        columns = [column[:] for column in columns]
        for column in columns:
            column.byteswap()
    return b"".join(columns)
