"""Tasks that are pending for exactly as long as a test wants."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ray


class Gate:
    """Tasks of it are pending until it is opened.

    Parameters
    ----------
    folder
        Where the gate's file is made; a gate a folder.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / "open"

        def hold(path: str, value: Any) -> Any:
            import time
            from pathlib import Path

            while not Path(path).exists():
                time.sleep(0.01)
            if isinstance(value, Exception):
                raise value
            return value

        self._hold: Any = ray.remote(num_cpus=0)(hold)

    def hold(self, value: Any = None) -> Any:
        """Submit a task that gives `value`, or raises it, once the gate is open."""
        return self._hold.remote(str(self._file), value)

    def open(self) -> None:
        """Let the tasks end."""
        self._file.touch()
