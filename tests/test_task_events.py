"""Task events in the tracker: states, times, errors, reasons."""

from __future__ import annotations

import threading

import pytest
import ray

from harness.polling import poll
from harness.rays import run_script
from ray_jupyter_async._awaiting.events import origin
from ray_jupyter_async._display.reason_words import reason_words
from ray_jupyter_async._tracking.cluster.poller import ClusterView
from ray_jupyter_async._tracking.cluster.running_tasks import RunningTasks
from ray_jupyter_async._tracking.snapshots import RefState
from ray_jupyter_async._tracking.sources.submissions import Submissions
from ray_jupyter_async._tracking.tracker import Tracker

pytestmark = pytest.mark.usefixtures("ray_session")

CELL = "cell"


class Tracked:
    """A tracker that sees what this test submits, as that of a cell."""

    def __init__(self):
        self.submissions = Submissions()
        tasks = RunningTasks(self.submissions)
        self.tracker = Tracker(
            self.submissions.name_of,
            take_submitted=self.submissions.take_fresh,
            cancel_tasks=lambda keys, force: tasks.cancel_by_id(keys, force=force),
        )
        self.view = ClusterView(self.tracker, self.submissions)

    def line(self, name):
        progress = self.tracker.read_cell(CELL)
        lines = {} if progress is None else {line.name: line for line in progress.lines}
        return lines.get(name)

    def refs(self, name):
        return self.tracker.read_refs(CELL, name)[0]

    def states(self, name):
        return [ref.state for ref in self.refs(name)]

    def wait(self, name, condition, what):
        """Wait until the line meets a condition, and return it."""

        seen = None

        def look():
            nonlocal seen
            self.view.follow(CELL)
            seen = self.line(name)
            return seen if seen is not None and condition(seen) else None

        try:
            return poll(look, what=what)
        except AssertionError as error:
            raise AssertionError(f"{error}; seen: {seen}") from None


@pytest.fixture
def tracked():
    tracked = Tracked()
    tracked.submissions.install()
    tracked.view.start()
    token = origin.set(CELL)
    yield tracked
    origin.reset(token)
    tracked.view.stop()
    tracked.submissions.uninstall()


@ray.remote(num_cpus=0)
def quick(value=None):
    return value


@ray.remote(num_cpus=0)
def fails(number):
    def deeper():
        raise ValueError(f"number {number}")

    deeper()


# What runs in a worker cannot use anything of this module, which imports the
# harness: all of these import for themselves.


@ray.remote(num_cpus=0, max_retries=1)
def dies_once(path):
    import os
    import time
    from pathlib import Path

    died = Path(f"{path}-died")
    if not died.exists():
        died.touch()
        os._exit(1)
    while not Path(path).exists():
        time.sleep(0.01)


@ray.remote(num_gpus=1, num_cpus=0)
def needs_gpu():
    pass


@ray.remote(num_cpus=1)
def takes_cpu(path):
    import time
    from pathlib import Path

    while not Path(path).exists():
        time.sleep(0.01)


@pytest.fixture
def slow_actor(tmp_path):
    """An actor that has started when its file is there, and that file."""
    path = tmp_path / "end"

    class Slow:
        def __init__(self, path):
            import time
            from pathlib import Path

            while not Path(path).exists():
                time.sleep(0.01)

        def method(self):
            return 1

    yield ray.remote(num_cpus=0)(Slow).remote(str(path)), path
    path.touch()


def test_unawaited_task_has_a_full_record(tracked, gate):
    ref = gate.hold()
    line = tracked.wait("hold", lambda line: line.running, "it to run")
    assert (line.total, line.pending) == (1, 1)
    (record,) = tracked.refs("hold")
    assert (record.index, record.key) == (0, ref.binary())
    assert record.state is RefState.RUNNING
    gate.open()
    tracked.wait("hold", lambda line: line.ready, "it to be ready")

    def timed():
        (now,) = tracked.refs("hold")
        return now if now.started is not None and now.worker else None

    record = poll(timed, what="its times")
    assert record.submitted <= record.started <= record.ended
    assert record.attempt == 0
    assert record.node


