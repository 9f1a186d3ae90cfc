"""The widget's front end as one ES module and one style sheet, and what loads it.

Its source is a few small modules in ``frontend/``. A browser gets them joined, so that
nothing is fetched and no bundler is needed; ``loader.js`` stands alone. The others
import names from each other
with ``import { ... } from "./other.js";`` alone, and export declarations by name; names
are unique over all of them.
"""

from __future__ import annotations

import re
from pathlib import Path

_FOLDER = Path(__file__).parent / "frontend"
_MAIN = "main.js"
# In this order: later rules override earlier ones.
_STYLES = ("base.css", "lines.css", "details.css")

_IMPORT = re.compile(r'^import \{[^}]*\} from "\./(?P<file>\w+\.js)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?function|class|const)", re.MULTILINE)


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
