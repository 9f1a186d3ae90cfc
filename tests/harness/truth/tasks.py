"""Ways in which the task matters: retries, returns, actors, cancels, libraries.

As in `unawaited`, a cell says by `expect` what each ref is.
"""

from __future__ import annotations

from .ways import cells, rows_of

TASKS = (
    cells(
        "retries",
        """
        import tempfile
        folder = tempfile.mkdtemp()
        def again(row, path, first, outcome="value", **options):
            task = end_later.options(name=row, **options)
            return expect(row, task.remote(f"{folder}/{path}", first), outcome)
        refs = [
            again("retries-crash", "a", "crash", max_retries=1),
            again("retries-error", "b", "error", max_retries=1, retry_exceptions=True),
            again("retries-none", "c", "error", "error", max_retries=1),
        ]
        for ref in refs:
            with expected():
                await ref
        del refs, ref
        """,
        rows=rows_of("retries", "crash", "error", "none"),
    ),
    cells(
        "retries-dropped",
        """
        row = "retries-dropped"
        again(f"{row}-crash", "d", "crash", max_retries=1)
        again(f"{row}-error", "e", "error", max_retries=1, retry_exceptions=True)
        known.held[:] = [held for held in known.held if not held[0].startswith(row)]
        """,
        rows=rows_of("retries-dropped", "crash", "error"),
    ),
    cells(
        "returns",
        """
        def returns(row):
            outcome = row.rpartition("-")[2]
            task = end.options(name=row, num_returns=3)
            refs = task.remote("error" if outcome == "error" else "abc")
            return [expect(row, ref, outcome) for ref in refs]
        refs = returns("returns-value") + returns("returns-error")
        await rja.gather(*refs, return_exceptions=True)
        del refs
        """,
        rows=rows_of("returns", "value", "error"),
    ),
    cells(
        "returns-waited",
        """
        refs = returns("returns-waited-value") + returns("returns-waited-error")
        await rja.wait(refs, num_returns=6)
        del refs
        """,
        rows=rows_of("returns-waited", "value", "error"),
    ),
    cells(
        "actor",
        """
        actor = Actor.remote()
        refs = []
        for outcome in ("value", "error", "value", "error"):
            ref = actor.end.options(name=f"actor-{outcome}").remote(outcome)
            refs.append(expect(f"actor-{outcome}", ref, outcome))
        await rja.wait(refs, num_returns=4)
        row = "actor-dies"
        die = actor.end.options(name=row)
        await expect(row, die.remote("value"), "value")
        refs = [expect(row, die.remote(how), "died") for how in ("crash", "value")]
        for ref in refs:
            with expected():
                await ref
        del refs, ref, actor, die
        """,
        rows=rows_of("actor", "value", "error", "dies"),
    ),
    cells(
        "async-actor",
        """
        actor = AsyncActor.remote()
        refs = []
        for outcome in ("value", "error", "cancelled"):
            row = f"async-actor-{outcome}"
            what = "run" if outcome == "cancelled" else outcome
            ref = actor.end.options(name=row).remote(what)
            refs.append(expect(row, ref, outcome))
        with expected():
            await refs[0]
        ray.cancel(refs[2])
        for ref in refs:
            with expected():
                await ref
        del refs, ref, actor
        """,
        rows=rows_of("async-actor", "value", "error", "cancelled"),
    ),
    cells(
        "dependent",
        """
        for outcome in ("value", "error", "died", "cancelled"):
            row = f"dependent-{outcome}"
            first = expect(row, submit_one(row, outcome), outcome)
            then = end.options(name=row).remote("value", 0, "", first)
            expect(row, then, outcome)
            with expected():
                await then
        del first, then
        """,
        rows=rows_of("dependent", "value", "error", "died", "cancelled"),
    ),
    cells(
        "dependent-dropped",
        """
        for outcome in ("value", "error", "died"):
            row = f"dependent-dropped-{outcome}"
            first = expect(row, submit_one(row, outcome), outcome, hold=False)
            then = end.options(name=row).remote("value", 0, "", first)
            expect(row, then, outcome, hold=False)
        del first, then
        """,
        rows=rows_of("dependent-dropped", "value", "error", "died"),
    ),
    cells(
        "gather-many",
        """
        refs = [
            expect("gather-many", submit_one("gather-many", outcome), outcome)
            for outcome in ["value", "died", "error", "cancelled"] * 10
        ]
        await rja.gather(*refs, return_exceptions=True)
        del refs
        """,
        rows=("gather-many",),
    ),
    cells(
        "wait-many",
        """
        refs = [
            expect("wait-many", submit_one("wait-many", outcome), outcome)
            for outcome in ["value", "died", "error", "cancelled"] * 20
        ]
        await rja.wait(refs, num_returns=80)
        del refs
        """,
        rows=("wait-many",),
    ),
)

