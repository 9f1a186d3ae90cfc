"""Public names in the reference: links to them, and a check that none is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from docutils import nodes
from sphinx.util import logging
from sphinx.util.docutils import SphinxRole

import ray_jupyter_async
from ray_jupyter_async import async_api, errors

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

_PACKAGE = "ray_jupyter_async"
_logger = logging.getLogger(__name__)


def public_names() -> set[str]:
    """Return the full names of everything that the reference must describe."""
    # `map` is public but not part of `import *`.
    names = {f"{_PACKAGE}.{name}" for name in [*ray_jupyter_async.__all__, "map"]}
    names |= {f"{_PACKAGE}.async_api.{name}" for name in async_api.__all__}
    # Some error may be exported from its module alone.
    names |= {
        f"{_PACKAGE}.{name}"
        for name, value in vars(errors).items()
        if isinstance(value, type) and value.__module__ == errors.__name__
    }
    return names


class NameRole(SphinxRole):
    """Text in single backticks: linked if it is a public name, otherwise code."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Return a cross-reference, or a literal."""
        target = self._target(self.text.removesuffix("()"))
        if target is None:
            return [nodes.literal(self.rawtext, self.text)], []
        text = f"{self.rawtext}"
        role = self.env.domains.python_domain.role("obj")
        assert role is not None
        made, messages = role(
            "py:obj",
            text,
            f"{self.text} <{target}>",
            self.lineno,
            self.inliner,
            {},
            [],
        )
        return list(made), list(messages)

    def _target(self, name: str) -> str | None:
        module = self.env.ref_context.get("py:module") or _PACKAGE
        for candidate in (f"{module}.{name}", f"{_PACKAGE}.{name}", name):
            if candidate in self.config.public_names:
                return candidate
        return None


def check(app: Sphinx, env: BuildEnvironment) -> None:
    """Warn of each public name that no page describes."""
    described = set(env.domains.python_domain.objects)
    for name in sorted(app.config.public_names - described):
        _logger.warning("The reference does not describe %s.", name)


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the role and the check to Sphinx."""
    app.add_config_value("public_names", public_names(), "env", frozenset({set}))
    app.add_role("name", NameRole())
    app.connect("env-check-consistency", check)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
