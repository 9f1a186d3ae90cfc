"""Failed tasks submitted again, on a real Ray: which ones, and what is kept for it."""

from __future__ import annotations

import contextlib
import gc
import weakref
from pathlib import Path

import pytest
import ray

import ray_jupyter_async
from harness.polling import poll
from ray_jupyter_async._awaiting.events import origin
from ray_jupyter_async._awaiting.fetch.watch import watch_ready
from ray_jupyter_async._tracking.retries import Retries
from ray_jupyter_async._tracking.sources import kept_arguments
from ray_jupyter_async._tracking.sources.kept_arguments import KeptArguments
from ray_jupyter_async._tracking.sources.submissions import Submissions
from ray_jupyter_async._tracking.tracker import Tracker

pytestmark = pytest.mark.usefixtures("ray_session")

CELL = "cell"


@ray.remote(num_cpus=0, max_retries=0)
def need(path, *values, **named):
    """Fails while there is no such file."""
    return Path(path).read_text(), values, named


@ray.remote(num_cpus=0)
class Reader:
    def need(self, path, *values, **named):
        return Path(path).read_text(), values, named


class Notebook:
    """A tracker that sees what a cell submits."""

    def __init__(self):
        self.submissions = Submissions()
        self.tracker = Tracker(
            self.submissions.name_of, take_submitted=self.submissions.take_fresh
        )
        self.retries = Retries(self.tracker, self.submissions)

    def watch(self, *refs):
        """Have the cell count these refs until they settle."""
        self.tracker.watch(refs, watch_ready, CELL)
        self.wait_for(self.line(self.submissions.name_of(refs[0].binary())).name)

    def line(self, name):
        progress = self.tracker.read_cell(CELL)
        return next((line for line in progress.lines if line.name == name), None)

    def wait_for(self, name):
        """Wait until a line has settled."""
        poll(lambda: not self.line(name).pending, what=f"the end of {name}")

    def retry(self, name):
        """Retry; give how many were submitted, and why others were not."""
        count, refused = self.retries.retry(CELL, name)
        return count, [why for _, why in refused]


@pytest.fixture
def notebook():
    notebook = Notebook()
    notebook.submissions.install()
    token = origin.set(CELL)
    yield notebook
    origin.reset(token)
    notebook.submissions.uninstall()
    notebook.tracker.end_watches()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "needed"


def test_failed_tasks_run_again_with_their_arguments(notebook, path):
    reader = Reader.remote()
    values = (True, "two", None, (b"3", 4.5, 6j))
    refs = [
        need.remote(str(path), *values, last=7),
        need.options(num_cpus=0.01).remote(str(path)),
        reader.need.remote(str(path), *values, last=7),
    ]
    notebook.watch(*refs)
    notebook.wait_for("Reader.need")
    assert notebook.retries.retryable(CELL) == {"need": 2, "Reader.need": 1}
    assert notebook.retries.take() == []

    path.write_text("read")
    assert notebook.retry("need") == (2, [])
    assert notebook.retry("Reader.need") == (1, [])
    again = notebook.retries.take()
    assert notebook.retries.take() == []
    known = ("read", values, {"last": 7})
    assert ray.get(again) == [known, ("read", (), {}), known]
    # They are the cell's, in lines of their own; what failed remains told.
    for name, total in (("need", 2), ("Reader.need", 1)):
        notebook.wait_for(f"{name} (retry)")
        assert notebook.line(f"{name} (retry)").done == total
        assert notebook.line(name).failed == total
    assert {notebook.submissions.origin_of(ref.binary()) for ref in again} == {CELL}
    # Each once.
    assert notebook.retries.retryable(CELL) == {}
    assert notebook.retry("need") == (0, [kept_arguments.AGAIN] * 2)


def test_failed_retry_can_be_retried_in_its_line(notebook, path):
    notebook.watch(need.remote(str(path)))
    assert notebook.retry("need") == (1, [])
    notebook.wait_for("need (retry)")
    assert notebook.retries.retryable(CELL) == {"need (retry)": 1}
    path.write_text("read")
    assert notebook.retry("need (retry)") == (1, [])
    first, second = notebook.retries.take()
    assert ray.get(second)[0] == "read"
    notebook.wait_for("need (retry)")
    line = notebook.line("need (retry)")
    assert (line.done, line.failed) == (1, 1)
    with pytest.raises(FileNotFoundError):
        ray.get(first)


class _Subclass(str):
    __slots__ = ()


