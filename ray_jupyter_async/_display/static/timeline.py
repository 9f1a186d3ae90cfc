"""The timeline of a line's tasks: a table with a small SVG for each worker.

JupyterLab removes SVG from a notebook that it does not trust, and many sites always do,
so each row is also in words. The size depends on the rows, not on the number of tasks.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import accumulate
from operator import add
from typing import TYPE_CHECKING, NamedTuple

from ..._tracking.snapshots import RefState
from ..plain_text import markup
from ..words import format_elapsed, shortened
from .style import background, cell, fill, row, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..._tracking.refs.columns import RefColumns

#: More workers than these share the rows of their nodes; more nodes share the last.
MOST_ROWS = 8
#: Tasks drawn one by one, in the whole picture; more are summed up.
MOST_TASKS = 240
#: Columns of what is summed up, in the whole picture.
MOST_COLUMNS = 160
_WIDTH = 1000
_HEIGHT = 20

_KINDS = {
    RefState.RUNNING: "running",
    RefState.READY: "resolved",
    RefState.RESOLVED: "resolved",
    RefState.RELEASED: "resolved",
    RefState.FAILED: "failed",
    RefState.CANCELLING: "cancelled",
    RefState.CANCELLED: "cancelled",
}
# From the bottom to the top of a pile.
_ORDER = ("resolved", "running", "cancelled", "failed")


class Task(NamedTuple):
    """A task that has run, or runs, in seconds of its line's clock."""

    begin: float
    end: float
    kind: str
    #: Node and process id.
    ran_on: tuple[str, int]


# In units of a picture: begin, end and kind of a task.
_Span = tuple[float, float, str]


def timed_tasks(refs: RefColumns | None, now: float) -> list[Task]:
    """Return the tasks with a known place and time; those that run end ``now``."""
    if refs is None:
        return []
    tasks = []
    for state, begin, end, node, worker in zip(
        refs.state, refs.started, refs.ended, refs.node, refs.worker, strict=True
    ):
        kind = _KINDS.get(RefState(state))
        # NaN, the only number that differs from itself, is a time that is not known.
        if kind is None or begin != begin or not (worker or node):
            continue
        if end != end:
            if RefState(state).settled:
                continue
            end = max(now, begin)
        tasks.append(Task(begin, end, kind, (refs.words[node], worker)))
    return tasks


def timeline_html(name: str, tasks: Sequence[Task]) -> str:
    """Return a table with a row for each worker; "" without tasks."""
    if not tasks:
        return ""
    begin = min(0.0, min(task.begin for task in tasks))
    end = max(task.end for task in tasks)
    by_label = _by_label(tasks)
    columns = MOST_COLUMNS // len(by_label) if len(tasks) > MOST_TASKS else 0
    width = columns or _WIDTH
    scale = width / max(end - begin, 1e-6)
    rows = []
    for label, of_row in by_label.items():
        spans = [
            ((t.begin - begin) * scale, (t.end - begin) * scale, t.kind) for t in of_row
        ]
        paths = _summed(spans, columns) if columns else _one_by_one(spans)
        rows.append(_row(label, of_row, _svg(paths, width)))
    title = f"<code>{markup(shortened(name))}</code>: {_time(begin)} to {_time(end)}"
    return f'<div style="padding:2px 6px">{title}</div>\n{table(rows)}'


def _by_label(tasks: Sequence[Task]) -> dict[str, list[Task]]:
    """Return the tasks of each worker, or of each node if workers are too many."""
    workers = sorted({task.ran_on for task in tasks})
    each = len(workers) <= MOST_ROWS
    sizes = Counter(task.ran_on[0] for task in tasks)
    nodes = sorted(sizes, key=lambda node: (0 if each else -sizes[node], node))
    shown = nodes[: MOST_ROWS - (len(nodes) > MOST_ROWS)]
    on_node = Counter(node for node, _ in workers)

    def label_of(node: str, worker: int) -> str:
        if each:
            process = f"pid {worker}" if worker else "worker"
            return f"{shortened(node)} {process}" if len(nodes) > 1 else process
        if node in shown:
            return f"{shortened(node) or 'node'}, {on_node[node]:,} workers"
        return f"{len(nodes) - len(shown):,} more nodes"

    workers.sort(key=lambda worker: nodes.index(worker[0]))
    labels = {worker: label_of(*worker) for worker in workers}
    by_label: dict[str, list[Task]] = {label: [] for label in labels.values()}
    for task in tasks:
        by_label[labels[task.ran_on]].append(task)
    return by_label


def _one_by_one(spans: Sequence[_Span]) -> dict[str, str]:
    """Return a path for each kind, with a rectangle for each task."""
    paths: dict[str, str] = defaultdict(str)
    for begin, end, kind in spans:
        # A gap of one unit separates a task from the next.
        width = max(2, round(end) - round(begin) - 1)
        at = min(round(begin), _WIDTH - width)
        paths[kind] += f"M{at} 0h{width}v{_HEIGHT}h-{width}z"
    return paths


def _summed(spans: Sequence[_Span], columns: int) -> dict[str, str]:
    """Return a path for each kind, as high as the share of tasks that ran then."""
    # By column: the tasks that begin less those that end, and the correction for where
    # in the column they do so.
    begun = {kind: [0] * (columns + 1) for kind in _ORDER}
    parts = {kind: [0.0] * (columns + 1) for kind in _ORDER}
    for begin, end, kind in spans:
        low, high = int(begin), int(end)
        begun[kind][low] += 1
        begun[kind][high] -= 1
        parts[kind][low] -= begin - low
        parts[kind][high] += end - high
    busy = [map(add, accumulate(begun[kind]), parts[kind]) for kind in _ORDER]
    piles = list(zip(*busy, strict=True))
    most = max(map(sum, piles)) or 1.0
    paths: dict[str, str] = defaultdict(str)
    for at, pile in enumerate(piles):
        bottom = _HEIGHT
        for kind, running in zip(_ORDER, pile, strict=True):
            height = round(running / most * _HEIGHT)
            if kind == "failed" and running > 1e-9:
                height = max(2, height)  # a few among many stay visible
            height = min(bottom, height)
            if height > 0:
                bottom -= height
                paths[kind] += f"M{at} {bottom}h1v{height}h-1z"
    return paths


def _svg(paths: dict[str, str], width: int) -> str:
    drawn = "".join(
        f'<path d="{paths[kind]}" style="{fill(kind)}"/>'
        for kind in _ORDER
        if kind in paths
    )
    # JupyterLab sets another height for images.
    return (
        f'<svg aria-hidden="true" viewBox="0 0 {width} {_HEIGHT}" width="100%" '
        'preserveAspectRatio="none" style="display:block;height:10px;'
        f'{background("track")}">{drawn}</svg>'
    )


def _row(label: str, tasks: Sequence[Task], svg: str) -> str:
    seconds = sum(task.end - task.begin for task in tasks)
    failed = sum(task.kind == "failed" for task in tasks)
    count = f"{len(tasks):,} task{'' if len(tasks) == 1 else 's'}, {_time(seconds)}"
    count += f", {failed:,} failed" if failed else ""
    named = cell(f"<code>{markup(label)}</code>", 9, 1, "rowheader")
    return row(named, cell(count, 11, 1), cell(svg, 12, 4))


def _time(seconds: float) -> str:
    if 0 < abs(seconds) < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    return format_elapsed(seconds) if seconds else "0 s"
