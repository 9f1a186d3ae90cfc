"""The layout of Ray's object ids, Ray 2.40 to 2.60 (src/ray/common/id.h).

24 bytes of task id, then an index, little endian: 1 for a task's first return or
its generator, 2 for its second... What `ray.put` makes has an index above all
possible returns of a task (`kMaxReturns`, 100,000,000). A task's id is 8 bytes of
its own, then its actor's id, whose own 12 bytes are all ones where there is none.
"""

from __future__ import annotations

TASK_ID_BYTES = 24
_FIRST_PUT_INDEX = 100_000_001
_ACTOR = slice(8, 20)
_NO_ACTOR = b"\xff" * 12


def return_id(task: bytes, number: int = 1) -> bytes:
    """Return the id of a task's return, from 1; of its generator, the first."""
    return task + number.to_bytes(4, "little")


def is_put(key: bytes) -> bool:
    """Whether `ray.put` made the object, rather than a task."""
    return int.from_bytes(key[TASK_ID_BYTES:], "little") >= _FIRST_PUT_INDEX


def is_method(task: bytes) -> bool:
    """Whether the task is a method of an actor."""
    return task[_ACTOR] != _NO_ACTOR
