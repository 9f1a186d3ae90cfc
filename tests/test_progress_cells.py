"""The live widget of real cells on a real Ray: when it shows, and what.

What it sends and answers is in ``test_progress_widget.py``, the front end's part in
``test_browser.py``, what can be set in ``test_progress_settings.py``; what a cell's
counts are when Ray is not asked, in ``test_tracker.py``.
"""

from __future__ import annotations

import textwrap

import pytest

from harness.polling import poll
from harness.progress_cells import (
    WIDGET,
    gated,
    lines_of,
    prepared,
    shown,
    static,
    wait_for_widget,
)
from ray_jupyter_async._ray_api.objects import HAS_ON_READY

ANSWERS = pytest.mark.kernel_since(
    "7.4", "it reads a page's messages on the main shell after the cell"
)
SUBSHELLS = pytest.mark.kernel_since("7.0", "it has no subshells")
LATE = pytest.mark.kernel_since("7.0", "no output reaches a cell that has ended")


@pytest.fixture(scope="module")
def ready(kernel):
    return prepared(kernel)


@pytest.fixture
def cells(ready):
    with gated(ready) as between:
        yield between


def test_a_quick_cell_shows_nothing(cells):
    result = cells.ok(
        "refs = [ray.put(i) for i in range(100)]\n"
        "values = await asyncio.gather(*refs)\n"
        "del refs, values"
    )
    assert result.outputs == []
    assert not [m for m in result.messages if m["msg_type"].startswith("comm_")]


def test_a_cell_shows_progress_when_it_has_waited_for_half_a_second(cells):
    path, touch = cells.gates.new()
    result = cells.submit(
        f"print(time.monotonic(), flush=True)\nawait hold.remote({path})"
    )
    wait_for_widget(cells, pending=1)
    touch()
    cells.wait(result)
    began = float(result.stdout)
    (at,) = [m["received"] for m in result.messages if m["msg_type"] == "display_data"]
    assert at - began >= 0.5


def test_counts_change_while_the_cell_awaits(cells):
    (one, touch_one), (rest, touch_rest) = cells.gates.new(), cells.gates.new()
    result = cells.submit(
        f"paths = [{one}, {one}, {rest}, {rest}, {rest}]\n"
        "await asyncio.gather(*[hold.remote(path) for path in paths]);"
    )
    widget = wait_for_widget(cells, total=5, pending=5, resolved=0)
    assert widget.state["state"]["running"]
    touch_one()
    assert wait_for_widget(cells, pending=3, resolved=2) is widget
    assert not result.done
    touch_rest()
    assert static(cells.wait(result)).startswith("hold  5/5  ")


def test_counts_change_while_the_cell_is_blocked_in_get(cells):
    (one, touch_one), (rest, touch_rest) = cells.gates.new(), cells.gates.new()
    result = cells.submit(
        f"refs = [hold.remote({one}), hold.remote({rest}), hold.remote({rest})]\n"
        "progress(refs)\n"
        "values = ray.get(refs)\n"
        "del refs"
    )
    widget = wait_for_widget(cells, total=3, pending=3)
    touch_one()
    assert wait_for_widget(cells, pending=2, ready=1) is widget
    assert not result.done
    touch_rest()
    assert static(cells.wait(result)).startswith("hold  3/3  ")


def test_elapsed_time_moves_on_although_nothing_changes(cells):
    path, touch = cells.gates.new()
    result = cells.submit(f"await hold.remote({path})")
    widget = wait_for_widget(cells, pending=1)
    first = lines_of(widget)["hold"]["elapsed_s"]
    cells.poll(lambda: lines_of(widget)["hold"]["elapsed_s"] >= first + 1)
    touch()
    cells.wait(result)


