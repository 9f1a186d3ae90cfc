"""The Ray of the demo notebooks: small, silent, and the same on every machine.

The notebooks run on laptops and on mybinder.org: one CPU, 2 GB of memory and
64 MB of `/dev/shm`, behind a proxy. What they need for that is here, and only here::

    import demo_cluster
    ray.init(**demo_cluster.SMALL)

Importing this module also sees to a bare `ray.init()`, such as in code of 2019.
It sets environment variables, unless they are set, in this process and those that
it starts; nothing else of the machine changes. Run as a program, it prints them for
a shell, as `binder/start` does.
"""

import json
import logging
import os
import shlex
from typing import Any

#: Arguments of `ray.init`.
SMALL: dict[str, Any] = {
    # Another Ray on this machine is left alone.
    "address": "local",
    # Ray rounds a container's quota of CPUs down: less than one would be none,
    # and no task would ever start.
    "num_cpus": 2,
    # In bytes; Ray takes no less than 78,643,200.
    "object_store_memory": 80_000_000,
    "include_dashboard": False,
    # What tasks print stays in Ray's logs.
    "log_to_driver": False,
}

_ENVIRONMENT = {
    # The same for a bare `ray.init()`.
    "RAY_ADDRESS": SMALL["address"],
    "RAY_OVERRIDE_RESOURCES": json.dumps(
        {
            "CPU": SMALL["num_cpus"],
            "object_store_memory": SMALL["object_store_memory"],
        }
    ),
    # Nothing is sent to anybody.
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray gives up a node that does not start within 30 s, which a busy machine may
    # need; with this, its first look at the node waits so long (seconds). Not much
    # longer: a raylet that has ended is waited for, too.
    "RAY_raylet_start_wait_time_s": "60",
    # Ray 2.5x-2.6x otherwise warns of a future default that is about GPUs.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}

# Lines at each start of which a reader can make nothing: that Ray has made itself a
# token (Ray 2.60; it keeps strangers out, and stays on), that its node is not there
# yet, and that objects are in /tmp where /dev/shm is small.
_TOO_LOUD = (
    "ray._private.authentication.authentication_token_setup",
    "ray._private.node",
    "ray._private.services",
)

for _name, _value in _ENVIRONMENT.items():
    os.environ.setdefault(_name, _value)
for _name in _TOO_LOUD:
    logging.getLogger(_name).setLevel(logging.ERROR)

if __name__ == "__main__":
    for _name in _ENVIRONMENT:
        print(f"export {_name}={shlex.quote(os.environ[_name])}")
