"""The patch that routes `await ref` through this package's converter.

`ray.ObjectRef` is an immutable Cython type whose attributes cannot be set. Its
`__await__` calls `self.as_future(_internal=True)` by name: replacing `as_future` in the
type's dict redirects the whole protocol (`await`, `asyncio.gather`, `ensure_future`),
also of subclasses and of Ray Client's refs. No C slot is written. Seen to work on
Python 3.10-3.13 with Ray 2.40.0 and 2.60.0. Where a check fails, Ray's own await stays,
with a warning. `asyncio_gather` is installed and removed with it.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from ray import ObjectRef

from ..._ray_api.hooks.ref_type import ref_methods
from ..._replaced import Link, replaced, wraps
from ...errors import PatchWarning
from ..as_future import as_future
from . import asyncio_gather

_NAME = "as_future"

#: Called after each `patch()`, also where it has failed.
on_patch: list[Callable[[], object]] = []

_lock = threading.Lock()
_depth = 0
_installed = ExitStack()


def patch() -> bool:
    """Route `await ref` through this package's converter, in the whole process.

    Calls are counted: each is undone by one `unpatch()`, and the last `unpatch()`
    restores Ray's own await.

    In a marimo notebook, submitted tasks are tracked from the first call on, so that
    `progress` knows their names.

    Returns
    -------
    bool
        Whether the patch is installed. If not, a `PatchWarning` says why, and Ray's own
        await stays.
    """
    global _depth
    with _lock:
        done = _depth > 0 or _install()
        if done:
            _depth += 1
    for call_back in on_patch:
        call_back()
    return done


def unpatch() -> None:
    """Undo one `patch()`; without one, do nothing.

    Awaits that have begun finish through the converter.
    """
    global _depth
    with _lock:
        if _depth == 0:
            return
        _depth -= 1
        if _depth == 0:
            _installed.close()


@contextmanager
def patched() -> Iterator[bool]:
    """Patch for the length of a ``with`` block.

    Yields
    ------
    bool
        As `patch()` returns.

    Examples
    --------
    >>> @ray.remote
    ... def double(n):
    ...     return 2 * n
    >>> with patched():
    ...     print(await double.remote(4))
    8
    """
    done = patch()
    try:
        yield done
    finally:
        if done:
            unpatch()


def is_patched() -> bool:
    """Whether `await ref` goes through this package now."""
    return _depth > 0


class _Converting(Link):
    """The link from the replaced method to the converter."""

    def __call__(self, ref: Any) -> Any:
        return as_future(ref)


def _stand_in(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return the replacement of `ObjectRef.as_future`."""
    convert: _Converting | None = _Converting()

    @wraps(original)
    def converting_as_future(self: Any, _internal: bool = False) -> Any:
        __tracebackhide__ = _rich_traceback_omit = True
        try:
            if _internal and convert is not None:
                return convert(self)
            # A call by users is deprecated by Ray: its own method, with its warning.
            return original(self, _internal=_internal)
        except BaseException as error:
            if convert is not None:
                convert.hide(error)
            raise

    return converting_as_future


def _install() -> bool:
    try:
        original = getattr(ref_methods, _NAME)
    except Exception as error:
        return _give_up(f"its type cannot be reached ({error!r})")
    if not callable(original):
        return _give_up("its as_future is not of the known kind")
    try:
        redirected = _await_is_redirected()
    except Exception as error:
        return _give_up(f"trying it raised {error!r}")
    if not redirected:
        return _give_up("its __await__ does not call as_future")
    _installed.enter_context(replaced(ref_methods, _NAME, _stand_in))
    _installed.enter_context(asyncio_gather.patched())
    return True


def _give_up(reason: str) -> bool:
    warnings.warn(
        "await ref stays Ray's own: ray.ObjectRef could not be patched because "
        f"{reason}. as_future(ref) works without the patch.",
        PatchWarning,
        stacklevel=4,
    )
    return False


class _Probe:
    """An awaitable that is done at once."""

    def __await__(self) -> Generator[None, None, object]:
        yield from ()
        return self


def _await_is_redirected() -> bool:
    """Whether an await of a ref, driven by hand, calls `as_future`."""
    ref: Any = ObjectRef.nil()
    probe = _Probe()

    def made(original: Callable[..., Any]) -> Callable[..., Any]:
        def as_future_of_probe(self: Any, _internal: bool = False) -> Any:
            # Another thread may await meanwhile.
            return probe if self is ref else original(self, _internal=_internal)

        return as_future_of_probe

    async def await_probe() -> object:
        return await ref

    with replaced(ref_methods, _NAME, made):
        drive = await_probe()
        try:
            drive.send(None)
        except StopIteration as end:
            return end.value is probe
        finally:
            drive.close()
    return False
