"""Optional packages: the check for them, and the error that names what is missing."""

from __future__ import annotations

from importlib.metadata import requires
from importlib.util import find_spec


def require(feature: str, *modules: str) -> None:
    """Raise an error that names the packages of `modules` that are not installed.

    Each module's package has its name, up to case. Nothing is imported.

    Raises
    ------
    ImportError
        With the pip command that installs the missing packages.
    """
    missing = [module.lower() for module in modules if find_spec(module) is None]
    if not missing:
        return
    declared = {
        line.split(">=")[0]: line for line in requires("ray-jupyter-async") or ()
    }
    wanted = " ".join(f'"{declared.get(name, name)}"' for name in missing)
    raise ImportError(
        f"{feature} needs {', '.join(missing)}, not installed here. "
        f"Run: pip install {wanted}",
        name=missing[0],
    )


def require_notebook(feature: str) -> None:
    """Raise an error unless what a notebook needs is installed."""
    require(feature, "IPython", "ipywidgets", "anywidget")
