"""The quickstart, run once from its first cell to its last on a real kernel.

What a reader sees after that: values, progress that reads well with no kernel,
and no word that a reader could do nothing about.
"""

from __future__ import annotations

import re

import pytest

from harness.demo import executed_cells
from harness.document import DOCUMENT, DOCUMENT_VALUE
from harness.notebooks import printed_by, texts, value_of

pytestmark = [pytest.mark.kernel, pytest.mark.timeout(300)]

# What a cell's progress says in words: `name  done/total  seconds s  notes`.
LINE = re.compile(r"(\S+)  +(\d+)/(\d+)  +(\d+(?:\.\d)?) s(?:  (.+))?")


@pytest.fixture(scope="module")
def cells():
    """Give the executed cells by their ids."""
    return executed_cells("01_quickstart")


def progress_of(cell):
    """Give a cell's static progress: (done, total, notes) by name."""
    (output,) = (o for o in cell.outputs if o.output_type == "display_data")
    assert set(output.data) == {"text/plain", "text/html"}
    lines = {}
    lines_of_text, _, _ = output.data["text/plain"].partition("\n\n")
    for line in lines_of_text.splitlines():
        name, done, total, _, notes = LINE.fullmatch(line).groups()
        assert f"<code>{name}</code>" in output.data["text/html"]
        lines[name] = (int(done), int(total), notes)
    return lines


def test_one_ref_is_awaited(cells):
    assert value_of(cells["one"]) == "'Hello, notebook!'"


def test_many_refs_are_gathered_in_order(cells):
    # The sums of the odd numbers below 0, 1, ... 7.
    assert value_of(cells["gather"]) == "[0, 0, 1, 1, 4, 4, 9, 9]"


def test_gathered_refs_are_shown_by_name(cells):
    assert progress_of(cells["gather"]) == {
        "load": (8, 8, None),
        "clean": (8, 8, None),
        "Scorer.score": (8, 8, None),
    }


def test_an_error_is_caught_by_its_own_class(cells):
    assert printed_by(cells["error"]) == (
        "Caught: invalid literal for int() with base 10: 'four'\n"
    )


def test_a_task_runs_on_when_its_await_is_cancelled(cells):
    assert printed_by(cells["cancel"]) == "Not waiting any longer.\n"
    assert value_of(cells["cancel"]) == "'here I am'"
    assert progress_of(cells["cancel"]) == {"slow": (1, 1, None)}


def test_a_task_ends_with_its_await_when_asked_to(cells):
    assert printed_by(cells["cancel-task"]) == (
        "Not waiting any longer.\nThe task was cancelled, too.\n"
    )
    assert progress_of(cells["cancel-task"]) == {"slow": (0, 1, "1 cancelled")}


def test_progress_is_shown_beside_a_blocking_get(cells):
    assert value_of(cells["progress"]) == "[0, 0, 1, 1, 2, 2, 3, 3, 4, 4]"
    assert progress_of(cells["progress"]) == {"clean": (10, 10, None)}


def test_the_status_tells_what_has_happened(cells):
    status = printed_by(cells["status"])
    # greet, 3 x 8 gathered, parse (failed), slow, slow (cancelled), 10 watched.
    assert "0 pending, 36 done, 1 failed, 1 cancelled, 0 unknown" in status
    assert "through ray_jupyter_async" in status


def test_the_code_of_2019_is_there_to_the_letter_and_works(cells):
    assert cells["async-api"].source == DOCUMENT.rstrip()
    assert value_of(cells["async-api"]) == repr(DOCUMENT_VALUE)
    assert progress_of(cells["async-api"]) == {"f": (1, 1, None)}


@pytest.mark.parametrize("name", ["load", "one", "error", "shutdown", "end"])
def test_a_quick_cell_shows_no_progress(cells, name):
    kinds = {output.output_type for output in cells[name].outputs}
    assert "display_data" not in kinds


def test_it_reads_well_as_plain_text(cells):
    whole = "\n".join(texts(cell) for cell in cells.values() if "outputs" in cell)
    assert "\x1b" not in whole
    assert "Widget(" not in whole
    assert not re.search(r"<\S+ object at 0x", whole)
