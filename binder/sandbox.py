"""A Python script run as on mybinder.org: no root, little memory, a small /dev/shm.

Each of these as far as the machine allows, and told: root can do all of them on
Linux with control groups; others run as they are, and only `memory.MemoryWatch`
holds the limit. (``prlimit`` is of no use: what it can limit is the address space
of each process, and Ray's are large and hardly used.)
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

# Of setpriv: no group, and no capability that root, or a container, has handed down.
_POWERLESS = [
    "--clear-groups",
    "--inh-caps=-all",
    "--ambient-caps=-all",
    "--bounding-set=-all",
    "--no-new-privs",
]

# Of the caller's environment: what would find another Ray, Python or home.
_NOT_KEPT = ("RAY_", "PYTHON", "VIRTUAL_ENV", "JUPYTER", "IPYTHON", "XDG_", "MPL")


def run(arguments: list[str], work: Path, *, memory: int) -> int:
    """Run a script with these arguments, and give its exit code.

    Parameters
    ----------
    arguments
        The script's path and its arguments.
    work
        A folder of the script's own, which it may write to.
    memory
        How much it may take with all that it starts, in bytes.
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
    told = [f"As user {_USER}"]
    if _may(["unshare", "--mount", "true"]):
        # Its own, which ends with it; the machine's stays as it is.
        mount = f"mount -t tmpfs -o size={_SHM},mode=1777 tmpfs /dev/shm"
        shell = ["sh", "-c", f'{mount} && exec "$@"', "sh"]
        command = ["unshare", "--mount", *shell, *command]
        told.append(f"with a /dev/shm of {_SHM}")
    else:
        told.append("with the machine's /dev/shm")
    group = _control_group(memory)
    told.append(
        f"in a control group of {memory / 2**20:.0f} MB" if group else _watched(memory)
    )
    print(", ".join(told), flush=True)
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
    """Give an environment with a home, and no word of the caller's tools."""
    for folder in ("home", "tmp"):
        (work / folder).mkdir()
    # How this machine finds packages.
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
        # Ray's sockets want a short path, and other users may own /tmp/ray.
        "RAY_TMPDIR": str(work / "tmp"),
        "PYTHONUNBUFFERED": "1",
    }


def _python_for_all(drop: list[str]) -> str:
    """Give a Python that the user may run, best of this version."""
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    names = [f"python{version}", "python3.11", "python3"]
    places = [sys.executable, *(f"/usr/bin/{name}" for name in names)]
    places += [f"/usr/local/bin/{name}" for name in names]
    # One below somebody's home may start by setpriv, and then not find itself.
    again = "import os, sys; os.execv(sys.executable, ['python', *sys.argv[1:]])"
    for place in places:
        if _may([*drop, place, "-c", again, "-c", "import venv, ensurepip"]):
            return place
    raise SystemExit(f"user {_USER} may run no Python with venv, of {places}")


def _may(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _control_group(memory: int) -> Path | None:
    """Make a group with this limit, by version 2 of the kernel's interface or 1."""
    for place, file in (
        ("/sys/fs/cgroup", "memory.max"),
        ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
    ):
        group = Path(place) / f"rja-{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        # In a folder that is no control group, or one without this controller, the
        # kernel has put no such file.
        if (group / file).exists():
            (group / file).write_text(str(memory))
            return group
        group.rmdir()
    return None


def _remove(group: Path) -> None:
    """Remove a group, once the last process in it has ended."""
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
    return f"held to {memory / 2**20:.0f} MB by a watch over its processes"
