"""What is shown after faults of a cluster, against Ray's own books of its tasks."""

from __future__ import annotations

import pytest

from harness.truth import faults
from harness.truth.running import begin, shown_by

CLUSTER = """
import ray, harness.lean_ray
from ray.cluster_utils import Cluster
cluster = Cluster(
    initialize_head=True,
    head_node_args={
        "num_cpus": 4,
        "include_dashboard": False,
        # A lost node is noticed after 2.5 s instead of 15.
        "_system_config": {"health_check_period_ms": 500},
    },
)
ray.init(address=cluster.address, log_to_driver=False)
node = cluster.add_node(num_cpus=4, resources={"far": 4})
"""

# On a loaded machine the workers of two nodes take their time to start.
pytestmark = pytest.mark.timeout(240)

ROWS = [
    row
    for way in (*faults.BEFORE, faults.ON_THE_NODE, faults.AFTER)
    for row in way.rows
]


@pytest.fixture(scope="module")
def shown(kernel):
    begin(kernel, CLUSTER)
    lose = "cluster.remove_node(node, allow_graceful=False)"
    yield shown_by(kernel, [*faults.BEFORE, faults.ON_THE_NODE, lose, faults.AFTER])
    kernel.ok("ray.shutdown(); cluster.shutdown()")


@pytest.mark.parametrize("row", ROWS)
def test_every_face_shows(row, shown):
    if problems := shown.rows[row].problems():
        pytest.fail("\n  ".join(problems), pytrace=False)


@pytest.mark.parametrize("row", ROWS)
def test_the_table_agrees_with_rays_books(row, shown):
    table = shown.table[row]
    books = shown.events[row]
    assert books == {word: table[word] for word in books}
    assert sum(books.values()) == table["refs"]


def test_an_object_lost_with_its_node_has_failed(shown):
    row = shown.table["large"]
    assert (row["refs"], row["failed"]) == (1, 1), row


def test_an_object_whose_owner_died_has_failed(shown):
    known = {*ROWS, "all", "large", "Owner.put"}
    (owned,) = (row for name, row in shown.table.items() if name not in known)
    assert (owned["refs"], owned["failed"]) == (1, 1), owned
