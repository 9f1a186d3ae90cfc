"""Open a notebook in JupyterLab, until Ctrl-C.

``make lab`` runs this, and ``make demo`` at its end. Without a browser on this
machine, the address that JupyterLab prints can be opened elsewhere.

Usage: ``python notebooks/open_lab.py [NOTEBOOK]``
"""

import os
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import demo_cluster  # noqa: F401  it sets environment variables

QUICKSTART = Path(__file__).parent / "01_quickstart.ipynb"


def open_lab(notebook: Path) -> int:
    """Run JupyterLab with a notebook open, and return its exit code."""
    path = notebook.resolve()
    root = Path.cwd() if path.is_relative_to(Path.cwd()) else path.parent
    command = [
        *(sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={root}"),
        # Part of the address that it prints, unlike a notebook to open.
        f"--LabApp.default_url=/lab/tree/{quote(path.relative_to(root).as_posix())}",
        # Its address and what goes wrong.
        *("--log-level=ERROR", "--LabApp.log_level=ERROR"),
        # Ctrl-C ends it without a question, and with it the kernels.
        "--ServerApp.answer_yes=True",
    ]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        # It refuses to run as root otherwise; containers often have no other user.
        command.append("--allow-root")
    lab = subprocess.Popen(command)
    # Ctrl-C reaches JupyterLab too, which then ends by itself.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return lab.wait()
    finally:
        signal.signal(signal.SIGINT, before)


if __name__ == "__main__":
    sys.exit(open_lab(Path(sys.argv[1]) if len(sys.argv) > 1 else QUICKSTART))
