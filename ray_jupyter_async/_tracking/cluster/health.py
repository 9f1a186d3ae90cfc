"""Whether Ray's GCS still answers, so that old states are not shown as current ones.

A thread of its own asks, and only questions with a timeout: the others block while the
GCS is gone, for the minute after which Ray ends this process (seen in 2.60).
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from ..._log import logger
from ..._ray_api.connection import gcs_answers
from ..._threads import start_thread
from .reasons import Reason, ReasonKind

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds between two questions.
PERIOD = 1.0
#: Seconds of silence after which states count as out of date. A GCS under load may
#: leave a question or two without an answer.
SILENCE = 3.0


class ClusterHealth:
    """Asks the GCS whether it is there. Thread-safe.

    Parameters
    ----------
    wanted
        Whether states are being looked at; nothing is asked otherwise.
    report
        Called with `trouble` when it changes, and while there is some.

    Attributes
    ----------
    trouble : Reason or None
        Since when the GCS has not answered; None while it does.
    """

    def __init__(
        self, wanted: Callable[[], bool], report: Callable[[Reason | None], object]
    ) -> None:
        self.trouble: Reason | None = None
        self._wanted = wanted
        self._report = report
        self._lock = threading.Lock()
        # Wall clock: the last question, and the last answer or, without one, the first
        # of the questions that were asked since in a row.
        self._asked = 0.0
        self._since = 0.0
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread; a no-op if it runs."""
        if self._thread is None:
            self._stop.clear()
            self._thread = start_thread(self._run, name="ray_jupyter_async health")

    def stop(self) -> None:
        """End the thread."""
        thread, self._thread = self._thread, None
        self._stop.set()
        self._wake.set()
        if thread is not None:
            thread.join(5.0)

    def wake(self) -> None:
        """Ask soon: states are being looked at."""
        self._wake.set()

    def check(self, patience: float = 0.0) -> Reason | None:
        """Ask now, wait for at most a second, and return `trouble`.

        Parameters
        ----------
        patience
            Seconds of silence that are no trouble yet.
        """
        answers = gcs_answers()
        with self._lock:
            now = time.time()
            if answers is not False or now - self._asked > 2 * SILENCE:
                # What happened between questions is not known.
                self._since = now
            self._asked = now
            trouble = None
            if answers is False:
                trouble = self.trouble
                if now - self._since >= patience:
                    trouble = Reason(ReasonKind.GCS_SILENT, since=self._since)
            changed, self.trouble = trouble != self.trouble, trouble
        if changed or trouble:
            # Also unchanged: for what has been submitted since.
            self._report(trouble)
        return trouble

    def now(self) -> Reason | None:
        """Return `trouble`, asking unless that was done a moment ago."""
        if self.trouble and time.time() - self._asked < SILENCE:
            self._report(self.trouble)
            return self.trouble
        return self.check()

    def _run(self) -> None:
        while not self._stop.is_set():
            if not self._wanted() and not self.trouble:
                self._wake.wait()
            self._wake.clear()
            if self._stop.is_set():
                return
            try:
                self.check(SILENCE)
            except Exception:
                logger.exception("the GCS cannot be asked")
            self._stop.wait(PERIOD)
