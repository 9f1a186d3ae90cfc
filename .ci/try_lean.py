"""Check the errors that name missing packages, where only Ray and the wheel are.

Run by ``.ci/try-package``.
"""

from typing import TYPE_CHECKING, Any, cast

import ray_jupyter_async

if TYPE_CHECKING:
    from collections.abc import Callable


def main() -> None:
    """Use each feature that needs a missing package, and read its error."""

    def enter() -> None:
        with ray_jupyter_async.terminal_progress():
            pass

    def load() -> None:
        ray_jupyter_async.load_ipython_extension(cast("Any", None))

    _expect(load, "%load_ext", '"ipython>=', '"ipywidgets>=', '"anywidget>=')
    _expect(ray_jupyter_async.progress, "progress()", '"ipython>=', '"ipywidgets>=')
    _expect(ray_jupyter_async.take_retried, "take_retried()", '"ipython>=')
    _expect(enter, "terminal_progress()", 'Run: pip install "rich>=')
    print("Without Jupyter, each feature names the packages that it needs.")


def _expect(use: "Callable[[], object]", *parts: str) -> None:
    """Check that `use` raises an ImportError with these parts in its message."""
    message = ""
    try:
        use()
    except ImportError as error:
        message = str(error)
    assert all(part in message for part in parts), f"no ImportError: {message!r}"


if __name__ == "__main__":
    main()
