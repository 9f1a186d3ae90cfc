"""Install packages with pip, and report progress while it takes long.

Usage: ``PYTHON .ci/pip_install.py WHAT PIP_ARGUMENT...`` installs into the environment
of PYTHON. WHAT names the packages to the reader. pip's own output is shown if it fails.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

# Seconds between two reports.
_REPORT_EVERY = 15


def main(what: str, *arguments: str) -> int:
    """Run pip, and return its exit code."""
    environment = Path(sys.prefix)
    # Relative, as make passes the interpreter, unless it lies elsewhere.
    where = environment.name if environment.parent == Path.cwd() else environment
    began = time.monotonic()
    print(f"Installing {what} into {where}: one to three minutes.", flush=True)
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        pip = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check"]
        process = subprocess.Popen([*pip, *arguments], stdout=log, stderr=log)
        while True:
            try:
                code = process.wait(_REPORT_EVERY)
                break
            except subprocess.TimeoutExpired:
                seconds = time.monotonic() - began
                megabytes = _size(environment) // 1_000_000
                print(f"  {seconds:.0f} s: {where} has {megabytes} MB", flush=True)
        if code:
            log.seek(0)
            sys.stderr.write(log.read())
            print(f"pip did not install {what}; its output is above.", file=sys.stderr)
        else:
            print(f"Installed in {time.monotonic() - began:.0f} s.", flush=True)
    return code


def _size(folder: Path) -> int:
    """Return the size of a folder's files in bytes, while pip adds and removes some."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.lstat().st_size
        except OSError:
            continue
    return total


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
