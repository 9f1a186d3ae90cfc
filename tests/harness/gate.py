"""Tasks that are pending for exactly as long as a test wants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ray

from .polling import poll

if TYPE_CHECKING:
    from pathlib import Path


class Gate:
    """Submits tasks that are pending until it is opened.

    Parameters
    ----------
    folder
        Where it makes its files; each gate has a folder of its own.
    """

    def __init__(self, folder: Path) -> None:
        self._begun = folder / "begun"
        self._open = folder / "open"

        # Local, so that workers get it by value.
        def hold(begun: Path, is_open: Path, value: Any) -> Any:
            import time

            begun.touch()
            while not is_open.exists():
                time.sleep(0.01)
            if isinstance(value, Exception):
                raise value
            return value

        self._hold: Any = ray.remote(num_cpus=0)(hold)

    def hold(self, value: Any = None) -> Any:
        """Submit a task that returns `value`, or raises it, once the gate is open."""
        return self._hold.remote(self._begun, self._open, value)

    def wait_begun(self) -> None:
        """Wait until a task of it runs."""
        poll(self._begun.exists, what="a task to begin")

    def open(self) -> None:
        """Let the tasks end."""
        self._open.touch()
