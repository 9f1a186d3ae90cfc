"""A page of JupyterLab (or Notebook 7) in a headless Chromium.

What a user does and sees there. The server is in `harness.lab`. Playwright is
imported here and nowhere else.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlsplit

from playwright.sync_api import sync_playwright

from harness.polling import poll

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import (
        Browser,
        BrowserContext,
        ConsoleMessage,
        Locator,
        Page,
        Request,
        Response,
        Route,
    )

    from harness.lab import LabServer

T = TypeVar("T")

#: Where screenshots go; another folder by the environment variable.
SCREENSHOTS = Path(
    os.environ.get("RAY_JUPYTER_ASYNC_SCREENSHOTS")
    or Path(__file__).parent.parent / "screenshots"
)

# Chromium's own requests to its maker are off: on a machine without a way out
# each of them fails, many at a time.
_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

# What a front end itself reports with any notebook, so that it is no finding.
_UPSTREAM = {
    "lab": [],
    # Notebook 7.6 on a JupyterLab 4.6 server, while it starts: it asks for the
    # settings of plugins it does not have.
    "notebook": [
        r"Cannot read properties of undefined \(reading 'schema'\)",
        r"(Plugin|Command) .* (not|already) registered\.",
    ],
}

_IDLE = '.jp-Notebook-ExecutionIndicator[data-status="idle"]'


def chromium_path() -> str | None:
    """Return the system's Chromium; None for the one that Playwright brings."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        path = shutil.which(name)
        if path:
            return path
    return None


class Lab:
    """A server with notebooks, and pages that show them.

    Attributes
    ----------
    server : LabServer
        The server.
    root : Path
        The folder it serves.
    console_errors : list of str
        Errors that any page wrote to its console or left uncaught, and failed
        requests.
    outside_requests : list of str
        What a page requested from any other host; refused.
    """

    def __init__(self, server: LabServer, browser: Browser, notebooks: Path) -> None:
        self.server = server
        self.root = server.root
        self.console_errors: list[str] = []
        self.outside_requests: list[str] = []
        self._browser = browser
        self._notebooks = notebooks
        self._contexts: list[BrowserContext] = []

    def copy(self, name: str) -> Path:
        """Copy one of the project's notebooks, and the modules beside it, to `root`."""
        for module in self._notebooks.glob("*.py"):
            shutil.copy(module, self.root)
        return Path(shutil.copy(self._notebooks / name, self.root / name))

    def open(
        self,
        name: str,
        *,
        theme: str = "light",
        width: int = 1280,
        height: int = 900,
        scale: float = 1,
        front_end: str = "lab",
        kernel: bool = True,
    ) -> NotebookPage:
        """Open a notebook of `root` in a page with no history.

        Parameters
        ----------
        name
            Its path below `root`; empty for a page without a notebook.
        theme
            ``light`` or ``dark``.
        width, height
            The viewport, in CSS pixels.
        scale
            Pixels of a screenshot per CSS pixel.
        front_end
            ``lab``, or ``notebook`` for Notebook 7.
        kernel
            False for a notebook whose metadata name a kernel that is not here:
            it is opened with none.

        Returns
        -------
        NotebookPage
            With a kernel that is ready, unless it is to have none.
        """
        # JupyterLab would reopen the notebooks of the pages before this one.
        self.server.forget_workspaces()
        label = {"light": "JupyterLab Light", "dark": "JupyterLab Dark"}[theme]
        self.server.set(
            "apputils-extension/themes", theme=label, **{"adaptive-theme": False}
        )
        context = self._browser.new_context(
            viewport={"width": width, "height": height},
            device_scale_factor=scale,
            extra_http_headers={"Authorization": f"token {self.server.token}"},
        )
        self._contexts.append(context)
        context.set_default_timeout(30_000)
        context.route("**/*", self._route)
        page = context.new_page()
        self._listen(page, [re.compile(known) for known in _UPSTREAM[front_end]])
        place = {"lab": "lab/tree/", "notebook": "notebooks/"}[front_end]
        place = f"{place}{quote(name)}" if name else "lab"
        page.goto(f"{self.server.url}{place}?token={self.server.token}")
        notebook = NotebookPage(page)
        if not name:
            page.locator(".jp-Launcher").first.wait_for()
            return notebook
        if not kernel:
            page.locator(".jp-Dialog button", has_text="No Kernel").click()
            return notebook
        # The indicator shows idle also while there is no kernel yet.
        notebook.poll(
            lambda: self._has_kernel(name),
            60,
            what=f"a kernel for {name} (do its metadata name one?)",
        )
        notebook.wait_idle(60)
        return notebook

    def close(self) -> None:
        """Close all pages."""
        for context in self._contexts:
            context.close()

    def _has_kernel(self, name: str) -> bool:
        sessions = self.server.request("api/sessions")
        return any(session["path"] == name for session in sessions)

    def _route(self, route: Route, request: Request) -> None:
        ours = urlsplit(self.server.url).netloc
        parts = urlsplit(request.url)
        if parts.scheme in ("data", "blob") or parts.netloc == ours:
            route.continue_()
        else:
            self.outside_requests.append(request.url)
            route.abort()

    def _listen(self, page: Page, upstream: list[re.Pattern[str]]) -> None:
        def note(error: str) -> None:
            if not any(known.search(error) for known in upstream):
                self.console_errors.append(error)

        def on_console(message: ConsoleMessage) -> None:
            if message.type == "error":
                note(f"{message.text} ({message.location.get('url', '')})")

        def on_response(response: Response) -> None:
            if response.status >= 400:
                note(f"{response.status} {response.url}")

        page.on("console", on_console)
        page.on("pageerror", lambda error: note(f"uncaught: {error}"))
        page.on("response", on_response)


