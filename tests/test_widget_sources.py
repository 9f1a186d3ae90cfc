"""The front end as one module, joined from its sources."""

from __future__ import annotations

import re
from pathlib import Path

from ray_jupyter_async._display.widget import bundle
from ray_jupyter_async._display.widget.bundle import (
    front_end_module,
    front_end_styles,
    loader_module,
)

FOLDER = Path(bundle.__file__).parent / "frontend"
PARTS = [path for path in FOLDER.glob("*.js") if path.name != "loader.js"]
DECLARED = re.compile(
    r"^(?:export )?(?:async )?(?:function\*?|class|const|let) (\w+)", re.MULTILINE
)


def test_module_imports_nothing_and_exports_once():
    module = front_end_module()
    words = re.findall(r"^(?:import|export)\b.*", module, re.MULTILINE)
    assert words == ["export default function widget() {"]
    assert "import(" not in re.sub(r"/\*.*?\*/", "", module, flags=re.DOTALL)


def test_sources_are_joined_without_equal_names():
    module = front_end_module()
    names = DECLARED.findall(module)
    assert len(names) == len(set(names))
    for path in PARTS:
        assert set(DECLARED.findall(path.read_text(encoding="utf-8"))) <= set(names)


def test_style_sheets_are_joined():
    styles = front_end_styles()
    for path in FOLDER.glob("*.css"):
        assert path.read_text(encoding="utf-8") in styles


def test_script_and_style_fetch_nothing():
    for text in (loader_module(), front_end_module(), front_end_styles()):
        assert "http" not in text
        assert "url(" not in text
        assert "@import" not in text


def test_module_stands_after_its_imports():
    module = front_end_module()
    for path in PARTS:
        source = path.read_text(encoding="utf-8")
        own = DECLARED.findall(source)
        imported = re.findall(r"^import \{([^}]*)\}", source, re.MULTILINE)
        for name in re.findall(r"\w+", " ".join(imported)):
            first = min(_place(module, other) for other in own)
            assert _place(module, name) < first, (path.name, name)


def _place(module, name):
    (found,) = [m.start() for m in DECLARED.finditer(module) if m[1] == name]
    return found
