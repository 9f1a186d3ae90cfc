"""Ways in which no await asks for a ref, or one of another thread, and iterations.

As in `ways`, a way is a cell or several; what each ref is, the cell says by
`submit` or `expect`.
"""

from __future__ import annotations

from .ways import cells, rows_of

UNAWAITED = (
    cells(
        "dropped",
        """
        for outcome in ("value", "error", "crash", "died", "cancelled"):
            submit(f"dropped-{outcome}", outcome, hold=False)
        """,
        rows=rows_of("dropped", "value", "error", "crash", "died", "cancelled"),
    ),
    cells(
        "kept",
        """
        for outcome in ("value", "error", "crash", "died", "cancelled"):
            submit(f"kept-{outcome}", outcome)
        """,
        rows=rows_of("kept", "value", "error", "crash", "died", "cancelled"),
    ),
    cells(
        "thread-dropped",
        """
        for outcome in ("value", "error", "died", "cancelled"):
            in_thread(lambda: submit(f"thread-dropped-{outcome}", outcome, hold=False))
        """,
        rows=rows_of("thread-dropped", "value", "error", "died", "cancelled"),
    ),
    cells(
        "thread-kept",
        """
        for outcome in ("value", "error", "died", "cancelled"):
            in_thread(submit, f"thread-kept-{outcome}", outcome)
        """,
        rows=rows_of("thread-kept", "value", "error", "died", "cancelled"),
    ),
    cells(
        "thread-then-await",
        """
        for outcome in ("value", "error", "died", "cancelled"):
            for ref in in_thread(submit, f"thread-then-await-{outcome}", outcome):
                with expected():
                    await ref
        """,
        rows=rows_of("thread-then-await", "value", "error", "died", "cancelled"),
    ),
    cells(
        "thread-then-wait",
        """
        for outcome in ("value", "error", "died", "cancelled"):
            refs = in_thread(submit, f"thread-then-wait-{outcome}", outcome)
            await rja.wait(refs, num_returns=len(refs))
        del refs
        """,
        rows=rows_of("thread-then-wait", "value", "error", "died", "cancelled"),
    ),
    cells(
        "thread-awaits",
        """
        async def whole(row, outcome):
            await rja.gather(*submit(row, outcome), return_exceptions=True)
        for outcome in ("value", "error", "died", "cancelled"):
            in_thread(asyncio.run, whole(f"thread-awaits-{outcome}", outcome))
        """,
        rows=rows_of("thread-awaits", "value", "error", "died", "cancelled"),
    ),
    cells(
        "thread-gets",
        """
        def whole(row, outcome):
            for ref in submit(row, outcome):
                with expected():
                    ray.get(ref)
        for outcome in ("value", "error", "died", "cancelled"):
            in_thread(whole, f"thread-gets-{outcome}", outcome)
        """,
        rows=rows_of("thread-gets", "value", "error", "died", "cancelled"),
    ),
)

ITERATIONS = (
    cells(
        "map",
        """
        for row, inputs in {
            "map-value": ["value"] * 4,
            "map-error": ["error", *["value"] * 3],
            "map-died": ["value", "died", "value", "error"],
            "map-cancelled": ["cancelled", "value", "value"],
        }.items():
            with expected():
                async for _ in rja.map(Submitter(row), inputs, max_in_flight=4):
                    pass
        """,
        rows=rows_of("map", "value", "error", "died", "cancelled"),
    ),
    cells(
        "map-dropped",
        """
        for row, inputs in {
            "map-dropped-error": ["error", "value", "error", "value"],
            "map-dropped-died": ["died", "value", "value", "error"],
        }.items():
            with expected():
                calls = Submitter(row, hold=False)
                async for _ in rja.map(calls, inputs, max_in_flight=4):
                    pass
        """,
        rows=rows_of("map-dropped", "error", "died"),
    ),
    cells(
        "map-unordered",
        """
        for row, inputs in {
            "map-unordered-value": ["value"] * 4,
            "map-unordered-error": ["error", "value", "error", "value"],
            "map-unordered-died": ["died", "value", "value"],
        }.items():
            with expected():
                async for _ in rja.map(
                    Submitter(row), inputs, max_in_flight=4, ordered=False
                ):
                    pass
        """,
        rows=rows_of("map-unordered", "value", "error", "died"),
    ),
    cells(
        "map-errors",
        """
        async for _ in rja.map(
            Submitter("map-errors"),
            ["value", "error", "died", "cancelled", "value"],
            return_exceptions=True,
        ):
            pass
        """,
        rows=("map-errors",),
    ),
    cells(
        "stream",
        """
        for outcome in ("value", "error"):
            row = f"stream-{outcome}"
            generator = items.options(name=row).remote(outcome)
            whole = "value" if outcome == "value" else "either"
            expect(row, generator._generator_ref, whole)
            with expected():
                async for _ in rja.stream(generator):
                    pass
            given = ["value", "value", "error"][: 2 if outcome == "value" else 3]
            task = generator._generator_ref.binary()[:24]
            for number, truth in enumerate(given, 2):
                known.truth[row][task + number.to_bytes(4, "little")] = truth
        del generator
        """,
        rows=rows_of("stream", "value", "error"),
    ),
    cells(
        "generator",
        """
        for outcome in ("value", "error"):
            row = f"generator-{outcome}"
            generator = items.options(name=row).remote(outcome)
            whole = "value" if outcome == "value" else "either"
            expect(row, generator._generator_ref, whole)
            number = 0
            async for ref in generator:
                number += 1
                expect(row, ref, "value" if number < 3 else outcome)
                with expected():
                    await ref
        del generator, ref
        """,
        rows=rows_of("generator", "value", "error"),
    ),
)
