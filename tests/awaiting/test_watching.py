"""Readiness of refs that are not awaited."""

from __future__ import annotations

import os
import sys
import threading

import pytest
import ray

from harness.polling import poll
from harness.references import local_references
from ray_jupyter_async._awaiting.error_text import VALUE
from ray_jupyter_async._awaiting.fetch.watch import watch_ready
from ray_jupyter_async._ray_api.objects import HAS_ON_READY


@ray.remote(num_cpus=0, max_retries=0)
def crash():
    os._exit(1)


def refuse(key):
    raise AssertionError(f"{key!r} was released")


def test_each_ref_is_reported_once(ray_session, gate):
    ready = []
    refs = [ray.put(1), gate.hold(2), gate.hold(3)]
    watch_ready([*refs, refs[0]], lambda key, what: ready.append((key, what)), refuse)
    poll(lambda: ready == [(refs[0].binary(), VALUE)])
    gate.open()
    poll(lambda: len(ready) == 3)
    assert sorted(ready) == sorted((ref.binary(), VALUE) for ref in refs)


def test_error_is_described_without_loading_it(ray_session, tmp_path):
    loaded = tmp_path / "loaded"

    # Local, so that the worker gets them by value.
    def load():
        loaded.touch()
        return Exception()

    class NotLoadedError(Exception):
        def __reduce__(self):
            return load, ()

    @ray.remote(num_cpus=0)
    def fail():
        raise NotLoadedError("no: really\nno: more")

    ready = []
    ref = fail.remote()
    ray.wait([ref])
    loaded.unlink(missing_ok=True)  # the worker's own
    watch_ready([ref], lambda key, what: ready.append(what), refuse)
    poll(lambda: ready)
    (what,) = ready
    assert (what.error, what.message) == ("NotLoadedError", "no: really")
    assert "in fail" in what.traceback
    assert not loaded.exists()


def test_crash_is_described_by_its_kind(ray_session):
    ready = []
    ref = crash.remote()
    watch_ready([ref], lambda key, what: ready.append(what), refuse)
    poll(lambda: ready)
    assert ready[0].error == "worker died"


def test_ended_watch_reports_nothing(ray_session, gate):
    ready = []
    ref = gate.hold(1)
    stop = watch_ready([ref], lambda key, error: ready.append(key), refuse)
    stop()
    gate.open()
    ray.get(ref)
    # Its report would come through the same threads as this one.
    watch_ready([ref], lambda key, error: ready.append("later"), refuse)
    poll(lambda: ready)
    assert ready == ["later"]


@pytest.mark.skipif(not HAS_ON_READY, reason="oldest Ray: a watch holds the refs")
def test_released_ref_is_reported(ray_session, gate):
    released = threading.Event()
    ref = gate.hold()
    key = ref.binary()
    watch_ready([ref], lambda *_: None, lambda _key: released.set())
    del ref
    poll(lambda: local_references(key) == 0)
    assert released.wait(10)


def test_watch_of_ready_refs_ends(ray_session):
    ready = []
    refs = [ray.put(number) for number in range(1000)]
    interval = sys.getswitchinterval()
    # Ray's thread may run between any two steps of a registration.
    sys.setswitchinterval(1e-6)
    try:
        watch_ready(refs, lambda key, error: ready.append(key), refuse)
        poll(lambda: len(ready) == len(refs))
    finally:
        sys.setswitchinterval(interval)
    poll(lambda: "ray-await-watch" not in {t.name for t in threading.enumerate()})


def test_invalid_refs_are_refused(ray_session):
    with pytest.raises(TypeError, match=r"builtins\.int"):
        watch_ready([1], lambda *_: None, refuse)


def test_no_refs_are_no_work(ray_session):
    watch_ready([], lambda *_: None, refuse)()
