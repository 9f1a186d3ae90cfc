"""The checks of `make docs`: what a page may load, and what a notebook may show."""

from __future__ import annotations

import importlib.util
import socket
from pathlib import Path

import nbformat
import pytest

CI = Path(__file__).parent.parent / ".ci"


def load(name):
    """Import a script of .ci, which is no package."""
    spec = importlib.util.spec_from_file_location(name, CI / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


check_site = load("check_site")
tutorial = load("tutorial")


def problems_of(folder, html, css=""):
    (folder / "index.html").write_text(html, encoding="utf-8")
    (folder / "site.css").write_text(css, encoding="utf-8")
    (folder / "there.html").write_text('<h1 id="part">', encoding="utf-8")
    return check_site.problems(folder)


@pytest.mark.parametrize(
    "html",
    [
        '<script src="https://cdn.example/require.js"></script>',
        '<link rel="stylesheet" href="//fonts.example/sans.css">',
        '<link rel="preconnect" href="https://fonts.example">',
        '<img src="http://pictures.example/badge.svg">',
        '<img srcset="site.css 1x, https://pictures.example/2.png 2x">',
        '<p style="background: url(https://pictures.example/1.png)">',
        "<style>@import 'https://fonts.example/sans.css';</style>",
        '<script src="missing.js"></script>',
        '<a href="missing.html">',
        '<a href="there.html#other">',
        '<a href="#other">',
    ],
)
def test_outside_or_missing_file_is_found(tmp_path, html):
    assert len(problems_of(tmp_path, html)) == 1


def test_outside_font_of_a_style_sheet_is_found(tmp_path):
    css = "@font-face { src: url('https://fonts.example/sans.woff2') }"
    assert problems_of(tmp_path, "", css) == [
        "site.css loads https://fonts.example/sans.woff2"
    ]


def test_own_files_and_links_outside_are_right(tmp_path):
    html = (
        '<link rel="stylesheet" href="site.css?digest=1"><a href="there.html#part">'
        '<a href="https://www.ray.io"><img src="data:image/png;base64,AAAA">'
    )
    assert problems_of(tmp_path, html) == []


def executed(text):
    """Return a notebook with a cell that has printed a text."""
    cell = nbformat.v4.new_code_cell("print()", execution_count=1)
    cell.outputs = [nbformat.v4.new_output("stream", text=text)]
    return nbformat.v4.new_notebook(cells=[cell], metadata={"widgets": {}})


@pytest.mark.parametrize(
    "text",
    [
        'File "/home/ann/project/model.py", line 3',
        "/tmp/ipykernel_123/456.py:7: UserWarning",
        r"C:\Users\ann\model.py",
        "on a-machine-of-ann",
    ],
)
def test_folder_or_machine_in_an_output_is_found(monkeypatch, text):
    monkeypatch.setattr(socket, "gethostname", lambda: "a-machine-of-ann")
    with pytest.raises(tutorial.TutorialError, match="belongs to the machine"):
        tutorial.publishable(executed(text))


def test_addresses_in_outputs_are_replaced():
    shown = tutorial.publishable(
        executed("10.1.2.3 http://127.0.0.1:8000 ray 2.60.0 and/or 0.2/s")
    )
    (output,) = shown.cells[0].outputs
    assert output.text == ("192.0.2.1 http://127.0.0.1:8000 ray 2.60.0 and/or 0.2/s")


def test_widgets_are_left_out():
    notebook = executed("")
    data = {"text/html": "<p>", "application/vnd.jupyter.widget-view+json": {}}
    notebook.cells[0].outputs = [nbformat.v4.new_output("display_data", data)]
    shown = tutorial.publishable(notebook)
    assert "widgets" not in shown.metadata
    assert list(shown.cells[0].outputs[0].data) == ["text/html"]
