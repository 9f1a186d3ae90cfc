"""Build and run the demo as mybinder.org would, without a container engine.

Runs the steps of repo2docker in an empty environment and a copy of the repository, as a
user other than root, within 2 GB of memory and with a /dev/shm of 64 MB, as far as the
machine allows; prints which of these limits apply. Then starts JupyterLab with
``binder/start``, fetches the page that opens first, and runs every notebook beside that
server.
The exit code is 1 if a step or a notebook fails, or if the processes together ever use
more than 1.5 GB.

Needs only Linux and a Python with venv. Usage::

    python binder/check.py [--save FOLDER] [--one-cpu]

``binder/sandbox.py`` limits the processes.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import sandbox
from memory import MemoryWatch, adopt_orphans, descendants

ROOT = Path(__file__).resolve().parent.parent

#: The memory of mybinder.org, and how much of it may be used, in bytes.
LIMIT = 2 * 2**30
ALLOWED = 1536 * 2**20

# A path as behind a hub's proxy.
_BASE_URL = "/user/somebody-1x2y3z/"
_TOKEN = "a-token-of-the-check"

_NOT_COPIED = shutil.ignore_patterns(
    ".git", ".venv*", "node_modules", "build", "dist", "__pycache__", ".*_cache"
)


class CheckError(Exception):
    """A step has failed; the message says why."""


def main() -> int:
    """Start the check; inside the sandbox, run its steps."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--save", type=Path, help="folder for the executed notebooks; replaced"
    )
    parser.add_argument("--one-cpu", action="store_true", help="run on one CPU")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one_cpu:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    if arguments.inside:
        try:
            return Steps(arguments.inside).run()
        except CheckError as error:
            print(f"FAILED: {error}", flush=True)
            return 1

    work = Path(tempfile.mkdtemp(prefix="rja-", dir="/tmp"))
    try:
        shutil.copytree(ROOT, work / "repository", ignore=_NOT_COPIED)
        status = sandbox.run(
            [str(work / "repository/binder/check.py"), "--inside", str(work)],
            work,
            memory=LIMIT,
        )
        if arguments.save:
            shutil.rmtree(arguments.save, ignore_errors=True)
            shutil.copytree(work / "repository/notebooks", arguments.save)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return status


class Steps:
    """The steps inside the sandbox.

    Parameters
    ----------
    work
        The folder with the copy of the repository, and for everything else.
    """

    def __init__(self, work: Path) -> None:
        self._work = work
        self._repository = work / "repository"
        self._bin = work / "environment/bin"
        self._began = time.monotonic()
        os.environ["PATH"] = f"{self._bin}:{os.environ['PATH']}"

    def run(self) -> int:
        """Run all steps; return 1 if too much memory was used."""
        self._check_python()
        make = [sys.executable, "-m", "venv", str(self._bin.parent)]
        self._do("an empty environment", make)
        install = ["pip", "install", "--quiet", "--no-cache-dir"]
        self._do("requirements", [*install, "-r", "binder/requirements.txt"])
        self._do("postBuild", ["./binder/postBuild"])
        adopt_orphans()
        memory = MemoryWatch(LIMIT)
        memory.start()
        try:
            self._start_server()
            self._say("JupyterLab answers at the address that opens first")
            return self._run_notebooks(memory)
        finally:
            memory.stop()
            for process in descendants():
                process.kill()

    def _check_python(self) -> None:
        """Compare this Python with the image's."""
        asked = (self._repository / "binder/runtime.txt").read_text().strip()
        ours = f"python-{sys.version_info[0]}.{sys.version_info[1]}"
        if asked != ours:
            self._say(f"this is {ours}; runtime.txt asks for {asked}")

    def _start_server(self) -> None:
        """Start JupyterLab with `start`, and fetch the page that opens first."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        with (self._work / "server.log").open("wb") as log:
            server = subprocess.Popen(
                [
                    *["./binder/start", "jupyter", "lab", "--no-browser"],
                    *["--ip=127.0.0.1", f"--port={port}"],
                    f"--ServerApp.base_url={_BASE_URL}",
                    f"--IdentityProvider.token={_TOKEN}",
                ],
                cwd=self._repository,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        path = first_page(self._repository / "README.md")
        here = f"http://127.0.0.1:{port}{_BASE_URL}"
        page = self._fetch(f"{here}{path}", server)
        if "jupyter-config-data" not in page:
            raise CheckError(f"{path} is no page of JupyterLab")
        # The page itself is also served for a missing file.
        file = path.removeprefix("lab/tree/")
        if '"nbformat"' not in self._fetch(f"{here}api/contents/{file}", server):
            raise CheckError(f"the server has no notebook {file}")

    def _fetch(self, url: str, server: subprocess.Popen[bytes]) -> str:
        request = urllib.request.Request(
            url, headers={"Authorization": f"token {_TOKEN}"}
        )
        deadline = time.monotonic() + 120
        while True:
            try:
                with urllib.request.urlopen(request, timeout=30) as response:
                    return str(response.read().decode())
            except urllib.error.HTTPError as error:
                raise CheckError(f"{url}: {error}") from None
            except OSError as error:
                if server.poll() is not None or time.monotonic() > deadline:
                    log = (self._work / "server.log").read_text()
                    raise CheckError(f"no server: {error}\n{log}") from None
                time.sleep(0.2)

    def _run_notebooks(self, memory: MemoryWatch) -> int:
        notebooks = sorted((self._repository / "notebooks").glob("*.ipynb"))
        rows = []
        for notebook in notebooks:
            memory.reset()
            began = time.monotonic()
            self._do(
                notebook.name,
                [
                    *["jupyter", "execute", "--inplace", "--timeout=300"],
                    *["--kernel_name=python3", str(notebook)],
                ],
            )
            rows.append((notebook.name, time.monotonic() - began, memory.peak))
        print(f"\n{'notebook':<32} {'seconds':>8} {'peak MB':>8}")
        for name, seconds, peak in rows:
            print(f"{name:<32} {seconds:8.0f} {peak / 2**20:8.0f}")
        most = max(peak for _, _, peak in rows)
        print(
            "\nPeak of all processes together, including JupyterLab: "
            f"{most / 2**20:.0f} MB of {ALLOWED / 2**20:.0f} MB allowed."
        )
        return int(most > ALLOWED)

    def _do(self, what: str, command: list[str]) -> None:
        """Run a step in the repository; if it fails, raise its output."""
        done = subprocess.run(
            command,
            cwd=self._repository,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            raise CheckError(f"{what} ({done.returncode})\n{done.stdout}")
        self._say(what)

    def _say(self, what: str) -> None:
        print(f"{time.monotonic() - self._began:6.0f} s  {what}", flush=True)


def first_page(readme: Path) -> str:
    """Return what the README's badge opens, or without one, the quickstart."""
    found = re.search(
        r"mybinder\.org/v2/\S+\?urlpath=([^)\s]+)", readme.read_text(encoding="utf-8")
    )
    return found[1] if found else "lab/tree/notebooks/01_quickstart.ipynb"


if __name__ == "__main__":
    sys.exit(main())
