"""The alias `ray.experimental.async_api`, Ray's module of 2019, while loaded."""

from __future__ import annotations

import sys

import ray.experimental

from .. import async_api

_NAME = "ray.experimental.async_api"
_ATTRIBUTE = "async_api"


def add_alias() -> bool:
    """Make `from ray.experimental import async_api` work.

    Returns
    -------
    bool
        False if such a module exists, which stays unchanged.
    """
    if _NAME in sys.modules or hasattr(ray.experimental, _ATTRIBUTE):
        return False
    sys.modules[_NAME] = async_api
    setattr(ray.experimental, _ATTRIBUTE, async_api)
    return True


def remove_alias() -> None:
    """Remove the alias, unless other code has replaced it."""
    if sys.modules.get(_NAME) is async_api:
        del sys.modules[_NAME]
    if getattr(ray.experimental, _ATTRIBUTE, None) is async_api:
        delattr(ray.experimental, _ATTRIBUTE)
