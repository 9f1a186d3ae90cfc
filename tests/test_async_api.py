"""Ray's 2019 `async_api`, in scripts; in cells see test_extension.py."""

from __future__ import annotations

import asyncio

import pytest
import ray

from harness.document import DOCUMENT, DOCUMENT_MANY, DOCUMENT_VALUE
from harness.loops import run
from harness.rays import RAY_INIT, run_script
from ray_jupyter_async import async_api


def test_documented_code_runs_in_a_script():
    # Two changes: outside a notebook the module has another name, and the test must not
    # join another Ray.
    code = DOCUMENT + DOCUMENT_MANY + "print(future.result(), results)"
    code = code.replace("ray.experimental", "ray_jupyter_async")
    done = run_script(code.replace("ray.init()", RAY_INIT))
    assert done.stdout == f"{DOCUMENT_VALUE} {[DOCUMENT_VALUE] * 4}\n"


def test_ready_object_has_a_done_future(ray_session):
    async def main():
        future = async_api.as_future(ray.put([1]))
        assert future.done()
        return await future

    assert run(main()) == [1]


def test_pending_task_has_a_pending_future(ray_session, gate):
    async def main():
        future = async_api.as_future(gate.hold(2))
        assert not future.done()
        gate.open()
        return await future

    assert run(main()) == 2


def test_task_error_is_raised(ray_session):
    @ray.remote(num_cpus=0)
    def fail():
        raise ValueError("no")

    async def main():
        with pytest.raises(ValueError, match="no"):
            await async_api.as_future(fail.remote())

    run(main())


def test_invalid_ids_are_refused(ray_session):
    async def main():
        with pytest.raises(TypeError, match=r"builtins\.int"):
            async_api.as_future(1)

    run(main())


def test_id_can_have_several_futures(ray_session, gate):
    async def main():
        ref = gate.hold(3)
        futures = [async_api.as_future(ref) for _ in range(3)]
        futures[0].cancel()
        gate.open()
        return await asyncio.gather(*futures[1:])

    assert run(main()) == [3, 3]


def test_shutdown_cancels_pending_futures_and_is_idempotent(ray_session, gate):
    async def main():
        ref = gate.hold(4)
        waiting, done = async_api.as_future(ref), async_api.as_future(ray.put(1))
        async_api.shutdown()
        async_api.shutdown()
        assert waiting.cancelled()
        assert await done == 1
        gate.open()
        return await async_api.as_future(ref)

    assert run(main()) == 4


def test_init_needs_ray():
    done = run_script(
        """
        from ray_jupyter_async import async_api
        try:
            async_api.init()
        except RuntimeError as error:
            print(error)
        """
    )
    assert "call ray.init() first" in done.stdout


def test_init_works_in_a_running_loop(ray_session):
    async def main():
        async_api.init()
        return await async_api.as_future(ray.put(1))

    assert run(main()) == 1
