"""Errors by class and message, with the traceback of the first of each, as text."""

from __future__ import annotations

from ..events import Failure
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

    def add_text(self, failure: Failure, task: bytes | None) -> None:
        self.task = self.task or task
        self.full = self.full or failure.traceback.strip("\n")


class ErrorGroups:
    """Counts a line's errors.

    Beyond `MAX_GROUPS` groups errors are grouped by class only, and beyond as many
    classes they form one group.
    """

    __slots__ = ("_groups",)

    def __init__(self) -> None:
        self._groups: dict[tuple[str, str], _Group] = {}

    def add(
        self, failure: Failure, task: bytes | None, count: int = 1, again: int = 0
    ) -> None:
        """Count an error, which another cell may count, too (`again`)."""
        group = self._groups.setdefault(self._key(failure), _Group())
        group.count += count
        group.again += again
        group.add_text(failure, task)

    def add_text(self, failure: Failure, task: bytes) -> None:
        """Add the text of an error that was counted without it."""
        group = self._groups.get(self._key(failure))
        if group is not None:
            group.add_text(failure, task)

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
                self.add(Failure(kind, message, theirs.full), theirs.task, count)

    def read(self) -> tuple[ErrorGroup, ...]:
        """Return the groups, most frequent first."""
        groups = [
            ErrorGroup(kind, message, g.count, g.full, g.task)
            for (kind, message), g in self._groups.items()
        ]
        return tuple(sorted(groups, key=lambda g: (-g.count, g.kind, g.message)))

    def _key(self, failure: Failure) -> tuple[str, str]:
        groups, kind = self._groups, failure.kind
        if (kind, failure.message) in groups or len(groups) < MAX_GROUPS:
            return kind, failure.message
        if (kind, "") in groups or len(groups) < 2 * MAX_GROUPS:
            return kind, ""
        return OTHER_ERRORS, ""
