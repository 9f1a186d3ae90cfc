"""The error that a loaded object stands for, as its await raises it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from ray.exceptions import RayError, RayTaskError

from .._log import logger
from .steering import STOPS, fits_future, raisable


def errors_of(values: Sequence[object]) -> dict[int, BaseException]:
    """Return the errors among loaded objects, by index; see `error_of`."""
    found = [i for i, value in enumerate(values) if issubclass(type(value), RayError)]
    return {i: error for i in found if (error := error_of(values[i])) is not None}


def error_of(value: object) -> BaseException | None:
    """Return the error that a loaded object stands for, or None if it is a value.

    As in `ray.get`, a task's exception becomes an instance of its own class and of
    `RayTaskError`; every other `RayError` stays as it is. An exception that a task
    *returned* is a value. Never raises.

    Some exceptions cannot be raised through an event loop (see `steering`):
    `StopIteration` and `StopAsyncIteration` become a `RuntimeError`, as in PEP 479 and
    PEP 525; `SystemExit`, `KeyboardInterrupt`, `GeneratorExit` and `CancelledError`
    stay a plain `RayTaskError` with the `cause`, as does an exception whose class Ray
    cannot combine with its own.
    """
    # `isinstance` would run the `__class__` of a user's object.
    if not issubclass(type(value), RayError):
        return None
    plain = raisable(cast(BaseException, value))
    if not issubclass(type(value), RayTaskError):
        return plain
    try:
        error: object = cast(Any, RayTaskError).as_instanceof_cause(value)
    except BaseException:
        # Raised by the exception's class. Ray 2.40 raises it to its callers, 2.60 does
        # so for classes that do not derive from Exception.
        logger.debug("Ray could not make an error of a task's", exc_info=True)
        return plain
    for stop in STOPS:
        if issubclass(type(error), stop):
            stopped = RuntimeError(f"the Ray task raised {stop.__name__}")
            stopped.__cause__ = plain
            return stopped
    return cast(BaseException, error) if fits_future(error) else plain
