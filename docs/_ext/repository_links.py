"""Links that are right in the repository, made right for the site.

A page links to `../../notebooks/NAME.ipynb` or `../../CHANGELOG.md`, as a reader of the
repository needs it. On the site these are pages of their own.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from sphinx.application import Sphinx

# In Markdown, up to the folder of the repository.
_UP = r"\]\((?:\.\./)*"

_PAGES = [
    (re.compile(_UP + r"notebooks/(\w+\.ipynb)"), r"](/tutorial/\1"),
    (re.compile(_UP + r"README\.md"), "](/index.md"),
    (re.compile(_UP + r"CHANGELOG\.md"), "](/changelog.md"),
    (re.compile(_UP + r"CONTRIBUTING\.md"), "](/contributing.md"),
]


def rewrite(text: str) -> str:
    """Return a page's Markdown with links to the site's pages."""
    for pattern, page in _PAGES:
        text = pattern.sub(page, text)
    return text


def _of_page(app: Sphinx, docname: str, content: list[str]) -> None:
    content[0] = rewrite(content[0])


def _of_included(app: Sphinx, path: Path, parent: str, content: list[str]) -> None:
    content[0] = rewrite(content[0])


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the hooks to Sphinx."""
    app.connect("source-read", _of_page)
    app.connect("include-read", _of_included)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
