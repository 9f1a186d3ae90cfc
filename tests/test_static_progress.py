"""Progress as static HTML and text: what a saved notebook shows."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from ray_jupyter_async.notebook.static_progress import (
    format_elapsed,
    progress_bundle,
    progress_html,
    progress_text,
)
from ray_jupyter_async.tracking.progress import CellProgress, ErrorGroup, LineProgress


def make_line(name="f", *, elapsed=1.2, errors=(), **counts):
    states = dict.fromkeys(("resolved", "ready", "failed", "cancelled", "pending"), 0)
    states.update(counts)
    return LineProgress(
        name=name,
        total=sum(states.values()),
        first_awaited=100.0,
        last_change=100.0 + elapsed,
        finished=None if states["pending"] else 100.0 + elapsed,
        errors=tuple(ErrorGroup(kind, "", count) for kind, count in errors),
        **states,
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


class Words(HTMLParser):
    """What is left of HTML on a site that strips all styles."""

    def __init__(self, html):
        super().__init__()
        self.text = ""
        self.tags = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag == "div":
            self.text += "\n"

    def handle_data(self, data):
        self.text += data

    @property
    def lines(self):
        lines = (" ".join(line.split()) for line in self.text.splitlines())
        return [line for line in lines if line]


def words(*lines):
    return Words(progress_html(make_progress(*lines))).lines


def test_text_has_a_line_per_name_in_columns():
    progress = make_progress(
        make_line("f", resolved=100),
        make_line(
            "Actor.g", elapsed=0.8, resolved=3, failed=1, errors=[("KeyError", 1)]
        ),
    )
    assert progress_text(progress) == (
        "f        100/100  1.2 s\n"
        "Actor.g      3/4  0.8 s  1 failed (KeyError)"
    )  # fmt: skip


def test_text_says_what_is_pending_and_for_how_long():
    progress = make_progress(make_line("f", resolved=1, pending=2))
    assert progress_text(progress) == "f  1/3  3.4 s  2 pending"


def test_text_says_what_was_cancelled():
    progress = make_progress(make_line("f", resolved=1, cancelled=2))
    assert progress_text(progress) == "f  1/3  1.2 s  2 cancelled"


def test_a_ready_ref_counts_as_done():
    assert progress_text(make_progress(make_line("f", ready=2))) == "f  2/2  1.2 s"


def test_a_few_error_classes_are_named():
    errors = [("A", 4), ("B", 3), ("C", 2), ("D", 1)]
    progress = make_progress(make_line("f", failed=10, errors=errors))
    assert progress_text(progress).endswith("10 failed (A ×4, B ×3, C ×2, …)")


def test_nothing_awaited_is_said():
    assert progress_text(make_progress()) == "no refs"


def test_html_without_styles_reads_as_the_text_does():
    assert words(
        make_line("f", resolved=100),
        make_line("g", resolved=3, failed=1, errors=[("KeyError", 1)]),
    ) == ["✓ f 100/100 1.2 s", "✕ g 3/4 1.2 s 1 failed (KeyError)"]


def test_a_name_cannot_bring_html_in():
    name = "<script>alert(1)</script>\"' onclick='x"
    html = progress_html(make_progress(make_line(name, resolved=1)))
    assert set(Words(html).tags) == {"div", "span"}
    assert name in Words(html).text


def test_html_needs_nothing_but_itself():
    html = progress_html(make_progress(make_line(resolved=1, failed=1)))
    assert not re.search(r"<(script|style|link|img|iframe)|url\(|https?:|@import", html)


def test_a_long_name_is_shortened_in_text_and_whole_in_the_title():
    name = "x" * 200
    progress = make_progress(make_line(name, resolved=1))
    assert len(progress_text(progress)) < 80
    assert f'title="{name}"' in progress_html(progress)


def test_the_bar_is_in_proportion():
    html = progress_html(make_progress(make_line(resolved=3, failed=1)))
    assert re.findall(r"width:(\d+)%", html) == ["75", "25"]


def test_the_bundle_has_both_forms():
    assert set(progress_bundle(make_progress(make_line()))) == {
        "text/plain",
        "text/html",
    }


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.7, "1 min 0 s"),
        (125, "2 min 5 s"),
        (3720, "1 h 2 min"),
    ],
)
def test_durations_are_short(seconds, said):
    assert format_elapsed(seconds) == said
