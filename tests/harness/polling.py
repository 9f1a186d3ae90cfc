"""Waiting for a condition, with a deadline."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

# Short beside every latency that the tests measure.
_INTERVAL = 0.01


def poll(
    predicate: Callable[[], T],
    timeout: float = 30.0,
    *,
    what: str | None = None,
    sleep: Callable[[float], object] = time.sleep,
) -> T:
    """Call `predicate` until it returns something true, and return that.

    Parameters
    ----------
    predicate
        Called every 10 ms in this thread.
    timeout
        Seconds after which to give up.
    what
        What is waited for, for the failure message.
    sleep
        How to pass the time between two calls (seconds); a page has its own,
        `harness.browser.NotebookPage.poll`.

    Raises
    ------
    AssertionError
        At the deadline; the last value is in the message.
    """
    deadline = time.monotonic() + timeout
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(
                f"not within {timeout:g} s: {what or predicate!r} (last: {value!r})"
            )
        sleep(_INTERVAL)
