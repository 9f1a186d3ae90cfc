"""Custom widgets in Colab, which anywidget enables.

`google.colab` cannot be installed: a stand-in has the two names that anywidget uses.
Nothing else of Colab runs here.
"""

from __future__ import annotations

from harness.progress_cells import gated, prepared, wait_for_widget

OUTPUT = """
from types import SimpleNamespace

asked = 0

def enable_custom_widget_manager():
    global asked
    asked += 1

_widgets = SimpleNamespace(_installed_url="https://colab.example/manager")
"""


def test_custom_widgets_are_enabled_once(kernel):
    package = kernel.folder / "google" / "colab"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "output.py").write_text(OUTPUT)
    # Colab's kernel imports it at its start.
    kernel.ok("from google.colab import output")
    with gated(prepared(kernel)) as cells:
        for _ in range(2):
            path, touch = cells.gates.new()
            result = cells.submit(f"await hold.remote({path});")
            wait_for_widget(cells, pending=1)
            touch()
            assert cells.wait(result).status == "ok"
    assert kernel.ok("print(output.asked)").stdout == "1\n"
