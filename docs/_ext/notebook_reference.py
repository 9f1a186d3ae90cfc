"""Directives that describe the magics and the settings from the code's own help."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from sphinx.util.docutils import SphinxDirective
from traitlets import Enum

from ray_jupyter_async._notebook.config import RayAsync
from ray_jupyter_async._notebook.magics import RayAsyncMagics

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from docutils import nodes
    from sphinx.application import Sphinx
    from traitlets import TraitType


def magics() -> dict[str, Callable[..., None]]:
    """Return the line magics by name."""
    names: dict[str, str] = RayAsyncMagics.magics["line"]
    return {name: getattr(RayAsyncMagics, method) for name, method in names.items()}


def settings() -> dict[str, TraitType[Any, Any]]:
    """Return the settings of ``%config RayAsync`` by name, as they are in the class."""
    return RayAsync.class_own_traits(config=True)


def magic_lines(name: str, function: Callable[..., None]) -> Iterator[str]:
    """Describe a magic in reStructuredText."""
    parser: argparse.ArgumentParser | None = getattr(function, "parser", None)
    text, usage = function.__doc__, f"%{name}"
    if parser is not None:
        # `magic_arguments` has replaced the docstring by the parser's help.
        text = parser.description
        usage += parser.format_usage().split(name, 1)[1].rstrip()
    yield f".. magic:: {' '.join(usage.split())}"
    yield ""
    for line in inspect.cleandoc(text or "").splitlines():
        yield f"   {line}"
    yield ""
    for action in parser._actions if parser is not None else ():
        names = [*action.option_strings, str(action.metavar or "")]
        label = " ".join(filter(None, names))
        yield f"   ``{label}``"
        yield f"       {action.help}"


def setting_lines(name: str, trait: TraitType[Any, Any]) -> Iterator[str]:
    """Describe a setting in reStructuredText."""
    yield f".. confval:: RayAsync.{name}"
    if isinstance(trait, Enum):
        allowed = " or ".join(f"``{value!r}``" for value in trait.values or ())
        yield f"   :type: {allowed}"
    else:
        kind = type(trait).__name__.lower()
        least = getattr(trait, "min", None)
        yield f"   :type: {kind}" + ("" if least is None else f", at least {least:g}")
    yield f"   :default: ``{trait.default_value!r}``"
    yield ""
    yield f"   {' '.join(trait.help.split())}"
    yield ""


class _Generated(SphinxDirective):
    """Parse lines that are made from the code."""

    def lines(self) -> Iterator[str]:
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        # A change of these files makes the page anew.
        for source in (RayAsync, RayAsyncMagics):
            self.env.note_dependency(inspect.getfile(source))
        return self.parse_text_to_nodes("\n".join(self.lines()))


class MagicsDirective(_Generated):
    """``ray-magics``: all magics with their arguments."""

    def lines(self) -> Iterator[str]:
        """Describe each magic."""
        for name, function in magics().items():
            yield from magic_lines(name, function)


class SettingsDirective(_Generated):
    """``ray-settings``: all settings with types, defaults and help."""

    def lines(self) -> Iterator[str]:
        """Describe each setting."""
        for name, trait in settings().items():
            yield from setting_lines(name, trait)


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the directives to Sphinx."""
    app.add_object_type("magic", "magic", indextemplate="pair: %s; magic")
    app.add_directive("ray-magics", MagicsDirective)
    app.add_directive("ray-settings", SettingsDirective)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
