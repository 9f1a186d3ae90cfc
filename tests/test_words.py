"""Progress in words: numbers, notes and sums.

What a page words too is in words.json, which tests/js/words.test.mjs reads as well.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ray_jupyter_async._display.words import (
    counted,
    format_elapsed,
    format_guess,
    format_rate,
    notes,
    spoken,
    summary,
    totals,
)
from ray_jupyter_async._tracking.cluster.reasons import Reason, ReasonKind
from ray_jupyter_async._tracking.snapshots import (
    CellProgress,
    ErrorGroup,
    LineProgress,
    RefState,
)

SHARED = json.loads(Path(__file__).with_name("words.json").read_text(encoding="utf-8"))

NONE = LineProgress(
    name="f", total=0, resolved=0, ready=0, failed=0, cancelled=0, pending=0,
    first_awaited=0.0, last_change=1.0, finished=1.0, errors=(),
)  # fmt: skip


def line(**counts):
    made = {**vars(NONE), **counts}
    made["finished"] = None if made["pending"] else 1.0
    ended = ("resolved", "ready", "failed", "cancelled", "released", "unknown")
    made["total"] = made["pending"] + sum(made[state] for state in ended)
    return LineProgress(**made)


def progress(*lines):
    pending = sum(line.pending for line in lines)
    return CellProgress("cell", lines, pending, 1.0, True, 1.3)


@pytest.mark.parametrize(("seconds", "words"), SHARED["elapsed"])
def test_durations_are_worded_as_in_the_page(seconds, words):
    assert format_elapsed(seconds) == words


@pytest.mark.parametrize(("count", "words"), SHARED["counted"])
def test_counts_are_worded_as_in_the_page(count, words):
    assert counted(count, "ref") == words


def test_states_have_the_codes_of_the_page():
    assert [state.name for state in RefState] == list(SHARED["states"])
    assert [state.value for state in RefState] == list(range(len(RefState)))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "~0 s"),
        (2.5, "~3 s"),
        (59.4, "~59 s"),
        (59.6, "~1 min"),
        (3569, "~59 min"),
        (5400, "~1.5 h"),
    ],
)
def test_guesses_are_no_more_exact_than_known(seconds, words):
    assert format_guess(seconds) == words


@pytest.mark.parametrize(
    ("rate", "words"),
    [(1234.5, "1,235/s"), (10.5, "11/s"), (2.25, "2.3/s"), (0.05, "3.0/min")],
)
def test_rates_are_short(rate, words):
    assert format_rate(rate) == words


def test_notes_name_states_reasons_and_errors():
    errors = tuple(ErrorGroup(kind, "", 1) for kind in ("A", "B", "C", "D"))
    failed = line(
        failed=5, pending=4, running=1, cancelling=1, stragglers=1, unknown=1,
        reasons=(Reason(ReasonKind.ACTOR_BUSY),),
        errors=(*errors, ErrorGroup("A", "no", 1)),
    )  # fmt: skip
    assert notes(failed) == [
        ("pending", "1 running, 1 cancelling, 2 pending: actor is busy"),
        ("stragglers", "1 much slower than the others"),
        ("failed", "5 failed (A ×2, B ×1, C ×1, …)"),
        ("unknown", "1 ended, outcome unknown"),
    ]
    assert spoken(failed) == (
        "0 of 10 done, 5 failed (A ×2, B ×1, C ×1, …), 1 ended, outcome unknown"
    )
    assert notes(line(failed=1)) == [("failed", "1 failed")]
    assert notes(line(resolved=1)) == []


def test_lines_are_summed_up():
    cell = progress(line(resolved=2, failed=1), line(ready=1, pending=1, unknown=1))
    assert totals(cell) == "3 of 6 refs done, 1 failed, 1 with unknown outcome"
    assert summary(cell, workers=2) == (
        "3 of 6 refs done in 1.3 s on 2 workers, 1 failed, 1 with unknown outcome, "
        "1 pending"
    )
    assert totals(progress(line(resolved=1))) == "1 of 1 ref done"
    assert summary(progress()) == "no refs"
