"""What other threads ask of the pump."""

from __future__ import annotations

import queue
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

# Seconds for which a live display waits before its cell ends: the outcome of a blocking
# `ray.get` of watched refs is reported a moment after the end of the code.
_LAST_WORDS = 0.25

_LONGEST_SLEEP = 3600.0


class Finish:
    """Asks the pump to note the end of a cell's code, and to say when it has."""

    def __init__(self, cell_id: Hashable) -> None:
        self.cell_id = cell_id
        self.noted = threading.Event()
        self.until = time.monotonic() + _LAST_WORDS


class Look:
    """Asks the pump to show a cell again although its counts may be the same."""

    def __init__(self, cell_id: Hashable) -> None:
        self.cell_id = cell_id


class Call:
    """Asks the pump to run a function."""

    def __init__(self, function: Callable[[], None]) -> None:
        self.function = function


class Wake:
    """Says that there may be something to do."""


class Stop:
    """Asks the pump to make everything static and to end."""


Message = Wake | Look | Call | Finish | Stop


class Inbox:
    """Messages from any thread to the pump's, in order."""

    def __init__(self) -> None:
        # A SimpleQueue because its `put` is reentrant: records may come in from
        # a garbage collection in the middle of a `put` of the same thread.
        self._messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._woken = False

    def put(self, message: Message) -> None:
        """Leave a message; on any thread."""
        self._messages.put(message)

    def wake(self) -> None:
        """Say that there may be something to do; on any thread.

        Said again before `forget_wakes`, it leaves no message.
        """
        if not self._woken:
            self._woken = True
            self._messages.put(Wake())

    def forget_wakes(self) -> None:
        """Let the next `wake` leave a message again."""
        self._woken = False

    def receive(self, due: float | None) -> Message | None:
        """Wait for the next message, and return it.

        Parameters
        ----------
        due
            Until when to wait, ``time.monotonic()``; None for as long as it takes.

        Returns
        -------
        Message or None
            None when ``due`` has come.
        """
        timeout = None
        if due is not None:
            # A delay of infinity (show nothing) is more than `get` can take.
            timeout = min(max(0.0, due - time.monotonic()), _LONGEST_SLEEP)
        try:
            return self._messages.get(timeout=timeout)
        except queue.Empty:
            return None
