"""Running the cells of a table in a kernel until all its faces have settled."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from harness.kernel import Kernel

from .faces import Faces, read_faces
from .ways import Way

# Workers report about once a second, and the display asks about once a second.
_SECONDS_TO_SETTLE = 6.0

_SETUP = """
import asyncio, os
import ray_jupyter_async as rja
from ray_jupyter_async import progress
from harness.truth.inside import *
from harness.truth import inside
witness = Witness()
"""


def begin(kernel: Kernel, start_ray: str) -> None:
    """Prepare a kernel, in which the code `start_ray` starts a Ray."""
    kernel.ok(start_ray)
    kernel.ok(f"{_SETUP}inside.begin()")


def load(kernel: Kernel) -> None:
    """Load the extension, so that it shows every cell that waits at once."""
    kernel.ok("%load_ext ray_jupyter_async")
    kernel.ok("inside.forget()\n%config RayAsync.progress_delay = 0")


def shown_by(kernel: Kernel, table: Iterable[Way | str]) -> Faces:
    """Run the cells of a table, and return what was shown of their refs.

    Parameters
    ----------
    kernel
        In which `begin` has run.
    table
        Ways, and other code that runs between them.
    """
    load(kernel)
    results, reports = [], []
    unknown: list[str] = []
    for number, way in enumerate(table):
        if isinstance(way, str):
            kernel.ok(way)
            continue
        unknown += way.unknown
        results += [kernel.ok(f"{cell}\nNone;") for cell in way.cells]
        reports.append(read_faces(kernel, magics=bool(number % 2)))

    def look(*, magics: bool = True, last: bool = False) -> Faces:
        reports.append(read_faces(kernel, magics=magics, last=last))
        return Faces(reports, results, list(kernel.comms.values()), unknown)

    # What stands in the cells settles by itself; the magics ask Ray.
    faces = _settled(lambda: look(magics=False), Faces.outputs_settled)
    late = [name for name, row in faces.rows.items() if not row.outputs_settled()]
    _settled(look, Faces.settled)
    faces = look(last=True)
    faces.late = late
    kernel.ok("%unload_ext ray_jupyter_async")
    return faces


def _settled(look: Callable[[], Faces], settled: Callable[[Faces], bool]) -> Faces:
    """Look until all has settled, or has had the time for it."""
    until = time.monotonic() + _SECONDS_TO_SETTLE
    while not settled(faces := look()) and time.monotonic() < until:
        if faces.unfinished:
            # Ray itself has not come to the end of all tasks.
            until = time.monotonic() + _SECONDS_TO_SETTLE
    return faces
