"""What a page may ask for: each well-formed request, and nothing else."""

from __future__ import annotations

import logging

import pytest

from harness.malformed import MALFORMED, WHO
from ray_jupyter_async._display.widget import page_messages
from ray_jupyter_async._display.widget.page_messages import (
    RefusedError,
    note_refusal,
    parse,
)


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
