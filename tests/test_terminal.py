"""Ctrl-C in a terminal IPython, in a pseudo-terminal."""

from __future__ import annotations

import re
import time

import pytest

from harness import rays

pytest.importorskip("pty", reason="no pseudo-terminals here")

# IPython's first traceback takes long: 0.4 s for 8.18 on an idle machine.
SETUP = f"""%load_ext ray_jupyter_async
import asyncio, time
{rays.RAY_INIT};
hold = ray.remote(num_cpus=0)(lambda: __import__("time").sleep(3600))
print(wrong)
print("rea" + "dy")
"""


@pytest.fixture(scope="module")
def terminal():
    from harness.terminal import running_ipython

    with rays.short_folder() as folder, running_ipython(folder) as made:
        for line in SETUP.splitlines():
            printed = made.run(line, 60)
        assert "ready" in printed
        yield made


def pressed(terminal, awaited):
    """Press Ctrl-C in a top-level await; return what is printed, and the seconds."""
    begun = "asyncio.get_running_loop().call_later(0.1, print, 'be' + 'gun')"
    terminal.type(f"{begun}; {awaited}\n")
    terminal.wait_for("begun")
    at = terminal.press_ctrl_c()
    printed = terminal.wait_for(r"In \[\d+\]: $")
    return printed, time.monotonic() - at


def test_ctrl_c_cancels_a_top_level_await(terminal):
    printed, seconds = pressed(terminal, "await asyncio.sleep(3600)")
    assert seconds < 1
    assert "CancelledError: stopped after" in printed
    assert "Traceback" not in printed


def test_cancelled_await_does_not_resume(terminal):
    terminal.run("later = []")
    pressed(terminal, "await asyncio.sleep(0.3); later.append('resumed')")
    terminal.run("await asyncio.sleep(0.5)")
    assert "Out" in (printed := terminal.run("later"))
    assert "resumed" not in printed


def test_message_names_the_tasks_that_run_on(terminal):
    printed, _ = pressed(terminal, "await hold.remote()")
    assert re.search(r"Awaited for .* s: 1 × ", printed)
    assert "Still running: 1 Ray task (1 × " in printed
    assert "%ray_cancel --cell" in printed
    assert "Ended" in terminal.run("%ray_cancel --force")


def test_ctrl_c_interrupts_blocking_code(terminal):
    terminal.type("await asyncio.sleep(0); print('be' + 'gun'); time.sleep(3600)\n")
    terminal.wait_for("begun")
    at = terminal.press_ctrl_c()
    assert "KeyboardInterrupt" in terminal.wait_for(r"In \[\d+\]: $")
    assert time.monotonic() - at < 1


def test_unload_restores_ipythons_ctrl_c(terminal):
    terminal.run("%unload_ext ray_jupyter_async")
    try:
        printed = terminal.run("import signal; signal.getsignal(signal.SIGINT)")
        assert "default_int_handler" in printed
        printed = terminal.run(
            "await asyncio.sleep(0, signal.getsignal(signal.SIGINT))"
        )
        assert "default_int_handler" in printed
    finally:
        terminal.run("%load_ext ray_jupyter_async")