@pytest.mark.parametrize(
    "value",
    [
        "x" * 1_001,
        b"x" * 1_001,
        1 << 1_001,
        (0,) * 9,
        ((1,),),
        [1],
        {},
        _Subclass(),
        _Subclass,
    ],
    ids=lambda value: type(value).__name__,
)
def test_large_or_other_arguments_are_not_kept(value):
    def function():
        pass

    kept = KeptArguments()
    kept.keep(b"first", function, "", (value,), None, {})
    kept.keep(b"named", function, "", (), {"value": value}, {})
    kept.keep(b"plain", function, "", (1,), {"value": 1}, {})
    assert kept.tasks() == [b"plain"]


@pytest.mark.parametrize("args", [(0,) * 9, ((0,) * 4, (0,) * 4)])
def test_many_arguments_are_not_kept(args):
    def function():
        pass

    kept = KeptArguments()
    kept.keep(b"many", function, "", args, None, {})
    kept.keep(
        b"named", function, "", (), dict(zip("abcdefghi", args, strict=False)), {}
    )
    kept.keep(b"few", function, "", args[1:], None, {})
    assert kept.tasks() == [b"few"]


def test_arguments_are_kept_as_they_were():
    given = []

    class Function:
        def _remote(self, args, kwargs, **options):
            given.append((args, kwargs, options))

    function = Function()
    kept = KeptArguments()
    args, kwargs = [1], {"value": 1}
    kept.keep(b"task", function, "", args, kwargs, {})
    args.append(2)
    kwargs["other"] = 2
    kept.submit(b"task", "name")
    assert given == [((1,), {"value": 1}, {"name": "name"})]


def test_other_arguments_are_not_pinned(notebook, path):
    counts = ray._private.worker.global_worker.core_worker.get_all_reference_counts
    put = ray.put(b"value")
    array = bytearray(10_000)

    class Own:
        pass

    own = Own()
    gone = weakref.ref(own)
    refs = [need.remote(str(path), put), need.remote(str(path), array)]
    refs.append(need.remote(str(path), 1, named=own))
    notebook.watch(*refs)
    assert notebook.retries.retryable(CELL) == {}
    assert notebook.retry("need") == (0, [kept_arguments.NOT_PLAIN] * 3)
    key = put.hex()
    del put, own, array
    gc.collect()
    assert gone() is None
    del refs
    poll(lambda: key not in counts(), what="the argument to be released")


def test_actors_and_functions_are_not_pinned(notebook, path):
    @ray.remote(num_cpus=0, max_retries=0)
    def inner(path):
        raise ValueError(path)

    reader = Reader.remote()
    actor, function = weakref.ref(reader), weakref.ref(inner)
    refs = [reader.need.remote(str(path)), inner.remote(str(path))]
    notebook.watch(*refs)
    notebook.wait_for("inner")
    assert notebook.retries.retryable(CELL) == {"Reader.need": 1, "inner": 1}
    del reader, inner
    gc.collect()
    assert actor() is None
    assert function() is None
    assert notebook.retries.retryable(CELL) == {}
    assert notebook.retry("Reader.need") == (0, [kept_arguments.GONE])
    assert notebook.retry("inner") == (0, [kept_arguments.GONE])


def test_generators_and_untracked_tasks_are_refused(notebook, path):
    @ray.remote(num_cpus=0, max_retries=0)
    def items():
        yield 1
        raise ValueError

    generator = items.remote()
    with contextlib.suppress(ValueError):
        for ref in generator:
            ray.get(ref)
    task = generator._generator_ref.binary()[:24]
    with pytest.raises(kept_arguments.NotKeptError, match=kept_arguments.GENERATOR):
        notebook.submissions.kept_arguments.submit(task, "items")
    ref = need.remote(str(path))
    notebook.submissions.uninstall()
    untracked = need.remote(str(path))
    notebook.watch(ref, untracked)
    notebook.wait_for("other refs")
    assert notebook.retries.retryable(CELL) == {}
    assert notebook.retry("need") == (0, [kept_arguments.TOO_LONG_AGO])
    assert notebook.retry("other refs") == (0, [kept_arguments.TOO_LONG_AGO])


def test_kept_arguments_are_bounded():
    def function():
        pass

    kept = KeptArguments()
    for number in range(5_000):
        kept.keep(b"%d" % number, function, "", (number,), None, {})
    assert kept.tasks() == [b"%d" % number for number in range(4_000, 5_000)]


def test_old_name_of_take_retried_warns():
    with (
        pytest.warns(DeprecationWarning, match=r"Use take_retried\(\)"),
        pytest.raises(RuntimeError, match="%load_ext"),
    ):
        ray_jupyter_async.retried()