def test_failed_and_cancelled_refs_are_counted(cells):
    (one, touch_one), (rest, touch_rest) = cells.gates.new(), cells.gates.new()
    result = cells.submit(
        f"bad = hold.remote({one}, ValueError('no'))\n"
        f"good, left = hold.remote({rest}), hold.remote({rest})\n"
        "waiting = [asyncio.ensure_future(wait) for wait in (bad, good, left)]\n"
        "while not waiting[0].done(): await asyncio.sleep(0.02)\n"
        "ray.cancel(left)\n"
        "results = await asyncio.gather(*waiting, return_exceptions=True)\n"
        "del bad, good, left, waiting, results"
    )
    wait_for_widget(cells, total=3, pending=3)
    touch_one()
    widget = wait_for_widget(cells, pending=1, failed=1, cancelled=1)
    notes = [text for _, text in lines_of(widget)["hold"]["notes"]]
    assert notes[:2] == ["1 failed (ValueError)", "1 cancelled"]
    touch_rest()
    text = static(cells.wait(result))
    assert text.startswith("hold  1/3  ")
    assert text.endswith("  1 failed (ValueError), 1 cancelled")


@pytest.mark.parametrize(
    "code",
    [
        "done, rest = await ray_jupyter_async.wait({refs}, timeout=0.9)",
        "done, rest = ray.wait({refs}, timeout=0.9)",
        (
            "refs = {refs}; rest = []\n"
            "waiting = [asyncio.wait_for(ref, 0.9) for ref in refs]\n"
            "await asyncio.gather(*waiting, return_exceptions=True); del refs, waiting"
        ),
    ],
    ids=["wait", "ray.wait", "wait_for"],
)
@pytest.mark.parametrize("submitted", ["here", "before"])
def test_a_task_runs_on_in_its_cell_when_its_await_was_given_up(cells, code, submitted):
    (one, touch_one), (two, touch_two) = cells.gates.new(), cells.gates.new()
    refs = f"[hold.remote({one}), hold.remote({two})]"
    if submitted == "before":
        cells.ok(f"before = {refs}")
        refs = "before"
    result = cells.ok(f"import ray_jupyter_async\n{code.format(refs=refs)}")
    widget = wait_for_widget(cells, total=2, pending=2, cancelled=0)
    touch_one()
    assert wait_for_widget(cells, pending=1, ready=1, cancelled=0) is widget
    touch_two()
    poll(lambda: not shown(cells), what="the display to end")
    assert static(result).startswith("hold  2/2  ")
    cells.ok("before = rest = None")


def test_what_is_saved_with_a_cell_says_how_it_ended_though_tasks_run_on(cells):
    (one, touch_one), (two, _) = cells.gates.new(), cells.gates.new()
    result = cells.submit(f"rest = hold.remote({two})\nawait hold.remote({one})")
    widget = wait_for_widget(cells, pending=2)
    touch_one()
    cells.wait(result)
    (output,) = result.displays
    assert WIDGET in output.data
    assert output.text.startswith("hold  1/2  ")
    assert ">1/2</td>" in output.data["text/html"]
    assert shown(cells) == [widget]
    cells.ok("ray.cancel(rest); del rest")


@SUBSHELLS
def test_a_widget_that_a_page_shows_is_not_made_anew_as_its_cell_ends(cells):
    (one, touch_one), (two, touch_two) = cells.gates.new(), cells.gates.new()
    result = cells.submit(f"rest = hold.remote({two})\nawait hold.remote({one})")
    widget = wait_for_widget(cells, pending=2)
    said = click(cells, widget, "renew")
    assert said == ""
    touch_one()
    cells.wait(result)
    assert wait_for_widget(cells, pending=1) is widget
    made = [m for m in result.messages if m["msg_type"] == "update_display_data"]
    assert made == []
    touch_two()
    poll(lambda: not shown(cells), what="the display to end")
    assert static(result).startswith("hold  2/2  ")
    cells.ok("del rest")


