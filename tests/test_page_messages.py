"""What a page may ask for: each well-formed request, and nothing else."""

from __future__ import annotations

import logging

import pytest

from harness.progress_cells import gated, lines_of, prepared, wait_for_widget
from ray_jupyter_async.notebook import page_messages
from ray_jupyter_async.notebook.page_messages import (
    LONGEST_ID,
    MOST_REFS,
    RefusedError,
    note_refusal,
    parse,
)

WHO = {"view": "v", "request": "v-1"}


@pytest.mark.parametrize(
    ("content", "parsed"),
    [
        ({"do": "show"}, ("show", "v", "v-1", None, None, False)),
        ({"do": "renew"}, ("renew", "v", "v-1", None, None, False)),
        ({"do": "open", "line": "f"}, ("open", "v", "v-1", "f", None, False)),
        ({"do": "close", "line": "f"}, ("close", "v", "v-1", "f", None, False)),
        ({"do": "retry", "line": "f"}, ("retry", "v", "v-1", "f", None, False)),
        ({"do": "pause", "on": True}, ("pause", "v", "v-1", None, None, True)),
        ({"do": "cancel"}, ("cancel", "v", "v-1", None, None, False)),
        ({"do": "force", "line": "f"}, ("force", "v", "v-1", "f", None, False)),
        (
            {"do": "cancel", "line": "f", "refs": [0, 7, 7]},
            ("cancel", "v", "v-1", "f", {0, 7}, False),
        ),
    ],
    ids=lambda value: value["do"] if isinstance(value, dict) else "",
)
def test_a_well_formed_request_is_taken(content, parsed):
    assert tuple(parse({**content, **WHO})) == parsed


MALFORMED = [
    None,
    [],
    "cancel",
    {},
    {"do": "cancel"},
    {**WHO},
    {"do": "explode", **WHO},
    {"do": ["cancel"], **WHO},
    {"do": "cancel", "refs": [0], **WHO},
    {"do": "cancel", "line": None, **WHO},
    {"do": "cancel", "line": None, "refs": [0], **WHO},
    {"do": "cancel", "line": ["f"], **WHO},
    {"do": "cancel", "lien": "f", **WHO},
    {"do": "cancel", "line": "", **WHO},
    {"do": "cancel", "line": "f" * 501, **WHO},
    {"do": "cancel", "line": "f", "refs": None, **WHO},
    {"do": "cancel", "line": "f", "refs": "0", **WHO},
    {"do": "cancel", "line": "f", "refs": [True], **WHO},
    {"do": "cancel", "line": "f", "refs": [-1], **WHO},
    {"do": "cancel", "line": "f", "refs": [0.0], **WHO},
    {"do": "cancel", "line": "f", "refs": [2**64], **WHO},
    {"do": "cancel", "line": "f", "refs": [[0]], **WHO},
    {"do": "cancel", "line": "f", "refs": [0] * (MOST_REFS + 1), **WHO},
    {"do": "close", "line": ["f"], **WHO},
    {"do": "close", **WHO},
    {"do": "open", **WHO},
    {"do": "retry", **WHO},
    {"do": "retry", "line": 7, **WHO},
    {"do": "pause", **WHO},
    {"do": "pause", "on": 1, **WHO},
    {"do": "show", "view": 1, "request": ""},
    {"do": "show", "view": "v" * (LONGEST_ID + 1), "request": ""},
    {"do": "show", "view": "v", "request": {"a": 1}},
]


@pytest.mark.parametrize("content", MALFORMED, ids=lambda content: str(content)[:60])
def test_a_malformed_message_is_refused(content):
    with pytest.raises(RefusedError):
        parse(content)


def test_a_refusal_is_logged_once_and_without_the_message(caplog, monkeypatch):
    monkeypatch.setattr(page_messages, "_noted", set())
    with caplog.at_level(logging.WARNING, "ray_jupyter_async"):
        for what in ("a\x1b[31m", "b", "c" * 10_000):
            with pytest.raises(RefusedError) as refused:
                parse({"do": what, **WHO})
            note_refusal(refused.value.kind)
    (message,) = caplog.messages
    assert message.startswith("refused a message of a page: an unknown request. ")


@pytest.fixture(scope="module")
def ready(kernel):
    return prepared(kernel)


@pytest.fixture
def cells(ready):
    with gated(ready) as between:
        yield between


def test_malformed_messages_leave_a_display_as_it_is(cells):
    path, touch = cells.gates.new()
    result = cells.submit(
        f"refs = [hold.remote({path}) for _ in range(2)]; await asyncio.gather(*refs)\n"
        "del refs"
    )
    widget = wait_for_widget(cells, pending=2)

    def send(content):
        cells.send_comm(widget.comm_id, {"method": "custom", "content": content})

    def ask(what):
        send({"do": what, "line": "hold", "view": "v", "request": what})
        cells.poll(
            lambda: any(told.get("answer") == what for told, _ in widget.custom),
            20,
            of=result,
        )

    for content in MALFORMED:
        send(content)
    send({"do": "open", "line": "no such line", **WHO})
    for number in range(300):
        send({"do": "show", "view": f"{number}", "request": ""})
    written = {"state": {"lines": []}, "_esm": "evil()"}
    cells.send_comm(widget.comm_id, {"method": "update", "state": written})
    ask("open")
    ask("close")
    line = lines_of(widget)["hold"]
    assert (line["pending"], line["cancelling"], line["force"]) == (2, 0, False)
    assert "evil" not in widget.state["_esm"]
    touch()
    cells.wait(result)
    assert result.status == "ok"
    assert "2/2" in result.displays[0].text


def test_a_second_click_on_cancel_is_no_force(cells):
    cells.ok(
        "from ray_jupyter_async.notebook.cancel_notice import CancelNotice\n"
        "from ray_jupyter_async.notebook.extension import _loaded as loaded\n"
        "from ray_jupyter_async.tracking.running_tasks import RunningTask\n"
        "from types import SimpleNamespace\n"
        "asked = []\n"
        "task = RunningTask(b'-' * 24, 'f', None, None)\n"
        "running = SimpleNamespace(still=lambda tasks: tasks if keep else [],\n"
        "    cancel=lambda tasks, force: asked.append(force))\n"
        "keep = True\n"
        "notice = CancelNotice(loaded._cells.current(), [task], running)"
    )
    (button,) = cells.widgets(_model_name="ButtonModel", description="Cancel them")
    for content in ({"event": "click"}, {"event": "click"}, {"event": "other"}, {}):
        cells.send_comm(button.comm_id, {"method": "custom", "content": content})
    cells.poll(lambda: button.state["disabled"], 10)
    assert cells.ok("asked").value == "[False]"
    cells.ok("keep = False")
    cells.poll(lambda: not button.open, 10)
