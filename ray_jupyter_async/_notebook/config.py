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
        help="Whether submitted and awaited refs are tracked. Otherwise no progress "
        "is shown, and Stop, %ray_cancel and %ray_refs cover no tasks.",
    ).tag(config=True)

    remembered_refs = Integer(
        200_000,
        min=1_000,
        help="How many refs have a record, of about 250 bytes. Beyond this number, "
        "settled refs are only counted, oldest first.",
    ).tag(config=True)

    progress = Enum(
        ["auto", "off"],
        "auto",
        help="Whether cells that wait on refs show their progress automatically.",
    ).tag(config=True)

    progress_delay = Float(
        0.5,
        min=0.0,
        help="Seconds that a cell waits on refs before it shows progress.",
    ).tag(config=True)

    cancel_on_interrupt = Enum(
        ["never", "cell", "awaited"],
        "never",
        help="Which Ray tasks an interrupt of a cell cancels: none, those that the "
        "cell has submitted, or those that it awaits. Tasks of earlier cells are "
        "cancelled only if this cell awaits them.",
    ).tag(config=True)

    @classmethod
    def of_shell(cls, shell: InteractiveShell) -> RayAsync:
        """Make the instance from the shell's configuration.

        An invalid value is reported and replaced by its default: IPython's
        ``%config`` rejects such a value but keeps it, and a configuration file may
        contain one.
        """
        config = deepcopy(shell.config)
        section = config[cls.__name__]
        # traitlets warns of unknown names.
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
