"""Counting: what one cell's records add up to.

Nothing in here is thread-safe or knows where records come from; the tracker
owns the lock. Refs appear as ids (`bytes`) only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ..awaiting.observing import Outcome
from .progress import CellProgress, ErrorGroup, LineProgress
from .recent import Recent

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

# What a display can show and a person can read; a name per task
# (`.options(name=f"part-{i}")`) must not make a line per task.
MAX_LINES = 50
OTHER_NAMES = "other names"
MAX_ERROR_CLASSES = 20
OTHER_ERRORS = "other errors"

# So many settled refs of a running cell are known by id, so that a second await
# of one of them counts as the same ref.
REMEMBERED_SETTLED = 100_000

# The outcome of a cancelled task: as an awaiter gets it, and as Ray writes it on
# an object that is only watched.
TASK_CANCELLED = frozenset({"TaskCancelledError", "TASK_CANCELLED"})

Settled = Literal["resolved", "ready", "failed", "cancelled"]


class LineTally:
    """The counts of one name."""

    __slots__ = (
        "cancelled",
        "errors",
        "failed",
        "first_awaited",
        "last_change",
        "name",
        "pending",
        "ready",
        "resolved",
    )

    def __init__(self, name: str, at: float) -> None:
        self.name = name
        self.pending = self.resolved = self.ready = 0
        self.failed = self.cancelled = 0
        self.first_awaited = self.last_change = at
        self.errors: dict[str, int] = {}

    def count(self, state: Settled, by: int) -> None:
        """Add ``by`` refs that ended as ``state``."""
        setattr(self, state, getattr(self, state) + by)

    def count_error(self, name: str, by: int = 1) -> None:
        """Add ``by`` errors of the class called ``name``."""
        if name not in self.errors and len(self.errors) >= MAX_ERROR_CLASSES:
            name = OTHER_ERRORS
        self.errors[name] = self.errors.get(name, 0) + by

    def merge(self, other: LineTally) -> None:
        """Add the counts of ``other``, which must have nothing in common."""
        self.pending += other.pending
        self.resolved += other.resolved
        self.ready += other.ready
        self.failed += other.failed
        self.cancelled += other.cancelled
        self.first_awaited = min(self.first_awaited, other.first_awaited)
        self.last_change = max(self.last_change, other.last_change)
        for name, times in other.errors.items():
            self.count_error(name, times)

    def read(self) -> LineProgress:
        """Return the counts as they are now."""
        ended = self.resolved + self.ready + self.failed + self.cancelled
        return LineProgress(
            name=self.name,
            total=ended + self.pending,
            resolved=self.resolved,
            ready=self.ready,
            failed=self.failed,
            cancelled=self.cancelled,
            pending=self.pending,
            first_awaited=self.first_awaited,
            last_change=self.last_change,
            finished=None if self.pending else self.last_change,
            errors=tuple(
                ErrorGroup(kind, "", count)
                for kind, count in sorted(
                    self.errors.items(), key=lambda e: (-e[1], e[0])
                )
            ),
        )


def line_of(lines: dict[str, LineTally], name: str, at: float) -> LineTally:
    """Return the line of ``name``, made when it is new; a surplus name shares one."""
    line = lines.get(name)
    if line is None:
        if len(lines) >= MAX_LINES:
            name = OTHER_NAMES
            line = lines.get(name)
        if line is None:
            line = lines[name] = LineTally(name, at)
    return line


class CellTally:
    """The counts of one cell, and the ids they are kept right with."""

    def __init__(self, origin: Hashable) -> None:
        self.origin = origin
        self.lines: dict[str, LineTally] = {}
        self.code_finished = False
        self.pending: dict[bytes, LineTally] = {}
        # Of refs awaited more than once at a time: how many awaits beyond the
        # first are open.
        self._more_awaits: dict[bytes, int] = {}
        # Settled, but a further await may change it: cancelled (awaited anew:
        # pending again) and ready (awaited: resolved or failed).
        self._revisable: Recent[bytes, tuple[LineTally, Settled]] = Recent(
            REMEMBERED_SETTLED
        )
        self._closed: Recent[bytes, bool] = Recent(REMEMBERED_SETTLED)
        self._waited = 0.0
        self._waiting_since: float | None = None

    def awaited(self, key: bytes, at: float, name_of: Callable[[bytes], str]) -> None:
        """Count an await, or a watch, that begins."""
        if key in self.pending:
            self._more_awaits[key] = self._more_awaits.get(key, 0) + 1
            return
        if key in self._closed:
            return
        revisable = self._revisable.get(key)
        if revisable is None:
            line = line_of(self.lines, name_of(key), at)
        else:
            line, state = revisable
            if state == "ready":
                return
            self._revisable.pop(key)
            line.count(state, -1)
        line.pending += 1
        line.last_change = max(line.last_change, at)
        self.pending[key] = line
        if self._waiting_since is None:
            self._waiting_since = at

    def settled(
        self, key: bytes, at: float, outcome: Outcome | None, error: str | None
    ) -> None:
        """Count an await that ends. One that never began is passed over."""
        if outcome is Outcome.CANCELLED:
            if key in self.pending and not self._one_less(key):
                self._settle(key, at, "cancelled", revisable=True)
            return
        state: Settled = "failed" if outcome is Outcome.FAILED else "resolved"
        # The await went through, and its outcome is that the task was cancelled.
        if error in TASK_CANCELLED:
            state, error = "cancelled", None
        revisable = self._revisable.get(key)
        if key not in self.pending:
            if revisable is None or revisable[1] != "ready":
                return
            line = revisable[0]
            self._revisable.pop(key)
            line.count("ready", -1)
            self.pending[key] = line
            line.pending += 1
        self._settle(key, at, state, error=error)

    def ready(self, key: bytes, at: float, error: str | None) -> None:
        """Count a watched ref whose object exists now."""
        if key not in self.pending:
            return
        if error in TASK_CANCELLED:
            self._settle(key, at, "cancelled")
        elif error is not None:
            if error.isupper():  # Ray's own name: TASK_EXECUTION_EXCEPTION
                error = error.lower().replace("_", " ")
            self._settle(key, at, "failed", error=error)
        else:
            self._settle(key, at, "ready", revisable=True)

    def unwatched(self, key: bytes, at: float) -> None:
        """Take back a watch that nobody wants any more."""
        line = self.pending.get(key)
        if line is None or self._one_less(key):
            return
        del self.pending[key]
        line.pending -= 1
        line.last_change = max(line.last_change, at)
        if not line.read().total:
            del self.lines[line.name]
        self._stop_waiting(at)

    def finish_code(self) -> None:
        """Note that the cell's code has ended; background tasks may still await."""
        self.code_finished = True
        self._forget_if_over()

    def read(self, now: float) -> CellProgress:
        """Return the counts as they are now."""
        waited = self._waited
        if self._waiting_since is not None:
            waited += max(0.0, now - self._waiting_since)
        return CellProgress(
            origin=self.origin,
            lines=tuple(line.read() for line in self.lines.values()),
            pending=len(self.pending),
            waited=waited,
            code_finished=self.code_finished,
            taken=now,
        )

    def _one_less(self, key: bytes) -> bool:
        more = self._more_awaits.pop(key, 0)
        if more > 1:
            self._more_awaits[key] = more - 1
        return more > 0

    def _settle(
        self,
        key: bytes,
        at: float,
        state: Settled,
        *,
        error: str | None = None,
        revisable: bool = False,
    ) -> None:
        line = self.pending.pop(key)
        self._more_awaits.pop(key, None)
        line.pending -= 1
        line.count(state, 1)
        line.last_change = max(line.last_change, at)
        if state == "failed":
            line.count_error(error or "unknown error")
        if revisable:
            self._revisable[key] = (line, state)
        else:
            self._closed[key] = True
        self._stop_waiting(at)

    def _stop_waiting(self, at: float) -> None:
        if self.pending or self._waiting_since is None:
            return
        self._waited += max(0.0, at - self._waiting_since)
        self._waiting_since = None
        # New ones: a dict does not give back what it has grown to.
        self.pending, self._more_awaits = {}, {}
        self._forget_if_over()

    def _forget_if_over(self) -> None:
        # Totals survive. A background task of the cell that awaits a settled
        # ref once more after this counts it once more.
        if self.code_finished and not self.pending:
            self._revisable.clear()
            self._closed.clear()


def merge_lines(into: dict[str, LineTally], lines: Iterable[LineTally]) -> None:
    """Add ``lines`` to the lines of the same names in ``into``."""
    for line in lines:
        line_of(into, line.name, line.first_awaited).merge(line)
