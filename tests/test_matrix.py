"""The rows of `make matrix` cover the versions that the project names."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LINES = [
    line.split()
    for line in (ROOT / ".ci/matrix_rows.txt").read_text("utf-8").splitlines()
    if line and not line.startswith("#")
]
ROWS = [dict(zip(LINES[0], line, strict=True)) for line in LINES[1:]]


@pytest.mark.parametrize("package", LINES[0][2:])
def test_each_floor_and_newest_is_in_a_row(package):
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    floor = re.search(rf'^    "{package}>=([\d.]+)",', text, re.MULTILINE)[1]
    versions = {row[package] for row in ROWS}
    assert "newest" in versions
    assert any(f"{version}.".startswith(f"{floor}.") for version in versions)


def test_each_pair_of_the_main_packages_is_in_a_row():
    kinds = {
        "ray": ("oldest", "newest"),
        "ipykernel": ("6.29.0", "7.0.0", "newest"),
        "ipython": ("8.18.0", "newest"),
    }
    for one, other in itertools.combinations(kinds, 2):
        met = {(row[one], row[other]) for row in ROWS}
        missing = set(itertools.product(kinds[one], kinds[other])) - met
        assert not missing, (one, other)


def test_the_workflow_has_each_row_with_its_python():
    text = (ROOT / ".github/workflows/matrix.yml").read_text("utf-8")
    found = re.findall(r'\{ row: (\d+), python: "([\d.]+)" \}', text)
    assert found == [(str(n), row["python"]) for n, row in enumerate(ROWS, 1)]
