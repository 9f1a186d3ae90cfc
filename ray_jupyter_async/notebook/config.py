"""What the user can set: `%config RayAsync`."""

from __future__ import annotations

from traitlets import Enum, Float
from traitlets.config import SingletonConfigurable


class RayAsync(SingletonConfigurable):
    """Settings of ray_jupyter_async."""

    progress = Enum(
        ["auto", "off"],
        "auto",
        help="Whether cells that wait on refs show their progress by themselves.",
    ).tag(config=True)

    progress_delay = Float(
        0.5,
        min=0.0,
        help="Seconds that a cell must have waited on refs before it shows progress.",
    ).tag(config=True)

    cancel_on_interrupt = Enum(
        ["never", "cell", "awaited"],
        "never",
        help="Which Ray tasks an interrupt of a cell ends: none, those that the cell "
        "has submitted, or those that it awaits. Never what an earlier cell has "
        "submitted, unless this one awaits it.",
    ).tag(config=True)
