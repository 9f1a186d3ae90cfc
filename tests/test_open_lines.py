"""The messages about single refs: all of them once, then what changed."""

from __future__ import annotations

import dataclasses
import math
import struct

from harness.ref_rows import columns_of
from ray_jupyter_async._display.widget.ref_messages import (
    MESSAGES_PER_ROUND,
    REFS_PER_MESSAGE,
    OpenLine,
)
from ray_jupyter_async._tracking.snapshots import (
    ErrorGroup,
    LineProgress,
    RefRecord,
    RefState,
)

LINE = LineProgress(
    name="f", total=3, resolved=0, ready=0, failed=0, cancelled=0, pending=3,
    first_awaited=10.0, last_change=10.0, finished=None, errors=(),
)  # fmt: skip

# As frontend/ref_columns.js reads them.
COLUMNS = [
    ("size", "d"), ("index", "I"), ("started", "f"), ("ended", "f"),
    ("worker", "I"), ("node", "H"), ("error", "H"), ("state", "B"), ("attempt", "B"),
]  # fmt: skip


def record(index, state=RefState.PENDING_NODE, **changed):
    made = RefRecord(index, b"%d" % index, state, 0.0, None, None, "", 0, 0, None, "")
    return made._replace(**changed)


class Records:
    """Records with versions, as the tracker gives them."""

    def __init__(self, records=()):
        self.changes = list(records)

    def read(self, since):
        known = columns_of(self.changes)
        return known.part(since, len(self.changes)), len(self.changes)


def read_columns(message):
    (data,) = message.buffers
    count, offset, columns = message.content["count"], 0, {}
    for name, code in COLUMNS:
        columns[name] = struct.unpack_from(f"<{count}{code}", data, offset)
        offset += struct.calcsize(f"<{count}{code}")
    assert offset == len(data)
    return columns


def refs_messages(messages):
    return [message for message in messages if "refs" in message.content]


def test_refs_are_sent_once_and_then_when_changed():
    records = Records([record(0), record(1), record(2)])
    opened = OpenLine("f", records.read)
    first, errors = opened.messages(LINE, now=1.5)
    assert first.content == {
        "refs": "f", "start": True, "seq": 0, "count": 3, "now": 1.5,
        "nodes": [], "errors": [],
    }  # fmt: skip
    assert read_columns(first)["index"] == (0, 1, 2)
    assert errors.content == {"errors": "f", "groups": []}
    assert opened.messages(LINE, now=1.6) == []
    records.changes.append(record(1, RefState.RUNNING))
    (second,) = opened.messages(LINE, now=1.7)
    assert not second.content["start"]
    assert second.content["seq"] == 1
    assert read_columns(second)["index"] == (1,)
    assert read_columns(second)["state"] == (RefState.RUNNING,)


def test_message_holds_all_columns_of_a_ref():
    known = record(
        7, RefState.FAILED, started=0.25, ended=1.75,
        node="10.0.0.1", worker=4321, attempt=2, size=10**12, error="KeyError: 'x'",
    )  # fmt: skip
    unknown = record(8)
    message = OpenLine("f", Records([known, unknown]).read).messages(LINE, 2.0)[0]
    columns = {name: values[0] for name, values in read_columns(message).items()}
    assert columns == {
        "size": 1e12, "index": 7, "started": 0.25, "ended": 1.75,
        "worker": 4321, "node": 1, "error": 1, "state": 5, "attempt": 2,
    }  # fmt: skip
    assert message.content["nodes"] == ["10.0.0.1"]
    assert message.content["errors"] == ["KeyError: 'x'"]
    for name in ("size", "started", "ended"):
        assert math.isnan(read_columns(message)[name][1])


def test_text_is_sent_once():
    records = Records([record(0, node="a"), record(1, node="b")])
    opened = OpenLine("f", records.read)
    assert opened.messages(LINE, 0.0)[0].content["nodes"] == ["a", "b"]
    records.changes += [record(2, node="b"), record(3, node="c")]
    (message,) = opened.messages(LINE, 0.0)
    assert message.content["nodes"] == ["c"]
    assert read_columns(message)["node"] == (2, 3)


def test_surplus_texts_share_the_last_code():
    records = [record(i, RefState.FAILED, error=f"E: {i}") for i in range(5_000)]
    message = OpenLine("f", Records(records).read).messages(LINE, 0.0)[0]
    sent = message.content["errors"]
    assert len(sent) == 4_000
    assert max(read_columns(message)["error"]) == 4_000
    assert sent[-1] == "(one of many others)"


def test_large_line_is_sent_in_parts():
    count = 5 * REFS_PER_MESSAGE + 1
    records = Records(map(record, range(count)))
    opened = OpenLine("f", records.read)
    seen, rounds = [], 0
    while True:
        messages = refs_messages(opened.messages(LINE, 0.0))
        assert len(messages) <= MESSAGES_PER_ROUND
        assert all(len(read_columns(m)["index"]) <= REFS_PER_MESSAGE for m in messages)
        seen += messages
        rounds += 1
        if not opened.behind:
            break
        # What changes meanwhile comes after what is known already.
        records.changes.append(record(0, RefState.RESOLVED))
    assert [message.content["seq"] for message in seen] == list(range(len(seen)))
    assert [message.content["start"] for message in seen] == [True] + [False] * (
        len(seen) - 1
    )
    seen += refs_messages(opened.messages(LINE, 0.0))
    states = {}
    for message in seen:
        columns = read_columns(message)
        states.update(zip(columns["index"], columns["state"], strict=True))
    assert len(states) == count
    assert states[0] == RefState.RESOLVED
    assert rounds == 3


def test_line_without_records_is_sent_empty():
    opened = OpenLine("f", Records().read)
    message = opened.messages(LINE, 0.0)[0]
    assert message.content["start"]
    assert message.content["count"] == 0
    assert message.buffers == [b""]
    assert opened.messages(LINE, 0.1) == []


def test_restart_sends_everything_again():
    records = Records([record(0, node="a")])
    opened = OpenLine("f", records.read)
    first = opened.messages(LINE, 0.0)
    opened.restart()
    assert opened.messages(LINE, 0.0) == first


def test_errors_are_sent_when_they_change():
    opened = OpenLine("f", Records().read)
    opened.messages(LINE, 0.0)
    group = ErrorGroup("KeyError", "'x'", 2, full="full", task=b"id")
    failed = dataclasses.replace(LINE, errors=(group,))
    (message,) = opened.messages(failed, 0.1)
    assert message.content == {
        "errors": "f",
        "groups": [
            {"kind": "KeyError", "message": "'x'", "count": 2,
             "short": "full", "full": "full"}
        ],
    }  # fmt: skip
    assert opened.messages(dataclasses.replace(LINE, errors=(group,)), 0.2) == []
