"""Importing this has ``ray.init`` start only the processes that tests use.

Ray also starts an autoscaler's monitor, the forwarder of workers' logs and, even with
``include_dashboard=False``, an API server: with them a start costs 4.0 s of CPU
instead of 2.4, and with its shutdown takes 6.5 s instead of 3.6 (Ray 2.60). The
notebooks and the documented examples run on a Ray that has them all.
"""

from __future__ import annotations

from typing import Any

from ray._private.node import Node


def _start_nothing(self: Any, **_arguments: Any) -> None:
    # What `start_api_server` sets to its address.
    self._webui_url = ""


_Node: Any = Node
_Node.start_monitor = _start_nothing
_Node.start_log_monitor = _start_nothing
_Node.start_api_server = _start_nothing
