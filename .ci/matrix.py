"""Test the package with old and new versions of its dependencies and of Python.

Usage: ``python .ci/matrix.py [--quick] [--write] [ROW...]``

A row of ``.ci/matrix_rows.txt`` is named by its number, from 1. Each gets a fresh
environment in ``build/matrix``. ``--quick`` leaves out the tests of _SLOW, ``--write``
puts the rows that have run into ``docs/compatibility.md``. MATRIX_PYTHONS may name
interpreters; others are sought on PATH, in pyenv's folder and through uv.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from xml.etree import ElementTree as ET

_ROOT = Path(__file__).parent.parent
_BUILD = _ROOT / "build" / "matrix"
_PAGE = _ROOT / "docs" / "compatibility.md"
_BEGIN, _END = "<!-- matrix: begin -->", "<!-- matrix: end -->"
_COUNTS = ("passed", "failed", "skipped")
# The longest files; and those that check this repository rather than a version.
_SLOW = (
    *("truth", "truth_faults", "interrupts_stress", "notebooks", "first_minutes"),
    *("harness", "docstrings", "rooms", "words", "widget_sources"),
)


def rows() -> list[dict[str, str]]:
    """Return the rows of the table, by column."""
    text = (_ROOT / ".ci" / "matrix_rows.txt").read_text(encoding="utf-8")
    lines = [line.split() for line in text.splitlines() if line[:1] not in ("", "#")]
    return [dict(zip(lines[0], line, strict=True)) for line in lines[1:]]


def _uv() -> Path:
    tools = _BUILD / "tools"
    uv = tools / "bin" / "uv"
    if not uv.exists():
        venv.create(tools, with_pip=True)
        pip = [str(tools / "bin" / "python"), "-m", "pip", "install", "--quiet", "uv"]
        subprocess.run(pip, check=True)
    return uv


def _output(*command: str | Path) -> str:
    """Return the output of a command, or nothing if it fails."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=300
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _interpreter(python: str, uv: Path) -> str:
    """Return the path of an interpreter of this version, or nothing."""
    found = os.environ.get("MATRIX_PYTHONS", "").split()
    pyenv = Path.home() / ".pyenv" / "versions"
    found += [str(path) for path in pyenv.glob(f"{python}.*/bin/python")]
    found += [shutil.which(f"python{python}") or ""]
    asked = "import sys; print('%d.%d' % sys.version_info[:2])"
    for path in filter(None, found):
        if _output(path, "-c", asked) == python:
            return path
    find = (uv, "python", "find", "--no-project", "--no-python-downloads", python)
    path = _output(*find)
    if not path:
        _output(uv, "python", "install", "--quiet", python)
        path = _output(*find)
    return path


def _run_row(number: int, row: dict[str, str], quick: bool) -> list[str]:
    """Return the cells of a row's line in the table."""
    uv = _uv()
    found = _interpreter(row["python"], uv)
    packages = list(row)[1:]
    if not found:
        return [str(number), *row.values(), "no interpreter here", "", ""]
    folder = _BUILD / f"row{number}"
    python = folder / "bin" / "python"
    subprocess.run(
        [uv, "venv", "--seed", "--quiet", "--clear", "-p", found, folder], check=True
    )
    if row["ray"] == "oldest":
        row = {**row, "ray": _output(python, _ROOT / ".ci" / "oldest-ray")}
    pins = [
        name if row[name] == "newest" else f"{name}=={row[name]}" for name in packages
    ]
    # Compiled now, or Python 3.14 warns of Ray's code on stderr in each process.
    install = [str(uv), "pip", "install", "--quiet", "--compile-bytecode"]
    install += ["-p", str(python), *pins]
    install += ["--editable", f"{_ROOT}[demo,client]"]
    install += ["--group", f"{_ROOT / 'pyproject.toml'}:test"]
    installed = subprocess.run(install, check=False).returncode == 0
    counts = _test(folder, python, quick) if installed else ["not installed", "1", ""]
    asked = "import sys; from importlib.metadata import version\n"
    asked += "print(sys.version.split()[0], *map(version, sys.argv[1:]))"
    versions = _output(python, "-c", asked, *packages).split() or list(row.values())
    return [str(number), *versions, *counts]


def _test(folder: Path, python: Path, quick: bool) -> list[str]:
    """Run the tests, and return how many passed, failed and were skipped."""
    report = folder / "report.xml"
    command = [str(python), "-m", "pytest", "-q", "--numprocesses=2"]
    command += ["--dist=loadfile", f"--junitxml={report}", "-m", "not browser"]
    if quick:
        command += [f"--ignore=tests/test_{name}.py" for name in _SLOW]
    # In CI, a skip that tests/allowed_skips.txt does not list fails the run.
    env = {**os.environ, "CI": "true"}
    with (folder / "log").open("w") as log:
        done = subprocess.run(
            command, cwd=_ROOT, stdout=log, stderr=log, env=env, check=False
        )
    if not report.exists():
        return ["no report", "1", ""]
    suite = next(ET.parse(report).iter("testsuite"))
    total, failures, errors, skipped = (
        int(suite.get(key, 0)) for key in ("tests", "failures", "errors", "skipped")
    )
    failed = failures + errors
    if done.returncode and not failed:
        return [str(total - skipped), "unexpected skips", str(skipped)]
    return [str(total - failed - skipped), str(failed), str(skipped)]


def _write(lines: list[list[str]]) -> None:
    """Replace these rows of the page's table; the others stay."""
    text = _PAGE.read_text(encoding="utf-8")
    before, old = text.split(_BEGIN)
    old, after = old.split(_END)
    kept = {key: line for line in old.splitlines() if (key := _key(line))}
    kept.update({int(cells[0]): _line(cells) for cells in lines})
    table = [_line(["row", *rows()[0], *_COUNTS])]
    table.append("|" + " --- |" * (len(rows()[0]) + 4))
    table += [kept[key] for key in sorted(kept)]
    joined = "\n".join(table)
    _PAGE.write_text(f"{before}{_BEGIN}\n{joined}\n{_END}{after}", encoding="utf-8")


def _key(line: str) -> int:
    found = re.match(r"\| (\d+) ", line)
    return int(found[1]) if found else 0


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> int:
    """Run the rows; return 1 if a test has failed."""
    parser = argparse.ArgumentParser(description="Test old and new versions.")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("row", nargs="*", type=int)
    asked = parser.parse_args()
    lines = []
    for number, row in enumerate(rows(), 1):
        if not asked.row or number in asked.row:
            print(f"row {number}: {' '.join(row.values())}", flush=True)
            lines.append(_run_row(number, row, asked.quick))
            print(f"  passed, failed, skipped: {', '.join(lines[-1][-3:])}", flush=True)
    print(_line(["row", *rows()[0], *_COUNTS]))
    for cells in lines:
        print(_line(cells))
    if asked.write:
        _write(lines)
    return int(any(cells[-2] not in ("", "0") for cells in lines))


if __name__ == "__main__":
    sys.exit(main())
