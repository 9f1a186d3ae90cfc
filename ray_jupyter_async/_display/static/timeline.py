"""The timeline of a line's tasks as a small picture: SVG, a row for each worker.

What it says stands beside it as text, because JupyterLab leaves SVG out of a
notebook that it does not trust, and other sites do always. However many tasks
there are, the picture is as large as its rows.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, NamedTuple

from ..._tracking.snapshots import RefState
from ..plain_text import attribute, markup
from ..words import format_elapsed, shortened
from .style import CODE_FONT, MUTED, TRACK, fill

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..._tracking.refs.columns import RefColumns

#: More workers than these share rows: those of one node, and at last all.
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
# From the bottom to the top, where they lie on each other.
_ORDER = ("resolved", "running", "cancelled", "failed")


class Task(NamedTuple):
    """A task that has run, or runs, in seconds of its line's clock."""

    begin: float
    end: float
    kind: str
    node: str
    worker: int


class Row(NamedTuple):
    """The tasks of one worker, or of several."""

    label: str
    tasks: list[Task]


def timed_tasks(refs: RefColumns | None, now: float) -> list[Task]:
    """Return the tasks of which it is known where and when they ran.

    Parameters
    ----------
    refs
        Of one line; None for none.
    now
        Where those that still run end, in seconds of the line's clock.
    """
    tasks: list[Task] = []
    if refs is None:
        return tasks
    words = refs.words
    for state, started, ended, node, worker in zip(
        refs.state, refs.started, refs.ended, refs.node, refs.worker, strict=True
    ):
        # Not a number: not known.
        if started != started or not (worker or node):
            continue
        kind = _KINDS.get(RefState(state))
        if kind is None:
            continue
        end = ended
        if end != end:
            if RefState(state).settled:
                continue  # its end is not known, and it is not now
            end = max(now, started)
        tasks.append(Task(started, end, kind, words[node], worker))
    return tasks


def workers_of(tasks: Iterable[Task]) -> set[tuple[str, int]]:
    """Return who ran them: nodes and process ids."""
    return {(task.node, task.worker) for task in tasks}


def timeline_html(tasks: Sequence[Task]) -> str:
    """Return the picture with its words; "" when there is nothing to draw."""
    if not tasks:
        return ""
    begin = min(0.0, min(task.begin for task in tasks))
    end = max(task.end for task in tasks)
    rows = _rows(tasks)
    columns = MOST_COLUMNS // len(rows) if len(tasks) > MOST_TASKS else 0
    width = columns or _WIDTH
    scale = width / max(end - begin, 1e-6)
    label_width = max(len(row.label) for row in rows)
    drawn = []
    for row in rows:
        spans = [
            ((t.begin - begin) * scale, (t.end - begin) * scale, t.kind)
            for t in row.tasks
        ]
        paths = _summed(spans, columns) if columns else _one_by_one(spans)
        drawn.append(_row_html(row, paths, width, label_width))
    axis = (
        f'<div style="display:flex;justify-content:space-between;{MUTED}">'
        f"<span>{_time(begin)}</span> <span>{_time(end)}</span></div>"
    )
    return "\n".join([*drawn, axis])


def _rows(tasks: Sequence[Task]) -> list[Row]:
    by_worker: dict[tuple[str, int], list[Task]] = defaultdict(list)
    for task in tasks:
        by_worker[task.node, task.worker].append(task)
    nodes = {node for node, _ in by_worker}
    if len(by_worker) <= MOST_ROWS:
        return [
            Row(_worker_label(node if len(nodes) > 1 else "", worker), of_worker)
            for (node, worker), of_worker in sorted(by_worker.items())
        ]
    by_node: dict[str, list[Task]] = defaultdict(list)
    for task in tasks:
        by_node[task.node].append(task)
    labels = {
        node: f"{shortened(node) or 'node'}, {workers:,} workers"
        for node, workers in Counter(node for node, _ in by_worker).items()
    }
    busiest = sorted(by_node, key=lambda node: -len(by_node[node]))
    shown, rest = busiest, list[str]()
    if len(busiest) > MOST_ROWS:
        shown, rest = busiest[: MOST_ROWS - 1], busiest[MOST_ROWS - 1 :]
    rows = [Row(labels[node], by_node[node]) for node in shown]
    if rest:
        others = [task for node in rest for task in by_node[node]]
        rows.append(Row(f"{len(rest):,} more nodes", others))
    return rows


