"""Which displays carry the front end's source: 90 kB, of which a page needs one copy.

A display carries only ``frontend/loader.js``, once a page has reported that it has the
rest. The first displays carry all of it, because a page that asks waits for the running
cell on ipykernel before 7.4. One that opens later and does not have it asks.
"""

from __future__ import annotations

import hashlib
from typing import TypedDict

from .bundle import front_end_module, front_end_styles


class _Named(TypedDict):
    #: A hash of the sources: versions may differ between the kernels of a page.
    name: str


class FrontEnd(_Named, total=False):
    """The trait `front_end` of the widget."""

    code: str
    styles: str


_CODE, _STYLES = front_end_module(), front_end_styles()
_NAME = hashlib.sha256(f"{_CODE}\0{_STYLES}".encode()).hexdigest()[:16]

_arrived = False


def whole_front_end() -> FrontEnd:
    """Return the front end with its source."""
    return {"name": _NAME, "code": _CODE, "styles": _STYLES}


def front_end() -> FrontEnd:
    """Return what a new display carries."""
    return {"name": _NAME} if _arrived else whole_front_end()


def note_arrival() -> None:
    """Note that a page has the front end."""
    global _arrived
    _arrived = True
