"""Blocking calls of Ray look for signals ten times a second, in this process alone."""

from __future__ import annotations

import os
import threading

import pytest

from harness.rays import RAY_INIT, run_script
from ray_jupyter_async._ray_api.hooks import signal_checks
from ray_jupyter_async._ray_api.hooks.signal_checks import SignalChecks

pytestmark = pytest.mark.skipif(os.name == "nt", reason="sends signals")

# `soon` returns whether a call was interrupted long before Ray's own look, which is a
# second after its start.
SCRIPT = f"""
import os, signal, statistics, threading, time, warnings
import ray
from ray_jupyter_async._ray_api.hooks.signal_checks import SignalChecks

def init(**options):
    {RAY_INIT.replace("ray.init(", "ray.init(**options, ")}

def hold():
    time.sleep(3600)

def started(checks):
    checks.install()
    for thread in threading.enumerate():
        if thread.name == "ray_jupyter_async signals":
            thread.join()  # it looks for the setting

def soon(call=ray.get):
    ref = ray.remote(num_cpus=0)(hold).remote()
    took = []
    for _ in range(3):
        timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        began = time.monotonic()
        try:
            call(ref)
        except KeyboardInterrupt:
            took.append(time.monotonic() - began)
    ray.cancel(ref, force=True)
    return statistics.median(took) < 0.6

checks = SignalChecks()
"""


def said(code, **options):
    return run_script(SCRIPT + code, **options).stdout.split()


def test_later_session_looks_often():
    code = """
started(checks)
print(checks.state)
init()
print(checks.state, soon(), soon(lambda ref: ray.wait([ref])))
ray.shutdown()
init()
print(checks.state, soon())
"""
    assert said(code) == ["unknown", "often", "True", "True", "often", "True"]


def test_connected_session_looks_often_until_it_is_uninstalled():
    code = """
init()
print(soon())
started(checks)
print(checks.state, soon())
checks.uninstall()
print(checks.state, soon())
"""
    assert said(code) == ["False", "often", "True", "seldom", "False"]


def test_workers_inherit_nothing():
    code = """
def names():
    parts = ("check_signal", "get_timeout")
    return [name for name in os.environ if any(part in name for part in parts)]

started(checks)
init()
print(names(), ray.get(ray.remote(num_cpus=0)(names).remote()))
"""
    assert said(code) == ["[]", "[]"]


@pytest.mark.parametrize("how", ["environment", "init"])
def test_setting_of_the_user_stays(how):
    name = signal_checks._name()
    code = f"""
started(checks)
init(**({{}} if {how!r} == "environment" else {{"_system_config": {{{name!r}: 1000}}}}))
print(checks.state, soon())
"""
    env = {f"RAY_{name}": "1000"} if how == "environment" else {}
    assert said(code, env=env) == ["yours", "False"]


def test_ray_without_the_setting_is_left_alone(monkeypatch, ray_session):
    # An unknown name would end this process.
    monkeypatch.setattr(signal_checks, "_NAMES", ("a_setting_that_is_not_there",))
    signal_checks._name.cache_clear()
    checks = SignalChecks()
    try:
        checks.install()
        checks._look_often()
        assert checks.state == "seldom"
    finally:
        checks.uninstall()
        signal_checks._name.cache_clear()


def test_uninstall_waits_for_the_search(ray_session, monkeypatch):
    main, go_on = threading.current_thread(), threading.Event()

    def search():
        if threading.current_thread() is not main:
            go_on.wait(60)

    monkeypatch.setattr(signal_checks, "_name", search)
    checks = SignalChecks()
    checks.install()
    threading.Timer(0.3, go_on.set).start()
    checks.uninstall()
    names = [thread.name for thread in threading.enumerate()]
    assert "ray_jupyter_async signals" not in names


def test_this_ray_has_the_setting():
    assert signal_checks._name() in signal_checks._NAMES