def test_a_stopped_cell_shows_what_runs_on_until_that_has_ended(cells):
    path, touch = cells.gates.new()
    result = cells.submit(f"await asyncio.gather(*[hold.remote({path})] * 2)")
    widget = wait_for_widget(cells, pending=1)
    cells.interrupt()
    cells.wait(result)
    assert "Still running: 1 Ray task (1 × hold)" in result.traceback
    cells.poll(lambda: lines_of(widget)["hold"]["running"] == 1)
    assert wait_for_widget(cells, pending=1, cancelled=0) is widget
    touch()
    poll(lambda: not shown(cells), what="the display to end")
    # Nothing holds the ref: how it ended is known once Ray reports its task.
    cells.poll(lambda: result.displays[0].text.startswith("hold  1/1  "), of=result)


def test_running_task_cancelled_with_its_await_is_unknown(cells):
    (path, _), (seen, touch_seen) = cells.gates.new(), cells.gates.new()
    result = cells.submit(
        "import ray_jupyter_async\n"
        f"tasks = [hold.remote({path}) for _ in range(3)]\n"
        "waiting = ray_jupyter_async.gather(tasks, cancel_task=True)\n"
        "del tasks\n"
        f"while not os.path.exists({seen}): await asyncio.sleep(0.01)\n"
        "waiting.cancel(); del waiting"
    )
    wait_for_widget(cells, pending=3, running=3)
    touch_seen()
    cells.wait(result)
    poll(lambda: not shown(cells), what="the display to end")
    # Without the refs, Ray does not say whether they returned a value all the same.
    assert static(result).endswith("  3 ended, outcome unknown")


@SUBSHELLS
def test_failed_tasks_are_submitted_again_by_a_click(cells):
    (there, touch), (rest, touch_rest) = cells.gates.new(), cells.gates.new()
    result = cells.submit(
        "@ray.remote(num_cpus=0, max_retries=0)\n"
        "def need(path, value):\n"
        "    assert os.path.exists(path), value\n"
        "    return value\n"
        f"refs = [need.remote({there}, value) for value in (1, 2, [3])]\n"
        "await asyncio.gather(*refs, return_exceptions=True)\n"
        # Nothing but the display's own threads can answer a click.
        f"ray.get(hold.remote({rest}))"
    )

    def look(name, **counts):
        for widget in shown(cells):
            line = lines_of(widget).get(name)
            if line and all(line[key] == count for key, count in counts.items()):
                return widget
        return None

    widget = cells.poll(lambda: look("need", failed=3, retry=2))
    touch()
    said = click(cells, widget, "retry", line="need")
    assert said == (
        "2 submitted again; "
        "not 1: arguments that are not kept: only small plain values are"
    )
    cells.poll(lambda: look("need (retry)", ready=2, pending=0, retry=0))
    assert look("need", failed=3, retry=0) is widget
    assert not result.done
    assert set(widget.parents) == {result.msg_id}
    touch_rest()
    text = static(cells.wait(result))
    assert [line.split()[:3] for line in text.splitlines()][1:] == [
        ["hold", "1/1", text.splitlines()[1].split()[2]],
        ["need", "(retry)", "2/2"],
    ]
    # The new refs are reachable, once.
    took = cells.ok(
        "from ray_jupyter_async import take_retried\n"
        "again = take_retried()\n"
        "print(ray.get(again), take_retried())\n"
        "del again, refs"
    )
    assert took.stdout == "[1, 2] []\n"


def click(kernel, widget, what, **fields):
    """Ask for something as a front end does; give what the answer says."""
    content = {"do": what, "request": "1", "view": "view", **fields}
    subshell = kernel.subshell()
    kernel.send_comm(
        widget.comm_id, {"method": "custom", "content": content}, subshell=subshell
    )

    def answer():
        return [sent for sent, _ in widget.custom if sent.get("answer") == "1"]

    (sent,) = kernel.poll(answer, what=f"an answer to {what}")
    if subshell:
        kernel.control("delete_subshell_request", {"subshell_id": subshell})
    return sent["said"]


