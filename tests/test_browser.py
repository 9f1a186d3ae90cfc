"""What a person sees: notebooks in JupyterLab, in a real Chromium.

The pages' own state is what is read: the widget's DOM while cells run, what
stands there afterwards, and what the page wrote to its console or asked of
other hosts. Screenshots are for people, in the folder of `harness.browser`.
"""

from __future__ import annotations

import json

import nbformat
import pytest

from harness import rays
from harness.notebooks import write_notebook
from harness.progress_cells import HOLD

WIDGET = ".rja-progress"
BAR = f'{WIDGET} [role="progressbar"]'

# One progress line in each state that lasts, until the test goes on.
LOOKS = [
    f"%load_ext ray_jupyter_async\n{rays.RAY_INIT};",
    f"""{HOLD}
@ray.remote(num_cpus=0)
class Scorer:
    def score(self, path):
        while not os.path.exists(path):
            time.sleep(0.01)

async def none_raised(refs):
    await asyncio.gather(*refs, return_exceptions=True);

scorer = Scorer.remote()
one, rest = os.path.abspath("one"), os.path.abspath("rest")
""",
    """
fetch = hold.options(name="fetch")
refs = [fetch.remote(one) for _ in range(3)] + [fetch.remote(rest) for _ in range(2)]
parse = hold.options(name="parse_page")
refs += [parse.remote(one, ValueError("no title")), parse.remote(rest)]
refs += [scorer.score.remote(one) for _ in range(2)]
long = hold.options(name="a_function_whose_name_tells_all_that_it_does")
refs += [long.remote(rest)]
unwanted = hold.options(name="unwanted").remote(rest)
asyncio.get_running_loop().call_later(1, ray.cancel, unwanted)
await none_raised([*refs, unwanted])
""",
]


def bars(notebook, cell):
    """Return the progress bars of a cell: (done, total, pending) by name."""
    found = notebook.evaluate(
        """([cell, selector]) => {
          const area = document.querySelectorAll('.jp-Notebook .jp-Cell')[cell];
          return [...area.querySelectorAll(selector)].map((bar) => [
            bar.getAttribute('aria-label'),
            Number(bar.getAttribute('aria-valuenow')),
            Number(bar.getAttribute('aria-valuemax')),
            Number(bar.closest('.rja-row').dataset.pending),
          ]);
        }""",
        [cell, BAR],
    )
    return {name: tuple(counts) for name, *counts in found}


def index_of(path, cell_id):
    cells = nbformat.read(path, as_version=4).cells
    return next(i for i, cell in enumerate(cells) if cell.id == cell_id)


def wait_for_bars(notebook, cell):
    """Wait for a cell's progress; an error in any cell fails at once."""

    def look():
        failed = notebook.page.locator('[data-mime-type*="error"], .jp-mod-error')
        assert failed.count() == 0, failed.first.inner_text()
        return bars(notebook, cell)

    notebook.poll(look, 90, what=f"progress in cell {cell}")
    notebook.cell(cell).scroll_into_view_if_needed()


def record_counts(notebook):
    """Have the page record all readings of its bars from now on, as they change."""
    notebook.evaluate(
        """(selector) => {
          const seen = (window.rjaSeen = []);
          const look = () => {
            const cells = document.querySelectorAll('.jp-Notebook .jp-Cell');
            for (const [cell, area] of cells.entries()) {
              const now = [...area.querySelectorAll(selector)].map((bar) => [
                bar.getAttribute('aria-label'),
                Number(bar.getAttribute('aria-valuenow')),
                Number(bar.closest('.rja-row').dataset.pending),
              ]);
              if (now.length) seen.push([cell, now]);
            }
          };
          new MutationObserver(look).observe(document.body, {
            subtree: true,
            childList: true,
            attributeFilter: ['aria-valuenow', 'data-pending'],
          });
        }""",
        BAR,
    )


def recorded(notebook, cell):
    """Return a cell's recorded readings: (done, pending) by name."""
    return [
        {name: (done, pending) for name, done, pending in now}
        for index, now in notebook.evaluate("() => window.rjaSeen")
        if index == cell
    ]


