"""The `pages` directive: a table of contents of the pages of a folder, in an order.

Its content names pages in the order in which they are read. One that does not exist is
left out, and one that it does not name comes at the end: a new page is found before
somebody has given it its place.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Any, ClassVar

from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from sphinx.directives.other import TocTree

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.application import Sphinx


def belongs_to(page: str, folder: str) -> bool:
    """Whether a page is in a folder, or is the first page of a folder in it."""
    return posixpath.dirname(page.removesuffix("/index")) == folder


def in_order(named: list[str], found: set[str]) -> list[str]:
    """Return the pages found: first those named, in their order, then the others."""
    first = [page for page in named if page in found]
    return first + sorted(found - set(first))


class Pages(TocTree):
    """A toctree of the pages beside the current one."""

    option_spec: ClassVar[dict[str, Any]] = {
        "maxdepth": int,
        "hidden": directives.flag,
    }

    def run(self) -> list[nodes.Node]:
        """Replace the content by the pages that exist."""
        current = self.env.docname
        folder = posixpath.dirname(current)
        found = {
            posixpath.relpath(page, folder or ".")
            for page in self.env.found_docs - {current}
            if belongs_to(page, folder)
        }
        self.content = StringList(in_order(list(self.content), found), source=current)
        # The list depends on files, which no change of this page announces.
        self.env.note_reread()
        return super().run()


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the directive to Sphinx."""
    app.add_directive("pages", Pages)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