def test_a_cell_that_ends_with_an_error_still_shows_its_counts(cells):
    path, touch = cells.gates.new()
    result = cells.submit(f"await hold.remote({path}, KeyError('gone'))")
    wait_for_widget(cells, pending=1)
    touch()
    cells.wait(result)
    assert result.ename == "RayTaskError(KeyError)"
    assert static(result).endswith("  1 failed (KeyError)")


def test_actor_methods_and_given_names_have_lines_of_their_own(cells):
    path, touch = cells.gates.new()
    result = cells.submit(
        "worker = Worker.remote()\n"
        f"refs = [worker.hold.remote({path}), hold.remote({path}),\n"
        f"        hold.options(name='my own').remote({path})]\n"
        "values = await asyncio.gather(*refs)\n"
        "del worker, refs, values"
    )
    widget = wait_for_widget(cells)
    assert list(lines_of(widget)) == ["Worker.hold", "hold", "my own"]
    touch()
    cells.wait(result, 30)
    assert [line.split("  ")[0] for line in static(result).splitlines()] == [
        "Worker.hold",
        "hold",
        "my own",
    ]


def test_the_widget_becomes_static_in_its_place_and_is_closed(cells):
    path, touch = cells.gates.new()
    result = cells.submit(f"print('before')\nawait hold.remote({path})\nprint('after')")
    widget = wait_for_widget(cells, pending=1)
    (output,) = cells.poll(lambda: result.displays, what="the widget's display")
    assert WIDGET in output.data
    assert output.data[WIDGET]["model_id"] == widget.comm_id
    # What there is to read in a file that was saved at this moment.
    assert output.text.startswith("hold  0/1  ")
    assert "rja-static" in output.data["text/html"]
    touch()
    cells.wait(result)
    assert result.displays == [output]
    assert output.display_id
    # Once as it becomes static; once more if its worker has told by now where it ran.
    assert 1 <= output.updates <= 2
    assert set(output.data) == {"text/plain", "text/html"}
    assert not widget.open
    assert result.stdout == "before\nafter\n"


@LATE
def test_what_workers_tell_after_the_end_completes_the_static_output_once(cells):
    path, touch = cells.gates.new()
    result = cells.submit(f"await hold.remote({path})")
    widget = wait_for_widget(cells, pending=1)
    touch()
    cells.wait(result)
    (output,) = result.displays
    assert not widget.open
    html = cells.poll(
        lambda: "<svg" in output.data["text/html"] and output.data["text/html"],
        what="a timeline",
        of=result,
    )
    assert "1 task, " in html
    # Nothing more is asked about a cell that has settled, and so nothing sent.
    following = (
        "from ray_jupyter_async._notebook import extension\n"
        "print(len(extension._loaded.view._followed))"
    )
    poll(lambda: cells.ok(following).stdout == "0\n", what="the view to let go")
    count = len(result.messages)
    cells.ok("await asyncio.sleep(0.3)")
    assert len(result.messages) == count
    assert output.data["text/html"] == html
    assert 1 <= output.updates <= 2


@LATE
def test_a_background_task_is_shown_in_its_own_cell(cells):
    path, touch = cells.gates.new()
    first = cells.ok(
        f"waiting = asyncio.create_task(asyncio.wait_for(hold.remote({path}), 60))\n"
        "await asyncio.sleep(0)"
    )
    other = cells.submit("while not waiting.done(): await asyncio.sleep(0.01)")
    widget = wait_for_widget(cells, pending=1)
    touch()
    cells.wait(other)
    cells.ok("await waiting; del waiting")
    cells.poll(lambda: not widget.open)
    assert static(first).startswith("hold  1/1  ")
    assert other.outputs == []
    assert set(widget.parents) == {first.msg_id}


