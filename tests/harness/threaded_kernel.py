"""A kernel that does not run in the main thread, as where one is embedded.

A program: ``python -m harness.threaded_kernel -f CONNECTION_FILE``.
"""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from ipykernel.kernelapp import IPKernelApp


class ThreadedKernelApp(IPKernelApp):
    """The usual application but for what the main thread alone may do."""

    def init_signal(self) -> None:
        """Leave signals alone."""


def _run() -> None:
    asyncio.set_event_loop(asyncio.new_event_loop())
    app: Any = ThreadedKernelApp.instance()
    app.initialize()
    app.start()


if __name__ == "__main__":
    thread = threading.Thread(target=_run, name="kernel")
    thread.start()
    thread.join()