def test_task_has_a_ref_for_each_return(tracked):
    refs = quick.options(num_returns=2, name="two").remote((1, 2))
    line = tracked.wait("two", lambda line: line.ready == 2, "both")
    assert line.total == 2
    assert [ref.key for ref in tracked.refs("two")] == [r.binary() for r in refs]


def test_task_of_another_thread_is_tracked(tracked, gate):
    refs = []

    def submit():
        origin.set(CELL)
        refs.append(gate.hold())

    thread = threading.Thread(target=submit)
    thread.start()
    thread.join()
    tracked.wait("hold", lambda line: line.running, "it to run")
    gate.open()
    tracked.wait("hold", lambda line: line.ready, "it to end")


def test_errors_are_grouped_and_show_user_frames(tracked):
    refs = [fails.remote(number) for number in (1, 1, 2)]
    line = tracked.wait(
        "fails",
        lambda line: (
            line.failed == 3
            and {group.kind for group in line.errors} == {"ValueError"}
            and all(group.full for group in line.errors)
        ),
        "all errors to be told",
    )
    assert [(e.message, e.count) for e in line.errors] == [
        ("number 1", 2),
        ("number 2", 1),
    ]
    assert line.errors[0].task in {ref.binary()[:24] for ref in refs}
    short = line.errors[0].short.splitlines()
    assert [part.strip() for part in short[1::2]] == [
        "deeper()",
        'raise ValueError(f"number {number}")',
    ]
    assert short[-1] == "ValueError: number 1"
    assert "fails" in line.errors[0].full
    assert tracked.refs("fails")[0].error == "ValueError: number 1"


def test_retry_is_shown_as_the_second_attempt(tracked, tmp_path):
    path = tmp_path / "end"
    ref = dies_once.remote(str(path))
    tracked.wait(
        "dies_once",
        lambda line: line.running and tracked.refs("dies_once")[0].attempt == 1,
        "the second attempt to run",
    )
    path.touch()
    tracked.wait("dies_once", lambda line: line.ready, "it to end well")
    ray.get(ref)


def free_cpus():
    return ray.available_resources().get("CPU")


def test_pending_refs_show_why_they_wait(tracked, slow_actor):
    actor, path = slow_actor
    poll(lambda: free_cpus() == 2, what="both CPUs, which earlier tests have used")
    held = [takes_cpu.remote(str(path)) for _ in range(5)]
    after = quick.remote(held[0])
    gpu = needs_gpu.remote()
    method = actor.method.remote()
    for name, reason in (
        ("takes_cpu", "all 2 CPUs busy, 3 queued"),
        ("quick", "waits for 1 other task"),
        ("needs_gpu", "no node has 1 GPU (cluster: 0)"),
        ("Slow.method", "actor is starting"),
    ):
        tracked.wait(
            name, lambda line, want=reason: reason_words(line.reasons) == want, reason
        )
    assert tracked.states("quick") == [RefState.PENDING_ARGS]
    ray.cancel(gpu)
    path.touch()
    ray.get([after, method])
    for name in ("takes_cpu", "quick", "needs_gpu", "Slow.method"):
        line = tracked.wait(name, lambda line: not line.pending, f"{name} to end")
        assert line.reasons == ()
    assert tracked.states("needs_gpu") == [RefState.CANCELLED]


def test_cancel_is_shown_until_it_is_done(tracked, gate):
    refs = [gate.hold() for _ in range(2)]
    tracked.wait("hold", lambda line: line.running == 2, "both to run")
    assert tracked.tracker.cancel(CELL, "hold", [refs[0].binary()]) == []
    states = tracked.states("hold")
    assert states[0] in (RefState.CANCELLING, RefState.CANCELLED)
    assert states[1] is RefState.RUNNING
    line = tracked.wait("hold", lambda line: line.cancelled, "it to end")
    assert (line.cancelled, line.pending, line.errors) == (1, 1, ())
    assert tracked.tracker.cancel(CELL, "other") == []


