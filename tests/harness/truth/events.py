"""Ray's own books of tasks, read without the package under test.

Private API of Ray (seen in 2.40.0 and 2.60.0), as `ray.util.state` needs a dashboard.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, cast


def outcomes_by_name() -> dict[str, Counter[str]]:
    """Return how many tasks of each name are done, failed, cancelled or pending.

    Only a task's last attempt counts.
    """
    from ray.core.generated import common_pb2, gcs_pb2

    parse = cast("Any", gcs_pb2).TaskEvents.FromString
    error_type = cast("Any", common_pb2).ErrorType
    status = cast("Any", common_pb2).TaskStatus
    last: dict[bytes, Any] = {}
    for raw in _accessor().get_task_events():
        event = parse(raw)
        known = last.get(event.task_id)
        if known is None or known.attempt_number <= event.attempt_number:
            last[event.task_id] = event
    found: dict[str, Counter[str]] = {}
    for event in last.values():
        updates = event.state_updates
        reached = {status.Name(number) for number in updates.state_ts_ns}
        outcome = "pending"
        if "FAILED" in reached:
            kind = error_type.Name(updates.error_info.error_type)
            outcome = "cancelled" if kind == "TASK_CANCELLED" else "failed"
        elif "FINISHED" in reached:
            outcome = "done"
        found.setdefault(event.task_info.name, Counter())[outcome] += 1
    return found


def _accessor() -> Any:
    from ray._private.state import state

    known = cast("Any", state)
    if not hasattr(known, "_connect_and_get_accessor"):
        known._check_connected()  # 2.40
        return known.global_state_accessor
    return known._connect_and_get_accessor()
