"""A real Ray Client server, in a process of its own, with a Ray of its own.

Ray's `ray.util.client.server` in legacy mode: one process that is the server
and the driver at once, so that stopping or killing exactly that process is what
happens to a client whose server hangs or dies.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from typing import TYPE_CHECKING

from . import rays
from .polling import poll

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Seconds for Ray to start on a busy machine.
START_SECONDS = 90.0

_SERVER = """
    import inspect, pathlib, sys

    import ray, harness.lean_ray
    from ray.util.client.server import server

    info = ray.init(**{arguments!r})
    # Port 0 is of no use: Ray does not publish the port that it then has.
    joined = "connection_str" in inspect.signature(server.serve).parameters  # 2.40
    address = ("127.0.0.1:{port}",) if joined else ("127.0.0.1", {port})
    handle = server.serve(*address, lambda *_, **__: info)
    # Count one client more, for ever: without clients the server shuts its Ray
    # down, and the next client would wait for another.
    handle.data_servicer.num_clients += 1
    pathlib.Path({ready!r}).touch()
    sys.stdin.read()  # ends when the tests close it, or die
    handle.stop(0)
    ray.shutdown()
"""


class ClientServer:
    """A running server.

    Attributes
    ----------
    address : str
        For ``ray.init``: ``ray://127.0.0.1:<port>``.
    process_id : int
        Of the process that is the server.
    """

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self._process = process
        self.address = f"ray://127.0.0.1:{port}"
        self.process_id = process.pid

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Stop the server's process for the length of a block: a network that hangs."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)


@contextlib.contextmanager
def running_client_server() -> Iterator[ClientServer]:
    """Start a server on a free port; shut it and its Ray down afterwards."""
    with rays.short_folder() as folder:
        port = rays.free_port()
        ready = folder / "ready"
        log = folder / "server.log"
        arguments = {**rays.INIT_ARGUMENTS, "_temp_dir": str(folder)}
        script = folder / "server.py"
        script.write_text(
            textwrap.dedent(_SERVER).format(
                arguments=arguments, port=port, ready=str(ready)
            ),
            encoding="utf-8",
        )
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, str(script)],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=rays.process_environment(folder),
                cwd=folder,
            )
        try:
            _await_start(process, ready, log)
            yield ClientServer(process, port)
        finally:
            _end(process)


def _await_start(process: subprocess.Popen[bytes], ready: Path, log: Path) -> None:
    def started() -> bool:
        if process.poll() is not None:
            text = log.read_text(encoding="utf-8", errors="replace")
            raise AssertionError(f"the client server ended while starting:\n{text}")
        return ready.exists()

    poll(started, START_SECONDS, what="a Ray Client server")


def _end(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        # Its Ray's processes end by themselves once their driver is gone.
        process.kill()
        process.wait()


class Forwarder:
    """A port that leads to a server, over connections that can be broken.

    Parameters
    ----------
    address
        The server's.
    break_at
        Break all connections, once, when this file appears. New ones are taken.
    """

    def __init__(self, address: str, break_at: Path) -> None:
        self._target = ("127.0.0.1", int(address.rpartition(":")[2]))
        self._break_at = break_at
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.05)
        self._sockets: list[socket.socket] = []
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.address = f"ray://127.0.0.1:{self._listener.getsockname()[1]}"
        #: Whether the connections have been broken.
        self.broken = False

    def start(self) -> None:
        """Take connections from now on."""
        self._thread.start()

    def close(self) -> None:
        """Take no more connections, and break those there are."""
        self._closing.set()
        self._thread.join()
        self._listener.close()
        self._break()

    def _serve(self) -> None:
        while not self._closing.is_set():
            if not self.broken and self._break_at.exists():
                self._break()
                self.broken = True
            try:
                accepted, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            onward = socket.create_connection(self._target)
            accepted.settimeout(None)
            self._sockets += [accepted, onward]
            for pair in ((accepted, onward), (onward, accepted)):
                threading.Thread(target=_forward, args=pair, daemon=True).start()

    def _break(self) -> None:
        sockets, self._sockets = self._sockets, []
        for each in sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


def _forward(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
