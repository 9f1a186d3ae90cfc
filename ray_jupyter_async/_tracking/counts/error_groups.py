"""Errors by class and message, with the traceback of the first of each.

Only text is kept, and little of it: no exception and no frame ever comes here.
"""

from __future__ import annotations

from ..._awaiting.error_text import cut_middle
from ..events import LONGEST_TRACEBACK, Failure
from ..snapshots import ErrorGroup

MAX_GROUPS = 20
OTHER_ERRORS = "other errors"


class _Group:
    __slots__ = ("again", "count", "full", "task")

    def __init__(self) -> None:
        self.count = 0
        #: Those of them that another cell counts, too.
        self.again = 0
        self.full = ""
        self.task: bytes | None = None


class ErrorGroups:
    """Counts a line's errors.

    Beyond `MAX_GROUPS` groups only the classes are told apart, and beyond as
    many classes nothing.
    """

    __slots__ = ("_groups",)

    def __init__(self) -> None:
        self._groups: dict[tuple[str, str], _Group] = {}

    def add(
        self, failure: Failure, task: bytes | None, count: int = 1, again: int = 0
    ) -> None:
        """Count an error, which another cell may count, too (`again`)."""
        key = self._key(failure.kind, failure.message)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = _Group()
        group.count += count
        group.again += again
        self._tell(group, failure, task)

    def add_text(self, failure: Failure, task: bytes) -> None:
        """Add the text of an error that was counted without it."""
        group = self._groups.get(self._key(failure.kind, failure.message))
        if group is not None:
            self._tell(group, failure, task)

    def remove(self, kind: str, message: str, again: int = 0) -> None:
        """Take back one error that `add` has counted."""
        for key in ((kind, message), (kind, ""), (OTHER_ERRORS, "")):
            group = self._groups.get(key)
            if group is not None:
                group.count -= 1
                group.again -= again
                if not group.count:
                    del self._groups[key]
                return

    def merge(self, other: ErrorGroups) -> None:
        """Add all of `other` that no other cell counts."""
        for (kind, message), theirs in other._groups.items():
            if count := theirs.count - theirs.again:
                failure = Failure(kind, message, theirs.full)
                self.add(failure, theirs.task, count=count)

    def read(self) -> tuple[ErrorGroup, ...]:
        """Give the groups, most frequent first."""
        groups = [
            ErrorGroup(kind, message, g.count, g.full, g.task)
            for (kind, message), g in self._groups.items()
        ]
        return tuple(sorted(groups, key=lambda g: (-g.count, g.kind, g.message)))

    def _key(self, kind: str, message: str) -> tuple[str, str]:
        groups = self._groups
        if (kind, message) in groups or len(groups) < MAX_GROUPS:
            return kind, message
        if (kind, "") in groups or len(groups) < 2 * MAX_GROUPS:
            return kind, ""
        return OTHER_ERRORS, ""

    def _tell(self, group: _Group, failure: Failure, task: bytes | None) -> None:
        if group.task is None:
            group.task = task
        if failure.traceback and not group.full:
            group.full = cut_middle(failure.traceback.strip("\n"), LONGEST_TRACEBACK)
