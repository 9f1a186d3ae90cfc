"""A session's objects: readiness, raw bytes and deserialisation.

Public `ray.get` and `ray.wait` start a new Ray when none is connected and hold
a process-wide lock while they deserialise, so an await cannot be built on them.
Each function says what it stands on and the versions it was seen in (2.40.0 and
2.60.0 unless stated).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, TypeAlias, cast

import ray
from ray import ObjectRef
from ray._private import worker as _worker_module
from ray.exceptions import GetTimeoutError

from .connection import gcs_answers
from .shutdown_gate import ClosedError, Gate, gate_of

Ref: TypeAlias = "ObjectRef[Any]"
#: What the object store gives before deserialising: data, metadata and, on
#: newer Ray, the tensor transport.
Raw: TypeAlias = Any

#: `ObjectRef._on_ready` (seen in 2.60.0) says when an object exists without
#: reading it. Older Ray has only `wait`.
HAS_ON_READY = hasattr(ObjectRef, "_on_ready")


#: Metadata of values that Ray stores without pickle: msgpack, and bytes.
_MSGPACK, _BYTES = b"XLANG", b"RAW"
#: Bytes up to which an object counts as small.
SMALL_BYTES = 8192


class ObjectReader:
    """Readiness and raw bytes of one local session's objects.

    All methods are thread-safe and release the GIL while Ray works. They raise
    `shutdown_gate.ClosedError` once the session is ending.
    """

    def __init__(self, core: Any) -> None:
        self._core = core
        self._gate = gate_of(core)
        self._worker = cast("Any", _worker_module.global_worker)
        # 2.40 passes the driver's task id through; it was gone by 2.60.
        doc = inspect.getdoc(type(core).wait) or ""
        self._task_id: tuple[Any, ...] = (
            (self._worker.current_task_id,) if "current_task_id" in doc else ()
        )
        self._context = self._worker.get_serialization_context()
        parameters = inspect.signature(self._context.deserialize_objects).parameters
        # From about 2.46 a third argument carries out-of-band tensors.
        self._tensors: tuple[dict[str, Any], ...] = ({},) if len(parameters) > 2 else ()

        # Seen in 2.40.0 and 2.60.0. Answers from this process's own memory in 1 us.
        self._locate: Any = getattr(core, "get_local_object_locations", None)
        self._node: str = core.get_current_node_id().hex()

    @property
    def closed(self) -> bool:
        """Whether the session is ending or has ended."""
        return self._gate.closed

    def wait(
        self,
        refs: Sequence[Ref],
        num_returns: int,
        *,
        timeout_ms: int,
        fetch_local: bool,
    ) -> list[Ref]:
        """Return the refs that are ready; Ray refuses duplicates in `refs`.

        Never more than `num_returns`. With `fetch_local` an object is ready only once
        it is on this node, and objects elsewhere start to be pulled. Raises ValueError
        if Ray knows no owner of one of the refs.
        """
        with self._gate:
            ready: list[Ref] = self._core.wait(
                refs, num_returns, timeout_ms, *self._task_id, fetch_local
            )[0]
        return ready

    def read(self, refs: Sequence[Ref]) -> list[Raw]:
        """Read objects that are on this node, without deserialising them.

        Raises GetTimeoutError if one of them is not on this node (any more), or was not
        read because another one is an error: Ray stops at that one.
        """
        # 2.40 has the task id before the timeout.
        with self._gate:
            raws: list[Raw] = self._core.get_objects(refs, *self._task_id, 0)
        # Whatever was read has metadata. Deserialised, the others would pass for
        # values, the class PlasmaObjectNotAvailable.
        if not all(raw[1] for raw in raws):
            raise GetTimeoutError("Ray has not read all of these objects")
        return raws

    def read_small(self, ref: Ref) -> Raw | None:
        """Read a small object that is in this process's memory; None if it is pending.

        Never blocks, so that an event loop may call it. All other objects are behind a
        call to the raylet, which may be slow or not answer at all: for these, and for
        refs of other owners, it raises LookupError.
        """
        if self._locate is None:
            raise LookupError
        with self._gate:
            found = self._locate([ref])[ref]
            size = found["object_size"]
            if size is None:
                return None
            if size > SMALL_BYTES or found["node_ids"] or found["did_spill"]:
                raise LookupError
            raw = self._core.get_objects([ref], *self._task_id, 0)[0]
        if not raw[1]:
            raise LookupError
        return raw

    def load_plain(self, raw: Raw) -> Any:
        """Return the value of an object that `is_plain`; runs no user code."""
        if raw[1] == _BYTES:
            return b"" if raw[0] is None else raw[0].to_pybytes()
        # As `deserialize_objects`, which takes twice the time; private, 2.40 to 2.60.
        return self._context._deserialize_msgpack_data(raw[0], [raw[1]])

    def load(self, ref: Ref, raw: Raw) -> Any:
        """Deserialise one object; an error object is returned, not raised.

        `Worker.deserialize_objects` would do this under a lock that every
        `ray.get` of the process takes; the lock guards driver imports that
        Ray no longer does, and one slow `__setstate__` would hold up all.
        """
        if len(raw) > 2 and raw[2] is not None:
            # The value travels outside the object store (a tensor transport).
            values, _ = self._worker.get_objects([ref], return_exceptions=True)
            return values[0]
        with self._gate:
            return self._context.deserialize_objects([raw], [ref], *self._tensors)[0]

    def load_many(self, refs: Sequence[Ref], raws: Sequence[Raw]) -> list[Any]:
        """Deserialise objects, as `load`; one after the other, but cheaper."""
        if any(len(raw) > 2 and raw[2] is not None for raw in raws):
            return [self.load(ref, raw) for ref, raw in zip(refs, raws, strict=True)]
        with self._gate:
            values: list[Any] = self._context.deserialize_objects(
                _WhileOpen(raws, self._gate), refs, *self._tensors
            )
        return values

    def here(self, refs: Sequence[Ref]) -> list[bool]:
        """Return which of these objects are known to be on this node; pulls nothing.

        A `read` of another begins a pull and ends it at once, but on a loaded machine
        the object may come before the end (2.60).
        """
        with self._gate:
            found = {} if self._locate is None else self._locate(refs)
            return [self._is_here(ref, found) for ref in refs]

    def _is_here(self, ref: Ref, found: dict[Ref, dict[str, Any]]) -> bool:
        if nodes := found.get(ref, {}).get("node_ids"):
            return self._node in nodes
        # For an object in the store this is a call to it, of 0.1 ms (2.40.0, 2.60.0).
        return bool(self._core.object_exists(ref))

    def read_own(self, key: bytes, owner: bytes) -> Raw | None:
        """Read an object by its id; None if it is not on this node. Pulls nothing."""
        # A temporary ref: the caller holds only the id.
        refs = [cast("Any", ObjectRef)(key, owner)]
        try:
            return self.read(refs)[0] if self.here(refs)[0] else None
        except Exception:
            return None

    def error_in(self, raw: Raw) -> tuple[str, str] | None:
        """Return Ray's kind and text of the error that an object is; None for a value.

        Reads metadata and Ray's own text, and runs no code of the error's class.
        """
        from ray.core.generated import common_pb2

        fields = bytes(raw[1]).split(b",")
        try:
            kind = str(cast("Any", common_pb2).ErrorType.Name(int(fields[0])))
        except ValueError:
            return None  # b"PYTHON" and the like are not an error's number
        try:
            text = self._error_text(kind, raw[0], fields)
        except Exception:  # private API of the serialization context, 2.40 to 2.60
            text = ""
        return kind, text

    def _error_text(self, kind: str, data: Any, fields: list[bytes]) -> str:
        """Return Ray's text for an error, from its protocol buffer."""
        if not data:
            return ""
        from ray.core.generated import common_pb2

        parts = cast("Any", common_pb2)
        with self._gate:
            # Bytes within msgpack: with metadata of an error nothing is unpickled.
            content = self._context._deserialize_msgpack_data(data, fields)
        if kind == "TASK_EXECUTION_EXCEPTION":
            error = parts.RayException.FromString(content)
            return str(error.formatted_exception_string)
        info = parts.RayErrorInfo.FromString(content)
        if info.HasField("runtime_env_setup_failed_error"):
            return str(info.runtime_env_setup_failed_error.error_message)
        return str(info.error_message)

    def referenced(self) -> set[bytes]:
        """Return the ids of all objects that this process holds references to."""
        with self._gate:
            counts: dict[bytes, Any] = self._core.get_all_reference_counts()
        return {bytes.fromhex(key.decode()) for key in counts}

    def owner(self, ref: Ref) -> bytes | None:
        """Return the serialised address of the ref's owner, or None if unknown."""
        with self._gate:
            try:
                address: bytes = self._core.get_owner_address(ref)
            except ValueError:
                return None
        return address

    def owner_in_cluster(self, address: bytes) -> bool:
        """Whether the owner's node is one that this cluster has or had.

        By the node, because a driver's worker id is made from its job's number
        and comes again in the next session. For another node than this one it
        asks the GCS, which takes milliseconds: never call it on an event loop. True
        also if the GCS does not answer now: nothing then says otherwise.
        """
        from ray.core.generated import common_pb2

        parsed = cast("Any", common_pb2).Address.FromString(address)
        # Renamed from raylet_id between 2.40 and 2.60.
        owner: bytes = getattr(parsed, "node_id", b"") or getattr(
            parsed, "raylet_id", b""
        )
        with self._gate:
            if owner == self._core.get_current_node_id().binary():
                return True
            # `ray.nodes` has no timeout: without a GCS it blocks for a minute.
            return gcs_answers() is False or any(
                node["NodeID"] == owner.hex() for node in _nodes()
            )

    def on_ready(
        self, ref: Ref, callback: Callable[[BaseException | None], None]
    ) -> Callable[[], None]:
        """Call `callback` when the object exists somewhere; `HAS_ON_READY` only.

        The callback may run before this returns, on the calling thread or on
        Ray's io thread. The registration does not keep the ref alive. What is returned
        ends the wait; it runs the callback, on the calling thread.
        """
        with self._gate:
            return _EndSafely(ref._on_ready(callback), self._gate)


