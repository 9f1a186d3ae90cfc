"""Names of submitted tasks, on a real Ray."""

from __future__ import annotations

import gc
import logging
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import ray
import ray.actor
import ray.remote_function

from harness.polling import poll
from ray_jupyter_async._ray_api.object_ids import TASK_ID_BYTES
from ray_jupyter_async._tracking.sources import submissions as submissions_module
from ray_jupyter_async._tracking.sources import submitters
from ray_jupyter_async._tracking.sources.submissions import Submissions

pytestmark = pytest.mark.usefixtures("ray_session")


@ray.remote(num_cpus=0)
def f(*values):
    return values


@ray.remote(num_cpus=0)
def numbers():
    yield 1
    yield 2


@ray.remote(num_cpus=0)
class Counter:
    def add(self, by):
        return by

    def each(self):
        yield 1


@pytest.fixture
def submissions():
    submissions = Submissions()
    submissions.install()
    yield submissions
    submissions.uninstall()


@pytest.fixture(scope="module")
def counter(ray_session):
    return Counter.remote()


def test_task_has_the_name_of_its_function(submissions):
    assert submissions.name_of(f.remote().binary()) == "f"


def test_nested_function_has_its_own_name(submissions):
    @ray.remote
    def inner():
        pass

    assert submissions.name_of(inner.remote().binary()) == "inner"


def test_actor_task_has_names_of_class_and_method(submissions, counter):
    assert submissions.name_of(counter.add.remote(1).binary()) == "Counter.add"


@pytest.mark.parametrize("kind", ["task", "actor task"])
def test_name_given_by_options_wins(submissions, counter, kind):
    method = f if kind == "task" else counter.add
    ref = method.options(name="given").remote(1)
    assert submissions.name_of(ref.binary()) == "given"


def test_returns_of_one_task_share_its_name(submissions):
    refs = f.options(num_returns=2).remote(1, 2)
    assert [submissions.name_of(ref.binary()) for ref in refs] == ["f", "f"]


def test_generator_items_have_the_tasks_name(submissions, counter):
    assert {submissions.name_of(r.binary()) for r in numbers.remote()} == {"numbers"}
    names = {submissions.name_of(r.binary()) for r in counter.each.remote()}
    assert names == {"Counter.each"}


def test_put_ref_has_its_own_name(submissions):
    assert submissions.name_of(ray.put(1).binary()) == "ray.put"


def test_untracked_ref_is_among_the_others(submissions):
    submissions.uninstall()
    assert submissions.name_of(f.remote().binary()) == "other refs"


def test_uninstall_restores_exactly():
    methods = (ray.remote_function.RemoteFunction, ray.actor.ActorMethod)
    before = [cls.__dict__["_remote"] for cls in methods]
    submissions = Submissions()
    submissions.install()
    submissions.install()
    assert all(cls.__dict__["_remote"] not in before for cls in methods)
    submissions.uninstall()
    submissions.uninstall()
    assert [cls.__dict__["_remote"] for cls in methods] == before


def test_uninstall_leaves_a_later_wrapper_alone(monkeypatch):
    submissions = Submissions()
    submissions.install()
    ours = ray.remote_function.RemoteFunction._remote

    def theirs(self, *args, **options):
        return ours(self, *args, **options)

    with monkeypatch.context() as patched:
        patched.setattr(ray.remote_function.RemoteFunction, "_remote", theirs)
        submissions.uninstall()
        assert ray.remote_function.RemoteFunction._remote is theirs
        assert submissions.name_of(f.remote().binary()) == "other refs"
    # As they found it; nothing of ours works in it any more.
    ray.remote_function.RemoteFunction._remote = ours.__wrapped__


def test_refs_are_not_kept(submissions):
    ref = f.remote(1)
    ray.get(ref)
    key = ref.hex()
    before = sys.getrefcount(ref)
    submissions.name_of(ref.binary())
    assert sys.getrefcount(ref) == before
    del ref
    gc.collect()
    counts = ray._private.worker.global_worker.core_worker.get_all_reference_counts
    poll(lambda: key not in counts(), what="the ref to be released")


def test_names_are_kept_for_the_last_tasks_only():
    submissions = Submissions(limit=10)
    submissions.install()
    try:
        refs = [f.remote() for _ in range(50)]
    finally:
        submissions.uninstall()
    assert [submissions.name_of(ref.binary()) for ref in refs[-10:]] == ["f"] * 10
    assert len(submissions) <= 20


def test_failed_naming_does_not_fail_the_task(submissions, monkeypatch):
    def broken():
        raise RuntimeError

    monkeypatch.setattr(submissions._submitters, "is_followed", broken)
    assert ray.get(f.remote(1)) == (1,)


def test_missing_submit_method_is_warned_about(monkeypatch, caplog):
    monkeypatch.delattr(ray.actor.ActorMethod, "_remote")
    submissions = Submissions()
    with caplog.at_level(logging.WARNING, "ray_jupyter_async"):
        submissions.install()
    assert "ray.actor.ActorMethod._remote" in caplog.text
    assert submissions.name_of(f.remote().binary()) == "f"
    submissions.uninstall()


def test_backlog_of_submissions_calls_back(submissions, monkeypatch):
    monkeypatch.setattr(submissions_module, "_BACKLOG", 3)
    calls = []
    for name in ("first", "second"):
        submissions.on_backlog.append(lambda name=name: calls.append(name))
    refs = [f.remote() for _ in range(7)]
    assert calls == ["first", "second"] * 2
    ray.get(refs)


def test_threads_tasks_are_followed(submissions, gate):
    with ThreadPoolExecutor(1) as pool:
        ref = pool.submit(gate.hold).result()
        (made,) = submissions.take_fresh()
        assert made.followed
        assert ref.binary()[:TASK_ID_BYTES] in submissions.unfinished()
    # Also when the thread has ended.
    assert ref.binary()[:TASK_ID_BYTES] in submissions.unfinished()
    gate.open()
    ray.get(ref)
    poll(lambda: ref.binary()[:TASK_ID_BYTES] not in submissions.unfinished())


def test_threads_beyond_the_limit_are_not_followed(submissions, monkeypatch):
    monkeypatch.setattr(submitters, "MOST_THREADS", 1)
    started = threading.Barrier(2)

    def submit():
        started.wait()
        f.remote()
        started.wait()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: submit(), range(2)))
    assert sorted(made.followed for made in submissions.take_fresh()) == [False, True]


def test_placement_group_has_its_own_name(submissions):
    group = ray.util.placement_group([{"CPU": 0.001}])
    ref = group.ready()
    # Of a group that is removed before it is ready, Ray (2.60) may keep the CPU for
    # good: one time in five.
    ray.get(ref)
    ray.util.remove_placement_group(group)
    assert submissions.name_of(ref.binary()) == "placement group"


def test_end_of_an_actor_is_not_a_users_task(submissions):
    actor = Counter.remote()
    ended = actor.__ray_terminate__.remote()
    ray.wait([ended])
    assert submissions.take_fresh() == []
