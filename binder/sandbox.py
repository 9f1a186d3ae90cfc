"""A Python script run as on mybinder.org: no root, little memory, a small /dev/shm.

Each limit applies as far as the machine allows, and is printed. Root can apply all of
them on Linux with control groups. For other users only `memory.MemoryWatch` limits the
memory. (``prlimit`` cannot be used: it limits the address space of each process, and
Ray's processes reserve much more than they use.)
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

#: Binder's user has this id.
_USER = 1000
_SHM = "64m"

# Options of setpriv: no groups, and no capabilities inherited from root or a container.
_POWERLESS = [
    "--clear-groups",
    "--inh-caps=-all",
    "--ambient-caps=-all",
    "--bounding-set=-all",
    "--no-new-privs",
]

# Variables that would lead to another Ray, Python or home.
_NOT_KEPT = ("RAY_", "PYTHON", "VIRTUAL_ENV", "JUPYTER", "IPYTHON", "XDG_", "MPL")


def run(arguments: list[str], work: Path, *, memory: int) -> int:
    """Run a script with these arguments, and return its exit code.

    Parameters
    ----------
    arguments
        The script's path and its arguments.
    work
        A folder that the script may write to.
    memory
        The limit for the script and its descendants, in bytes.
    """
    environment = _environment(work)
    if os.geteuid() != 0:
        print(
            f"As user {os.geteuid()}, with the machine's /dev/shm, {_watched(memory)}",
            flush=True,
        )
        return subprocess.run(
            [sys.executable, *arguments], env=environment, check=False
        ).returncode

    subprocess.run(["chown", "--recursive", f"{_USER}:{_USER}", str(work)], check=True)
    drop = ["setpriv", f"--reuid={_USER}", f"--regid={_USER}", *_POWERLESS]
    command = [*drop, _python_for_all(drop), *arguments]
    applied = [f"As user {_USER}"]
    if _may(["unshare", "--mount", "true"]):
        # A mount of its own, which ends with it; the machine's is not changed.
        mount = f"mount -t tmpfs -o size={_SHM},mode=1777 tmpfs /dev/shm"
        shell = ["sh", "-c", f'{mount} && exec "$@"', "sh"]
        command = ["unshare", "--mount", *shell, *command]
        applied.append(f"with a /dev/shm of {_SHM}")
    else:
        applied.append("with the machine's /dev/shm")
    group = _control_group(memory)
    applied.append(
        f"in a control group of {memory / 2**20:.0f} MB" if group else _watched(memory)
    )
    print(", ".join(applied), flush=True)
    if group:
        # A shell joins the group and becomes the command.
        join = f'echo $$ > {group}/cgroup.procs && exec "$@"'
        command = ["sh", "-c", join, "sh", *command]
    try:
        return subprocess.run(command, env=environment, check=False).returncode
    finally:
        if group:
            _remove(group)


def _environment(work: Path) -> dict[str, str]:
    """Return an environment with its own home and without the caller's tools."""
    for folder in ("home", "tmp"):
        (work / folder).mkdir()
    # pip's settings of this machine.
    settings = Path.home() / ".config/pip/pip.conf"
    if settings.is_file():
        (work / "home/.config/pip").mkdir(parents=True)
        shutil.copy(settings, work / "home/.config/pip")
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_NOT_KEPT)
    }
    return {
        **kept,
        "HOME": str(work / "home"),
        "USER": "jovyan",
        "LOGNAME": "jovyan",
        "TMPDIR": str(work / "tmp"),
        # Ray's sockets need a short path, and another user may own /tmp/ray.
        "RAY_TMPDIR": str(work / "tmp"),
        "PYTHONUNBUFFERED": "1",
    }


def _python_for_all(drop: list[str]) -> str:
    """Return a Python that the user may run, preferably of this version."""
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    names = [f"python{version}", "python3.11", "python3"]
    places = [sys.executable, *(f"/usr/bin/{name}" for name in names)]
    places += [f"/usr/local/bin/{name}" for name in names]
    # A Python below a home may start with setpriv and then not find itself.
    again = "import os, sys; os.execv(sys.executable, ['python', *sys.argv[1:]])"
    for place in places:
        if _may([*drop, place, "-c", again, "-c", "import venv, ensurepip"]):
            return place
    raise SystemExit(f"user {_USER} can run none of these Pythons with venv: {places}")


def _may(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _control_group(memory: int) -> Path | None:
    """Make a control group with this limit, version 2 or 1."""
    for place, file in (
        ("/sys/fs/cgroup", "memory.max"),
        ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
    ):
        group = Path(place) / f"rja-{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        # The kernel makes this file only in a control group with this controller.
        if (group / file).exists():
            (group / file).write_text(str(memory))
            return group
        group.rmdir()
    return None


def _remove(group: Path) -> None:
    """Remove a group when the last process in it has ended."""
    deadline = time.monotonic() + 30
    while True:
        try:
            group.rmdir()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


def _watched(memory: int) -> str:
    return f"limited to {memory / 2**20:.0f} MB by a watch over its processes"
