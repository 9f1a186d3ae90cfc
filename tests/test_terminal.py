"""Ctrl-C in a terminal IPython, in a pseudo-terminal."""

from __future__ import annotations

import re
import time

import pytest

from harness import rays

pytest.importorskip("pty", reason="no pseudo-terminals here")

SETUP = f"""%load_ext ray_jupyter_async
import asyncio, time
{rays.RAY_INIT};
hold = ray.remote(num_cpus=0)(lambda: __import__("time").sleep(3600))
print("rea" + "dy")
"""


@pytest.fixture(scope="module")
def terminal():
    from harness.terminal import running_ipython

    with rays.short_folder() as folder, running_ipython(folder) as made:
        for line in SETUP.splitlines():
            told = made.run(line, 60)
        assert "ready" in told
        yield made


def pressed(terminal, awaited):
    """Press Ctrl-C in a top-level await; what was told, and how long it took."""
    begun = "asyncio.get_running_loop().call_later(0.1, print, 'be' + 'gun')"
    terminal.type(f"{begun}; {awaited}\n")
    terminal.wait_for("begun")
    at = terminal.press_ctrl_c()
    told = terminal.wait_for(r"In \[\d+\]: $")
    return told, time.monotonic() - at


def test_ctrl_c_cancels_a_top_level_await_and_returns_to_the_prompt(terminal):
    told, seconds = pressed(terminal, "await asyncio.sleep(3600)")
    assert seconds < 1
    assert "CancelledError: stopped after" in told
    assert "Traceback" not in told


def test_what_was_cancelled_does_not_resume_at_the_next_await(terminal):
    terminal.run("later = []")
    pressed(terminal, "await asyncio.sleep(0.3); later.append('resumed')")
    terminal.run("await asyncio.sleep(0.5)")
    assert "Out" in (told := terminal.run("later"))
    assert "resumed" not in told


def test_the_message_tells_as_text_what_runs_on(terminal):
    told, _ = pressed(terminal, "await hold.remote()")
    assert re.search(r"Awaited for .* s: 1 × ", told)
    assert "Still running: 1 Ray task (1 × " in told
    assert "%ray_cancel --cell" in told
    assert "Ended" in terminal.run("%ray_cancel --force")


def test_ctrl_c_in_blocking_code_of_an_async_cell_is_a_keyboard_interrupt(terminal):
    terminal.type("await asyncio.sleep(0); print('be' + 'gun'); time.sleep(3600)\n")
    terminal.wait_for("begun")
    at = terminal.press_ctrl_c()
    assert "KeyboardInterrupt" in terminal.wait_for(r"In \[\d+\]: $")
    assert time.monotonic() - at < 1


def test_after_the_unload_ctrl_c_is_ipythons_own(terminal):
    terminal.run("%unload_ext ray_jupyter_async")
    try:
        told = terminal.run("import signal; signal.getsignal(signal.SIGINT)")
        assert "default_int_handler" in told
        told = terminal.run("await asyncio.sleep(0, signal.getsignal(signal.SIGINT))")
        assert "default_int_handler" in told
    finally:
        terminal.run("%load_ext ray_jupyter_async")
