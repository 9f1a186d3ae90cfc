"""Objects whose loading takes as long as a test wants."""

from __future__ import annotations

import threading
from typing import Any

#: Set to finish the loading of each `Slow`.
go_on = threading.Event()
#: The threads that have begun to load one.
loads: list[threading.Thread] = []


def load_slowly() -> str:
    """Wait until `go_on` is set."""
    loads.append(threading.current_thread())
    assert go_on.wait(60)
    return "slow"


class Slow:
    """An object whose loading blocks, and which is loaded as ``"slow"``."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Have it loaded by `load_slowly`."""
        return (load_slowly, ())
