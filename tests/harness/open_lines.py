"""Lines of the widget that a test opens in a real page."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Locator

    from harness.browser import NotebookPage


def open_table(notebook: NotebookPage, line: Locator, count: int) -> None:
    """Open a line's table, and wait until the kernel has sent its `count` rows."""
    line.locator(".rja-toggle").click()
    line.get_by_role("tab", name="Refs").click()
    wait_for_rows(notebook, count)


def wait_for_rows(notebook: NotebookPage, count: int) -> None:
    """Wait until the table has `count` rows, in the page or not."""
    table = notebook.page.get_by_role("table")
    notebook.poll(
        lambda: table.get_attribute("aria-rowcount") == str(count + 1),
        30,
        what=f"{count} rows",
    )