def test_refused_cancel_returns_rays_reason(tracked, slow_actor):
    actor, path = slow_actor
    ref = actor.method.remote()
    ((key, why),) = tracked.tracker.cancel(CELL, force=True)
    assert key == ref.binary()
    assert "force" in why
    path.touch()
    ray.get(ref)


def test_running_tasks_can_be_shown_in_one_cell(tracked, gate):
    token = origin.set("earlier cell")
    refs = [gate.hold() for _ in range(3)]
    origin.reset(token)
    tracked.tracker.adopt(CELL, tracked.view.running_refs())
    keys = {ref.key for ref in tracked.refs("hold")}
    assert {ref.binary() for ref in refs} <= keys
    gate.open()
    line = tracked.wait("hold", lambda line: not line.pending, "all to end")
    assert line.ready == len(keys)


def test_task_of_a_lost_node_says_so():
    done = run_script(
        """
        import time
        import ray, harness.lean_ray
        from ray.cluster_utils import Cluster
        from ray_jupyter_async._display.reason_words import reason_words
        from ray_jupyter_async._tracking.cluster.poller import ClusterView
        from ray_jupyter_async._tracking.sources.submissions import Submissions
        from ray_jupyter_async._tracking.tracker import Tracker

        cluster = Cluster(
            initialize_head=True,
            head_node_args={"num_cpus": 0, "include_dashboard": False},
        )
        # Before the second node: old versions of Ray connect to the newest one.
        ray.init(cluster.address, log_to_driver=False)
        node = cluster.add_node(num_cpus=1)
        submissions = Submissions()
        tracker = Tracker(submissions.name_of, take_submitted=submissions.take_fresh)
        view = ClusterView(tracker, submissions)
        submissions.install()
        view.start()

        @ray.remote(max_retries=3)
        def endless():
            while True:
                time.sleep(0.1)

        def wait(condition):
            until = time.monotonic() + 60
            while time.monotonic() < until:
                view.follow(None)
                (line,) = tracker.read_cell(None).lines
                if condition(line):
                    return
                time.sleep(0.05)
            raise SystemExit(str(line))

        ref = endless.remote()
        wait(lambda line: line.running)
        cluster.remove_node(node, allow_graceful=False)
        wait(lambda line: line.reasons)
        print(reason_words(tracker.read_cell(None).lines[0].reasons))
        view.stop()
        ray.shutdown()
        cluster.shutdown()
        """,
        timeout=110,
    )
    assert "node lost, retrying (attempt 2)" in done.stdout.splitlines()


def test_session_end_settles_unawaited_refs():
    done = run_script(
        """
        import ray
        from ray_jupyter_async._tracking.sources.cancel_calls import Cancels
        from ray_jupyter_async._tracking.sources.submissions import Submissions
        from ray_jupyter_async._tracking.tracker import Tracker

        submissions = Submissions()
        tracker = Tracker(
            submissions.name_of, take_submitted=submissions.take_fresh
        )
        submissions.on_session_end.append(tracker.end_session)
        submissions.install()
        Cancels(tracker).install()

        @ray.remote(num_gpus=1)
        def never(): pass

        ray.init(address="local", num_cpus=1, include_dashboard=False)
        ref = never.remote()
        # The shutdown comes before its end is seen.
        ray.cancel(never.options(name="cancelled").remote())
        print(tracker.read_cell(None).pending)
        del ref
        ray.shutdown()
        lines = {line.name: line for line in tracker.read_cell(None).lines}
        line = lines["never"]
        print(line.failed, line.errors[0].kind, line.errors[0].message)
        print(lines["cancelled"].unknown, lines["cancelled"].failed)
        """
    )
    assert done.stdout.split("\n")[:3] == [
        "2",
        "1 SessionEndedError ray.shutdown() was called",
        "1 0",
    ]
