"""What the notebook room knows of one running or finished cell."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import contextvars
    from collections.abc import Callable, Hashable


@dataclasses.dataclass(frozen=True)
class Cell:
    """A cell that can be shown something in.

    Attributes
    ----------
    id
        What `events.origin` is set to while the cell runs.
    number
        The execution count, for people.
    context
        Output sent inside ``context.run`` lands in this cell: ipykernel 7 keeps
        the parent header in context variables.
    is_current
        Whether output sent now lands in this cell. Always true on ipykernel 7;
        ipykernel 6 has one parent header for all threads, and a terminal one place
        for output, so there it is true only while this cell is the one that runs.
    """

    id: Hashable
    number: int | None
    context: contextvars.Context
    is_current: Callable[[], bool]
