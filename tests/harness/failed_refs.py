"""Refs of tasks that have failed."""

from __future__ import annotations

from typing import Any

import ray


@ray.remote(num_cpus=0)
def fail(error: Exception) -> None:
    """Raise an error."""
    raise error


def failed(message: str) -> Any:
    """Return the ref of a task that has raised a `ValueError`."""
    ref = fail.remote(ValueError(message))
    ray.wait([ref])
    return ref
