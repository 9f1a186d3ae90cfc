"""The messages between page and kernel: what is parsed, and what is refused."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import get_type_hints

import pytest

from harness.malformed import MALFORMED, WHO
from ray_jupyter_async._display.widget import page_messages
from ray_jupyter_async._display.widget.arrival import Arrival
from ray_jupyter_async._display.widget.display import REQUEST_HANDLERS
from ray_jupyter_async._display.widget.page_messages import (
    REPORTS,
    REQUESTS,
    RefusedError,
    note_refusal,
    parse,
)

# What tests/js/messages.test.mjs takes and sends.
SAMPLES = json.loads(
    Path(__file__).with_name("messages.json").read_text(encoding="utf-8")
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
def test_well_formed_request_is_parsed(content, parsed):
    assert tuple(parse({**content, **WHO})) == parsed


@pytest.mark.parametrize("content", MALFORMED, ids=lambda content: str(content)[:60])
def test_malformed_message_is_refused(content):
    with pytest.raises(RefusedError):
        parse(content)


def test_refusal_is_logged_once_without_its_message(caplog, monkeypatch):
    monkeypatch.setattr(page_messages, "_noted", set())
    with caplog.at_level(logging.WARNING, "ray_jupyter_async"):
        for what in ("a\x1b[31m", "b", "c" * 10_000):
            with pytest.raises(RefusedError) as refused:
                parse({"do": what, **WHO})
            note_refusal(refused.value.kind)
    (message,) = caplog.messages
    assert message.startswith("refused a message of a page: an unknown request. ")


@pytest.mark.parametrize("content", SAMPLES["from_page"], ids=str)
def test_messages_of_the_page_are_parsed(content):
    who = {"page": "p"} if content["do"] in REPORTS else WHO
    assert parse({**who, **content}).do == content["do"]


def test_samples_have_the_fields_of_the_types():
    samples = SAMPLES["from_kernel"]
    for kind, made in (
        ("refs", page_messages.RefsMessage),
        ("errors", page_messages.ErrorsMessage),
        ("answer", page_messages.Answer),
    ):
        assert get_type_hints(made).keys() == samples[kind].keys()
    (group,) = samples["errors"]["groups"]
    assert get_type_hints(page_messages.GroupState).keys() == group.keys()


def test_place_has_the_fields_of_its_sample():
    sent = []
    widget = SimpleNamespace(model_id="m", send=sent.append)
    Arrival("d", "c").finish(widget, {"text/plain": "f", "text/html": "<p>"})
    (content,) = sent
    assert content.keys() == SAMPLES["from_kernel"]["place"].keys()


def test_every_request_has_a_handler():
    assert REQUEST_HANDLERS.keys() == REQUESTS.keys()
