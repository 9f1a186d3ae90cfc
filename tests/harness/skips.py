"""In CI, an unexpected skip fails the run.

A test that is skipped where it should have run hides what it would have shown:
a missing browser, grpcio or uvloop would make a green run of nothing. With the
environment variable ``CI`` set to a true value, each skip's reason must match a
line of ``tests/allowed_skips.txt`` (a regular expression, found anywhere in the
reason; blank lines and lines that start with ``#`` do not count).
"""

from __future__ import annotations

import importlib.metadata
import os
import re
from pathlib import Path
from typing import Any

import pytest

ALLOWED = Path(__file__).parent.parent / "allowed_skips.txt"


class UnexpectedSkips:
    """Plugin that collects skips, and fails the session for those not allowed."""

    def __init__(self, allowed: list[re.Pattern[str]]) -> None:
        self._allowed = allowed
        self._unexpected: list[tuple[str, str]] = []

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Look at a test's outcome; an expected failure is not a skip."""
        if report.skipped and not hasattr(report, "wasxfail"):
            self._note(report)

    @pytest.hookimpl
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Look at a whole module that skipped itself."""
        if report.skipped:
            self._note(report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Turn a passing run into a failing one."""
        if self._unexpected and session.exitstatus in (
            pytest.ExitCode.OK,
            pytest.ExitCode.NO_TESTS_COLLECTED,
        ):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl
    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """List them."""
        if not self._unexpected:
            return
        terminalreporter.section("unexpected skips", red=True)
        for nodeid, reason in self._unexpected:
            terminalreporter.write_line(f"{nodeid}: {reason}")
        terminalreporter.write_line(f"Allowed are those in {ALLOWED.name}.")

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        longrepr = report.longrepr
        reason = str(longrepr[2] if isinstance(longrepr, tuple) else longrepr)
        if not any(pattern.search(reason) for pattern in self._allowed):
            self._unexpected.append((report.nodeid, reason))


def skip_on_older_kernels(item: pytest.Item) -> None:
    """Skip a test marked ``kernel_since(version, why)`` on an older ipykernel.

    Not by `pytest.mark.skipif`, because some environments have no ipykernel.
    """
    for mark in item.iter_markers("kernel_since"):
        version, why = mark.args
        if _numbers(importlib.metadata.version("ipykernel")) < _numbers(version):
            reason = f"ipykernel before {version}: {why}"
            item.add_marker(pytest.mark.skip(reason=reason))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2])


def strict() -> bool:
    """Whether this run is CI's."""
    return os.environ.get("CI", "").lower() not in ("", "0", "false", "no")


def allowed_reasons(text: str) -> list[re.Pattern[str]]:
    """Read the list of allowed reasons."""
    lines = (line.strip() for line in text.splitlines())
    return [re.compile(line) for line in lines if line and not line.startswith("#")]


def register(config: pytest.Config) -> None:
    """Add the plugin to a run in CI."""
    if strict():
        reasons = allowed_reasons(ALLOWED.read_text(encoding="utf-8"))
        config.pluginmanager.register(UnexpectedSkips(reasons), "unexpected-skips")
