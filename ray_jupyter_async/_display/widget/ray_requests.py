"""What a page asks of Ray: to cancel tasks, and to submit failed ones again.

Ray may take a while for either, so that each request has a thread of its own.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

from ..._log import logger
from ..._ray_api.object_ids import TASK_ID_BYTES, is_method
from ..._threads import start_thread
from ..._tracking.snapshots import RefState
from ..plain_text import one_line
from .page_messages import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

    from ..._tracking.retries import Retries
    from ..._tracking.snapshots import CellProgress, RefRecord
    from ..._tracking.tracker import Tracker
    from ..cell import Cell
    from .page_messages import Answer, Request


#: Requests that go to Ray.
ASKED_OF_RAY = frozenset({"cancel", "force", "retry"})

#: Seconds after which tasks that were cancelled politely may be cancelled by force.
PATIENCE = 3.0

# Requests of one cell that are under way at once, at most.
_MOST_ASKED = 16


class RayRequests:
    """Asks Ray what a cell's page has asked for.

    Parameters
    ----------
    cell
        Ray's output meanwhile lands in this cell.
    tracker
        Cancels tasks.
    retries
        Submits failed tasks again; None if that is not offered.
    answer
        Called with each answer, on the thread that has asked.
    """

    def __init__(
        self,
        cell: Cell,
        tracker: Tracker,
        retries: Retries | None,
        answer: Callable[[Answer], None],
    ) -> None:
        self._cell = cell
        self._tracker = tracker
        self._retries = retries
        self._answer = answer
        self._asking = threading.BoundedSemaphore(_MOST_ASKED)

    def ask(self, request: Request) -> None:
        """Begin to carry out a request of `ASKED_OF_RAY`; on any thread.

        Raises
        ------
        RefusedError
            If too many are under way.
        """
        if not self._asking.acquire(blocking=False):
            raise RefusedError("one of too many requests at once")
        start_thread(
            self._cell.context.copy().run,
            self._ask,
            request,
            name=f"ray_jupyter_async {request.do}",
        )

    def retryable(self, progress: CellProgress) -> Mapping[str, int]:
        """Return how many failed tasks can be submitted again, by line."""
        if self._retries is None or not any(line.failed for line in progress.lines):
            return {}
        return self._retries.retryable(self._cell.id)

    def _ask(self, request: Request) -> None:
        retry = request.do == "retry"
        try:
            said = self._retry(request) if retry else self._cancel(request)
        except Exception as error:
            logger.debug("a request failed", exc_info=True)
            said = f"{'Submitting again' if retry else 'Cancelling'} failed: {error}"
        finally:
            self._asking.release()
        self._answer({"answer": request.request, "said": one_line(said)})

    def _cancel(self, request: Request) -> str:
        """Ask Ray to cancel what a request names; return what it refused."""
        force = request.do == "force"
        keys = None
        if request.line is not None and request.refs is not None:
            keys = [
                record.key
                for record in self._records(request.line)
                if record.index in request.refs
            ]
        elif force:
            # Ray refuses to force methods; they stay as they are.
            cell = self._tracker.read_cell(self._cell.id)
            lines = [line.name for line in cell.lines] if cell else []
            keys = [
                record.key
                for name in ([request.line] if request.line else lines)
                for record in self._records(name)
                if not is_method(record.key[:TASK_ID_BYTES])
            ]
        refused = self._tracker.cancel(self._cell.id, request.line, keys, force=force)
        return _counted_reasons("Ray refuses to cancel", refused)

    def _records(self, line: str) -> list[RefRecord]:
        return self._tracker.read_refs(self._cell.id, line)[0]

    def _retry(self, request: Request) -> str:
        """Submit a line's failed tasks again; return how many, and why not others."""
        if self._retries is None or request.line is None:
            return "Nothing can be submitted again here"
        count, refused = self._retries.retry(self._cell.id, request.line)
        said = [f"{count:,} submitted again"]
        if refused:
            said.append(_counted_reasons("not", refused))
        return "; ".join(said)


def _counted_reasons(what: str, refused: list[tuple[bytes, str]]) -> str:
    """Return in one line how many tasks were refused, and why."""
    reasons = Counter(reason for _, reason in refused)
    return "; ".join(
        f"{what} {count:,}: {reason}" for reason, count in reasons.most_common(2)
    )


class Overdue:
    """The lines whose tasks were cancelled and have not ended within `PATIENCE`.

    Called on the pump's thread.
    """

    def __init__(self, tracker: Tracker, origin: Hashable) -> None:
        self._tracker = tracker
        self._origin = origin
        self._asked_at: dict[str, float] = {}
        self._forceable: dict[str, bool] = {}

    def asked(self, progress: CellProgress, name: str | None) -> None:
        """Note that a line, or every line, was asked to end."""
        for line in progress.lines:
            if line.pending and name in (None, line.name):
                self._asked_at.setdefault(line.name, time.monotonic())
                self._forceable.pop(line.name, None)

    def read(self, progress: CellProgress) -> dict[str, bool]:
        """Return the lines, and whether Ray can end some of their tasks by force."""
        found = {}
        for line in progress.lines:
            asked_at = self._asked_at.get(line.name)
            if asked_at is None or time.monotonic() - asked_at < PATIENCE:
                continue
            if line.cancelling:
                found[line.name] = self._is_forceable(line.name)
            else:
                del self._asked_at[line.name]
        return found

    def _is_forceable(self, name: str) -> bool:
        # Once for each request: a line may have 100,000 refs.
        if name not in self._forceable:
            records, _ = self._tracker.read_refs(self._origin, name)
            self._forceable[name] = any(
                record.state is RefState.CANCELLING
                and not is_method(record.key[:TASK_ID_BYTES])
                for record in records
            )
        return self._forceable[name]