@pytest.mark.skipif(not HAS_ON_READY, reason="oldest Ray: a watch holds the refs")
def test_an_object_is_let_go_while_its_widget_is_live(cells):
    path, touch = cells.gates.new()
    result = cells.submit(
        f"big, last = ray.put(bytes(10**6)), hold.remote({path})\n"
        "progress([big, last])\n"
        "key = big.hex().encode()\n"
        "length = len(await big)\n"
        # The thread that has read it lets go of its ref a moment later.
        "for ours in 1, 0:\n"
        "    until = time.monotonic() + 30\n"
        "    while references(key) != ours and time.monotonic() < until:\n"
        "        await asyncio.sleep(0.01)\n"
        "    print(references(key), flush=True)\n"
        "    big = None\n"
        "await last\n"
        "del last"
    )
    widget = wait_for_widget(cells)
    cells.poll(lambda: result.stdout.count("\n") == 2)
    assert widget.open
    assert not result.done
    assert result.stdout == "1\n0\n"
    touch()
    cells.wait(result)


def test_nothing_is_pinned_after_a_cell_has_shown_progress(cells):
    path, touch = cells.gates.new()
    result = cells.submit(
        f"refs = [hold.remote({path}), hold.remote({path}, ValueError('no'))]\n"
        f"refs.append(hold.remote({path}))\n"
        "keys = [ref.hex().encode() for ref in refs]\n"
        "futures = [asyncio.ensure_future(ref) for ref in refs[:2]]\n"
        "progress(refs[2:])\n"
        "results = await asyncio.gather(*futures, return_exceptions=True)\n"
        "ready, _ = ray.wait(refs, num_returns=3)\n"
        "print([references(key) for key in keys])\n"
        "del refs, futures, results, ready, _"
    )
    wait_for_widget(cells)
    touch()
    cells.wait(result)
    assert "0" not in result.stdout
    count = "import gc; gc.collect(); print([references(key) for key in keys])"
    poll(lambda: cells.ok(count).stdout == "[0, 0, 0]\n")


@LATE
def test_unload_during_a_live_widget_leaves_static_text(cells):
    path, touch = cells.gates.new()
    first = cells.ok(
        f"waiting = asyncio.create_task(asyncio.wait_for(hold.remote({path}), 60))"
    )
    widget = wait_for_widget(cells, pending=1)
    try:
        cells.ok("%unload_ext ray_jupyter_async")
        cells.poll(lambda: not widget.open)
        text = static(first)
        assert text.startswith("hold  0/1  ")
        # Whichever Ray has told of by then.
        assert text.endswith(("  1 pending", "  1 running"))
        touch()
        cells.ok("await waiting; del waiting")
    finally:
        cells.ok("%load_ext ray_jupyter_async")


def test_output_of_a_saved_notebook_needs_no_script(cells):
    path, touch = cells.gates.new()
    result = cells.submit(f"await hold.remote({path})")
    wait_for_widget(cells, pending=1)
    touch()
    static(cells.wait(result))
    html = result.displays[0].data["text/html"]
    assert "<script" not in html
    assert "http" not in html
    assert textwrap.dedent(html) == html


@ANSWERS
def test_what_no_cell_sends_lands_in_the_cell_after_a_click_too(cells):
    (one, touch_one), (rest, touch_rest) = cells.gates.new(), cells.gates.new()
    # A thread with no cell of its own, as the one that forwards workers' logs.
    result = cells.submit(
        "import _thread\n"
        f"await hold.remote({one})\n"
        "_thread.start_new_thread(print, ('from afar',))\n"
        f"await hold.remote({rest})"
    )
    widget = wait_for_widget(cells, pending=1)
    content = {"do": "renew", "request": "click", "view": "page"}
    cells.send_comm(widget.comm_id, {"method": "custom", "content": content})
    cells.poll(lambda: widget.custom, what="an answer")
    touch_one()
    cells.poll(lambda: result.stdout == "from afar\n")
    touch_rest()
    cells.wait(result)
