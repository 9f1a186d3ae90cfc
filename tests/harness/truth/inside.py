"""What the cells of the truth test use: refs of known outcome, and all faces.

Runs in the kernel under test, where cells import everything from it. The
package is used from the outside only: magics, the tracker's public reads, and
what a cell shows.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, cast

import ray
from ray import cloudpickle
from ray.exceptions import RayActorError, RayError, TaskCancelledError

from .events import outcomes_by_name

# Before the extension replaces them.
_get, _wait = ray.get, ray.wait

Body = Callable[[str, list[Any]], Any]

#: What the refs of a row are, by the row's outcome.
MIX = {
    "value": ("value", "value", "value"),
    "error": ("value", "error", "error"),
    "crash": ("value", "crash"),
    "died": ("value", "died", "died"),
    "cancelled": ("value", "cancelled", "cancelled"),
}

#: States that a display must never give to a ref of an outcome.
FORBIDDEN = {
    "value": {"FAILED", "CANCELLED"},
    "error": {"READY", "RESOLVED", "CANCELLED"},
    "crash": {"READY", "RESOLVED", "CANCELLED"},
    "died": {"READY", "RESOLVED", "CANCELLED"},
    "cancelled": {"READY", "RESOLVED", "FAILED"},
    # Ray itself does not agree: a failed generator's own ref is None.
    "either": {"CANCELLED"},
}

_EXPECTED = (
    RayError,
    TimeoutError,
    asyncio.TimeoutError,  # another class on Python 3.10
    FutureTimeoutError,
    asyncio.CancelledError,
)


@ray.remote(max_retries=0)
def end(outcome: str, seconds: float = 0.0, path: str = "", *needs: Any) -> str:
    """End as `outcome` says; ``run`` does not end before it is cancelled."""
    del needs
    if path:
        os.close(os.open(path, os.O_CREAT))
    time.sleep(seconds)
    if outcome == "error":
        raise ValueError("made to fail")
    if outcome == "crash":
        os._exit(1)
    if outcome == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    while outcome == "run":
        time.sleep(0.01)
    return outcome


@ray.remote
def end_later(path: str, outcome: str) -> str:
    """End as `outcome` says the first time, and well the second time."""
    if not os.path.exists(path):  # noqa: PTH110 - pickled without its imports
        os.close(os.open(path, os.O_CREAT))
        if outcome == "error":
            raise ValueError("made to fail")
        os._exit(1)
    return outcome


@ray.remote(max_retries=0)
def items(outcome: str) -> Iterator[int]:
    """Yield two values, then end as `outcome` says."""
    yield 1
    yield 2
    if outcome == "error":
        raise ValueError("made to fail")


@ray.remote(num_cpus=0)
class Actor:
    """Its methods end as they are asked to."""

    def end(self, outcome: str) -> str:
        """End as `outcome` says."""
        if outcome == "error":
            raise ValueError("made to fail")
        if outcome == "crash":
            os._exit(1)
        return outcome

    def pid(self) -> int:
        """Return the process, for `gone`."""
        return os.getpid()


@ray.remote(num_cpus=0)
class AsyncActor:
    """The same, with coroutines."""

    async def end(self, outcome: str) -> str:
        """End as `outcome` says; ``run`` does not end before it is cancelled."""
        if outcome == "error":
            raise ValueError("made to fail")
        while outcome == "run":
            await asyncio.sleep(0.01)
        return outcome


class Known:
    """What each ref is, by construction, and who holds it."""

    def __init__(self) -> None:
        self.truth: dict[str, dict[bytes, str]] = {}
        self.held: list[tuple[str, str, Any]] = []
        self.kept: dict[str, list[Any]] = {}

    def expect(self, row: str, ref: Any, outcome: str, *, hold: bool = True) -> Any:
        """Note what a ref of a row is; hold it until the end of the group."""
        self.truth.setdefault(row, {})[ref.binary()] = outcome
        if hold:
            self.held.append((row, outcome, ref))
        return ref

    def unfinished(self) -> int:
        """Return how many of the refs that are held are not ready."""
        refs = [ref for _, _, ref in self.held]
        return len(_wait(refs, num_returns=len(refs), timeout=0)[1]) if refs else 0

    def wrong(self) -> list[str]:
        """Compare with what Ray gives for the refs that are held."""
        found = []
        for row, outcome, ref in self.held:
            given = outcome_of(ref)
            said = "failed" if outcome in ("error", "crash", "died") else outcome
            if given != said and outcome != "either":
                found.append(f"{row}: meant to be {outcome}, ray.get says {given}")
        return found


known = Known()
expect = known.expect
kept = known.kept
_dead: list[Any] = []


def outcome_of(ref: Any) -> str:
    """Return what Ray's own `ray.get` says of a ref."""
    try:
        _get(ref, timeout=10)
    except TaskCancelledError:
        return "cancelled"
    except RayError:
        return "failed"
    return "value"


async def gone(pid: int) -> None:
    """Wait for a process: an actor that was killed answers until then."""
    with contextlib.suppress(ProcessLookupError):
        for _ in range(1000):
            os.kill(pid, 0)
            await asyncio.sleep(0.01)


def submit_one(row: str, outcome: str, seconds: float = 0.0) -> Any:
    """Submit one task of a known outcome; its name is `row`."""
    if outcome == "died":
        return _dead[0].end.options(name=row).remote("value")
    if outcome == "cancelled":
        # It waits for what no node has, so that the cancel meets no race.
        ref = end.options(name=row, resources={"never": 1}).remote("value")
        ray.cancel(ref)
        return ref
    return end.options(name=row).remote(outcome, seconds)


