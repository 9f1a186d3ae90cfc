"""The messages of a kernel, merged into results of cells and the state of comms.

Plain data, and how one message changes it: no sockets, no threads, no Jupyter.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Message = dict[str, Any]


@dataclass
class Output:
    """One output of a cell, as a front end would hold it at this moment.

    Attributes
    ----------
    kind
        ``display_data``, ``execute_result``, ``stream`` or ``error``.
    data
        Its MIME bundle; of a stream ``{"text/plain": text}``.
    metadata
        The bundle's metadata.
    display_id
        If it has one: updates are applied to `data`.
    name
        ``stdout`` or ``stderr`` of a stream.
    updates
        How many updates it had.
    """

    kind: str
    data: dict[str, Any]
    metadata: dict[str, Any] = field(default_factory=dict)
    display_id: str | None = None
    name: str | None = None
    updates: int = 0

    @property
    def text(self) -> str:
        """Its plain text."""
        text: str = self.data.get("text/plain", "")
        return text


@dataclass
class Result:
    """Everything that one execute request has produced so far; grows while it runs.

    Attributes
    ----------
    msg_id
        The request's id.
    outputs
        In order; adjacent pieces of one stream are one output.
    messages
        Every iopub message of it, in order; ``received`` in each is the
        ``time.monotonic()`` at which it came.
    reply
        The content of the execute reply, once it came.
    idle
        Whether the kernel has reported that it has finished.
    """

    msg_id: str
    outputs: list[Output] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    reply: dict[str, Any] | None = None
    replied: float | None = None
    idle: bool = False
    _clear_next: bool = False

    @property
    def done(self) -> bool:
        """Whether both the reply and the idle status have come."""
        return self.idle and self.reply is not None

    @property
    def status(self) -> str | None:
        """``ok``, ``error`` or ``aborted``; None while it runs."""
        return None if self.reply is None else str(self.reply["status"])

    @property
    def stdout(self) -> str:
        """What it printed."""
        return self._stream("stdout")

    @property
    def stderr(self) -> str:
        """What it wrote to stderr."""
        return self._stream("stderr")

    @property
    def displays(self) -> list[Output]:
        """The displayed outputs, without its result."""
        return [output for output in self.outputs if output.kind == "display_data"]

    @property
    def execute_result(self) -> Output | None:
        """The value of its last expression."""
        for output in self.outputs:
            if output.kind == "execute_result":
                return output
        return None

    @property
    def value(self) -> str | None:
        """The plain text of that value."""
        return None if self.execute_result is None else self.execute_result.text

    @property
    def ename(self) -> str | None:
        """The class name of its error."""
        return (self.reply or {}).get("ename")

    @property
    def evalue(self) -> str | None:
        """The message of its error."""
        return (self.reply or {}).get("evalue")

    @property
    def traceback(self) -> str:
        """Its traceback, with colour codes as they came."""
        return "\n".join((self.reply or {}).get("traceback", []))

    def __str__(self) -> str:
        """Return its outputs and its error, for the message of a failed assertion."""
        lines = [f"status {self.status}"]
        for output in self.outputs:
            lines.append(f"[{output.kind} {output.name or ''}] {output.text}")
        if self.ename:
            lines.append(f"{self.ename}: {self.evalue}\n{self.traceback}")
        return "\n".join(lines)

    def _stream(self, name: str) -> str:
        return "".join(output.text for output in self.outputs if output.name == name)


@dataclass
class Comm:
    """One comm that the kernel opened, and its state merged from all updates.

    Attributes
    ----------
    comm_id, target
        As it was opened; a widget's target is ``jupyter.widget``.
    state
        A widget's traits, binary buffers put in as ``bytes``.
    custom
        Custom messages in order, each as its content and its buffers.
    messages
        Everything of it in order.
    parents
        The message ids under which these were sent (the cell they belong to).
    open
        False once the kernel closed it.
    """

    comm_id: str
    target: str
    state: dict[str, Any] = field(default_factory=dict)
    custom: list[tuple[Any, list[bytes]]] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    parents: list[str | None] = field(default_factory=list)
    open: bool = True


class Record:
    """All messages of a kernel, by cell and by comm. Not thread-safe."""

    def __init__(self) -> None:
        self.results: dict[str, Result] = {}
        self.comms: dict[str, Comm] = {}
        #: iopub messages of no request of ours.
        self.others: list[Message] = []

    def result(self, msg_id: str) -> Result:
        """Return the result of a request, made at its first mention."""
        return self.results.setdefault(msg_id, Result(msg_id))

    def on_reply(self, message: Message) -> None:
        """Take in a message from the shell channel."""
        if message["msg_type"] == "execute_reply":
            result = self.result(message["parent_header"]["msg_id"])
            result.reply = message["content"]
            result.replied = message["received"]

    def on_iopub(self, message: Message) -> None:
        """Take in a message from the iopub channel."""
        parent = message["parent_header"].get("msg_id")
        result = self.results.get(parent)
        if result is None:
            self.others.append(message)
        else:
            result.messages.append(message)
        kind, content = message["msg_type"], message["content"]
        if kind == "update_display_data":
            self._update_display(content)
        elif kind.startswith("comm_"):
            self._on_comm(kind, content, message, parent)
        elif result is not None:
            _on_output(result, kind, content)

    def _update_display(self, content: dict[str, Any]) -> None:
        display_id = content["transient"]["display_id"]
        for result in self.results.values():
            for output in result.outputs:
                if output.display_id == display_id:
                    output.data = content["data"]
                    output.metadata = content.get("metadata", {})
                    output.updates += 1

    def _on_comm(
        self, kind: str, content: dict[str, Any], message: Message, parent: str | None
    ) -> None:
        comm_id = content["comm_id"]
        if kind == "comm_open":
            self.comms[comm_id] = Comm(comm_id, content["target_name"])
        comm = self.comms.get(comm_id)
        if comm is None:
            return
        comm.messages.append(message)
        comm.parents.append(parent)
        data = content.get("data", {})
        buffers = [bytes(buffer) for buffer in message.get("buffers", [])]
        if kind == "comm_close":
            comm.open = False
        elif data.get("method") == "custom":
            comm.custom.append((data.get("content"), buffers))
        elif "state" in data:
            state = data["state"]
            for path, buffer in zip(data.get("buffer_paths", []), buffers, strict=True):
                _put(state, path, buffer)
            comm.state.update(state)


def _put(state: Any, path: list[Any], buffer: bytes) -> None:
    """Put a buffer in the place from which ipywidgets took it out."""
    for key in path[:-1]:
        state = state[key]
    state[path[-1]] = buffer


def _on_output(result: Result, kind: str, content: dict[str, Any]) -> None:
    if kind == "status":
        result.idle = result.idle or content["execution_state"] == "idle"
    elif kind == "clear_output":
        if content["wait"]:
            result._clear_next = True
        else:
            result.outputs.clear()
    elif kind in ("stream", "display_data", "execute_result", "error"):
        if result._clear_next:
            result.outputs.clear()
            result._clear_next = False
        _append(result.outputs, kind, content)


def _append(outputs: list[Output], kind: str, content: dict[str, Any]) -> None:
    if kind == "stream":
        if outputs and outputs[-1].name == content["name"]:
            outputs[-1].data["text/plain"] += content["text"]
        else:
            text = {"text/plain": content["text"]}
            outputs.append(Output(kind, text, name=content["name"]))
    elif kind == "error":
        text = {"text/plain": f"{content['ename']}: {content['evalue']}"}
        outputs.append(Output(kind, text))
    else:
        display_id = content.get("transient", {}).get("display_id")
        outputs.append(
            Output(kind, content["data"], content.get("metadata", {}), display_id)
        )
