"""What the GCS knows of tasks: states, times, places, attempts and errors.

Every worker and driver reports about once a second, so this is late by up to
two seconds; and it has gaps: the GCS keeps 100,000 attempts by default and drops
the oldest, and a process that dies takes its last reports along. Nobody may
conclude anything from an event that is missing.

Private API, here and nowhere else (seen in Ray 2.40.0 and 2.60.0); no dashboard
is needed. Where it is gone there are no events.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, cast

from ..._awaiting.error_text import LONGEST_TRACEBACK, cut_middle, describe_text
from ..._ray_api.connection import connected
from ..._ray_api.shutdown_gate import ClosedError
from ..events import Failure, TaskEvent
from ..foreign_text import clean_name
from ..snapshots import RefState

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

logger = logging.getLogger("ray_jupyter_async")

# A serialised TaskEvents begins with its task's id: field 1, 24 bytes.
_ID_FIELD = b"\n\x18"
_ID = slice(2, 26)
_NANO = 1e-9


def read_task_events(wanted: Collection[bytes]) -> dict[bytes, TaskEvent]:
    """Ask the GCS about tasks; takes milliseconds per thousand, on any thread.

    Parameters
    ----------
    wanted
        Ids of tasks, a set or dict; of others nothing is read.

    Returns
    -------
    dict
        By task id; those of which the GCS (still) knows something.
    """
    try:
        with connected():
            # There is no filter: an event is told by its first bytes.
            serialised: list[bytes] = state_accessor().get_task_events()
        return _read(serialised, wanted)
    except ClosedError:
        return {}
    except Exception:
        logger.debug("no task events from this version of Ray", exc_info=True)
        return {}


def state_accessor() -> Any:
    """Give Ray's client of the GCS's tables, within `connected`."""
    from ray._private.state import state

    known = cast("Any", state)
    connect = getattr(known, "_connect_and_get_accessor", None)
    if connect is not None:
        return connect()
    known._check_connected()  # 2.40
    return known.global_state_accessor


def _read(serialised: list[bytes], wanted: Collection[bytes]) -> dict[bytes, TaskEvent]:
    from ray.core.generated import common_pb2, gcs_pb2

    parse = cast("Any", gcs_pb2).TaskEvents.FromString
    last: dict[bytes, Any] = {}
    ended_by: dict[tuple[bytes, int], int] = {}
    for raw in serialised:
        if raw[:2] == _ID_FIELD:
            task = raw[_ID]
            if task not in wanted:
                continue
            event = parse(raw)
        else:
            event = parse(raw)
            task = event.task_id
            if task not in wanted:
                continue
        if event.state_updates.HasField("error_info"):
            error = event.state_updates.error_info.error_type
            ended_by[task, event.attempt_number] = error
        known = last.get(task)
        if known is None or known.attempt_number <= event.attempt_number:
            last[task] = event
    wall_to_ours = time.monotonic() - time.time()
    statuses = cast("Any", common_pb2).TaskStatus
    errors = cast("Any", common_pb2).ErrorType
    return {
        task: _event(
            event,
            wall_to_ours,
            statuses,
            errors,
            _retried_for(ended_by.get((task, event.attempt_number - 1)), errors),
        )
        for task, event in last.items()
    }


def _retried_for(error: int | None, errors: Any) -> str:
    if error is None:
        return "failed"
    kind: str = errors.Name(error)
    return {
        "NODE_DIED": "node lost",
        "TASK_EXECUTION_EXCEPTION": "raised an error",
        "OUT_OF_MEMORY": "out of memory",
    }.get(kind, kind.lower().replace("_", " "))


def _event(
    event: Any, wall_to_ours: float, statuses: Any, errors: Any, retried_for: str
) -> TaskEvent:
    updates, info = event.state_updates, event.task_info
    times = {
        statuses.Name(number): nano * _NANO + wall_to_ours
        for number, nano in updates.state_ts_ns.items()
    }
    state, status = _state(times)
    failure = None
    if state is RefState.FAILED:
        kind = "UNKNOWN_ERROR"
        if updates.HasField("error_info"):
            kind = errors.Name(updates.error_info.error_type)
        failure = _failure(kind, updates.error_info.error_message)
        if kind == "TASK_CANCELLED":
            state = RefState.CANCELLED
    ended = times.get("FINISHED", times.get("FAILED"))
    node = clean_name(event.profile_events.node_ip_address or updates.node_id.hex()[:8])
    return TaskEvent(
        event.task_id,
        state,
        status,
        times.get(status, time.monotonic()),
        times.get("RUNNING"),
        ended,
        node,
        updates.worker_pid,
        event.attempt_number,
        failure,
        retried_for,
        dict(info.required_resources),
        info.actor_id,
    )


def _state(times: Mapping[str, float]) -> tuple[RefState, str]:
    for status, state in (
        ("FAILED", RefState.FAILED),
        ("FINISHED", RefState.READY),
    ):
        if status in times:
            return state, status
    running = [status for status in times if status.startswith("RUNNING")]
    if running:
        return RefState.RUNNING, max(running, key=times.__getitem__)
    status = max(times, key=times.__getitem__, default="")
    if status == "PENDING_ARGS_AVAIL":
        return RefState.PENDING_ARGS, status
    return RefState.PENDING_NODE, status


def _failure(error_type: str, text: str) -> Failure:
    # Before anything looks through it: its length is up to who raised the error.
    text = cut_middle(text, LONGEST_TRACEBACK)
    if error_type == "TASK_EXECUTION_EXCEPTION":
        # "User exception:\n", then the same text as the error's own.
        text = text.partition("\n")[2] or text
    return Failure.of(*describe_text(error_type, text))
