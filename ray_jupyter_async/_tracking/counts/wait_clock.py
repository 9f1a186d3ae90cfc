"""How long a cell has waited: the time during which some of its refs are awaited."""

from __future__ import annotations


class WaitClock:
    """Runs while at least one ref is awaited. All times are seconds of one clock."""

    __slots__ = ("_since", "_waited", "waiting")

    def __init__(self) -> None:
        #: How many refs are awaited now.
        self.waiting = 0
        self._waited = 0.0
        self._since: float | None = None

    def more(self, count: int, at: float) -> None:
        """Count refs that begin to be awaited."""
        self.waiting += count
        if count and self._since is None:
            self._since = at

    def fewer(self, count: int, at: float) -> None:
        """Count refs that are no longer awaited."""
        self.waiting -= count
        if not self.waiting and self._since is not None:
            self._waited += max(0.0, at - self._since)
            self._since = None

    def read(self, now: float) -> float:
        """Return the seconds so far."""
        if self._since is None:
            return self._waited
        return self._waited + max(0.0, now - self._since)
