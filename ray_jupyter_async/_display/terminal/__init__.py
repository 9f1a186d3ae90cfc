"""Progress lines in a terminal.

Nothing here imports rich until something can be seen.
"""

from __future__ import annotations

import os


def is_screen(stream: object) -> bool:
    """Whether lines can be redrawn where this stream ends."""
    try:
        # Some editors' consoles call themselves a terminal, but have no descriptor.
        stream.fileno()  # type: ignore[attr-defined]
        terminal = bool(stream.isatty())  # type: ignore[attr-defined]
    except (AttributeError, OSError, ValueError):
        return False
    return terminal and os.environ.get("TERM") not in ("dumb", "unknown")
