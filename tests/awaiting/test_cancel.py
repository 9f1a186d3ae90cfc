"""`cancel`: many tasks at once, with the outcome of each request."""

from __future__ import annotations

import time

import pytest
import ray

from harness.loops import run
from ray_jupyter_async import CancelOutcome, cancel


@ray.remote(num_cpus=0)
def spin():
    for _ in range(3000):
        time.sleep(0.01)


@ray.remote(num_cpus=0)
def sleep_in_c():
    time.sleep(30)


@ray.remote(num_cpus=0)
class Actor:
    async def spin(self):
        import asyncio

        await asyncio.sleep(30)


def outcomes(report):
    return [part.outcome for part in report]


def test_tasks_and_actor_methods_are_cancelled(ray_session):
    actor = Actor.remote()
    refs = [spin.remote(), actor.spin.remote()]
    ray.wait(refs, timeout=1)  # let them begin
    assert outcomes(run(cancel(refs))) == [CancelOutcome.REQUESTED] * 2
    for ref in refs:
        with pytest.raises(ray.exceptions.TaskCancelledError):
            ray.get(ref, timeout=15)


def test_single_ref_is_accepted(ray_session):
    ref = spin.remote()
    (part,) = run(cancel(ref))
    assert part == (ref, CancelOutcome.REQUESTED, "")


def test_ready_ref_is_reported(ray_session):
    (part,) = run(cancel([ray.put(1)]))
    assert part.outcome is CancelOutcome.READY
    assert "exists already" in part.reason


def test_force_ends_a_task_in_c_code(ray_session):
    ref = sleep_in_c.remote()
    ray.wait([ref], timeout=1)
    assert outcomes(run(cancel(ref, force=True))) == [CancelOutcome.REQUESTED]
    with pytest.raises(
        (ray.exceptions.WorkerCrashedError, ray.exceptions.TaskCancelledError)
    ):
        ray.get(ref, timeout=15)


def test_forced_actor_method_is_refused_alone(ray_session):
    actor = Actor.remote()
    refs = [actor.spin.remote(), sleep_in_c.remote()]
    ray.wait(refs, timeout=1)
    refused, done = run(cancel(refs, force=True))
    assert refused.outcome is CancelOutcome.REFUSED
    assert "force" in refused.reason
    assert done.outcome is CancelOutcome.REQUESTED
    run(cancel(refs[0]))


def test_unknown_ref_is_refused_alone(ray_session):
    ref = spin.remote()
    bad, good = run(cancel([ray.ObjectRef.from_random(), ref]))
    assert bad.outcome is CancelOutcome.REFUSED
    assert "does not belong" in bad.reason
    assert good.outcome is CancelOutcome.REQUESTED


def test_invalid_ref_cancels_nothing(ray_session):
    async def main():
        with pytest.raises(TypeError, match=r"builtins\.int"):
            await cancel([ref, 5])

    @ray.remote(num_cpus=0)
    def quick():
        time.sleep(0.5)
        return "ran"

    ref = quick.remote()
    run(main())
    assert ray.get(ref) == "ran"
