"""A real ipykernel in a process of its own, driven through jupyter_client.

Starts it, sends to it and receives its messages as they come; `harness.results`
merges them. No fixture is here.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, TypeVar

import zmq
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

from harness.polling import poll
from harness.rays import process_environment
from harness.results import Comm, Record, Result

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

T = TypeVar("T")

# How long the collector waits for iopub before it looks at the shell channel.
_TICK_MS = 10


class Kernel:
    """A running kernel and all its messages.

    A collector thread reads all its channels, so a test can look at a cell's
    outputs and at widgets while the cell still runs (`poll`). Every method may
    be called from any thread.

    Parameters
    ----------
    folder
        Its working folder, which also holds its Ray sessions (see
        `harness.rays.short_folder`).
    env
        Additional environment variables.
    arguments
        Additional arguments of ``ipykernel_launcher``, such as
        ``--IPKernelApp.extensions=...``.
    module
        The program that is the kernel.
    """

    def __init__(
        self,
        folder: Path,
        *,
        env: Mapping[str, str] | None = None,
        arguments: Iterable[str] = (),
        module: str = "ipykernel_launcher",
    ) -> None:
        self.folder = folder
        self.record = Record()
        self._log = folder / "kernel.log"
        # Guards the record, and is notified of each message.
        self._changed = threading.Condition(threading.RLock())
        # A zmq socket must not be used by two threads at once.
        self._sockets = threading.Lock()
        self._failure: BaseException | None = None
        self._ended = False
        # With the interpreter of the tests, whatever kernel specs there are.
        self._manager = KernelManager(kernel_name="python3")
        spec = self._manager.kernel_spec
        assert spec is not None, "this Python has no kernel: is ipykernel installed?"
        spec.argv = [
            sys.executable, "-m", module,
            "-f", "{connection_file}", *arguments,
        ]  # fmt: skip
        with self._log.open("wb") as log:
            self._manager.start_kernel(
                env=process_environment(folder, env),
                cwd=str(folder),
                stdout=log,
                stderr=log,
            )
        client = self._manager.client()
        assert isinstance(client, BlockingKernelClient)
        self._client = client
        self._client.start_channels()
        try:
            self._client.wait_for_ready(timeout=60)
        except RuntimeError:
            self._stop()
            raise AssertionError(f"the kernel did not start\n{self.log}") from None
        self._collecting = True
        self._collector = threading.Thread(
            target=self._collect, name="kernel collector", daemon=True
        )
        self._collector.start()

    @property
    def pid(self) -> int:
        """The kernel's process id."""
        return int(self._manager.provisioner.pid)  # type: ignore[union-attr]

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return bool(self._manager.is_alive())

    @property
    def log(self) -> str:
        """What its process wrote to its file descriptors, past ipykernel."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    @property
    def comms(self) -> dict[str, Comm]:
        """The comms it opened, by id."""
        return self.record.comms

    def widgets(self, **state: Any) -> list[Comm]:
        """Return the open widgets whose state has these values, oldest first.

        For example ``kernel.widgets(_model_name="AnyModel")``.
        """
        with self._changed:
            return [
                comm
                for comm in self.record.comms.values()
                if comm.open
                and comm.target == "jupyter.widget"
                and all(comm.state.get(key) == value for key, value in state.items())
            ]

    def submit(self, code: str, **options: Any) -> Result:
        """Send a cell and return at once; the result grows while it runs.

        Parameters
        ----------
        code
            The cell.
        **options
            Of ``KernelClient.execute``, such as ``silent=True``. With
            ``stop_on_error=True`` an error aborts the cells that wait; ipykernel 6
            also aborts one that comes right after the error's reply.
        """
        options.setdefault("allow_stdin", False)
        options.setdefault("stop_on_error", False)
        # The record's lock before the send: the first message must find it.
        with self._changed:
            with self._sockets:
                msg_id = self._client.execute(code, **options)
            return self.record.result(msg_id)

    def wait(self, result: Result, timeout: float = 60.0) -> Result:
        """Wait until a submitted cell has ended, and return its result."""
        self.poll(lambda: result.done, timeout, what="the cell to end", of=result)
        return result

    def run(self, code: str, timeout: float = 60.0, **options: Any) -> Result:
        """Run a cell to its end; an error in it is in the result, not raised."""
        return self.wait(self.submit(code, **options), timeout)

    def ok(self, code: str, timeout: float = 60.0, **options: Any) -> Result:
        """Run a cell that must not fail."""
        result = self.run(code, timeout, **options)
        assert result.status == "ok", str(result)
        return result

    def poll(
        self,
        predicate: Callable[[], T],
        timeout: float = 30.0,
        *,
        what: str | None = None,
        of: Result | None = None,
    ) -> T:
        """Wait until `predicate` returns something true, and return that.

        It is called at each message of the kernel, with the record held still.

        Parameters
        ----------
        predicate
            Looks at results and comms.
        timeout
            Seconds after which to give up.
        what
            What is waited for, for the failure message.
        of
            A result to show in that message.

        Raises
        ------
        AssertionError
            At the deadline, or when the kernel died.
        """
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                value = predicate()
                if value:
                    return value
                rest = deadline - time.monotonic()
                problem = f"not within {timeout:g} s: {what or predicate!r}"
                if self._failure is not None:
                    problem = f"the collector failed: {self._failure!r}"
                elif not self.alive:
                    problem = f"the kernel died: {what or predicate!r}"
                elif rest > 0:
                    self._changed.wait(min(rest, 0.5))
                    continue
                raise AssertionError(
                    f"{problem}\n{of or ''}\n--- kernel log\n{self.log}"
                )

    def interrupt(self) -> float:
        """Press Stop, and return the ``time.monotonic()`` of that moment."""
        pressed = time.monotonic()
        self._manager.interrupt_kernel()
        return pressed

    def send_comm(
        self,
        comm_id: str,
        data: dict[str, Any],
        buffers: Iterable[bytes] = (),
        *,
        subshell: str | None = None,
    ) -> str:
        """Send a comm message as a front end does, and return its message id.

        A custom message of a widget's view is
        ``{"method": "custom", "content": ...}``.
        """
        session = self._client.session
        message = session.msg("comm_msg", {"comm_id": comm_id, "data": data})
        if subshell is not None:
            message["header"]["subshell_id"] = subshell
        with self._changed:
            self.record.result(message["header"]["msg_id"])
        with self._sockets:
            session.send(
                self._client.shell_channel.socket, message, buffers=list(buffers)
            )
        return str(message["header"]["msg_id"])

    def control(self, kind: str, content: dict[str, Any]) -> dict[str, Any]:
        """Send a request on the control channel, and return the reply's content."""
        session = self._client.session
        socket = self._client.control_channel.socket
        request = session.msg(kind, content)
        with self._sockets:
            session.send(socket, request)

        def answer() -> dict[str, Any] | None:
            with self._sockets:
                _, reply = session.recv(socket, mode=zmq.NOBLOCK)
            if reply is None:
                return None
            to = reply["parent_header"].get("msg_id")
            return reply if to == request["header"]["msg_id"] else None

        reply = poll(answer, what=f"the reply to {kind}")
        assert reply is not None
        return dict(reply["content"])

    def subshell(self) -> str | None:
        """Make a subshell as JupyterLab does for comms; None before ipykernel 7."""
        features = self.control("kernel_info_request", {}).get("supported_features", ())
        if "kernel subshells" not in features:
            return None
        return str(self.control("create_subshell_request", {})["subshell_id"])

    def shutdown(self) -> None:
        """End the kernel, and with it its Ray.

        At once: asked gently, one with a Ray waits for child processes that stay
        zombies until it is killed, 5 s later (ipykernel 7.4, Ray 2.60).
        """
        if self._ended:
            return
        self._ended = True
        self._collecting = False
        self._collector.join(10)
        self._stop()

    def _stop(self) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)
        self._manager.cleanup_resources()

    def _collect(self) -> None:
        try:
            iopub = self._client.iopub_channel.socket
            shell = self._client.shell_channel.socket
            while self._collecting:
                # Only iopub is this thread's alone. Even to poll a socket is to
                # use it, so the shell's, on which others send, is looked at
                # under the lock.
                iopub.poll(_TICK_MS)
                self._receive(iopub, self.record.on_iopub)
                self._receive(shell, self.record.on_reply)
        except Exception as error:  # for the test's thread to raise
            with self._changed:
                self._failure = error
                self._changed.notify_all()

    def _receive(self, socket: Any, handle: Callable[[dict[str, Any]], None]) -> None:
        messages = []
        with self._sockets:
            while True:
                _, message = self._client.session.recv(socket, mode=zmq.NOBLOCK)
                if message is None:
                    break
                message["received"] = time.monotonic()
                messages.append(message)
        with self._changed:
            for message in messages:
                handle(message)
            if messages:
                self._changed.notify_all()


@contextlib.contextmanager
def running_kernel(
    folder: Path,
    **options: Any,
) -> Iterator[Kernel]:
    """Start a kernel, with the options of `Kernel`; end it afterwards."""
    kernel = Kernel(folder, **options)
    try:
        yield kernel
    finally:
        kernel.shutdown()
