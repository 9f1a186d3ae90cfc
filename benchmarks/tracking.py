"""What it costs to be tracked: submitting, recording, remembering."""

from __future__ import annotations

import time
import tracemalloc
from typing import Any

import ray

from ray_jupyter_async.awaiting.observing import AwaitEvent, Outcome
from ray_jupyter_async.tracking.submissions import Submissions
from ray_jupyter_async.tracking.tracker import Tracker

from .loads import Echo

_ROUNDS = 7


def tracking_table(quick: bool) -> str:
    """Measure with tracking on and off, in turns; one Markdown section."""
    calls = 1_000 if quick else 5_000
    refs = 20_000 if quick else 100_000
    untracked, tracked, hook = _submitting(calls)
    per_event, per_record = _recording(refs)
    rows = {
        "submitting an actor's method, tracking off, µs": f"{untracked:.1f}",
        "the same, tracked, µs": f"{tracked:.1f}",
        "of that the hook by itself, µs": f"{hook:.1f}",
        "ratio of a call with the hook to one without": f"{1 + hook / untracked:.2f}",
        "recording one event of an await, µs": f"{per_event:.1f}",
        f"memory of a record, of {refs:,}, bytes": f"{per_record:.0f}",
    }
    return "\n".join(
        [
            "### Tracking",
            "",
            "CPU time of the thread that does it; the best of several rounds.",
            "",
            "| | |",
            "| --- | ---: |",
            *(f"| {what} | {figure} |" for what, figure in rows.items()),
            "",
        ]
    )


def _submitting(calls: int) -> tuple[float, float, float]:
    """Give the microseconds of a call, untracked and tracked, and of the hook."""
    actor: Any = Echo.remote()
    known = actor.echo.remote(0)
    ray.get(known)
    method = actor.echo
    submissions = Submissions()

    def submit() -> float:
        began = time.thread_time()
        refs = [actor.echo.remote(i) for i in range(calls)]
        took = time.thread_time() - began
        ray.get(refs)
        submissions.take_fresh()
        return took / calls * 1e6

    def note() -> float:
        began = time.thread_time()
        for _ in range(calls):
            submissions._note_method(known, method, (0,), {}, {})
        took = time.thread_time() - began
        submissions.take_fresh()
        return took / calls * 1e6

    submit()
    off, on, alone = [], [], []
    for _ in range(_ROUNDS):
        off.append(submit())
        submissions.install()
        on.append(submit())
        alone.append(note())
        submissions.uninstall()
    return min(off), min(on), min(alone)


def _recording(refs: int) -> tuple[float, float]:
    """Give the microseconds of an event and the bytes of a record."""
    keys = [b"%028d" % i for i in range(refs)]
    tracker = Tracker(lambda _key: "f")
    began = time.thread_time()
    for start in range(0, refs, 1_000):
        some = keys[start : start + 1_000]
        tracker.record([AwaitEvent("awaited", key, 1, 0.0) for key in some])
        tracker.drain()
        tracker.record(
            [AwaitEvent("settled", key, 1, 1.0, Outcome.RESOLVED) for key in some]
        )
        tracker.drain()
    per_event = (time.thread_time() - began) / (2 * refs) * 1e6
    tracemalloc.start()
    tracker = Tracker(lambda _key: "f")
    for key in keys:
        # Its own id, as when it comes from Ray.
        tracker.record([AwaitEvent("awaited", bytes(bytearray(key)), 1, 0.0)])
        tracker.drain()
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return per_event, held / refs
