"""Objects on another node, which are pulled only for their values."""

from __future__ import annotations

from harness.rays import run_script

# Two nodes on this machine, each with an object store of its own.
CLUSTER = """
import asyncio
import ray, harness.lean_ray
from harness.polling import poll
from ray.cluster_utils import Cluster
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
from ray_jupyter_async import as_future, as_completed, gather, wait

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
cluster.add_node(num_cpus=1)
ray.init(address=cluster.address, log_to_driver=False)

# Ray chooses which of a machine's nodes it joins.
here = ray.get_runtime_context().get_node_id()
(elsewhere,) = {node["NodeID"] for node in ray.nodes()} - {here}

@ray.remote(
    num_cpus=0,
    scheduling_strategy=NodeAffinitySchedulingStrategy(elsewhere, soft=False),
)
def make(megabytes):
    return b"x" * (megabytes * 1_000_000)

def nodes_of(ref):
    return len(ray.experimental.get_object_locations([ref])[ref]["node_ids"])
"""

END = """
ray.shutdown()
cluster.shutdown()
"""


def test_remote_objects_are_pulled_only_for_values():
    done = run_script(
        CLUSTER
        + """
async def main():
    ref = make.remote(20)
    ready, _ = await wait([ref], timeout=60, fetch_local=False)
    completed = [given async for given in as_completed([ref])]
    looked, _ = await wait([ref], timeout=0, fetch_local=False)
    print("exists", ready == completed == looked == [ref], "on", nodes_of(ref), "node")

    # A large pull beside small objects of both nodes.
    large, small = make.remote(400), make.remote(0)
    await wait([large, small], num_returns=2, timeout=60, fetch_local=False)
    pull = as_future(large)
    values = await gather(small, ray.put("here"))
    print("small", values, "first", not pull.done())
    print("large", len(await pull))

    looked, _ = await wait([ref], timeout=0)
    ready, _ = await wait([ref], timeout=60)
    print("here at once", looked == [ref], "later", ready == [ref])
    # A moment later the pulling node reports the new location to the owner.
    poll(lambda: nodes_of(ref) == 2)
    print("value", len(await as_future(ref)))

asyncio.run(main())
"""
        + END,
        timeout=110,
    )
    assert done.stdout.splitlines() == [
        "exists True on 1 node",
        "small [b'', 'here'] first True",
        "large 400000000",
        "here at once False later True",
        "value 20000000",
    ]
