"""What a newcomer meets first: the demo and JupyterLab, started as make does."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys

import pytest

from harness import rays
from harness.demo import NOTEBOOKS
from harness.notebooks import write_notebook

INSTALL = NOTEBOOKS.parent / ".ci" / "pip_install.py"

LATE = "The current node timed out during startup. This could happen because"


def demo(folder, cell):
    """Run the demo of a notebook of one cell, as it runs without a terminal."""
    notebook = write_notebook(folder / "late.ipynb", cell)
    command = [sys.executable, str(NOTEBOOKS / "run_demo.py"), str(notebook)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=100, check=False
    )
    # On stderr a kernel that ends may write of a socket that is closed already.
    assert "Traceback" not in done.stdout
    return done.returncode, done.stdout


@pytest.mark.kernel
def test_demo_runs_again_when_ray_is_late(tmp_path):
    tried = tmp_path / "tried"
    code, printed = demo(
        tmp_path,
        f"from pathlib import Path\ntried = Path({str(tried)!r})\n"
        f"if not tried.exists():\n    tried.touch()\n    raise Exception({LATE!r})\n"
        "print('start' + 'ed')",
    )
    assert code == 0
    assert printed.count("Ray did not start in time, as on a busy machine.") == 1
    assert "started" in printed


@pytest.mark.kernel
def test_demo_ends_with_a_line_when_ray_stays_late(tmp_path):
    code, printed = demo(tmp_path, f"raise Exception({LATE!r})")
    assert code == 1
    assert printed.splitlines()[-1].startswith("  ✗ Tried 3 times.")


@pytest.mark.kernel
def test_demo_notes_that_a_slow_cell_still_runs(tmp_path):
    code, printed = demo(tmp_path, "import time\ntime.sleep(11)")
    assert code == 0
    assert printed.count("still running after 10 s") == 1


def test_ray_says_in_these_words_that_it_is_late():
    from ray._private.node import Node

    source = inspect.getsource(Node)
    assert LATE.split(". ")[0] in source
    assert "Failed to {'start' if self.head else 'connect to'} GCS" in source


def install(*arguments):
    """Run the Makefile's installation with these arguments of pip."""
    command = [sys.executable, str(INSTALL), "a package", "--no-index", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False
    )


def test_installation_names_what_it_installs():
    done = install("pip")
    assert done.returncode == 0
    first, last = done.stdout.splitlines()
    assert first.startswith("Installing a package into ")
    assert last.startswith("Installed in ")


def test_failed_installation_shows_the_output_of_pip():
    done = install("no-such-package")
    assert done.returncode == 1
    assert "No matching distribution found" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("pip did not install a package")


def test_lab_opens_and_ends_with_few_words():
    pytest.importorskip("pty", reason="no pseudo-terminals here")
    from harness.terminal import running_program

    command = [sys.executable, str(NOTEBOOKS / "open_lab.py")]
    with rays.short_folder() as folder:
        # No browser that could open, and nothing of the user's.
        env = {"HOME": str(folder), "DISPLAY": "", "BROWSER": os.devnull}
        with running_program(command, folder, env) as terminal:
            terminal.wait_to_see(r"http://127\.0\.0\.1\S+/01_quickstart", 60)
            terminal.press_ctrl_c()
            assert terminal.wait_for_end() == 0
            lines = [line for line in terminal.screen if line]
    assert "Shutting down..." in lines[-1]
    assert len(lines) < 12, "\n".join(lines)
