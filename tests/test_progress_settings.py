"""What a person can set about the display, in real cells on a real Ray."""

from __future__ import annotations

import pytest

from harness.progress_cells import gated, prepared, static, wait_for_widget


@pytest.fixture(scope="module")
def ready(kernel):
    return prepared(kernel)


@pytest.fixture
def cells(ready):
    with gated(ready) as between:
        yield between


def test_nothing_is_shown_when_progress_is_off(cells):
    path, touch = cells.gates.new()
    cells.ok('%config RayAsync.progress = "off"')
    try:
        result = cells.submit(
            f"ref = hold.remote({path})\n"
            "waited = await asyncio.wait([asyncio.ensure_future(ref)], timeout=1.2)\n"
            "print('waited', flush=True)\n"
            "value = await ref; del ref, waited"
        )
        cells.poll(lambda: result.stdout)
        touch()
        cells.wait(result)
        assert [output.kind for output in result.outputs] == ["stream"]
    finally:
        cells.ok('%config RayAsync.progress = "auto"')


def test_progress_is_shown_when_asked_for_although_off(cells):
    path, touch = cells.gates.new()
    cells.ok('%config RayAsync.progress = "off"')
    try:
        result = cells.submit(
            f"refs = [hold.remote({path})]; progress(refs); ray.get(refs); del refs"
        )
        wait_for_widget(cells, pending=1)
        touch()
        assert static(cells.wait(result)).startswith("hold  1/1")
    finally:
        cells.ok('%config RayAsync.progress = "auto"')


def test_a_shorter_delay_is_respected(cells):
    cells.ok("%config RayAsync.progress_delay = 0.0")
    path, touch = cells.gates.new()
    try:
        result = cells.submit(
            f"ref = hold.remote({path})\n"
            "print(time.monotonic(), flush=True)\nawait ref; del ref"
        )
        wait_for_widget(cells, pending=1)
        touch()
        cells.wait(result)
    finally:
        cells.ok("%config RayAsync.progress_delay = 0.5")
    (at,) = [m["received"] for m in result.messages if m["msg_type"] == "display_data"]
    assert at - float(result.stdout) < 0.5


def test_a_wrong_setting_is_refused_with_the_right_ones(cells):
    # IPython's %config tells such an error on stderr, and the cell ends well.
    told = cells.run('%config RayAsync.progress = "on"').stderr
    assert "'progress'" in told
    assert "['auto', 'off']" in told
    assert cells.ok("%config RayAsync.progress").value == "'auto'"
    # And keeps the wrong value in its own configuration.
    told = cells.ok("%reload_ext ray_jupyter_async").stdout
    assert "uses RayAsync.progress = 'auto', its default" in told
    assert "['auto', 'off']" in told
    assert "progress='auto'" in cells.ok("%ray_async").stdout
    cells.ok('%config RayAsync.progress = "auto"')
    assert not cells.ok("%reload_ext ray_jupyter_async").stdout


def test_a_setting_stays_set_over_a_reload(cells):
    cells.ok('%config RayAsync.progress = "off"')
    assert "progress='off'" in cells.ok("%ray_async").stdout
    cells.ok("%reload_ext ray_jupyter_async")
    assert "progress='off'" in cells.ok("%ray_async").stdout
    cells.ok('%config RayAsync.progress = "auto"')
    assert "progress='auto'" in cells.ok("%ray_async").stdout
