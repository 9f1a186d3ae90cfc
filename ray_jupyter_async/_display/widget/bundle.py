"""The widget's front end as one ES module and one style sheet, and who carries it.

Its source is a few small modules in ``frontend/``. A browser gets them joined, so that
nothing is fetched and no bundler is needed; ``loader.js`` stands alone. The others
import names from each other with ``import { ... } from "./other.js";`` alone, and
export declarations by name; names are unique over all of them.

They are 90 kB, of which a page needs one copy. A display therefore carries only the
loader once a page has reported that it has the rest. The first displays carry all of
it, because a page that asks waits for the running cell on ipykernel before 7.4. One
that opens later and does not have it asks.
"""

from __future__ import annotations

import functools
import hashlib
import re
from pathlib import Path
from typing import TypedDict

_FOLDER = Path(__file__).parent / "frontend"
_MAIN = "main.js"
# In this order: later rules override earlier ones.
_STYLES = ("base.css", "lines.css", "details.css")

_IMPORT = re.compile(r'^import \{[^}]*\} from "\./(?P<file>\w+\.js)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?function|class|const)", re.MULTILINE)


_arrived = False


class _Named(TypedDict):
    #: A hash of the sources: versions may differ between the kernels of a page.
    name: str


class FrontEnd(_Named, total=False):
    """The trait `front_end` of the widget."""

    code: str
    styles: str


@functools.cache
def whole_front_end() -> FrontEnd:
    """Return the front end with its source."""
    code, styles = front_end_module(), front_end_styles()
    name = hashlib.sha256(f"{code}\0{styles}".encode()).hexdigest()[:16]
    return {"name": name, "code": code, "styles": styles}


def front_end() -> FrontEnd:
    """Return what a new display carries."""
    whole = whole_front_end()
    return {"name": whole["name"]} if _arrived else whole


def note_arrival() -> None:
    """Note that a page has the front end."""
    global _arrived
    _arrived = True


def loader_module() -> str:
    """Return the JavaScript that every display carries."""
    return (_FOLDER / "loader.js").read_text(encoding="utf-8")


def front_end_module() -> str:
    """Return all JavaScript: each module after those that it imports."""
    joined: dict[str, str] = {}
    _join(_MAIN, joined)
    return "\n".join(joined.values())


def front_end_styles() -> str:
    """Return all style sheets."""
    return "\n".join((_FOLDER / name).read_text(encoding="utf-8") for name in _STYLES)


def _join(file: str, joined: dict[str, str]) -> None:
    source = (_FOLDER / file).read_text(encoding="utf-8")
    for found in _IMPORT.finditer(source):
        if found["file"] not in joined:
            _join(found["file"], joined)
    source = _IMPORT.sub("", source)
    # The `export default` of `main.js` is the module's own.
    joined[file] = source if file == _MAIN else _EXPORT.sub("", source)
