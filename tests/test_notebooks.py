"""The demo notebooks: what is true of each, and what each is there to show.

Every one is run once, by `harness.demo`. What the quickstart shows cell by
cell is in ``test_quickstart.py``.
"""

from __future__ import annotations

import re
from collections import Counter

import pytest

from harness.demo import NOTEBOOKS, executed_cells, read_demo
from harness.document import DOCUMENT, DOCUMENT_VALUE
from harness.notebooks import printed_by, shown_by, value_of

NAMES = sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb"))
README = (NOTEBOOKS.parent / "README.md").read_text(encoding="utf-8")

# All that a reader may be told on stderr: lines of Ray's own start, and of ours
# when a loop is nested.
EXPECTED_ON_STDERR = re.compile(
    r"\s*([\d\-:, ]+\tINFO worker\.py:\d+ -- "
    r"(Started a local Ray instance|Using address local).*"
    r"|ray_jupyter_async: .* nest-asyncio2 has been applied.*)?"
)

# Displays of what outlives its cell: live in a front end, while nbclient keeps
# what they showed when the cell ended.
OUTLIVE_THEIR_CELL = {
    ("03_progress_stop_cancel", "straggler"),
    ("03_progress_stop_cancel", "pending"),
    ("03_progress_stop_cancel", "stop"),
    # Its losers are cancelled by the next cell.
    ("04_model_search", "search"),
    # Its generator is ended by the next cell.
    ("06_pipeline", "chain"),
}

WIDGET = "application/vnd.jupyter.widget-view+json"

each = pytest.mark.parametrize("name", NAMES)


def runs(test):
    """Mark a test that may be the first to need a notebook executed."""
    return pytest.mark.kernel(pytest.mark.timeout(300)(test))


def codes(name):
    return [cell for cell in executed_cells(name).values() if cell.cell_type == "code"]


def cell_of(number, cell_id):
    (name,) = (name for name in NAMES if name.startswith(number))
    return executed_cells(name)[cell_id]


@each
def test_it_is_told_of_in_the_readme(name):
    assert f"(notebooks/{name}.ipynb)" in README


@each
def test_it_begins_with_a_title_and_every_code_cell_has_a_word_before_it(name):
    cells = read_demo(name).cells
    assert cells[0].source.startswith("# ")
    kinds = [cell.cell_type for cell in cells]
    assert "code code" not in " ".join(kinds)
    assert kinds.count("code") <= 15


@each
def test_its_links_lead_somewhere(name):
    prose = "\n".join(
        cell.source for cell in read_demo(name).cells if cell.cell_type != "code"
    )
    targets = re.findall(r"\]\(([^)]+)\)", prose)
    assert targets
    assert not [target for target in targets if not (NOTEBOOKS / target).is_file()]


@runs
@each
def test_no_cell_fails_but_the_one_that_is_stopped(name):
    failed = [
        (cell.id, output.ename)
        for cell in codes(name)
        for output in cell.outputs
        if output.output_type == "error"
    ]
    stopped = [("stop", "CancelledError")] if name.startswith("03") else []
    assert failed == stopped


@runs
@each
def test_a_reader_is_told_nothing_that_he_cannot_act_on(name):
    written = [
        line
        for cell in codes(name)
        for output in cell.outputs
        if output.get("name") == "stderr"
        for line in output.text.splitlines()
    ]
    assert written
    assert not [line for line in written if not EXPECTED_ON_STDERR.fullmatch(line)]


@runs
@each
def test_what_is_saved_needs_no_kernel(name):
    with_widget = {
        (name, cell.id) for cell in codes(name) if shown_by(cell, WIDGET)
    } - OUTLIVE_THEIR_CELL
    assert not with_widget


@runs
def test_2019_and_today_give_the_same():
    expected = repr(DOCUMENT_VALUE)
    assert cell_of("02", "async-api").source == DOCUMENT.rstrip()
    assert value_of(cell_of("02", "async-api")) == expected
    for cell_id, name, calls in [
        ("python", "plain Python", 0),
        ("ray", "Ray", 0),
        ("asyncio", "asyncio", 0),
        ("async-ray", "async Ray, 2019", 0),
        ("today", "async Ray, today", 4),
        ("mixed", "mixed", 2),
    ]:
        cell = cell_of("02", cell_id)
        assert re.fullmatch(rf"{name}: \d+\.\d s\n", printed_by(cell))
        if calls:
            assert value_of(cell).count(expected) == calls
    assert shown_by(cell_of("02", "plot"), "image/png")


