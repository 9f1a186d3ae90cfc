"""A JupyterLab server of its own: its folders, settings and kernels.

The server side only; the page in the browser is in `harness.browser`.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import nbformat
from nbformat.sign import NotebookNotary

from harness.polling import poll
from harness.rays import free_port, process_environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# What JupyterLab would otherwise ask of the network or of the user, and what
# makes a page differ from run to run.
_SETTINGS: dict[str, dict[str, Any]] = {
    "apputils-extension/notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
        "doNotDisturbMode": True,
    },
    # All cells in the page at once, so that a test finds them.
    "notebook-extension/tracker": {"windowingMode": "none"},
    # Saved only when a test saves.
    "docmanager-extension/plugin": {"autosave": False},
}


class LabServer:
    """A running ``jupyter lab`` without a browser.

    It also serves the classic Notebook 7 pages. Nothing it reads or writes is
    outside its folder but the environment's own installed front-end extensions.

    Attributes
    ----------
    root : Path
        The folder it serves; a test copies its notebooks there.
    url : str
        With a slash at its end.
    token : str
        Its token.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "root"
        self.root.mkdir()
        self.token = secrets.token_hex(16)
        self._log = folder / "server.log"
        self._settings = folder / "settings"
        port = free_port()
        self.url = f"http://127.0.0.1:{port}/"
        for name, values in _SETTINGS.items():
            self.set(name, **values)
        env = process_environment(
            folder,
            {
                "JUPYTER_CONFIG_DIR": str(folder / "config"),
                "JUPYTER_DATA_DIR": str(folder / "data"),
                "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
                "JUPYTERLAB_SETTINGS_DIR": str(self._settings),
                "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
                "IPYTHONDIR": str(folder / "ipython"),
            },
        )
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "jupyterlab",
                    "--no-browser",
                    "--allow-root",
                    "--ip=127.0.0.1",
                    f"--port={port}",
                    "--ServerApp.port_retries=0",
                    f"--ServerApp.root_dir={self.root}",
                    f"--IdentityProvider.token={self.token}",
                    "--ServerApp.disable_check_xsrf=True",
                    # Seconds; one with a Ray never ends when asked to (see
                    # `harness.kernel.Kernel.shutdown`).
                    "--KernelManager.shutdown_wait_time=0.5",
                    "--LabApp.news_url=None",
                    "--LabApp.extension_manager=readonly",
                    # window.jupyterapp, through which a test runs commands.
                    "--LabApp.expose_app_in_browser=True",
                    "--JupyterNotebookApp.expose_app_in_browser=True",
                ],
                cwd=folder,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @property
    def log(self) -> str:
        """What the server and its kernels wrote."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def set(self, plugin: str, **values: Any) -> None:
        """Write user settings of a JupyterLab plugin, for pages opened later.

        Parameters
        ----------
        plugin
            Without its organisation, such as ``apputils-extension/themes``.
        **values
            The settings.
        """
        extension, name = plugin.split("/")
        file = (
            self._settings / "@jupyterlab" / extension / f"{name}.jupyterlab-settings"
        )
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values), encoding="utf-8")

    def trust(self, path: Path) -> None:
        """Sign a notebook as its user's own, as ``jupyter trust`` does."""
        notary = NotebookNotary(data_dir=str(self.folder / "data"))
        with contextlib.closing(notary):
            notary.sign(nbformat.read(path, as_version=4))

    def forget_workspaces(self) -> None:
        """Forget which notebooks earlier pages had open."""
        shutil.rmtree(self.folder / "workspaces", ignore_errors=True)

    def request(self, path: str, method: str = "GET") -> Any:
        """Ask the server's REST API, such as ``api/kernels``."""
        request = urllib.request.Request(
            self.url + path,
            method=method,
            headers={"Authorization": f"token {self.token}"},
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            body = response.read()
        return json.loads(body) if body else None

    def wait_until_ready(self) -> None:
        """Wait until it answers."""
        poll(self._answers, 60, what="JupyterLab to answer")

    def end_kernels(self) -> None:
        """End all its kernels, and with them their Rays."""
        for session in self.request("api/sessions"):
            # Gone already when the page closed it.
            with contextlib.suppress(urllib.error.HTTPError):
                self.request(f"api/sessions/{session['id']}", "DELETE")

    def stop(self) -> None:
        """End the server; it ends its kernels."""
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)

    def _answers(self) -> bool:
        assert self._process.poll() is None, f"JupyterLab ended\n{self.log}"
        try:
            self.request("api/status")
        except OSError:
            return False
        return True


@contextlib.contextmanager
def running_server(folder: Path) -> Iterator[LabServer]:
    """Start a server and wait until it answers; stop it afterwards."""
    server = LabServer(folder)
    try:
        server.wait_until_ready()
        yield server
    finally:
        server.stop()
