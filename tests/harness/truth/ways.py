"""The table: ways to submit and to wait, each a cell, and the outcomes of their refs.

A body is that of ``async def way(row, refs)``, or of ``def way(row, refs)`` for one
that blocks, and is run once for each outcome; its rows are named
``way-outcome``. Ways whose cells name their rows themselves are in `unawaited` and
`tasks`.
"""

from __future__ import annotations

import dataclasses
from textwrap import dedent, indent

ALL = ("value", "error", "crash", "died", "cancelled")
#: A crash costs a worker, and its successor a second to start.
CHEAP = ("value", "error", "died", "cancelled")
TIMED = ("value", "error", "cancelled")


@dataclasses.dataclass(frozen=True)
class Way:
    """One way to submit and to wait.

    Attributes
    ----------
    name
        Its rows begin with this.
    cells
        The code, run one after the other.
    rows
        The names of its tasks.
    unknown
        Those of which Ray does not say how they ended.
    """

    name: str
    cells: tuple[str, ...]
    rows: tuple[str, ...]
    unknown: tuple[str, ...] = ()


def _way(
    name: str,
    body: str,
    outcomes: tuple[str, ...] = CHEAP,
    *,
    blocks: bool = False,
    then: str = "",
    **options: object,
) -> Way:
    """Return a way whose body is run once for each outcome."""
    given = "".join(f", {key}={value!r}" for key, value in options.items())
    rows = rows_of(name, *outcomes)
    cells = [
        f"{'' if blocks else 'async '}def way(row, refs):\n"
        + indent(dedent(body).strip("\n"), "    ")
        + f"\n{'each_now' if blocks else 'await each'}"
        + f"(way, {name!r}, {outcomes!r}{given})"
    ]
    if then:
        cells.append(f"for row in {rows!r}:\n" + indent(dedent(then).strip(), "    "))
    return Way(name, tuple(cells), rows)


def cells(
    name: str, *code: str, rows: tuple[str, ...] = (), unknown: tuple[str, ...] = ()
) -> Way:
    """Return a way whose cells name their rows themselves."""
    return Way(name, tuple(dedent(cell).strip() for cell in code), rows, unknown)


def rows_of(name: str, *outcomes: str) -> tuple[str, ...]:
    """Return the names of a way's rows."""
    return tuple(f"{name}-{outcome}" for outcome in outcomes)


AWAITS = (
    _way(
        "await",
        """
        for ref in refs:
            with expected():
                await ref
        """,
        ALL,
    ),
    _way(
        "await-dropped",
        """
        while refs:
            with expected():
                await refs.pop()
        """,
        ALL,
        hold=False,
    ),
    _way(
        "await-twice",
        """
        for ref in [*refs, *refs]:
            with expected():
                await ref
        """,
    ),
    _way(
        "await-at-once",
        """
        async def one(ref):
            with expected():
                await ref
        tasks = [asyncio.ensure_future(one(ref)) for ref in [*refs, *refs]]
        await asyncio.wait(tasks)
        """,
    ),
    _way(
        "two-cells",
        """
        kept[row] = refs
        for ref in refs:
            with expected():
                await ref
        """,
        then="""
        for ref in kept.pop(row):
            with expected():
                await ref
        """,
    ),
    _way(
        "kept-then-awaited",
        "kept[row] = refs",
        then="""
        for ref in kept.pop(row):
            with expected():
                await ref
        """,
    ),
    _way(
        "wait-for-timed-out",
        """
        for ref in refs:
            with expected():
                await asyncio.wait_for(ref, 0.05)
        """,
        TIMED,
        seconds=0.4,
    ),
    _way(
        "await-cancelled",
        """
        for ref in refs:
            future = rja.as_future(ref)
            await asyncio.sleep(0)
            future.cancel()
        """,
        TIMED,
        seconds=0.1,
    ),
    _way(
        "asyncio-wait",
        "await asyncio.wait([rja.as_future(ref) for ref in refs], timeout=5)",
    ),
    _way(
        "asyncio-as-completed",
        """
        for first in asyncio.as_completed([rja.as_future(ref) for ref in refs]):
            with expected():
                await first
        """,
    ),
    _way(
        "shield",
        """
        for ref in refs:
            with expected():
                await asyncio.shield(ref)
        """,
    ),
)