@pytest.mark.timeout(300)
def test_quickstart_shows_live_counts_and_ends_static(lab):
    path = lab.copy("01_quickstart.ipynb")
    gather, progress = index_of(path, "gather"), index_of(path, "progress")
    notebook = lab.open(path.name)
    notebook.start_all()

    record_counts(notebook)
    wait_for_bars(notebook, gather)
    notebook.poll(
        lambda: bars(notebook, gather).get("Scorer.score", (0,))[0] >= 1,
        90,
        what="a score",
    )
    notebook.screenshot("quickstart-running-light")
    running = notebook.cell(gather)
    notebook.screenshot("quickstart-running-light-cell", of=running)
    # The cell in which `ray.get` blocks the kernel's main thread.
    wait_for_bars(notebook, progress)

    notebook.wait_all()
    notebook.poll(lambda: notebook.page.locator(WIDGET).count() == 0)
    seen = recorded(notebook, gather)
    assert set(seen[-1]) == {"load", "clean", "Scorer.score"}
    for name in ("load", "clean", "Scorer.score"):
        done = [now[name][0] for now in seen if name in now]
        assert done == sorted(done), "counts only grow"
        assert all(sum(now[name]) == 8 for now in seen if name in now)
    assert len({now["load"][0] for now in seen}) > 1, seen
    blocked = recorded(notebook, progress)
    assert len({now["clean"][0] for now in blocked}) > 1, blocked
    output = notebook.outputs(gather).locator(".rja-static")
    assert output.inner_text().count("8/8") == 3
    assert notebook.outputs(progress).locator(".rja-static").count() == 1
    notebook.cell(gather).scroll_into_view_if_needed()
    notebook.screenshot("quickstart-final")
    notebook.set_theme("dark")
    notebook.screenshot("quickstart-final-dark")
    assert lab.console_errors == []
    assert lab.outside_requests == []


@pytest.mark.timeout(300)
def test_widget_in_all_states_themes_and_widths(lab):
    path = write_notebook(lab.root / "looks.ipynb", *LOOKS)
    notebook = lab.open(path.name)
    notebook.start_all()
    cell = notebook.cell(2)
    wait_for_bars(notebook, 2)
    (lab.root / "one").touch()
    rows = {
        "fetch": (3, 5, 2),
        "parse_page": (1, 2, 1),
        "Scorer.score": (2, 2, 0),
        "a_function_whose_name_tells_all_that_it_does": (0, 1, 1),
        "unwanted": (1, 1, 0),
    }
    notebook.poll(lambda: bars(notebook, 2) == rows, 120, what=f"{rows}")

    def words():
        return cell.locator(WIDGET).inner_text()

    # That they run is known once their workers have reported to Ray.
    notebook.poll(lambda: "2 running" in words(), what=words())
    assert "1 failed (ValueError)" in words()
    assert "1 cancelled" in words()
    clock = cell.locator('.rja-row[data-name="fetch"] .rja-time')
    before = clock.inner_text()
    notebook.poll(lambda: clock.inner_text() != before, what="the time to move on")
    assert running_width(notebook) <= 1280
    notebook.screenshot("looks-light", of=cell)
    toggle = cell.locator('.rja-row[data-name="fetch"] .rja-toggle')
    toggle.click()
    timeline = cell.locator(".rja-canvas")
    notebook.poll(lambda: "worker" in (timeline.get_attribute("aria-label") or ""))
    notebook.screenshot("progress", of=cell.locator(WIDGET))
    notebook.page.emulate_media(forced_colors="active")
    notebook.screenshot("looks-high-contrast", of=cell)
    notebook.page.emulate_media(forced_colors="none")
    toggle.click()
    notebook.set_theme("dark")
    notebook.screenshot("looks-dark", of=cell)
    notebook.screenshot("looks-dark-page")
    notebook.resize(436)
    # The file browser would take half of it.
    notebook.command("application:toggle-left-area")
    cell.locator(WIDGET).scroll_into_view_if_needed()
    notebook.poll(lambda: running_width(notebook) <= 436)
    narrow = cell.locator(WIDGET).evaluate("e => [e.clientWidth, e.scrollWidth]")
    assert narrow[1] <= narrow[0] <= 322, narrow
    notebook.screenshot("looks-narrow-dark", of=cell.locator(WIDGET))
    notebook.set_theme("light")
    notebook.screenshot("looks-narrow-light", of=cell.locator(WIDGET))
    notebook.screenshot("looks-narrow-page")

    (lab.root / "rest").touch()
    notebook.wait_all()
    static = notebook.outputs(2).locator(".rja-static")
    static.wait_for()
    assert notebook.page.locator(WIDGET).count() == 0
    notebook.screenshot("looks-static-narrow", of=notebook.outputs(2))
    assert static.evaluate("e => e.scrollWidth <= e.clientWidth")
    notebook.resize(1280)
    notebook.screenshot("looks-static-light", of=notebook.cell(2))
    notebook.set_theme("dark")
    notebook.screenshot("looks-static-dark", of=notebook.cell(2))

    notebook.save()
    saved = json.loads(path.read_text(encoding="utf-8"))
    (output,) = saved["cells"][2]["outputs"]
    assert set(output["data"]) == {"text/plain", "text/html"}
    assert lab.console_errors == []
    assert lab.outside_requests == []


def running_width(notebook):
    """Return the right edge of the widest part of the widget, in CSS pixels."""
    return notebook.evaluate(
        "selector => Math.max(...[...document.querySelector(selector)"
        ".querySelectorAll('*')].map((e) => e.getBoundingClientRect().right))",
        WIDGET,
    )