def _worker_label(node: str, worker: int) -> str:
    told = f"pid {worker}" if worker else "worker"
    return f"{shortened(node)} {told}" if node else told


def _one_by_one(spans: Sequence[tuple[float, float, str]]) -> dict[str, str]:
    """Return a path for each kind, with a rectangle for each task."""
    paths: dict[str, str] = defaultdict(str)
    for begin, end, kind in spans:
        # A gap of one unit, so that one task is told from the next.
        width = max(2, round(end) - round(begin) - 1)
        at = min(round(begin), _WIDTH - width)
        paths[kind] += f"M{at} 0h{width}v{_HEIGHT}h-{width}z"
    return paths


def _summed(spans: Sequence[tuple[float, float, str]], columns: int) -> dict[str, str]:
    """Return a path for each kind, as high as so many tasks ran at the time."""
    busy = {kind: [0.0] * (columns + 1) for kind in _ORDER}
    # How many more run throughout from this column on, than in the one before.
    more = {kind: [0] * (columns + 2) for kind in _ORDER}
    for begin, end, kind in spans:
        low, high = int(begin), int(end)
        if low == high:
            busy[kind][low] += end - begin
            continue
        busy[kind][low] += low + 1 - begin
        busy[kind][high] += end - high
        more[kind][low + 1] += 1
        more[kind][high] -= 1
    for kind in _ORDER:
        throughout = 0
        for at in range(columns):
            throughout += more[kind][at]
            busy[kind][at] += throughout
    most = max(sum(busy[kind][at] for kind in _ORDER) for at in range(columns)) or 1.0
    paths: dict[str, str] = defaultdict(str)
    for at in range(columns):
        bottom = _HEIGHT
        for kind in _ORDER:
            share = busy[kind][at] / most
            # The few that failed among many are what one looks for.
            least = 2 if kind == "failed" and share else 0
            height = min(bottom, max(least, round(share * _HEIGHT)))
            if height:
                bottom -= height
                paths[kind] += f"M{at} {bottom}h1v{height}h-1z"
    return paths


def _row_html(row: Row, paths: dict[str, str], width: int, label_width: int) -> str:
    seconds = sum(task.end - task.begin for task in row.tasks)
    failed = sum(task.kind == "failed" for task in row.tasks)
    count = len(row.tasks)
    words = f"{count:,} task{'' if count == 1 else 's'}, {_time(seconds)}"
    if failed:
        words += f", {failed:,} failed"
    label, named = markup(row.label), attribute(row.label)
    drawn = "".join(
        f'<path d="{paths[kind]}" style="{fill(kind)}"/>'
        for kind in _ORDER
        if kind in paths
    )
    return (
        '<div style="display:flex;flex-wrap:wrap;align-items:center;column-gap:8px">'
        f'<span style="{CODE_FONT}flex:none;width:{0.62 * label_width:.3g}em">'
        f"{label}</span> "
        # Of no width where the SVG is taken out, and calc() with it.
        '<span style="flex:0 1 auto;flex:1 1 calc(120px);min-width:calc(40px);'
        f'{TRACK}" title="{named}: {words}">'
        f'<svg role="img" aria-label="{named}: {words}" '
        f'viewBox="0 0 {width} {_HEIGHT}" preserveAspectRatio="none" '
        f'width="100%" height="10" style="display:block">{drawn}</svg></span> '
        f'<span style="flex:none;width:16em;{MUTED}">{words}</span></div>'
    )


def _time(seconds: float) -> str:
    if not seconds:
        return "0 s"
    if abs(seconds) < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    return format_elapsed(seconds)
