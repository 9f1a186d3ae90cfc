"""Replace attributes of other people's objects, and restore them exactly.

All such replacements are made here. A wrapper keeps name, signature and documentation
(`wraps`). A `Link` is the only thing of this package in its closure, so that
it still pickles when it has been taken out. An error that passes through it keeps no
frame of this package.
"""

from __future__ import annotations

import functools
import inspect
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from ._interruptible import interruptible
from ._log import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_Function = TypeVar("_Function", bound="Callable[..., Any]")

_ABSENT = object()
_PACKAGE = __name__.partition(".")[0]


@contextmanager
def replaced(owner: Any, name: str, make: Callable[[Any], Any]) -> Iterator[None]:
    """Replace an attribute for the length of a ``with`` block.

    Afterwards the owner has what it had itself before: the original, or no such
    attribute where the original came from its class. An attribute that somebody else
    has replaced meanwhile is left alone.

    Parameters
    ----------
    owner
        A module, class, instance, closure cell, or `ref_type.ref_methods`; or a
        `weakref.proxy` of an object that is not to be kept alive.
    name
        The attribute, ``"cell_contents"`` for a cell.
    make
        Called with the original; returns the replacement.
    """
    before = _own(owner, name)
    new = make(getattr(owner, name))
    setattr(owner, name, new)
    try:
        yield
    finally:
        with suppress(ReferenceError):  # the proxy's object is gone
            if _own(owner, name) is new:
                if before is _ABSENT:
                    delattr(owner, name)
                else:
                    setattr(owner, name, before)


@contextmanager
def calls_noted(
    owner: Any, name: str, note: Callable[[Any, tuple[Any, ...], dict[str, Any]], None]
) -> Iterator[None]:
    """Note the calls of a function for the length of a ``with`` block.

    Parameters
    ----------
    owner, name
        As in `replaced`.
    note
        Called after each call that has returned, with the result and the arguments by
        position and by name. It may change the latter. Its errors are only logged.
    """
    noting = _Noting(note)
    try:
        with replaced(owner, name, noting.wrap):
            yield
    finally:
        # The wrapper may live on, in somebody else's; it keeps nothing alive.
        noting.note_call = None


class Replacements:
    """Replacements that are installed and removed together; a base class."""

    def __init__(self) -> None:
        self._undo = ExitStack()
        self._installed = False

    def install(self) -> None:
        """Put the replacements in; a no-op if they are in."""
        if not self._installed:
            with ExitStack() as undo:
                self._replace(undo)
                self._undo = undo.pop_all()
            self._installed = True

    def uninstall(self) -> None:
        """Restore what was there, unless somebody has wrapped it since."""
        self._installed = False
        self._undo.close()

    def _replace(self, undo: ExitStack) -> None:
        """Enter the replacements into `undo`."""
        raise NotImplementedError


def wraps(original: Any) -> Callable[[_Function], _Function]:
    """Do as `functools.wraps`, also for methods of C code, which have no module.

    Those of `ObjectRef` are such methods before Ray 2.60. Their class's is taken.
    """

    def decorate(wrapper: _Function) -> _Function:
        functools.update_wrapper(wrapper, original)
        owner = getattr(original, "__objclass__", None)
        if owner is not None and getattr(original, "__module__", None) is None:
            wrapper.__module__ = owner.__module__
        return wrapper

    return decorate


class Link:
    """The link from a wrapper to this process; pickles as None.

    While a wrapper is in, it pickles by reference, as the attribute that it is.
    Kept by a user and taken out since, it travels by value, perhaps to a worker
    without this package. The wrapper tests for None and is then the original.
    """

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        return type(None), ()

    def hide(self, error: BaseException) -> None:
        """Drop this package's frames from the outer end of a traceback.

        Follow it by a bare ``raise`` in the frame that was dropped, which adds none.
        Python 3.10 restores the outermost frame then, the wrapper's: for IPython and
        rich it has ``__tracebackhide__`` and ``_rich_traceback_omit``.
        """
        at = outermost = error.__traceback__
        while at is not None and _is_ours(at.tb_frame.f_globals.get("__name__")):
            at = at.tb_next
        if at is not None and outermost is not None and at is not outermost:
            outermost.tb_next = at
            error.__traceback__ = at


class _Noting(Link):
    """The link of a wrapper to what notes its calls; None once it has been removed."""

    def __init__(self, note_call: Callable[..., None]) -> None:
        self.note_call: Callable[..., None] | None = note_call

    def wrap(self, original: Callable[..., Any]) -> Callable[..., Any]:
        link: _Noting | None = self

        @wraps(original)
        @interruptible
        def noted(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = _rich_traceback_omit = True
            try:
                result = original(*args, **kwargs)
            except BaseException as error:
                if link is not None:
                    link.hide(error)
                raise
            note = None if link is None else link.note_call
            if note is not None:
                try:
                    note(result, args, kwargs)
                except Exception:
                    # The caller gets the result of Ray's call in any case.
                    logger.debug("a call is not shown", exc_info=True)
            return result

        return noted


def _is_ours(module: object) -> bool:
    return isinstance(module, str) and module.partition(".")[0] == _PACKAGE


def _own(owner: Any, name: str) -> Any:
    """Return what the owner itself has under a name, not its class."""
    classes = type(owner).__mro__
    found = next((vars(cls)[name] for cls in classes if name in vars(cls)), None)
    if inspect.isdatadescriptor(found):
        return getattr(owner, name)  # a cell's contents, a function's module
    return getattr(owner, "__dict__", {}).get(name, _ABSENT)