def submit(
    row: str, outcome: str, *, hold: bool = True, seconds: float = 0.0
) -> list[Any]:
    """Submit the tasks of a row, and note what they are."""
    return [
        expect(row, submit_one(row, each, seconds), each, hold=hold)
        for each in MIX[outcome]
    ]


class Submitter:
    """Stands for a remote function whose calls end as their input says."""

    def __init__(self, row: str, *, hold: bool = True) -> None:
        self._row = row
        self._hold = hold

    def remote(self, outcome: str) -> Any:
        """Submit one."""
        ref = submit_one(self._row, outcome)
        return expect(self._row, ref, outcome, hold=self._hold)


@contextlib.contextmanager
def expected() -> Iterator[None]:
    """Pass over the errors that tasks and timeouts are meant to give."""
    with contextlib.suppress(*_EXPECTED):
        yield


async def each(
    body: Callable[[str, list[Any]], Awaitable[Any]],
    name: str,
    outcomes: Iterable[str],
    **options: Any,
) -> None:
    """Run a way's body for each outcome, beside each other."""

    async def one(outcome: str) -> None:
        row = f"{name}-{outcome}"
        with expected():
            await body(row, submit(row, outcome, **options))

    for task in [asyncio.ensure_future(one(outcome)) for outcome in outcomes]:
        await task


def each_now(body: Body, name: str, outcomes: Iterable[str], **options: Any) -> None:
    """Run a way's body for each outcome, one after the other."""
    for outcome in outcomes:
        row = f"{name}-{outcome}"
        with expected():
            body(row, submit(row, outcome, **options))


def in_thread(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function in a thread that knows nothing of this cell."""
    given: list[Any] = []

    def run() -> None:
        with expected():
            given.append(function(*arguments))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return given[0] if given else None


class Witness:
    """A thread that remembers every state that the tracker gave to a ref."""

    def __init__(self) -> None:
        self.seen: set[tuple[str, bytes, str]] = set()
        self._tracker: Any = None
        self._versions: dict[tuple[Any, str], int] = {}
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            with contextlib.suppress(AttributeError):  # the extension is not loaded
                self._look()
            time.sleep(0.03)

    def _look(self) -> None:
        tracker = tracker_of()
        if tracker is not self._tracker:
            self._tracker = tracker
            self._versions.clear()
        for cell in tracker.snapshot().cells:
            for line in cell.lines:
                place = cell.origin, line.name
                since = self._versions.get(place, 0)
                records, version = tracker.read_refs(cell.origin, line.name, since)
                self._versions[place] = version
                self.seen.update((line.name, r.key, r.state.name) for r in records)

    def lies(self) -> dict[str, list[str]]:
        """Return what was shown of some ref at some moment and was false, by row."""
        found: dict[str, set[str]] = {}
        for row, key, state in list(self.seen):
            outcome = known.truth.get(row, {}).get(key)
            if outcome is not None and state in FORBIDDEN[outcome]:
                lie = f"a ref that is {outcome} was {state}"
                found.setdefault(row, set()).add(lie)
        return {row: sorted(lies) for row, lies in found.items()}


def tracker_of() -> Any:
    """Return the tracker of the loaded extension."""
    from ray_jupyter_async._notebook import extension

    return cast("Any", extension._loaded).tracker


def begin() -> None:
    """Prepare a kernel in which Ray runs and the extension is not loaded."""
    import harness.truth.inside as this_module

    # Workers cannot import it.
    cast("Any", cloudpickle).register_pickle_by_value(this_module)
    actor = cast("Any", Actor).remote()
    with contextlib.suppress(RayActorError):
        ray.get(actor.end.remote("crash"))
    _dead[:] = [actor]


def forget() -> None:
    """Forget the refs of the last group."""
    known.truth.clear()
    known.held.clear()
    known.kept.clear()


class OwnOutput(io.StringIO):
    """Takes what the thread prints that made it; Ray's threads print, too."""

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.get_ident()

    def write(self, text: str) -> int:
        """Take a text, or drop it."""
        own = threading.get_ident() == self._thread
        return super().write(text) if own else len(text)


def magic(name: str) -> str:
    """Return what a magic prints."""
    from IPython.core.getipython import get_ipython

    with contextlib.redirect_stdout(OwnOutput()) as said:
        cast("Any", get_ipython()).run_line_magic(name, "")
    return said.getvalue()


def report(witness: Witness, *, magics: bool, last: bool = False) -> None:
    """Print everything that the faces show now, as JSON.

    Parameters
    ----------
    witness
        Has seen what they showed before.
    magics
        Whether to run the magics, which ask Ray before they print.
    last
        Whether to ask Ray, too, what all refs are.
    """
    from ray_jupyter_async._display.static.page import progress_bundle
    from ray_jupyter_async._display.widget.widget import widget_state

    shown: dict[str, Any] = {}
    if magics:
        # First, so that it cannot rely on what the table has asked for.
        shown["ray_async"] = magic("ray_async")
        shown["ray_refs"] = magic("ray_refs")
    shown["cells"] = [
        {
            "cell": str(cell.origin),
            "widget": widget_state(cell)["lines"],
            "text": progress_bundle(cell)["text/plain"],
        }
        for cell in tracker_of().snapshot().cells
    ]
    shown["truth"] = {row: Counter(refs.values()) for row, refs in known.truth.items()}
    shown["lies"] = witness.lies()
    if last:
        shown["wrong_truth"] = known.wrong()
        shown["events"] = outcomes_by_name()
    shown["unfinished"] = known.unfinished()
    print(f"\nREPORT {json.dumps(shown)}\n", end="")
