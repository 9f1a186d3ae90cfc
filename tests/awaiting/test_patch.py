"""The patch of `ObjectRef`'s await protocol."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading

import pytest
import ray

from harness.loops import run
from ray_jupyter_async import PatchWarning, is_patched, patch, patched, unpatch
from ray_jupyter_async import patch as patch_function
from ray_jupyter_async._awaiting.future import RefFuture
from ray_jupyter_async._ray_api.hooks import ref_type
from ray_jupyter_async._ray_api.hooks.ref_type import ref_methods

patch_module = sys.modules[patch_function.__module__]


async def _future_kind(ref):
    """Return the class of the future that `await ref` waits on."""
    coro = ref.__await__()
    future = coro.send(None)
    future.cancel()
    coro.close()
    return type(future)


def _slot_dict():
    return dict(ray.ObjectRef.__dict__)


def test_await_is_routed_through_the_converter(ray_session):
    ref = ray.put(1)
    with patched():
        assert run(_future_kind(ref)) is RefFuture


def test_unpatch_restores_the_type_exactly(ray_session):
    before = _slot_dict()
    patch()
    unpatch()
    after = _slot_dict()
    assert list(after) == list(before)
    assert all(after[name] is before[name] for name in before)
    assert run(_future_kind(ray.put(1))) is not RefFuture


def test_patches_nest():
    with patched():
        routed = _slot_dict()["as_future"]
        with patched():
            assert is_patched()
        assert is_patched()
        assert _slot_dict()["as_future"] is routed
    assert not is_patched()


def test_unpatch_without_patch_does_nothing():
    before = _slot_dict()
    unpatch()
    assert _slot_dict() == before
    assert not is_patched()


def test_patch_is_undone_when_the_block_raises():
    with pytest.raises(ZeroDivisionError), patched():
        1 / 0  # noqa: B018
    assert not is_patched()


def test_subclasses_are_patched(ray_session):
    class Labelled(ray.ObjectRef):
        pass

    original = ray.put(7)
    owner = ray._private.worker.global_worker.core_worker.get_owner_address(original)
    ref = Labelled(original.binary(), owner)

    async def main():
        return await _future_kind(ref), await ref

    with patched():
        assert run(main()) == (RefFuture, 7)


def test_awaits_survive_collection_of_garbage(ray_session):
    # The type's method cache holds borrowed references: without another reference
    # the function would be freed here.
    ref = ray.put(3)

    async def main():
        return await ref

    for _ in range(20):
        with patched():
            gc.collect()
            assert run(main()) == 3
        gc.collect()
        assert run(main()) == 3


def test_as_future_by_name_stays_rays_own(ray_session):
    ref = ray.put(5)

    async def main():
        future = ref.as_future()
        return type(future), await future

    with patched():
        kind, value = run(main())
    assert kind is not RefFuture
    assert value == 5


def test_unreachable_type_keeps_rays_await(monkeypatch):
    def unreachable():
        raise TypeError("no dict")

    monkeypatch.setattr(ref_type, "_namespace", unreachable)
    with pytest.warns(PatchWarning, match="no dict.*as_future"):
        assert patch() is False
    assert not is_patched()


def test_unredirected_await_is_restored(monkeypatch, ray_session):
    before = _slot_dict()
    monkeypatch.setattr(patch_module, "_NAME", "future")
    with pytest.warns(PatchWarning, match="could not be patched"):
        assert patch() is False
    assert _slot_dict() == before
    assert not is_patched()
    unpatch()
    assert _slot_dict() == before


def test_later_patch_of_another_library_stays(ray_session):
    patch()
    ours = ref_methods.as_future

    def theirs(self, _internal=False):
        return ours(self, _internal)

    ref_methods.as_future = theirs
    try:
        unpatch()
        assert ray.ObjectRef.__dict__["as_future"] is theirs
    finally:
        ref_methods.as_future = ours.__wrapped__


def test_threads_can_patch_at_once():
    barrier = threading.Barrier(8)

    def patch_and_back():
        barrier.wait()
        for _ in range(50):
            with patched():
                pass

    threads = [threading.Thread(target=patch_and_back) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not is_patched()


def test_pending_await_ends_after_unpatch(ray_session, gate):
    async def main():
        with patched():
            task = asyncio.ensure_future(gate.hold(4))
            await asyncio.sleep(0)
        gate.open()
        return await task

    assert run(main()) == 4
