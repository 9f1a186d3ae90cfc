"""Missing packages: the error that names them."""

from __future__ import annotations

import pytest

from ray_jupyter_async import _requirements


@pytest.fixture
def without(monkeypatch):
    """Hide these modules from the check."""

    def hide(*names):
        found = _requirements.find_spec
        monkeypatch.setattr(
            _requirements,
            "find_spec",
            lambda name: None if name in names else found(name),
        )

    return hide


def test_missing_packages_are_named_with_their_pip_command(without):
    without("IPython", "anywidget")
    with pytest.raises(ImportError, match=r"^feature needs ipython, anywidget") as info:
        _requirements.require_notebook("feature")
    assert '"ipython>=' in str(info.value)
    assert '"anywidget>=' in str(info.value)
    assert "ipywidgets" not in str(info.value)
    assert info.value.name == "ipython"


def test_installed_packages_raise_nothing():
    _requirements.require_notebook("feature")
