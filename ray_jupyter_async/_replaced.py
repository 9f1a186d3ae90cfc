"""Replace an attribute of somebody else's object, and restore it exactly.

Every function of others that this package replaces is replaced here, and by wrappers
of one kind: `functools.wraps` keeps name, signature and documentation; a `Link` is the
only thing of this package in the closure, so that the wrapper still pickles when it
has been taken out; and an error that passes through leaves no frame of ours behind.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_ABSENT = object()
_PACKAGE = __name__.partition(".")[0]


@contextmanager
def replaced(owner: Any, name: str, make: Callable[[Any], Any]) -> Iterator[None]:
    """Replace an attribute for the length of a ``with`` block.

    At the end the owner has what it had itself before: the original, or no such
    attribute where that came from its class. What somebody else has put there
    meanwhile stays.

    Parameters
    ----------
    owner
        A module, class, instance or closure cell.
    name
        The attribute, ``"cell_contents"`` for a cell.
    make
        Called with the original; returns what replaces it.
    """
    before = _own(owner, name)
    new = make(getattr(owner, name))
    setattr(owner, name, new)
    try:
        yield
    finally:
        if _own(owner, name) is new:
            if before is _ABSENT:
                delattr(owner, name)
            else:
                setattr(owner, name, before)


class Link:
    """What ties a wrapper to this process; pickles as None.

    While a wrapper is in, it pickles by reference, as the attribute that it is.
    Kept by a user and taken out since, it travels by value, perhaps to a worker
    without this package. The wrapper tests for None and is then the original.
    """

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        return type(None), ()

    def hide(self, error: BaseException) -> None:
        """Drop this package's frames from the outer end of a traceback.

        To be followed by a bare ``raise`` in the frame that was dropped, which adds
        none. Python 3.10 restores the traceback then: for IPython and rich the
        wrappers have ``__tracebackhide__`` and ``_rich_traceback_omit``.
        """
        at = error.__traceback__
        while at is not None and _is_ours(at.tb_frame.f_globals.get("__name__")):
            at = at.tb_next
        if at is not None:
            error.__traceback__ = at


def _is_ours(module: object) -> bool:
    return isinstance(module, str) and module.partition(".")[0] == _PACKAGE


def _own(owner: Any, name: str) -> Any:
    """Return what the owner itself has under a name, not its class."""
    try:
        return vars(owner).get(name, _ABSENT)
    except TypeError:  # a closure cell has no dict
        return getattr(owner, name)
