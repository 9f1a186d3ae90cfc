"""A local Ray for the tests, and Python scripts that have one to themselves.

Only what starts and ends Ray; what a test asks of it is in the test. Imports
neither Jupyter nor the package under test.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: Arguments of ``ray.init`` in every test. ``address="local"`` never joins a Ray
#: that happens to run on the machine.
INIT_ARGUMENTS: dict[str, Any] = {
    "address": "local",
    "num_cpus": 2,
    "include_dashboard": False,
    "log_to_driver": False,
}


def init_source(**arguments: Any) -> str:
    """Return code of a cell or a script that starts a Ray.

    Its session folder is the one that RAY_TMPDIR names, which the harness sets for
    every process it starts.

    Parameters
    ----------
    **arguments
        Override or extend `INIT_ARGUMENTS`.
    """
    merged = {**INIT_ARGUMENTS, **arguments}
    call = ", ".join(f"{key}={value!r}" for key, value in merged.items())
    modules = "ray" if merged["log_to_driver"] else "ray, harness.lean_ray"
    return f"import {modules}; ray.init({call})"


#: The code of an ordinary start.
RAY_INIT = init_source()

#: Set in this process and in all that the tests start.
ENVIRONMENT = {
    # Newer Rays turn token authentication on by default, warn about it at each
    # init and write a token into the user's home folder.
    "RAY_AUTH_MODE": "disabled",
    # No request leaves the machine.
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray 2.5x-2.6x warns at init of a future change of this default.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "PYTHONUNBUFFERED": "1",
}

# First in the path of all that the tests start: stand-ins for modules that must not
# be found, and this package.
_PATHS = (Path(__file__).parent / "left_out", Path(__file__).parent.parent)

#: Would join a foreign cluster, or change how ours starts.
_FOREIGN = ("RAY_ADDRESS", "RAY_NAMESPACE", "RAY_RUNTIME_ENV", "RAY_TMPDIR")


def set_environment() -> None:
    """Prepare this process's environment; before the first ``import ray``."""
    for name in _FOREIGN:
        os.environ.pop(name, None)
    os.environ.update(ENVIRONMENT)
    paths = [*map(str, _PATHS), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(filter(None, paths)))


def heed_interrupts() -> None:
    """Have this process, and all that it starts, react to SIGINT.

    A shell starts its background jobs with SIGINT ignored, and their children
    inherit that: neither `ray.cancel` nor Stop would do anything then.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextlib.contextmanager
def short_folder() -> Iterator[Path]:
    """Make a fresh folder with a short path; remove it afterwards.

    Ray puts unix sockets below it, whose whole path may have 107 bytes (103 on
    macOS): pytest's ``tmp_path`` and macOS's TMPDIR leave too few of them.
    """
    folder = Path(
        tempfile.mkdtemp(prefix="rja-", dir="/tmp" if os.name == "posix" else None)
    )
    try:
        yield folder
    finally:
        # Ray's processes may still write their last lines.
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def local_ray(**arguments: Any) -> Iterator[Any]:
    """Start a local Ray in this process and shut it down afterwards.

    Parameters
    ----------
    **arguments
        Override or extend `INIT_ARGUMENTS`.

    Yields
    ------
    ray.runtime_context or a Ray context
        What ``ray.init`` returned.
    """
    import ray

    import harness.lean_ray  # noqa: F401

    with short_folder() as folder:
        context = ray.init(**{**INIT_ARGUMENTS, "_temp_dir": str(folder), **arguments})
        try:
            yield context
        finally:
            ray.shutdown()


def free_port() -> int:
    """Return a port of this machine that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def process_environment(
    ray_folder: Path, extra: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the environment of a process with its Ray sessions in `ray_folder`."""
    env = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
    env.update(ENVIRONMENT, RAY_TMPDIR=str(ray_folder))
    env.update(extra or {})
    return env


def run_script(
    code: str,
    *,
    timeout: float = 90.0,
    check: bool = True,
    clean_stderr: bool = False,
    env: Mapping[str, str] | None = None,
    options: tuple[str, ...] = (),
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a Python script in a fresh interpreter, with a Ray folder of its own.

    For what cannot be shown in the tests' own process: ``ray.shutdown()``, a
    second session, ``sys.modules`` after an import, what is written at exit.

    Parameters
    ----------
    code
        The script; common leading blanks are taken off. `RAY_INIT` in a script
        that needs Ray: ``run_script(RAY_INIT + ...)``.
    timeout
        Seconds it may take.
    check
        Fail unless it ends with 0.
    clean_stderr
        Fail when it wrote anything to stderr but Ray's own log lines of its
        start.
    env
        Additional environment variables.
    options
        Options for the interpreter, such as ``("-W", "error")``.
    cwd
        Its working folder; a fresh, empty one when not given, so that the
        package is imported as it is installed.

    Raises
    ------
    AssertionError
        With all that it printed: it failed, wrote to a stderr that should have been
        clean, or did not end in time.
    """
    with short_folder() as folder:
        script = folder / "script.py"
        script.write_text(textwrap.dedent(code), encoding="utf-8")
        try:
            done = subprocess.run(
                [sys.executable, *options, str(script)],
                capture_output=True,
                text=True,
                encoding="utf-8",
                errors="replace",
                timeout=timeout,
                stdin=subprocess.DEVNULL,
                cwd=cwd or folder,
                env=process_environment(folder, env),
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise AssertionError(
                f"the script did not end within {timeout:g} s\n{_output_of(error)}"
            ) from None
    if check:
        assert done.returncode == 0, f"exit code {done.returncode}\n{_output_of(done)}"
    if clean_stderr:
        rest = [line for line in done.stderr.splitlines() if not _is_ray_start(line)]
        assert not rest, f"stderr is not clean\n{_output_of(done)}"
    return done


def _output_of(
    process: subprocess.CompletedProcess[str] | subprocess.TimeoutExpired,
) -> str:
    def text(output: str | bytes | None) -> str:
        if isinstance(output, bytes):
            output = output.decode("utf-8", "replace")
        return output or ""

    return f"--- stdout\n{text(process.stdout)}\n--- stderr\n{text(process.stderr)}"


def _is_ray_start(line: str) -> bool:
    """Whether this is an INFO line that Ray writes to stderr as it starts."""
    return not line.strip() or re.search(r"\sINFO worker\.py:", line) is not None
