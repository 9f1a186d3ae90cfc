"""Fixtures of all tests: a Ray, kernels, a JupyterLab, each real.

How they are made is in ``tests/harness``, which this file imports lazily: the
awaiting tests also run where there is Ray and pytest and nothing else.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import rays, skips

# Before anything imports Ray, which reads some of it at import.
rays.set_environment()
rays.heed_interrupts()

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"


def pytest_configure(config):
    skips.register(config)


def pytest_collection_modifyitems(config, items):
    """Mark by what a test asks for, so that ``-m`` always finds it.

    Processes side by side (``-n``) take files in this order: the long ones first,
    so that none is left for the end.
    """
    for item in items:
        names = set(getattr(item, "fixturenames", ()))
        if names & {"kernel", "fresh_kernel", "start_kernel"}:
            item.add_marker(pytest.mark.kernel)
        if names & {"lab", "lab_server"}:
            item.add_marker(pytest.mark.browser)
        skips.skip_on_older_kernels(item)
    if config.getoption("numprocesses", None) or hasattr(config, "workerinput"):
        longest = {
            item.path
            for item in items
            if item.get_closest_marker("browser") or item.get_closest_marker("kernel")
        }
        items.sort(key=lambda item: item.path not in longest)


@pytest.fixture(scope="session")
def ray_session():
    """A local Ray of two CPUs in this process, shared by all tests.

    A test that calls ``ray.shutdown()`` or needs a session of its own runs as a
    script: `harness.rays.run_script`.
    """
    with rays.local_ray() as context:
        yield context


@pytest.fixture(autouse=True)
def _leaves_nothing(request, caplog):
    """Fail a test that leaves something behind; see `harness.leaks`.

    Compared is what lives as long as a test: fixtures of a module or of the session
    are there before.
    """
    if request.node.get_closest_marker("leaks"):
        yield
        return
    from harness import leaks

    failed = request.session.testsfailed
    before = leaks.snapshot()
    yield
    # A failed test stays alive, by its traceback.
    if request.session.testsfailed == failed:
        # So do, until its report is made, fixtures' values and logged errors.
        request.node.funcargs.clear()
        caplog.get_records("call").clear()
        left = leaks.left_since(before)
        assert not left, "left behind:\n" + "\n".join(left)


@pytest.fixture(autouse=True)
def _shared_ray_stays(request, _leaves_nothing):
    """Fail the test that shuts the shared Ray down, not all those after it."""
    uses = "ray_session" in request.fixturenames
    if uses:
        request.getfixturevalue("ray_session")
    yield
    if uses:
        import ray

        assert ray.is_initialized(), (
            "this test shut the shared Ray down; run it with harness.rays.run_script"
        )


@pytest.fixture
def gate(ray_session, tmp_path):
    """Tasks that end on a signal; opened at the end, so that none outlives the test."""
    from harness.gate import Gate

    made = Gate(tmp_path)
    yield made
    made.open()


@pytest.fixture
def slow(ray_session):
    """A ref whose loading lasts until `harness.slow_objects.go_on` is set."""
    import ray

    from harness.slow_objects import Slow, go_on, loads

    go_on.clear()
    loads.clear()
    yield ray.put(Slow())
    go_on.set()


@pytest.fixture
def short_path():
    """An empty folder whose path is short enough for Ray's sockets."""
    with rays.short_folder() as folder:
        yield folder


@pytest.fixture
def start_kernel():
    """Start kernels: ``start_kernel(env=..., arguments=...)``; all are ended."""
    from contextlib import ExitStack

    from harness.kernel import running_kernel

    with ExitStack() as stack:

        def start(**options):
            folder = stack.enter_context(rays.short_folder())
            return stack.enter_context(running_kernel(folder, **options))

        yield start


@pytest.fixture(scope="module")
def kernel():
    """One kernel for the tests of a module. Ray is not started in it."""
    from harness.kernel import running_kernel

    with rays.short_folder() as folder, running_kernel(folder) as shared:
        yield shared


@pytest.fixture
def fresh_kernel(start_kernel):
    """A kernel for this test alone."""
    return start_kernel()


@pytest.fixture(scope="session")
def lab_server():
    """A JupyterLab server, shared; `lab` is what a test asks for."""
    from harness.lab import running_server

    with rays.short_folder() as folder, running_server(folder) as server:
        yield server


@pytest.fixture
def lab(lab_server):
    """A JupyterLab and an empty browser: `harness.browser.Lab`.

    For one test only, and closed with it: while Playwright's loop is there,
    nothing else in this thread can run an event loop.
    """
    from harness.browser import open_browser

    with open_browser(lab_server, NOTEBOOKS) as browser:
        yield browser
    lab_server.end_kernels()
