"""Stop beside others that look at signals, or stand in the way: debuggers, GUIs."""

from __future__ import annotations

import os
import random
import time

import ipykernel
import pytest

from harness import rays
from harness.polling import poll

pytestmark = pytest.mark.skipif(os.name == "nt", reason="sends SIGINT")

SETUP = """
%load_ext ray_jupyter_async
import asyncio, signal, time
"""
WHEN_IDLE = "asyncio.get_running_loop().call_later(0.1, print, 'begun')\n"

# What an interrupt makes of them.
CELLS = {
    f"{WHEN_IDLE}await asyncio.sleep(60)": "CancelledError",
    "await asyncio.sleep(0); print('begun')\nwhile True: pass": "KeyboardInterrupt",
    "print('begun'); time.sleep(60)": "KeyboardInterrupt",
}


@pytest.fixture(scope="module")
def ready(kernel):
    kernel.ok(SETUP)
    return kernel


def begun(kernel, code):
    result = kernel.submit(code)
    kernel.poll(lambda: "begun\n" in result.stdout, of=result)
    return result


def stopped(kernel, code):
    """Interrupt a cell that has begun; give what it ends with."""
    result = begun(kernel, code)
    kernel.interrupt()
    return kernel.wait(result, 20).ename


# `signal.set_wakeup_fd` and signal handlers of a cell's own.

WAKEUP_FD = """
import socket
theirs = socket.socketpair()
for end in theirs: end.setblocking(False)
before = signal.set_wakeup_fd(theirs[0].fileno(), warn_on_full_buffer=False)
"""


@pytest.mark.parametrize(
    ("code", "raised"), CELLS.items(), ids=["await", "busy", "block"]
)
def test_a_wakeup_fd_is_kept_and_gets_its_bytes(ready, code, raised):
    # An event loop that has signal handlers of its own relies on it.
    ready.ok(WAKEUP_FD)
    try:
        assert stopped(ready, code) == raised
        told = ready.ok("set(theirs[1].recv(100)) == {signal.SIGINT}").value
    finally:
        kept = ready.ok("signal.set_wakeup_fd(before) == theirs[0].fileno()").value
        ready.ok("for end in theirs: end.close()")
    assert (told, kept) == ("True", "True")


def test_a_cell_with_a_handler_of_its_own_gets_the_interrupt(ready):
    code = """
pressed = asyncio.Event()
loop = asyncio.get_running_loop()
loop.add_signal_handler(signal.SIGINT, pressed.set)
print("begun")
await pressed.wait()
loop.remove_signal_handler(signal.SIGINT)
"""
    result = begun(ready, code)
    ready.interrupt()
    assert ready.wait(result, 5).status == "ok"
    code = WHEN_IDLE + "await asyncio.sleep(60)"
    assert stopped(ready, code) == "CancelledError"


# `%gui`.


def test_gui_asyncio_changes_nothing(ready):
    ready.ok("%gui asyncio")
    for code, raised in CELLS.items():
        assert stopped(ready, code) == raised
    ready.ok("get_ipython().kernel.eventloop = None")


# As ipykernel asks of a toolkit's loop: it yields every `_poll_interval` seconds.
TOOLKIT = """
from ipykernel import eventloops

@eventloops.register_integration("toolkit")
def toolkit(kernel):
    turns.append(1)
    time.sleep(kernel._poll_interval)

turns = []
"""


@pytest.mark.skipif(
    ipykernel.version_info[:2] == (7, 0),
    reason="ipykernel 7.0 never runs the loop of a GUI toolkit",
)
def test_cells_beside_the_loop_of_a_gui_toolkit_are_interrupted(ready):
    ready.ok(TOOLKIT)
    ready.ok("%gui toolkit")
    try:
        for code, raised in CELLS.items():
            assert stopped(ready, code) == raised
            ready.interrupt()  # the toolkit's loop alone is running
            turns = int(ready.ok("len(turns)").value)
            poll(lambda turns=turns: int(ready.ok("len(turns)").value) > turns)
    finally:
        ready.ok("get_ipython().kernel.eventloop = None")


# A kernel in another thread than the main one.


@pytest.mark.skipif(
    ipykernel.version_info[:2] == (7, 0),
    reason="ipykernel 7.0 does not start outside the main thread",
)
def test_in_a_kernel_outside_the_main_thread_nothing_is_done(start_kernel):
    kernel = start_kernel(module="harness.threaded_kernel")
    looks = (
        "import signal, threading, asyncio\n"
        "print(threading.current_thread() is threading.main_thread(),"
        " signal.getsignal(signal.SIGINT).__qualname__,"
        " [name for name in vars(get_ipython().kernel) if 'handler_hook' in name],"
        " any('interrupts' in thread.name for thread in threading.enumerate()))"
    )
    before = kernel.ok(looks).stdout
    assert before == "False default_int_handler [] False\n"
    kernel.ok("%load_ext ray_jupyter_async")
    told = kernel.ok("%ray_async").stdout
    assert "Stop          as in ipykernel: this kernel does not run in the main" in told
    # A cell that awaits cannot run there: ipykernel (7.4) asks for a signal handler.
    assert kernel.ok(looks).stdout == before
    kernel.ok("%unload_ext ray_jupyter_async")
    assert kernel.ok(looks).stdout == before