class NotebookPage:
    """One open notebook.

    Attributes
    ----------
    page : playwright.sync_api.Page
        The page, for all that is not here.
    """

    def __init__(self, page: Page) -> None:
        self.page = page

    def wait_idle(self, timeout: float = 60.0) -> None:
        """Wait until the kernel's indicator shows idle (seconds)."""
        self.page.locator(_IDLE).first.wait_for(
            state="attached", timeout=timeout * 1000
        )

    def poll(
        self,
        predicate: Callable[[], T],
        timeout: float = 30.0,
        *,
        what: str | None = None,
    ) -> T:
        """Wait until `predicate` returns something true; see `harness.polling`.

        The page's requests go through this process, so it must not sleep.
        """
        return poll(
            predicate,
            timeout,
            what=what,
            sleep=lambda seconds: self.page.wait_for_timeout(seconds * 1000),
        )

    def command(self, name: str) -> None:
        """Run a command of the application and wait for its end."""
        self.page.evaluate(
            "async name => { await window.jupyterapp.commands.execute(name); }", name
        )

    def start_all(self) -> None:
        """Run all cells, without waiting for them."""
        self.page.evaluate(
            "() => { window.allCellsRan = false;"
            " window.jupyterapp.commands.execute('notebook:run-all-cells')"
            ".finally(() => { window.allCellsRan = true; }); }"
        )

    def wait_all(self, timeout: float = 100.0) -> None:
        """Wait until all cells that `start_all` started have ended (seconds)."""
        self.page.wait_for_function("window.allCellsRan", timeout=timeout * 1000)
        self.wait_idle()

    def run_all(self, timeout: float = 100.0) -> None:
        """Run all cells to their end."""
        self.start_all()
        self.wait_all(timeout)

    def save(self) -> None:
        """Save the notebook to its file."""
        self.command("docmanager:save")

    def cell(self, index: int) -> Locator:
        """Return a cell, counted from 0 over code and Markdown alike."""
        return self.page.locator(".jp-Notebook .jp-Cell").nth(index)

    def outputs(self, index: int) -> Locator:
        """Return the output area of a cell."""
        return self.cell(index).locator(".jp-OutputArea").first

    def resize(self, width: int, height: int = 900) -> None:
        """Change the viewport, in CSS pixels."""
        self.page.set_viewport_size({"width": width, "height": height})

    def screenshot(self, name: str, of: Locator | None = None) -> Path:
        """Save a PNG of the page, or of a part of it, into `SCREENSHOTS`."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        path = SCREENSHOTS / f"{name}.png"
        (of or self.page).screenshot(path=path)
        return path

    def set_theme(self, theme: str) -> None:
        """Change to the ``light`` or the ``dark`` theme, and wait until it is shown."""
        self.page.evaluate(
            "theme => window.jupyterapp.commands.execute("
            "'apputils:change-theme', { theme })",
            f"JupyterLab {theme.capitalize()}",
        )
        self.poll(lambda: self.is_dark() == (theme == "dark"))
        # It covers the page meanwhile.
        self.page.locator("#jupyterlab-splash").wait_for(state="detached")

    def is_dark(self) -> bool:
        """Whether the page's theme is dark."""
        return self.page.locator("body").get_attribute("data-jp-theme-light") == "false"

    def evaluate(self, expression: str, argument: Any = None) -> Any:
        """Run JavaScript in the page."""
        return self.page.evaluate(expression, argument)


@contextlib.contextmanager
def open_browser(server: LabServer, notebooks: Path) -> Iterator[Lab]:
    """Open an empty browser on a server; close it, and Playwright, afterwards."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium_path(), args=_FLAGS
        )
        try:
            lab = Lab(server, browser, notebooks)
            yield lab
            lab.close()
        finally:
            browser.close()
