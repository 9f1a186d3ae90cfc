"""Messages of a page that are no requests: each must be refused, and change nothing."""

from __future__ import annotations

from typing import Any

from ray_jupyter_async._display.widget.page_messages import LONGEST_ID, MOST_REFS
from ray_jupyter_async._tracking.foreign_text import LONGEST_NAME

#: What every request has.
WHO: dict[str, Any] = {"view": "v", "request": "v-1"}

MALFORMED: list[Any] = [
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
    {"do": "cancel", "line": "f" * (LONGEST_NAME + 1), **WHO},
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
    {"do": "load", "page": "p"},
    {"do": "load", **WHO},
    {"do": "open", **WHO},
    {"do": "retry", **WHO},
    {"do": "retry", "line": 7, **WHO},
    {"do": "pause", **WHO},
    {"do": "pause", "on": 1, **WHO},
    {"do": "show", "view": 1, "request": ""},
    {"do": "show", "view": "v" * (LONGEST_ID + 1), "request": ""},
    {"do": "show", "view": "v", "request": {"a": 1}},
]
