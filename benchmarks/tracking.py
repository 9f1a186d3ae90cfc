"""Benchmark of tracking: submissions, events and records."""

from __future__ import annotations

import statistics
import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from typing import Any

import ray
from ray.actor import ActorMethod
from ray.remote_function import RemoteFunction

from ray_jupyter_async._awaiting.events import AwaitEvent, Outcome
from ray_jupyter_async._ray_api.hooks.submit_hook import note_call
from ray_jupyter_async._replaced import calls_noted
from ray_jupyter_async._tracking.sources.submissions import Submissions
from ray_jupyter_async._tracking.tracker import Tracker

from .loads import Echo

# Short rounds, in turns, so that other load affects all measurements alike.
_ROUNDS = 31
_CALLS = 100


def tracking_table(quick: bool) -> str:
    """Measure with and without tracking, in turns; return one Markdown section."""
    refs = 20_000 if quick else 100_000
    actor: Any = Echo.remote()
    per_event, per_record = _recording(refs)
    rows = [
        _submit_row("an actor's method", ActorMethod, lambda: actor.echo.remote(0)),
        _submit_row("a task", RemoteFunction, lambda: _echo.remote(0)),
    ]
    return "\n".join(
        [
            "## Tracking",
            "",
            f"CPU time of the submitting thread, µs; medians of {_ROUNDS} rounds in",
            "turns. The hook is the code between a caller and Ray, measured with a",
            "Ray that does nothing.",
            "",
            "| submitting | untracked | tracked | the hook | % of a submit |",
            "| --- | ---: | ---: | ---: | ---: |",
            *rows,
            "",
            f"Recording an event of an await, without making it: {per_event:.1f} µs.",
            f"A record, of {refs:,}: {per_record:.0f} bytes.",
            "",
        ]
    )


@ray.remote(num_cpus=0)
def _echo(value: Any) -> Any:
    return value


def _submit_row(name: str, owner: Any, submit: Callable[[], Any]) -> str:
    submissions = Submissions()
    known, submitter, args, options = _call_of(owner, submit)

    class Nothing:
        def _remote(self, *_args: Any, **_options: Any) -> Any:
            return known

    hook_off = Nothing._remote
    note = partial(note_call, submissions._note_task, owner is ActorMethod)
    off, on, through, past = [], [], [], []
    with calls_noted(Nothing, "_remote", note):
        hook_on = Nothing._remote
        for _ in range(_ROUNDS):
            off.append(_time(submit))
            submissions.install()
            on.append(_time(submit))
            submissions.uninstall()
            through.append(_time(lambda: hook_on(submitter, *args, **options)))
            past.append(_time(lambda: hook_off(submitter, *args, **options)))
            submissions.take_fresh()
    untracked, tracked = statistics.median(off), statistics.median(on)
    hook = statistics.median(through) - statistics.median(past)
    share = 100 * hook / untracked
    return f"| {name} | {untracked:.1f} | {tracked:.1f} | {hook:.1f} | {share:.1f} |"


def _time(call: Callable[[], Any]) -> float:
    """Return the microseconds of a call."""
    began = time.thread_time()
    results = [call() for _ in range(_CALLS)]
    took = time.thread_time() - began
    ray.get(results)
    return took / _CALLS * 1e6


def _call_of(owner: Any, submit: Callable[[], Any]) -> tuple[Any, Any, Any, Any]:
    """Return a ref, and the arguments with which Ray calls the hooked method."""
    original = owner._remote
    calls = []

    def _remote(submitter: Any, *args: Any, **options: Any) -> Any:
        calls.append((submitter, args, options))
        return original(submitter, *args, **options)

    owner._remote = _remote
    try:
        known = submit()
    finally:
        owner._remote = original
    ray.get(known)
    return known, *calls[0]


def _recording(refs: int) -> tuple[float, float]:
    """Return the microseconds of an event and the bytes of a record."""
    keys = [b"%028d" % i for i in range(refs)]
    tracker = Tracker(lambda _key: "f")
    times = []
    for start in range(0, refs, 1_000):
        some = keys[start : start + 1_000]
        for events in (
            [AwaitEvent("awaited", key, 1, 0.0) for key in some],
            [AwaitEvent("settled", key, 1, 1.0, Outcome.RESOLVED) for key in some],
        ):
            began = time.thread_time()
            tracker.record(events)
            tracker.drain()
            times.append((time.thread_time() - began) / len(events) * 1e6)
    per_event = statistics.mean(times)
    tracemalloc.start()
    tracker = Tracker(lambda _key: "f")
    for key in keys:
        # A separate id object each, as from Ray.
        tracker.record([AwaitEvent("awaited", bytes(bytearray(key)), 1, 0.0)])
        tracker.drain()
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return per_event, held / refs
