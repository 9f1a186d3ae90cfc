"""Links and code blocks of the documents: README, docs, notebooks and their kin."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from markdown_it import MarkdownIt
from mdit_py_plugins.anchors import anchors_plugin

from harness.rays import RAY_INIT

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
NOTEBOOKS = sorted(ROOT.glob("notebooks/*.ipynb"))

# Before a block that the tests only compile.
NOT_RUN = re.compile(r"<!--\s*not run\b:?(?P<reason>.*?)-->", re.DOTALL)

# What each page may use without an import, as its reader's notebook has it.
PRELUDE = f"""
%reset -f
import functools
{RAY_INIT.replace("ray.init(", "ray.is_initialized() or ray.init(")}
# A page starts a Ray, as its reader does; here all pages share one.
ray.init = functools.partial(ray.init, ignore_reinit_error=True)
import asyncio
import ray_jupyter_async
# As in ipython_config.py.
from traitlets.config import Config as get_config
%load_ext ray_jupyter_async
"""


def named(paths):
    """Return parameters whose ids are paths in the repository."""
    return [
        pytest.param(path, id=path.relative_to(ROOT).as_posix().replace("/", "-"))
        for path in paths
    ]


@functools.cache
def tokens_of(path):
    """Parse a page, or the Markdown cells of a notebook."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = nbformat.reads(text, as_version=4).cells
        text = "\n\n".join(c.source for c in cells if c.cell_type == "markdown")
    # Headings have the anchors that they have on GitHub.
    parser = MarkdownIt("gfm-like", {"linkify": False})
    return parser.use(anchors_plugin, max_level=6).parse(text)


@functools.cache
def anchors_of(path):
    """Return the anchors of a page's headings."""
    return {t.attrs["id"] for t in tokens_of(path) if t.type == "heading_open"}


def links_of(path):
    """Return the addresses of a page's links and pictures."""
    found = []
    for token in tokens_of(path):
        for child in token.children or ():
            if child.type in ("link_open", "image"):
                found.append(child.attrs.get("href") or child.attrs["src"])
            elif child.type == "html_inline":
                found += re.findall(r'(?:src|srcset|href)="([^"]+)"', child.content)
        if token.type == "html_block":
            found += re.findall(r'(?:src|srcset|href)="([^"]+)"', token.content)
    return found


def is_right(link, path):
    """Whether a link of a page leads somewhere, as far as that is known offline."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        return parts.scheme == "https" and "." in parts.netloc and "OWNER" not in link
    target = path if not parts.path else path.parent / unquote(parts.path)
    if not target.exists():
        return False
    return not parts.fragment or unquote(parts.fragment) in anchors_of(target.resolve())


def python_blocks(path):
    """Return the Python blocks of a page, and of each whether it is to run.

    Raises
    ------
    ValueError
        For a block that is excluded without a reason.
    """
    found = []
    runs = True
    for token in tokens_of(path):
        if token.type == "html_block":
            excluded = NOT_RUN.search(token.content)
            if excluded and not re.search(r"\w", excluded["reason"]):
                raise ValueError(f"{path.name}: {excluded[0]!r} has no reason")
            runs = excluded is None
        elif token.type == "fence":
            if token.info == "python":
                found.append((token.content, runs))
            runs = True
    return found


@pytest.mark.parametrize("path", named([*PAGES, *NOTEBOOKS]))
def test_links_lead_to_what_exists(path):
    assert [link for link in links_of(path) if not is_right(link, path)] == []


@pytest.mark.parametrize("path", named(p for p in PAGES if python_blocks(p)))
def test_python_blocks_are_cells(path):
    for block, _ in python_blocks(path):
        cell = TransformerManager().transform_cell(block)
        compile(cell, path.name, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@pytest.mark.kernel
@pytest.mark.parametrize(
    "path", named(p for p in PAGES if any(runs for _, runs in python_blocks(p)))
)
def test_python_blocks_run(path, kernel):
    kernel.ok(PRELUDE)
    for block, runs in python_blocks(path):
        if runs:
            kernel.ok(block)


@pytest.mark.parametrize(
    "comment", ["<!-- not run: -->", "<!-- not run:-->", "<!-- not run -->"]
)
def test_an_excluded_block_needs_a_reason(tmp_path, comment):
    page = tmp_path / "page.md"
    page.write_text(f"{comment}\n```python\n1 / 0\n```\n", encoding="utf-8")
    with pytest.raises(ValueError, match="has no reason"):
        python_blocks(page)


def test_an_excluded_block_is_not_run(tmp_path):
    page = tmp_path / "page.md"
    text = "<!-- not run: divides by 0 -->\n```python\n1 / 0\n```\n"
    page.write_text(text + "\n```python\n1\n```\n", encoding="utf-8")
    assert python_blocks(page) == [("1 / 0\n", False), ("1\n", True)]


@pytest.mark.parametrize("link", ["no.md", "README.md#no-such", "http://a.b", "OWNER"])
def test_wrong_links_are_found(link):
    assert not is_right(link, ROOT / "CHANGELOG.md")
