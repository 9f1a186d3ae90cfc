"""The user's settings: `%config RayAsync`."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

from traitlets import Bool, Enum, Float, Integer, TraitError
from traitlets.config import Config, SingletonConfigurable

from .._display.plain_text import print_text

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


class RayAsync(SingletonConfigurable):
    """Settings of ray_jupyter_async."""

    tracking = Bool(
        True,
        help="Whether submitted and awaited refs are tracked at all. Without it no "
        "progress is shown, and Stop, %ray_cancel and %ray_refs know of no task.",
    ).tag(config=True)

    remembered_refs = Integer(
        200_000,
        min=1_000,
        help="How many refs are remembered one by one; older ones that have settled "
        "are counted only. About 250 bytes each.",
    ).tag(config=True)

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

    @classmethod
    def of_shell(cls, shell: InteractiveShell) -> RayAsync:
        """Make the instance, with what the shell's configuration says.

        An impossible value there is reported, and its default used:
        IPython's ``%config`` refuses such a value and keeps it all the same, and
        a file of settings may hold one.
        """
        config = deepcopy(shell.config)
        section = config[cls.__name__]
        # A name that is no setting is left to traitlets, which warns of it.
        for name in cls.class_traits(config=True).keys() & section.keys():
            try:
                cls(config=Config({cls.__name__: {name: section[name]}}))
            except TraitError as error:
                del section[name]
                default = getattr(cls, name).default_value
                print_text(
                    f"ray_jupyter_async uses RayAsync.{name} = {default!r}, "
                    f"its default: {error}"
                )
        return cls.instance(parent=shell, config=config)