COMBINED = (
    _way("get", "await rja.get(refs)", ALL),
    _way(
        "get-timed-out",
        "await rja.get(refs, timeout=0.05)",
        TIMED,
        seconds=0.4,
    ),
    _way("gather", "await rja.gather(*refs)", ALL),
    _way("gather-errors", "await rja.gather(*refs, return_exceptions=True)"),
    _way("gather-dropped", "await rja.gather(*refs)", hold=False),
    _way("asyncio-gather", "await asyncio.gather(*refs)"),
    _way(
        "asyncio-gather-errors", "await asyncio.gather(*refs, return_exceptions=True)"
    ),
)

READINESS = (
    _way("wait", "await rja.wait(refs)"),
    _way("wait-all", "await rja.wait(refs, num_returns=len(refs))", ALL),
    _way(
        "wait-all-dropped",
        "await rja.wait(refs, num_returns=len(refs))",
        ALL,
        hold=False,
    ),
    _way(
        "wait-timed-out",
        "await rja.wait(refs, num_returns=len(refs), timeout=0.05)",
        TIMED,
        seconds=0.4,
    ),
    _way("wait-look", "await rja.wait(refs, num_returns=len(refs), timeout=0)"),
    _way(
        "wait-exists",
        "await rja.wait(refs, num_returns=len(refs), fetch_local=False)",
    ),
    _way(
        "wait-then-await",
        """
        await rja.wait(refs, num_returns=len(refs))
        for ref in refs:
            with expected():
                await ref
        """,
    ),
    _way("completed", "async for ref in rja.as_completed(refs): pass", ALL),
    _way(
        "completed-dropped",
        "async for ref in rja.as_completed(refs): pass",
        ALL,
        hold=False,
    ),
    _way(
        "completed-left",
        """
        async for ref in rja.as_completed(refs):
            break
        """,
    ),
    _way(
        "completed-results",
        """
        results = rja.as_completed(refs, with_results=True)
        while len(results):
            with expected():
                await anext(results)
        """,
        ALL,
    ),
    _way(
        "completed-results-left",
        """
        async for ref, value in rja.as_completed(refs, with_results=True):
            break
        """,
    ),
    _way(
        "completed-errors",
        """
        completed = rja.as_completed(refs, with_results=True, return_exceptions=True)
        async for _ in completed:
            pass
        """,
    ),
    _way(
        "completed-timed-out",
        "async for ref in rja.as_completed(refs, timeout=0.05): pass",
        TIMED,
        seconds=0.4,
    ),
    _way(
        "completed-batches",
        "async for batch in rja.as_completed(refs).batches(): pass",
    ),
)

BLOCKING = (
    _way(
        "ray-get",
        "for ref in refs:\n    with expected(): ray.get(ref)",
        ALL,
        blocks=True,
    ),
    _way("ray-get-list", "ray.get(refs)", blocks=True),
    _way("ray-get-dropped", "ray.get(refs)", blocks=True, hold=False),
    _way("ray-get-slow", "ray.get(refs)", TIMED, blocks=True, seconds=0.4),
    _way(
        "ray-get-timed-out",
        "ray.get(refs, timeout=0.05)",
        TIMED,
        blocks=True,
        seconds=0.4,
    ),
    _way(
        "ray-wait-loop",
        """
        while refs:
            done, refs = ray.wait(refs, num_returns=1)
        """,
        ALL,
        blocks=True,
    ),
    _way(
        "ray-wait-loop-dropped",
        """
        while refs:
            done, refs[:] = ray.wait(refs, num_returns=1)
        """,
        blocks=True,
        hold=False,
    ),
    _way(
        "ray-wait-slow",
        "ray.wait(refs, num_returns=len(refs))",
        TIMED,
        blocks=True,
        seconds=0.4,
    ),
    _way("ray-get-in-thread", "in_thread(ray.get, refs)", ALL, blocks=True),
    _way(
        "future-result",
        """
        for ref in refs:
            with expected():
                ref.future().result(5)
        """,
        blocks=True,
    ),
    _way("progress", "progress(refs)", ALL, blocks=True),
    _way("progress-dropped", "progress(refs)", blocks=True, hold=False),
    _way("progress-slow", "progress(refs)", TIMED, blocks=True, seconds=0.4),
    _way("progress-all", "progress()", TIMED, blocks=True, seconds=0.4),
)
