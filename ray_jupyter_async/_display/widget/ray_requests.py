"""What a page asks of Ray: to cancel tasks, and to submit failed ones again.

Ray may take a while for either, so that each request has a thread of its own.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ..plain_text import one_line
from .page_messages import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping

    from ..._tracking.refs.columns import RefColumns
    from ..._tracking.snapshots import RefRecord
    from ..cell import Cell
    from .page_messages import Request

logger = logging.getLogger("ray_jupyter_async")

#: Requests that go to Ray.
ASKED_OF_RAY = frozenset({"cancel", "force", "retry"})

# Requests of one cell that are under way at once, at most.
_MOST_ASKED = 16


class RefSource(Protocol):
    """Where the refs of a line come from, and who ends them; on any thread."""

    def read_refs(
        self, origin: Hashable, name: str, since: int = 0
    ) -> tuple[list[RefRecord], int]:
        """Return the records that changed since a version, and the new version."""

    def read_columns(
        self, origin: Hashable, name: str, since: int = 0
    ) -> tuple[RefColumns | None, int]:
        """Return the same in columns; None if there is no such line."""

    def cancel(
        self,
        origin: Hashable,
        name: str | None = None,
        keys: Iterable[bytes] | None = None,
        *,
        force: bool = False,
    ) -> list[tuple[bytes, str]]:
        """Ask Ray to end tasks; return the ids that it refused, and why."""


class RetrySource(Protocol):
    """Who submits failed tasks again; on any thread."""

    def retryable(self, cell: Hashable) -> Mapping[str, int]:
        """Return how many failed tasks can be submitted again, by line."""

    def retry(self, cell: Hashable, name: str) -> tuple[int, list[tuple[bytes, str]]]:
        """Submit those of a line; return their number, and why others were not."""


class Answer(NamedTuple):
    """What is said in answer to a request, by its number."""

    request: str
    said: str


class RayRequests:
    """Asks Ray what a cell's page has asked for.

    Parameters
    ----------
    cell
        Whose tasks these are. What Ray prints meanwhile lands in its output.
    source
        Cancels tasks.
    retries
        Submits failed tasks again; without it that is not offered.
    answer
        Called with each answer, on the thread that has asked.
    """

    def __init__(
        self,
        cell: Cell,
        source: RefSource,
        retries: RetrySource | None,
        answer: Callable[[Answer], None],
    ) -> None:
        self._cell = cell
        self._source = source
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
        threading.Thread(
            target=self._cell.context.copy().run,
            args=(self._ask, request),
            name=f"ray_jupyter_async {request.do}",
            daemon=True,
        ).start()

    def _ask(self, request: Request) -> None:
        retries = request.do == "retry"
        try:
            said = self._retry(request) if retries else self._cancel(request)
        except Exception as error:
            logger.debug("a request failed", exc_info=True)
            verb = "Submitting again" if retries else "Cancelling"
            said = f"{verb} failed: {error}"
        finally:
            self._asking.release()
        self._answer(Answer(request.request, one_line(said)))

    def _cancel(self, request: Request) -> str:
        """Ask Ray to end what a request names; return what it refused."""
        origin, name = self._cell.id, request.line
        keys = None
        if name is not None and request.refs is not None:
            records, _ = self._source.read_refs(origin, name)
            keys = [record.key for record in records if record.index in request.refs]
        refused = self._source.cancel(origin, name, keys, force=request.do == "force")
        return _counted_reasons("Ray refuses to cancel", refused)

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
    """Return in one line what was refused, of how many, and why."""
    reasons = Counter(reason for _, reason in refused)
    return "; ".join(
        f"{what} {count:,}: {reason}" for reason, count in reasons.most_common(2)
    )
