"""A mapping that remembers its last entries in bounded memory."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Recent(Generic[K, V]):
    """A mapping of at least the last ``limit`` entries, and at most twice that.

    When the young generation is full it becomes the old one, and the old one goes. That
    costs nothing per entry, where a ring needs a queue beside the dict, and
    ``next(iter(dict))`` walks over every entry that was dropped. Thread-safe.
    """

    __slots__ = ("_limit", "_old", "_turn", "_young")

    def __init__(self, limit: int) -> None:
        if limit < 1:
            raise ValueError(f"limit must be at least 1, not {limit}")
        self._limit = limit
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}
        self._turn = threading.Lock()

    def __setitem__(self, key: K, value: V) -> None:
        young = self._young
        if len(young) >= self._limit and key not in young:
            self._turn_generations(young)
            young = self._young
        young[key] = value

    def get(self, key: K) -> V | None:
        """Return the value of ``key``, None if it is unknown or forgotten."""
        # The young generation first: a turn in between moves it to `_old`, where the
        # second look finds it.
        value = self._young.get(key)
        return self._old.get(key) if value is None else value

    def pop(self, key: K) -> V | None:
        """Forget ``key`` and return its value, None if it is unknown."""
        old = self._old.pop(key, None)
        young = self._young.pop(key, None)
        return old if young is None else young

    def clear(self) -> None:
        """Forget everything."""
        self._young, self._old = {}, {}

    def __contains__(self, key: K) -> bool:
        return key in self._young or key in self._old

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def _turn_generations(self, full: dict[K, V]) -> None:
        # Never blocks: a thread without the lock writes one entry over the limit. A
        # blocking lock could deadlock with itself, when a garbage collection in here
        # runs code that writes here, too.
        if self._turn.acquire(blocking=False):
            try:
                if self._young is full:
                    self._old, self._young = full, {}
            finally:
                self._turn.release()
