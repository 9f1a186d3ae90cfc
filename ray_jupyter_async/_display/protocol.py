"""What the pump asks of a display, whichever face it shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from .._tracking.snapshots import CellProgress


class Display(Protocol):
    """Where one cell's progress is shown."""

    @property
    def live(self) -> bool:
        """Whether it is live now, not static or not yet there."""

    @property
    def held(self) -> bool:
        """Whether it is in use and must not become static."""

    def show(self, progress: CellProgress) -> bool:
        """Show ``progress`` live; return whether there is more to show soon."""

    def leave(self, progress: CellProgress) -> None:
        """Publish a last snapshot for clients that stop listening at the cell's end."""

    def finish(self, progress: CellProgress) -> None:
        """Become static, showing ``progress``."""

    def complete(self, progress: CellProgress) -> None:
        """Add to the static form what has become known since."""
