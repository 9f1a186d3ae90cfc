"""Progress as static HTML and text: what a saved notebook shows."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import nbconvert
import nbformat
import pytest

from harness.ref_rows import columns_of
from ray_jupyter_async._display.static.page import progress_bundle
from ray_jupyter_async._display.static.timeline import MOST_TASKS
from ray_jupyter_async._display.words import (
    MOST_LINES,
    progress_text,
)
from ray_jupyter_async._tracking.cluster.reasons import Reason, ReasonKind
from ray_jupyter_async._tracking.snapshots import (
    CellProgress,
    ErrorGroup,
    LineProgress,
    RefRecord,
    RefState,
)

SHORT = """  File "<ipython-input-3>", line 2, in g

    return known[name]
KeyError: '<b>x</b>'"""


def make_line(name="f", *, elapsed=1.2, errors=(), seen=None, **counts):
    states = dict.fromkeys(("resolved", "ready", "failed", "cancelled", "pending"), 0)
    states.update(counts)
    return LineProgress(
        name=name,
        total=sum(states.values()),
        first_awaited=100.0,
        last_change=100.0 + elapsed,
        finished=None if states["pending"] else 100.0 + elapsed,
        errors=tuple(
            e if isinstance(e, ErrorGroup) else ErrorGroup(e[0], "", e[1])
            for e in errors
        ),
        **states,
        **(seen or {}),
    )


def make_progress(*lines, taken=103.4):
    return CellProgress(
        origin="cell",
        lines=lines,
        pending=sum(line.pending for line in lines),
        waited=1.0,
        code_finished=True,
        taken=taken,
    )


def make_record(begin, end, state=RefState.RESOLVED, *, node="10.0.0.1", worker=7):
    return RefRecord(0, b"", state, 0.0, begin, end, node, worker, 0, None, "")


def html_of(*lines, records=()):
    read_refs = (lambda name: columns_of(records)) if records else None
    return progress_bundle(make_progress(*lines), read_refs)["text/html"]


TAGS = {
    *("div", "table", "tr", "td", "span", "b"),
    *("details", "summary", "code", "pre"),
}

# Elements that begin and end a line.
BLOCKS = ("div", "tr", "pre", "summary")


class Words(HTMLParser):
    """What remains of HTML on a site that removes all styles."""

    def __init__(self, html):
        super().__init__()
        self.text = ""
        self.tags = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag in BLOCKS:
            self.text += "\n"

    def handle_endtag(self, tag):
        if tag in BLOCKS:
            self.text += "\n"
        elif tag == "td":
            self.text += " "

    def handle_data(self, data):
        self.text += data

    @property
    def lines(self):
        lines = (" ".join(line.split()) for line in self.text.splitlines())
        return [line for line in lines if line]


def words(*lines, records=()):
    return Words(html_of(*lines, records=records)).lines


def bars(html):
    """Return the widths of the pieces of all bars."""
    return re.findall(r'<span style="width:([\d.]+)%', html)


def test_text_has_a_line_per_name_and_a_sum():
    progress = make_progress(
        make_line("f", resolved=100),
        make_line(
            "Actor.g", elapsed=0.8, resolved=3, failed=1, errors=[("KeyError", 1)]
        ),
    )
    assert progress_text(progress, workers=2) == (
        "f        100/100  1.2 s\n"
        "Actor.g      3/4  0.8 s  1 failed (KeyError)\n"
        "\n"
        "103 of 104 refs done in 1.2 s on 2 workers, 1 failed"
    )


def test_text_has_the_reason_for_pending():
    progress = make_progress(make_line("f", resolved=1, pending=2))
    assert progress_text(progress) == "f  1/3  3.4 s  2 pending"
    reasons = (Reason(ReasonKind.ACTOR_BUSY),)
    seen = {"running": 2, "cancelling": 1, "stragglers": 1, "reasons": reasons}
    progress = make_progress(make_line("f", pending=7, seen=seen))
    assert progress_text(progress) == (
        "f  0/7  3.4 s  2 running, 1 cancelling, 4 pending: actor is busy, "
        "1 much slower than the others"
    )


def test_text_has_the_cancelled():
    progress = make_progress(make_line("f", resolved=1, cancelled=2))
    assert progress_text(progress) == "f  1/3  1.2 s  2 cancelled"


def test_text_has_errors_with_tracebacks():
    errors = [ErrorGroup("KeyError", "'<b>x</b>'", 3, SHORT)]
    progress = make_progress(make_line("g", failed=3, errors=errors))
    assert progress_text(progress).splitlines() == [
        "g  0/3  1.2 s  3 failed (KeyError)",
        "",
        "KeyError: '<b>x</b>' (3 × g)",
        '    File "<ipython-input-3>", line 2, in g',
        "      return known[name]",
        "  KeyError: '<b>x</b>'",
    ]


def test_ready_ref_counts_as_done():
    assert progress_text(make_progress(make_line("f", ready=2))) == "f  2/2  1.2 s"


def test_most_frequent_error_classes_are_named():
    errors = [("A", 4), ("B", 3), ("C", 2), ("D", 1)]
    progress = make_progress(make_line("f", failed=10, errors=errors))
    assert progress_text(progress).endswith("10 failed (A ×4, B ×3, C ×2, …)")


def test_cell_without_refs_is_one_phrase():
    assert progress_text(make_progress()) == "no refs"
    assert words() == ["no refs"]


def test_html_reads_well_without_styles():
    assert words(
        make_line("f", resolved=100),
        make_line("g", resolved=3, failed=1, errors=[("KeyError", 1)]),
    ) == [
        "103 of 104 refs done in 1.2 s, 1 failed",
        "Name Done Time State",
        "f 100/100 1.2 s ✓ all done",
        "g 3/4 1.2 s ✕ 1 failed (KeyError)",
    ]


def test_details_need_no_script_and_no_styles():
    errors = [ErrorGroup("KeyError", "'<b>x</b>'", 1, SHORT)]
    records = [
        make_record(0.0, 0.5),
        make_record(0.5, 1.2, RefState.FAILED),
        make_record(0.1, 0.4, worker=8),
        make_record(0.2, None, RefState.RESOLVED, worker=9),
    ]
    html = html_of(make_line("g", resolved=3, failed=1, errors=errors), records=records)
    assert Words(html).lines == [
        "3 of 4 refs done in 1.2 s on 2 workers, 1 failed",
        "Name Done Time State",
        "g 3/4 1.2 s ✕ 1 failed (KeyError)",
        "Errors",
        "g: 1 × KeyError: '<b>x</b>'",
        'File "<ipython-input-3>", line 2, in g',
        "return known[name]",
        "KeyError: '<b>x</b>'",
        "Timeline",
        "g: 0 s to 1.2 s",
        "pid 7 2 tasks, 1.2 s, 1 failed",
        "pid 8 1 task, 300 ms",
    ]
    assert set(Words(html).tags) == {*TAGS, "svg", "path"}
    # Markdown ends a block of HTML at an empty line.
    assert "\n\n" not in html


def test_timeline_is_to_scale():
    html = html_of(
        make_line("g", resolved=2),
        records=[make_record(0.0, 1.0), make_record(3.0, 4.0)],
    )
    assert 'd="M0 0h249v20h-249zM750 0h249v20h-249z"' in html
    assert "pid 7 2 tasks, 2.0 s" in Words(html).lines


def test_short_task_at_the_end_is_visible():
    records = [make_record(9.999, 10.0)]
    html = html_of(make_line("g", resolved=1), records=records)
    assert 'd="M998 0h2v20h-2z"' in html


def test_few_failures_among_many_tasks_stay_visible():
    states = [RefState.RESOLVED] * 5000
    states[100] = RefState.FAILED
    records = [
        make_record(i * 0.001, i * 0.001 + 1.0, state, worker=i % 3)
        for i, state in enumerate(states)
    ]
    html = html_of(make_line("g", resolved=4999, failed=1), records=records)
    kinds = re.findall(r'<path d="[^"]*" style="fill:var\(--rja-(\w+)', html)
    assert sorted(kinds) == ["failed", "resolved", "resolved", "resolved"]
    assert html.count("M") < MOST_TASKS
    assert len(html) < 10_000


def test_many_workers_share_the_rows_of_nodes():
    records = [make_record(0, 1, node=f"10.0.0.{i % 2}", worker=i) for i in range(20)]
    html = html_of(make_line("g", resolved=20), records=records)
    assert "20 of 20 refs done in 1.2 s on 20 workers" in Words(html).lines
    assert "10.0.0.0, 10 workers 10 tasks, 10 s" in Words(html).lines
    records = [make_record(0, 1, node=f"10.0.0.{i}", worker=1) for i in range(20)]
    html = html_of(make_line("g", resolved=20), records=records)
    assert "13 more nodes 13 tasks, 13 s" in Words(html).lines


def test_names_and_errors_are_escaped():
    name = "<script>alert(1)</script>\"' onclick='x"
    errors = [ErrorGroup("<b>E</b>", name, 1, f"{name}\n{name}")]
    html = html_of(make_line(name, failed=1, errors=errors))
    assert "1 failed (<b>E</b>)" in Words(html).text
    assert set(Words(html).tags) == TAGS
    # In the row; then as the line, the message and twice in the traceback of its error.
    assert Words(html).text.count(name) == 5


def test_errors_and_tracebacks_are_cut():
    long = "\n".join(f"frame {number}" for number in range(1_000))
    errors = [ErrorGroup("E", f"message {i}", 1, long) for i in range(7)]
    text = Words(html_of(make_line(failed=7, errors=errors))).text
    assert [f"message {i}" in text for i in range(7)] == [True] * 5 + [False] * 2
    assert "f: … 2 more" in text
    assert "frame 999" in text
    assert "frame 0\n" not in text
    assert len(text) < 5 * 1_600


def test_html_is_self_contained():
    errors = [ErrorGroup("E", "m", 1, SHORT)]
    html = html_of(
        make_line(resolved=1, failed=1, errors=errors), records=[make_record(0, 1)]
    )
    assert not re.search(r"<(script|style|link|img|iframe)|url\(|https?:|@import", html)


def test_long_name_is_whole_in_its_title():
    name = "x" * 150
    progress = make_progress(make_line(name, resolved=1))
    assert len(progress_text(progress)) < 80
    assert f'title="{name}"' in html_of(make_line(name, resolved=1))
    assert "title=" not in html_of(make_line("short", resolved=1))


def test_bar_is_in_proportion():
    seen = {"running": 2}
    line = make_line(resolved=3, failed=1, cancelled=2, pending=4, seen=seen)
    assert bars(html_of(line)) == ["30", "10", "20", "20"]


def test_failed_names_among_many_are_shown():
    lines = [make_line(f"f{i}", resolved=2) for i in range(40)]
    lines[30] = make_line("bad", resolved=1, failed=1, errors=[("E", 1)])
    text = progress_text(make_progress(*lines)).splitlines()
    assert text.index("") == MOST_LINES
    rows = [" ".join(line.split()) for line in text]
    assert "bad 1/2 1.2 s 1 failed (E)" in rows
    assert "… 29 more names 58/58 1.2 s" in rows
    assert "79 of 80 refs done in 1.2 s, 1 failed" in text


def test_saved_cell_stays_below_30_kb():
    evil = '<"日本語">\\' * 50
    errors = [ErrorGroup(evil, f"{i}{evil}", 9, f"{evil}\n" * 40) for i in range(20)]
    lines = [
        make_line(f"{i}{evil}", failed=180, pending=3, errors=errors) for i in range(50)
    ]
    records = [
        make_record(i * 0.1, i * 0.1 + 5, RefState(2 + i % 6), node=f"{i % 7}{evil}")
        for i in range(3000)
    ]
    bundle = progress_bundle(make_progress(*lines), lambda name: columns_of(records))
    output = nbformat.v4.new_output("display_data", bundle)
    assert len(json.dumps(output, ensure_ascii=False).encode()) < 30_000


def notebook_with(bundle):
    cell = nbformat.v4.new_code_cell("await f.remote()", execution_count=1)
    cell.outputs = [nbformat.v4.new_output("display_data", bundle)]
    return nbformat.v4.new_notebook(cells=[cell])


@pytest.fixture(scope="module")
def saved():
    errors = [ErrorGroup("KeyError", "'<b>x</b>'", 1, SHORT)]
    progress = make_progress(
        make_line("f", resolved=100),
        make_line("g", resolved=3, failed=1, errors=errors),
    )
    refs = columns_of([make_record(0, 1)])
    return notebook_with(progress_bundle(progress, lambda name: refs))


def test_nbconvert_html_keeps_it_when_sanitised_too(saved):
    exporter = nbconvert.HTMLExporter(template_name="basic")
    whole, _ = exporter.from_notebook_node(saved)
    assert "g 3/4 1.2 s ✕ 1 failed (KeyError)" in Words(whole).lines
    assert "<svg" in whole
    assert "--jp-success-color1" in whole
    strict = nbconvert.HTMLExporter(template_name="basic", sanitize_html=True)
    sanitised, _ = strict.from_notebook_node(saved)
    lines = Words(sanitised).lines
    assert "g 3/4 1.2 s ✕ 1 failed (KeyError)" in lines
    assert "g: 1 × KeyError: '<b>x</b>'" in lines


def test_nbconvert_markdown_keeps_it_as_one_block(saved):
    document, _ = nbconvert.MarkdownExporter().from_notebook_node(saved)
    html = saved.cells[0].outputs[0].data["text/html"]
    assert f"\n\n{html}\n\n" in document


def test_nbconvert_latex_takes_the_text(saved):
    document, _ = nbconvert.LatexExporter().from_notebook_node(saved)
    assert "3/4  1.2 s  1 failed (KeyError)" in document
    assert "rja-static" not in document
