"""The notice under an interrupted cell: what runs on, and the button to cancel it."""

from __future__ import annotations

import threading
import time
import uuid
from typing import TYPE_CHECKING, Any

import ipywidgets
from IPython import display as _ipython

from ..._display.plain_text import markup
from ..._display.widget.comm import answer_at_once
from ..._log import logger
from ..._threads import start_thread
from ..task_words import count, did_not_stop

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..._display.cell import Cell
    from ..._tracking.cluster.running_tasks import RunningTask, RunningTasks


# IPython publishes no types for these two.
_display: Callable[..., Any] = _ipython.display
_update_display: Callable[..., Any] = _ipython.update_display

# Seconds between two reads of what runs, and of which cancelled methods have begun.
_READ_TASKS = 0.25
_READ_BEGUN = 2.0
#: Seconds after which a cancelled task counts as one that did not stop.
PATIENCE = 3.0


class CancelNotice:
    """Shows how many tasks of a cell still run, with a button; static when none does.

    A thread of its own updates it, also while a later cell runs. Clicks may come on any
    thread. At the end the output is replaced by text. Front ends ignore that inside an
    `ipywidgets.Output` and after a reload; the widget shows the same text there, until
    `dispose`.
    """

    def __init__(
        self, cell: Cell, tasks: list[RunningTask], running_tasks: RunningTasks
    ) -> None:
        self._all = running_tasks
        self._tasks = tasks
        self._asked_at: float | None = None
        self._forced = False
        # Which methods have begun, and when to read that next.
        self._begun: dict[bytes, bool] = {}
        self._read_at = 0.0
        self._closed = threading.Event()
        # Copies: two threads cannot be in one context.
        self._context = cell.context.copy()
        self._display_id = f"ray-jupyter-async-{uuid.uuid4().hex}"
        self._context.run(self._show)
        start_thread(
            cell.context.copy().run, self._follow, name="ray_jupyter_async notice"
        )

    def dispose(self) -> None:
        """Leave the last words as text, and close the widgets."""
        self._end()
        for widget in (self._box, self._text):
            widget.close()

    def _show(self) -> None:
        self._text = ipywidgets.HTML(markup(self._words()))
        self._button = ipywidgets.Button(
            description="Cancel them", layout=ipywidgets.Layout(width="auto")
        )
        self._button.on_click(self._clicked)
        answer_at_once(self._button)
        self._box = ipywidgets.HBox(
            [self._text, self._button],
            layout=ipywidgets.Layout(align_items="center"),
        )
        view = self._box._repr_mimebundle_()
        _display({**view, **self._bundle()}, raw=True, display_id=self._display_id)

    def _end(self) -> None:
        if not self._closed.is_set():
            self._closed.set()
            self._context.run(self._make_static)

    def _make_static(self) -> None:
        self._text.value = markup(self._words())
        self._box.children = (self._text,)
        self._button.close()
        _update_display(self._bundle(), raw=True, display_id=self._display_id)

    def _bundle(self) -> dict[str, str]:
        words = self._words()
        return {"text/plain": words, "text/html": f"<div>{markup(words)}</div>"}

    def _clicked(self, _button: object) -> None:
        force = self._asked_at is not None
        if self._button.disabled or self._closed.is_set():
            # The page was slow to disable its button: the second click of two must not
            # count as one on "End by force".
            return
        self._button.disabled = True
        self._forced = force
        self._asked_at = time.monotonic()
        self._all.cancel(
            [task for task in self._tasks if not (force and task.of_actor)],
            force=force,
        )
        self._update()

    def _follow(self) -> None:
        """Update the words until no task runs."""
        try:
            while not self._closed.wait(_READ_TASKS):
                self._tasks = self._all.still(self._tasks)
                if not self._tasks:
                    self._end()
                    return
                if self._overdue() and time.monotonic() >= self._read_at:
                    self._begun = self._all.begun(self._tasks)
                    self._read_at = time.monotonic() + _READ_BEGUN
                self._update()
        except Exception:
            logger.debug("the notice of an interrupt ended", exc_info=True)

    def _update(self) -> None:
        words = markup(self._words())
        if self._text.value != words:
            self._text.value = words
        if self._overdue() and not self._forced:
            forceable = any(not task.of_actor for task in self._tasks)
            self._button.description = "End by force" if forceable else "Cancel again"
            self._button.disabled = not forceable

    def _overdue(self) -> bool:
        asked = self._asked_at
        return asked is not None and time.monotonic() - asked > PATIENCE

    def _words(self) -> str:
        if not self._tasks:
            return "No Ray task of this cell is running"
        if self._asked_at is None:
            verb = "is" if len(self._tasks) == 1 else "are"
            return f"{count(self._tasks)} of this cell {verb} still running"
        if not self._overdue():
            return f"Cancelling {count(self._tasks)} …"
        return " ".join(did_not_stop(self._tasks, self._begun, "The button kills"))
