"""`cancel`: many tasks at once, with the outcome of each request."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import ray

from harness.loops import run
from harness.polling import poll
from ray_jupyter_async import CancelOutcome, cancel


@ray.remote(num_cpus=0)
def spin(begun):
    Path(begun).touch()
    for _ in range(3000):
        time.sleep(0.01)


@ray.remote(num_cpus=0)
def sleep_in_c(begun):
    Path(begun).touch()
    time.sleep(30)


@ray.remote(num_cpus=0)
class Actor:
    async def spin(self, begun):
        import asyncio

        Path(begun).touch()
        await asyncio.sleep(30)


def outcomes(report):
    return [part.outcome for part in report]


def test_tasks_and_actor_methods_are_cancelled(ray_session, tmp_path):
    actor = Actor.remote()
    begun = [tmp_path / "task", tmp_path / "method"]
    refs = [spin.remote(begun[0]), actor.spin.remote(begun[1])]
    poll(lambda: all(path.exists() for path in begun))
    assert outcomes(run(cancel(refs))) == [CancelOutcome.REQUESTED] * 2
    for ref in refs:
        with pytest.raises(ray.exceptions.TaskCancelledError):
            ray.get(ref, timeout=60)


def test_single_ref_is_accepted(ray_session, tmp_path):
    begun = tmp_path / "begun"
    ref = spin.remote(begun)
    # Ray may lose a cancel that meets the very start of a task (2.60.0).
    poll(begun.exists)
    (part,) = run(cancel(ref))
    assert part == (ref, CancelOutcome.REQUESTED, "")


def test_ready_ref_is_reported(ray_session):
    (part,) = run(cancel([ray.put(1)]))
    assert part.outcome is CancelOutcome.READY
    assert "exists already" in part.reason


def test_force_ends_a_task_in_c_code(ray_session, tmp_path):
    begun = tmp_path / "begun"
    ref = sleep_in_c.remote(begun)
    poll(begun.exists)
    assert outcomes(run(cancel(ref, force=True))) == [CancelOutcome.REQUESTED]
    with pytest.raises(
        (ray.exceptions.WorkerCrashedError, ray.exceptions.TaskCancelledError)
    ):
        ray.get(ref, timeout=60)


def test_forced_actor_method_is_refused_alone(ray_session, tmp_path):
    actor = Actor.remote()
    begun = [tmp_path / "method", tmp_path / "task"]
    refs = [actor.spin.remote(begun[0]), sleep_in_c.remote(begun[1])]
    poll(lambda: all(path.exists() for path in begun))
    refused, done = run(cancel(refs, force=True))
    assert refused.outcome is CancelOutcome.REFUSED
    assert "force" in refused.reason
    assert done.outcome is CancelOutcome.REQUESTED
    run(cancel(refs[0]))


def test_unknown_ref_is_refused_alone(ray_session, tmp_path):
    begun = tmp_path / "begun"
    ref = spin.remote(begun)
    poll(begun.exists)
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