CANCELS = (
    cells(
        "cancel-running",
        """
        import tempfile
        folder = tempfile.mkdtemp()
        refs = {}
        for row in ("running", "forced", "waited", "dropped"):
            ref = end.options(name=f"cancel-{row}").remote("run", 0, f"{folder}/{row}")
            hold = row != "dropped"
            refs[row] = expect(f"cancel-{row}", ref, "cancelled", hold=hold)
        while len(os.listdir(folder)) < 4:
            await asyncio.sleep(0.01)
        for row, ref in refs.items():
            ray.cancel(ref, force=row == "forced")
        await rja.wait([refs["waited"]])
        for row in ("running", "forced"):
            with expected():
                await refs[row]
        del refs, ref
        """,
        rows=("cancel-running", "cancel-forced", "cancel-waited", "cancel-dropped"),
        # Ray's event says FINISHED of a task that was cancelled while it ran.
        unknown=("cancel-dropped",),
    ),
    cells(
        "cancel-ignored",
        """
        @ray.remote(max_retries=0)
        def stubborn(path):
            try:
                os.close(os.open(path, os.O_CREAT))
                while True:
                    time.sleep(0.01)
            except KeyboardInterrupt:
                return "value"
        refs = {}
        for row in ("cancel-ignored", "cancel-ignored-dropped"):
            refs[row] = stubborn.options(name=row).remote(f"{folder}/{row}")
            expect(row, refs[row], "value", hold=row == "cancel-ignored")
            while not os.path.exists(f"{folder}/{row}"):
                await asyncio.sleep(0.01)
            ray.cancel(refs[row])
        del refs
        """,
        rows=("cancel-ignored", "cancel-ignored-dropped"),
        # Ray's event is that of a task that was cancelled.
        unknown=("cancel-ignored-dropped",),
    ),
    cells(
        "cancel-ended",
        """
        for outcome in ("value", "error"):
            row = f"cancel-ended-{outcome}"
            refs = submit(row, outcome)
            await rja.wait(refs, num_returns=3)
            await rja.cancel(refs)
            for ref in refs:
                ray.cancel(ref)
        del refs, ref
        """,
        rows=rows_of("cancel-ended", "value", "error"),
    ),
    cells(
        "cancel-task",
        """
        row = "cancel-task"
        ref = end.options(name=row, resources={"never": 1}).remote("value")
        future = rja.as_future(expect(row, ref, "cancelled"), cancel_task=True)
        await asyncio.sleep(0.05)
        future.cancel()
        del ref, future
        """,
        rows=("cancel-task",),
    ),
)

LIBRARIES = (
    cells(
        "put",
        """
        values = [0, "value", ValueError("a value, too")]
        refs = [expect("ray.put", ray.put(value), "value") for value in values]
        await refs[0]
        await rja.wait(refs, num_returns=3)
        await rja.gather(*refs)
        ray.get(refs)
        del refs
        """,
        rows=("ray.put",),
    ),
    cells(
        "actor-pool",
        """
        from ray.util import ActorPool
        actor = Actor.remote()
        method = lambda actor, outcome: expect(
            "actor-pool", actor.end.options(name="actor-pool").remote(outcome), outcome
        )
        pool = ActorPool([actor])
        for outcome in ("value", "error", "value"):
            pool.submit(method, outcome)
        while pool.has_next():
            with expected():
                pool.get_next()
        del actor, pool
        """,
        rows=("actor-pool",),
    ),
)

#: More refs than have a record.
BOUNDED = (
    cells(
        "evicted",
        "%config RayAsync.remembered_refs = 10",
        """
        row = "evicted"
        refs = [
            expect(row, submit_one(row, outcome), outcome)
            for outcome in ["value", "died", "error", "cancelled"] * 10
        ]
        await rja.wait(refs, num_returns=40)
        del refs
        """,
        rows=("evicted",),
        # One that has no record any more cannot be looked up.
        unknown=("evicted",),
    ),
)

#: Tasks that others submit: Ray's libraries, and tasks themselves.
OUTSIDE = (
    cells(
        "pool",
        """
        from ray.util.multiprocessing import Pool
        with Pool(1) as pool:
            assert pool.map(abs, [-1, -2]) == [1, 2]
        del pool
        """,
        rows=(),
    ),
    cells(
        "placement-group",
        """
        from ray.util.placement_group import placement_group, remove_placement_group
        group = placement_group([{"CPU": 1}])
        await group.ready()
        await rja.wait([group.ready()])
        remove_placement_group(group)
        del group
        """,
        rows=(),
    ),
    cells(
        "made-elsewhere",
        """
        @ray.remote(max_retries=0)
        def outer(inner, outcome):
            return [inner.options(name="inner").remote(outcome)]
        for outcome in ("value", "error"):
            (ref,) = await outer.remote(end, outcome)
            with expected():
                await ref
            (ref,) = await outer.remote(end, outcome)
            await rja.wait([ref])
        del ref
        """,
        rows=(),
    ),
)