class _EndSafely:
    """Ends a watch, unless the session has ended: that would end the process.

    A class with slots, because there is one object for each pending ref and a
    closure takes three times the memory.
    """

    __slots__ = ("_end", "_gate")

    def __init__(self, end: Callable[[], None], gate: Gate) -> None:
        self._end = end
        self._gate = gate

    def __call__(self) -> None:
        with suppress(ClosedError), self._gate:
            self._end()


class _WhileOpen(list[Raw]):
    """A list whose iteration ends with a `ClosedError` once the session ends."""

    def __init__(self, raws: Sequence[Raw], gate: Gate) -> None:
        super().__init__(raws)
        self._gate = gate

    def __iter__(self) -> Iterator[Raw]:
        for raw in super().__iter__():
            if self._gate.closed:
                raise ClosedError("the Ray session has ended")
            yield raw


def errors_among(raws: Sequence[Raw]) -> list[int]:
    """Return the indices of the objects that are errors, without loading any.

    The metadata of an error begin with its number, those of values with a word.
    """
    return [i for i, raw in enumerate(raws) if raw[1][:1].isdigit()]


def is_plain(raw: Raw) -> bool:
    """Whether loading an object that was read runs no code of a user's."""
    return raw[1] in (_MSGPACK, _BYTES) and (len(raw) < 3 or raw[2] is None)


def size_of(raw: Raw) -> int:
    """Return the bytes of an object as they lie in the store, before it is loaded."""
    return 0 if raw[0] is None else len(raw[0])


def _nodes() -> list[dict[str, Any]]:
    nodes: list[dict[str, Any]] = cast(Any, ray).nodes()
    return nodes
