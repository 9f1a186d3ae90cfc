"""Ray's private client API, touched here alone: what can be asked of the server.

Ray's own `Worker.get` and `Worker.wait` cannot be built on. They repeat a
request for ever when the server raises at it, a ref that it does not know or a
value that it cannot pickle, and `wait` makes a new ref for each one that it is
given (47 ms for 1,000 beside 5, 2.60.0).

Seen in 2.40.0 and 2.60.0: `ClientObjectRef._worker` and `._id_future`,
`Worker.is_connected`, `.server`, `.metadata`, `._client_id`, `.data_client`,
`.register_callback`, `.terminate_task`, `DataClient._in_shutdown`, and the
messages of `ray_client_pb2`.
"""

from __future__ import annotations

import concurrent.futures
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

# Published without types, and installed only with Ray Client.
import grpc  # type: ignore[import-untyped, import-not-found, unused-ignore]
from ray.core.generated import ray_client_pb2
from ray.util.client.client_pickler import loads_from_server

from ..errors import UnknownRefError

if TYPE_CHECKING:
    from .objects import Ref

#: Seconds that the server may take to read objects that are ready: the longest
#: that Ray's client lets it block (RAY_CLIENT_MAX_BLOCKING_OPERATION_TIME_S).
READ_SECONDS = 2.0

#: Seconds between two tries while Ray takes the connection up again.
RETRY_SECONDS = 0.5

_pb2: Any = ray_client_pb2


class UnreachableError(Exception):
    """The server cannot be asked now: the connection is broken, or was closed."""


def loads(data: bytes | bytearray) -> Any:
    """Deserialise what the server has pickled; its refs become client refs."""
    return loads_from_server(cast(bytes, data))


def worker_of(ref: Any) -> Any | None:
    """Give Ray's side of the connection that a ref came over; its identity."""
    return ref._worker


def id_in_flight(ref: Any) -> bool:
    """Whether a ref's id is not here yet, so that to ask for it would block.

    Submitting a task sends it and does not wait; the answer is its id.
    """
    future = getattr(ref, "_id_future", None)
    return future is not None and not future.done()


def when_id_is_here(ref: Any, callback: Callable[[], None]) -> None:
    """Call `callback` once `id_in_flight` is over, on the thread that reads answers.

    At once, on the calling thread, if it is over by now.
    """
    future: concurrent.futures.Future[bytes] | None = ref._id_future
    if future is None:
        callback()
    else:
        future.add_done_callback(lambda _: callback())


class ClientServer:
    """The server's side of one Ray Client connection.

    Keeps Ray's worker of the connection weakly. All methods but `connected` and
    `interrupt` block for a round trip, and for as long as the server hangs: never call
    them on an event loop.
    """

    def __init__(self, worker: Any) -> None:
        self._weak_worker = weakref.ref(worker)
        self._waiting: Any = None

    @property
    def connected(self) -> bool:
        """Whether the connection stands, or is being taken up again; any thread."""
        worker = self._weak_worker()
        # The second is all that says so when Ray does not try to reconnect: at
        # an error of the server's, or with a grace period of 0.
        return (
            worker is not None
            and worker.is_connected()
            and not worker.data_client._in_shutdown
        )

    def _worker(self) -> Any:
        worker = self._weak_worker()
        if worker is None or not self.connected:
            raise UnreachableError("the Ray Client connection has ended")
        return worker

    def wait(
        self,
        keys: Sequence[bytes],
        num_returns: int,
        timeout: float,
        *,
        give_up: Callable[[], bool] | None = None,
    ) -> list[bytes]:
        """Return the ids of up to `num_returns` objects that are ready.

        The server pulls them to its node for up to `timeout` seconds. With `give_up`,
        `interrupt` ends the call; it is asked once more when that becomes possible.
        Raises UnreachableError without a connection or at `interrupt`, and
        UnknownRefError for an id that the server does not know.
        """
        worker = self._worker()
        request = _pb2.WaitRequest(
            object_ids=keys,
            num_returns=num_returns,
            timeout=timeout,
            client_id=worker._client_id,
        )
        try:
            call = worker.server.WaitObject.future(request, metadata=worker.metadata)
            if give_up is None:
                answer = call.result()
            else:
                answer = self._interruptible(call, give_up)
        except (grpc.RpcError, grpc.FutureCancelledError, ValueError) as error:
            raise _failure(error) from error
        except AttributeError as error:  # `server` is None once it was closed
            raise UnreachableError("the Ray Client connection has ended") from error
        if not answer.valid:
            raise UnknownRefError("the server cannot wait for these refs")
        return list(answer.ready_object_ids)

    def _interruptible(self, call: Any, give_up: Callable[[], bool]) -> Any:
        self._waiting = call
        try:
            if give_up():
                call.cancel()
            return call.result()
        finally:
            self._waiting = None

    def interrupt(self) -> None:
        """End an interruptible `wait`; any thread, does not block."""
        call = self._waiting
        if call is not None:
            call.cancel()

    def get(self, keys: Sequence[bytes], timeout: float) -> bytearray:
        """Read objects that are ready; the pickle of a list of their values.

        The server may take `timeout` seconds, up to `READ_SECONDS`. Raises
        UnreachableError without a connection, the error of the first object that
        failed, or `GetTimeoutError` if one was not there after all.
        """
        worker = self._worker()
        request = _pb2.GetRequest(ids=keys, timeout=timeout)
        data = bytearray()
        try:
            for part in worker.server.GetObject(request, metadata=worker.metadata):
                if not part.valid:
                    raise cast(Exception, loads(part.error))
                data += part.data
        except grpc.RpcError as error:
            raise _failure(error) from error
        except AttributeError as error:
            if worker.server is None:
                raise UnreachableError("the Ray Client connection has ended") from error
            raise
        return data

    def push(self, ref: Ref, callback: Callable[[Any], None]) -> None:
        """Have the server send a value when it is there; does not wait for that.

        `callback` is called once, on the thread that reads answers: with the
        answer, the bytes of a value, or an exception. It keeps no ref alive. Raises
        UnreachableError if the connection has ended.
        """
        worker = self._worker()
        try:
            worker.register_callback(ref, callback)
        except ConnectionError as error:
            raise UnreachableError(str(error)) from error

    def cancel(self, ref: Ref, *, force: bool, recursive: bool) -> None:
        """Cancel the task behind a ref.

        The server does not say whether Ray refused.
        """
        self._worker().terminate_task(ref, force=force, recursive=recursive)


def _failure(error: Exception) -> Exception:
    """Return whether a server cannot be reached, as opposed to one that raised."""
    # grpc's Python server answers UNKNOWN, with its message, when its code
    # raised; everything else comes from the connection, or from Ray about it.
    if isinstance(error, grpc.RpcError):
        code: Any = cast(Any, error).code()
        details = str(cast(Any, error).details())
        if code is grpc.StatusCode.UNKNOWN:
            if "not associated with this client" in details:
                return UnknownRefError(details)
            return RuntimeError(f"the Ray Client server raised: {details}")
    return UnreachableError(str(error))
