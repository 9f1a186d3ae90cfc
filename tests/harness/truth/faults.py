"""Faults of a cluster, each a way as in `ways`, and what they make of refs.

`node` is a second node of the cluster with a resource ``far`` of its own.
"""

from __future__ import annotations

from .ways import cells

#: Before the node is lost.
BEFORE = (
    cells(
        "killed",
        """
        for row in ("killed-awaited", "killed-waited", "killed-dropped"):
            ref = end.options(name=row).remote("killed")
            expect(row, ref, "crash", hold=False)
            with expected():
                if row == "killed-awaited":
                    await ref
                elif row == "killed-waited":
                    await rja.wait([ref])
            del ref
        """,
        rows=("killed-awaited", "killed-waited", "killed-dropped"),
    ),
    cells(
        "no-more-retries",
        """
        row = "no-more-retries"
        ref = end.options(name=row, max_retries=1).remote("killed")
        await rja.wait([expect(row, ref, "crash")])
        del ref
        """,
        rows=("no-more-retries",),
    ),
    cells(
        "actor-killed",
        """
        row = "actor-killed"
        actor = Actor.remote()
        method = actor.end.options(name=row)
        pid = await expect(row, actor.pid.options(name=row).remote(), "value")
        ray.kill(actor)
        await gone(pid)
        refs = [expect(row, method.remote("value"), "died") for _ in range(2)]
        await rja.wait(refs, num_returns=2)
        del refs, method, actor
        """,
        rows=("actor-killed",),
    ),
    cells(
        "owner-died",
        """
        # On the other node, so that no copy is at hand.
        @ray.remote(num_cpus=0, resources={"far": 1})
        class Owner:
            def put(self):
                return [os.getpid(), ray.put(bytes(300_000))]
        owner = Owner.remote()
        pid, owned = await owner.put.remote()
        ray.kill(owner)
        await gone(pid)
        with expected():
            await owned
        assert outcome_of(owned) == "failed", "the object is still there"
        del owned, owner
        """,
        rows=(),
    ),
)

#: Begins what the loss of the node meets.
ON_THE_NODE = cells(
    "node-lost",
    """
    import tempfile
    folder = tempfile.mkdtemp()
    lost = {}
    for row in ("node-awaited", "node-waited", "node-dropped"):
        far = end.options(name=row, resources={"far": 1})
        lost[row] = far.remote("run", 0, f"{folder}/{row}")
        expect(row, lost[row], "crash", hold=False)
    @ray.remote(max_retries=0, resources={"far": 1})
    def large():
        return bytes(300_000)
    lost["object"] = large.remote()
    await rja.wait([lost["object"]], fetch_local=False)
    while len(os.listdir(folder)) < 3:
        await asyncio.sleep(0.01)
    del lost["node-dropped"]
    """,
    rows=("node-awaited", "node-waited", "node-dropped"),
)

#: After it was lost.
AFTER = cells(
    "node-lost",
    """
    with expected():
        await lost["node-awaited"]
    await rja.wait([lost["node-waited"]])
    with expected():
        await lost["object"]
    assert outcome_of(lost["object"]) == "failed", "the object is still there"
    lost.clear()
    """,
    rows=(),
)