# A debugger, attached as JupyterLab does.


class Debugger:
    """The client side of ipykernel's debugger."""

    def __init__(self, kernel):
        self._kernel = kernel
        self._requests = 0
        self.ask(
            "initialize",
            clientID="tests",
            adapterID="python",
            pathFormat="path",
            linesStartAt1=True,
            columnsStartAt1=True,
        )
        self.ask("attach")

    def ask(self, command, **arguments):
        """Send one request and give the body of its reply."""
        self._requests += 1
        reply = self._kernel.control(
            "debug_request",
            {
                "type": "request",
                "seq": self._requests,
                "command": command,
                "arguments": arguments,
            },
        )
        assert reply["success"], reply
        return reply.get("body")

    def stop_at(self, code, line):
        """Set the one breakpoint of a cell."""
        path = self.ask("dumpCell", code=code)["sourcePath"]
        self.ask(
            "setBreakpoints",
            source={"path": path},
            breakpoints=[{"line": line}],
            sourceModified=False,
        )
        self.ask("configurationDone")

    def stopped_threads(self):
        return self.ask("debugInfo")["stoppedThreads"]

    def run_to_breakpoint(self, code):
        self.stop_at(code, line=3)
        result = self._kernel.submit(code)
        poll(self.stopped_threads, what="the breakpoint")
        return result


@pytest.fixture(scope="module")
def debugger(ready):
    made = Debugger(ready)
    yield made
    made.ask("disconnect", restart=False, terminateDebuggee=False)


@pytest.mark.parametrize("first", ["1", "await asyncio.sleep(0)"])
def test_stop_at_a_breakpoint_ends_the_cell_and_breakpoints_still_work(
    debugger, ready, first
):
    code = f"{first}\nx = 1\nx = 2\nx"
    for _ in range(2):
        result = debugger.run_to_breakpoint(code)
        ready.interrupt()
        assert ready.wait(result, 10).ename == "KeyboardInterrupt"
        assert debugger.stopped_threads() == []
    result = debugger.run_to_breakpoint(code)
    debugger.ask("continue", threadId=debugger.stopped_threads()[0])
    assert ready.wait(result, 10).value == "2"


def test_stop_at_any_moment_around_a_breakpoint_ends_the_cell(debugger, ready):
    # At some moments the debugger handles a command; at others, a thread of the package
    # that it suspended would hold a lock.
    chance = random.Random(1)
    for _ in range(60):
        first = chance.choice(["1", "await asyncio.sleep(0)"])
        code = f"{first}; print('begun')\nx = 1\nx = 2\nx"
        debugger.stop_at(code, line=3)
        result = begun(ready, code)
        time.sleep(chance.random() * 0.03)
        ready.interrupt()
        ended_by = ready.wait(result, 10).ename
        assert ended_by in ("KeyboardInterrupt", "CancelledError")
        assert debugger.stopped_threads() == []
    result = debugger.run_to_breakpoint(code)
    debugger.ask("continue", threadId=debugger.stopped_threads()[0])
    assert ready.wait(result, 10).value == "2"


# As debugpy does with each command at a breakpoint, by the name of its module.
COMMAND = """
import time
def do_it():
    try:
        print("begun")
        until = time.monotonic() + 0.3
        while time.monotonic() < until: pass
    except BaseException: pass
"""


def test_a_command_of_the_debugger_does_not_drop_an_interrupt(ready):
    ready.ok(
        f"command = {{'__name__': '_pydevd_bundle.x'}}\nexec({COMMAND!r}, command)"
    )
    code = "command['do_it']()\nwhile time.sleep(0.01) is None: pass"
    assert stopped(ready, code) == "KeyboardInterrupt"


def test_the_display_stays_live_at_a_breakpoint(debugger, ready):
    ready.ok(f"{rays.RAY_INIT}\nimport os\nfrom ray_jupyter_async import progress")
    path = ready.folder / "go on"
    code = (
        "@ray.remote\n"
        "def hold(path):\n"
        "    while not os.path.exists(path): time.sleep(0.01)\n"
        f"refs = [hold.remote({str(path)!r})]\nprogress(refs)\n"
        "x = 1\nx"
    )
    debugger.stop_at(code, line=6)
    result = ready.submit(code)
    poll(debugger.stopped_threads, what="the breakpoint")
    path.touch()
    ready.poll(lambda: said(ready, "1 of 1 ref done"), what="the end, live")
    debugger.ask("continue", threadId=debugger.stopped_threads()[0])
    assert ready.wait(result, 10).value == "1"


def said(kernel, words):
    """Whether a display of the kernel has said this."""
    return any(
        words in str(message["content"].get("data", {}))
        for comm in kernel.comms.values()
        for message in comm.messages
    )


def test_with_a_debugger_attached_cells_are_interrupted(debugger, ready):
    for code, raised in CELLS.items():
        assert stopped(ready, code) == raised