@runs
def test_thousands_of_refs_failures_and_a_straggler_are_counted():
    assert value_of(cell_of("03", "many")) == "998500500"
    (progress,) = shown_by(cell_of("03", "many"), "text/plain")[:1]
    assert progress.count("1,000/1,000") == 2
    failures = Counter(ValueError=6, TypeError=1)
    assert value_of(cell_of("03", "failures")) == repr(failures)
    assert value_of(cell_of("03", "straggler")) == "(9, 1)"
    outcomes = Counter(READY=9, REQUESTED=1)
    assert value_of(cell_of("03", "cancel")) == repr(outcomes)


@runs
def test_a_task_that_can_never_start_is_cancelled_by_its_name():
    assert printed_by(cell_of("03", "pending")) == "Ray has 2 CPUs here.\n"
    assert printed_by(cell_of("03", "by-name")) == (
        "Cancelling 1 Ray task (1 × simulate) …\nEnded: 1 Ray task (1 × simulate)\n"
    )


@runs
def test_stop_says_what_runs_on_and_ray_cancel_ends_it():
    (error,) = (o for o in cell_of("03", "stop").outputs if o.output_type == "error")
    told = "\n".join(error.traceback)
    assert "await gather(*models)" in told
    assert "Still running: 4 Ray tasks (4 × train)" in told
    assert "Ended: 4 Ray tasks (4 × train)" in printed_by(cell_of("03", "ray-cancel"))
    assert printed_by(cell_of("03", "cancelled")) == "Cancelled.\n"
    assert value_of(cell_of("03", "progress")) == "12"


@runs
def test_the_search_finds_a_good_model_and_cancels_the_losers():
    evaluated, left = map(int, re.findall(r"\d+", printed_by(cell_of("04", "search"))))
    assert evaluated + left == 40
    assert evaluated > 10
    assert left > 0
    # What was not cancelled was ready before.
    outcomes = re.findall(r"'(\w+)': (\d+)", value_of(cell_of("04", "cancel")))
    assert sum(int(count) for _, count in outcomes) == left
    assert {outcome for outcome, _ in outcomes} <= {"REQUESTED", "READY"}
    assert shown_by(cell_of("04", "search"), "image/png")
    (percent,) = re.findall(r"(\d+\.\d)%", printed_by(cell_of("04", "best")))
    assert float(percent) > 95


@runs
def test_the_notebook_serves_predictions_and_stays_usable():
    assert value_of(cell_of("05", "client")) == "{'digit': 4}"
    for cell_id in ("threads", "awaited"):
        assert re.match(
            r"\d+ answers/s; half within", printed_by(cell_of("05", cell_id))
        )
    assert value_of(cell_of("05", "background-result")) == "1500"
    usable = printed_by(cell_of("05", "usable"))
    before, after = re.findall(r"(?:^|later )(\d+)", usable)
    assert int(before) < int(after)
    assert shown_by(cell_of("05", "compare"), "image/png")


@runs
def test_the_same_app_needs_no_jupyter_and_runs_on_uvloop():
    printed = printed_by(cell_of("05", "script"))
    assert re.search(r"Serving at http://127\.0\.0\.1:\d+ on uvloop", printed)
    (right,) = re.findall(r"(\d+) of 100 right", printed)
    assert int(right) > 80
    assert "Jupyter imported: False" in printed


@runs
def test_the_pipeline_moves_much_and_holds_little():
    assert printed_by(cell_of("06", "map")).startswith("400 MB in ")
    assert value_of(cell_of("06", "stream")) == "[0, 1, 2]"
    for cell_id, passed in [("plot", 400), ("chain", 200)]:
        held = re.findall(r"(\d+) MB", printed_by(cell_of("06", cell_id)))
        first, most = map(int, held)
        # A few frames are on their way at a time.
        assert most - first < passed / 4
        assert shown_by(cell_of("06", cell_id), "image/png")
