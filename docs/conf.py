"""Sphinx's configuration: `make docs` builds the site into build/docs.

tests/test_documents.py tests the links and code blocks of the pages. The site loads
nothing from the network, neither here nor in a reader's browser: `.ci/check_site.py`
checks the built pages.
"""

from __future__ import annotations

import sys
from importlib.metadata import version as version_of
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "docs" / "_ext"))

project = "ray_jupyter_async"
author = "ray_jupyter_async contributors"
copyright = author  # noqa: A001
version = release = version_of("ray-jupyter-async")

extensions = [
    # Pages in Markdown, and the tutorial's notebooks with their outputs.
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    # The docstrings are numpy's.
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    # The cards of the landing page.
    "sphinx_design",
    # Of this folder.
    "notebook_reference",
    "page_order",
    "public_names",
    "repository_links",
]

exclude_patterns = ["README.md", "_ext", "_static"]
if not (ROOT / "CONTRIBUTING.md").exists():
    exclude_patterns.append("contributing.md")

# Warnings are errors (`make docs`).
nitpicky = True
# Types of other projects in docstrings: an offline build has no inventories of their
# pages to link to.
nitpick_ignore_regex = [
    (r"py:.*", r"(asyncio|collections|concurrent|ray|IPython|traitlets)\..+"),
    # Words of numpy's docstrings ("iterable of ray.ObjectRef"), and builtins.
    (r"py:obj", r"True|False|None"),
    (r"py:(class|exc)", r"[a-z ]+|[A-Z]\w+(Error|Warning)"),
]

# Notebooks arrive executed: .ci/tutorial.py.
nb_execution_mode = "off"
# The static HTML that is saved beside a live display's widget view.
nb_mime_priority_overrides = [("html", "text/html", 0)]
# The only error is Stop's message, which is no traceback.
nb_render_error_lexer = "text"
# No require.js and no widget manager, which would come from a CDN: no page has widgets.
nb_ipywidgets_js: dict[str, dict[str, str]] = {}

myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
# Links to a page's headings, as on GitHub.
myst_heading_anchors = 4

autodoc_member_order = "bysource"
# Types are in the docstrings; a signature of each overload would hide the parameters.
autodoc_typehints = "none"
autosummary_generate = False
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
napoleon_preprocess_types = True
add_module_names = False
toc_object_entries_show_parents = "hide"
python_display_short_literal_types = True

# Single backticks in docstrings: a link to a public name, otherwise code.
default_role = "name"

templates_path = ["_templates"]
html_theme = "pydata_sphinx_theme"
html_title = "ray_jupyter_async"
html_static_path = ["_static"]
html_css_files = ["site.css"]
# Without an address of a repository there is nothing to view or edit there.
html_show_sourcelink = False
html_copy_source = False
html_show_sphinx = False
# Light or dark as the browser asks for, until a reader chooses.
html_context = {"default_mode": "auto"}
html_theme_options = {
    "navbar_align": "left",
    "header_links_before_dropdown": 5,
    "show_prev_next": True,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_sidebars: dict[str, list[str]] = {
    "index": [],
    "changelog": [],
    "contributing": [],
    "compatibility": [],
}

copybutton_exclude = ".linenos, .gp, .go"
