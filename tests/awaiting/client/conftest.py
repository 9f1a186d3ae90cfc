"""A real Ray Client server with a Ray of its own, and this process as its client.

Beside the local session that other tests may have here, and only for as long as a
module's tests run: what is measured elsewhere is measured without it.
"""

from __future__ import annotations

import importlib.util

import pytest
import ray


@pytest.fixture(scope="session", autouse=True)
def _grpc():
    if importlib.util.find_spec("grpc") is None:
        pytest.skip("oldest Ray: grpcio is not installed beside it")


@pytest.fixture(scope="module")
def server():
    from harness.client import running_client_server

    with running_client_server() as running:
        yield running


@pytest.fixture(scope="module")
def connection(server):
    """The connection's worker; `ray` in the module's tests is the server's."""
    ray.init(server.address)
    try:
        yield ray.util.client.ray.get_context().client_worker
    finally:
        ray.util.disconnect()


@pytest.fixture(scope="module")
def holder(connection):
    from harness.client_tasks import Holder

    return Holder.remote()


@pytest.fixture
def gate(holder, tmp_path):
    """Calls in the server's Ray that end when the gate opens."""
    from harness.client_tasks import ActorGate

    made = ActorGate(holder, tmp_path)
    yield made
    made.open()
