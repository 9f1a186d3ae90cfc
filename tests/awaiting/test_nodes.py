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


def test_objects_elsewhere_are_not_read_to_tell_values_from_errors():
    done = run_script(
        CLUSTER
        + """
from ray_jupyter_async._awaiting import events
from ray_jupyter_async._awaiting.fetch.watch import outcomes_of, watch_ready
from ray_jupyter_async._ray_api.objects import ObjectReader

# On a loaded machine even a read with a timeout of 0 may pull an object.
reads, read = [], ObjectReader.read
def record(self, refs):
    reads.extend(ref.binary() for ref in refs)
    return read(self, refs)
ObjectReader.read = record
seen = []
events.add_observer(seen.extend)

@ray.remote
class Owner:
    def put(self):
        return [ray.put(bytes(300_000))]

def names():
    keys = {far.binary(): "far", owned.binary(): "owned", near.binary(): "near"}
    return sorted({keys[key] for key in reads if key in keys})

far, near = make.remote(1), ray.put(bytes(1_000_000))
there = NodeAffinitySchedulingStrategy(elsewhere, soft=False)
owner = Owner.options(num_cpus=0, scheduling_strategy=there).remote()
(owned,) = ray.get(owner.put.remote())
refs = [far, owned, near]

async def main():
    await wait(refs, num_returns=3, timeout=60, fetch_local=False)
    async for _ in as_completed(refs):
        pass
asyncio.run(main())
poll(lambda: any(event.kind == "known" for event in seen))
print("read", names())

reads.clear()
reported = {}
watch_ready(refs, reported.__setitem__, reported.pop)
poll(lambda: len(reported) == 3)
print("watched", [reported[ref.binary()] is None for ref in refs])
print("outcomes", set(outcomes_of([ref.binary() for ref in refs])) == {near.binary()})
print("read", names(), "far on", nodes_of(far), "node")
"""
        + END,
        timeout=110,
    )
    assert done.stdout.splitlines() == [
        "read ['near']",
        "watched [True, True, False]",
        "outcomes True",
        "read ['near'] far on 1 node",
    ]
