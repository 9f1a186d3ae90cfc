"""What is shown of refs, in every face, against what they are by construction."""

from __future__ import annotations

import pytest

from harness import rays
from harness.truth import tasks, unawaited, ways
from harness.truth.faces import read_faces, table_rows
from harness.truth.running import begin, load, shown_by

# A kernel's table has 50 lines, so that each group is tracked by itself.
GROUPS = {
    "awaits": ways.AWAITS,
    "combined": ways.COMBINED,
    "readiness": ways.READINESS,
    "blocking": ways.BLOCKING,
    "unawaited": unawaited.UNAWAITED + unawaited.ITERATIONS,
    "tasks": tasks.TASKS + tasks.CANCELS + tasks.LIBRARIES,
    "bounded": tasks.BOUNDED,
    "outside": tasks.OUTSIDE,
}
ROWS = {
    row: group for group, table in GROUPS.items() for way in table for row in way.rows
}

INIT = f"{rays.init_source(num_cpus=4)};"


@pytest.fixture(scope="module")
def cells(kernel):
    begin(kernel, INIT)
    return kernel


@pytest.fixture(scope="module")
def shown(cells):
    """All groups, each run when it is first asked for."""
    found = {}

    def of(group):
        if group not in found:
            found[group] = None
            found[group] = shown_by(cells, GROUPS[group])
        if found[group] is None:
            pytest.fail(f"a cell of the group {group} has failed", pytrace=False)
        return found[group]

    return of


@pytest.mark.parametrize("row", list(ROWS))
def test_every_face_shows(row, shown):
    if problems := shown(ROWS[row]).rows[row].problems():
        pytest.fail("\n  ".join(problems), pytrace=False)


@pytest.mark.parametrize("group", GROUPS)
def test_the_truth_is_what_ray_gives(group, shown):
    assert shown(group).wrong_truth == []


@pytest.mark.parametrize("group", GROUPS)
def test_outputs_settle_unasked(group, shown):
    assert shown(group).late == []


@pytest.mark.parametrize("group", GROUPS)
def test_all_counts_each_ref_once(group, shown):
    table = dict(shown(group).table)
    # One row alone has no sum.
    total = table.pop("all", None) or next(iter(table.values()))
    assert total == {word: sum(row[word] for row in table.values()) for word in total}


@pytest.mark.parametrize("group", GROUPS)
def test_the_status_agrees_with_the_table(group, shown):
    faces = shown(group)
    total = faces.table.get("all") or next(iter(faces.table.values()))
    expected = {
        word: total[word] for word in ("done", "failed", "cancelled", "unknown")
    }
    expected["pending"] = total["running"] + total["waiting"]
    assert faces.status == expected


def test_tasks_of_libraries_end_and_do_not_fail(shown):
    table = shown("outside").table
    own = {name: row for name, row in table.items() if name not in ("all", "outer")}
    wrong = {
        name: row
        for name, row in own.items()
        if row["running"] or row["waiting"] or row["failed"] not in (0, 2)
    }
    assert not wrong
    assert "ray.put" not in table
    assert not [name for name in table if "__ray_" in name]


def test_refs_made_by_tasks_are_what_they_are(shown):
    table = shown("outside").table
    assert table["outer"]["done"] == 4
    (inner,) = (row for row in table.values() if row["refs"] == 4 and row["failed"])
    # The last two, which another process owns, were only waited for.
    assert 1 <= inner["done"] <= 2
    assert 1 <= inner["failed"] <= 2


def test_the_end_of_the_session_changes_no_outcome(cells):
    load(cells)
    cells.ok(
        "refs = submit('earlier', 'error') + submit('earlier', 'value')\n"
        "await rja.gather(*refs, return_exceptions=True);"
    )
    cells.ok("inside.known.held.clear(); ray.shutdown()")
    cells.ok(INIT)
    cells.ok(
        "for ref in refs:\n"
        "    try: await ref\n"
        "    except rja.RayAwaitError: pass\n"
        "    else: assert False, 'it is of another session'"
    )
    row = table_rows(read_faces(cells)["ray_refs"])["earlier"]
    assert (row["refs"], row["done"], row["failed"]) == (6, 4, 2)
