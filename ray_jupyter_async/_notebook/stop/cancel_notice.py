"""The notice under an interrupted cell: what runs on, and the button to cancel it."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from typing import TYPE_CHECKING, Any

import ipywidgets
from IPython import display as _ipython

from ..._display.plain_text import markup
from ..._display.widget.comm import answer_at_once
from ..task_words import count, did_not_stop

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..._display.cell import Cell
    from ..._tracking.cluster.running_tasks import RunningTask, RunningTasks

logger = logging.getLogger("ray_jupyter_async")

# IPython publishes no types for these two.
_display: Callable[..., Any] = _ipython.display
_update_display: Callable[..., Any] = _ipython.update_display

#: Seconds between two looks at what still runs.
_LOOK = 0.25
#: Seconds between two looks at which of the methods that were cancelled have begun.
_ASK = 2.0
#: Seconds after which a task that was cancelled counts as one that did not stop.
PATIENCE = 3.0


class CancelNotice:
    """Says how many tasks of a cell run on, with a button; static once none does.

    A thread of its own keeps it up to date, so that it also does so while a
    later cell runs. Clicks may come on any thread.

    Parameters
    ----------
    cell
        Where it stands.
    tasks
        What runs.
    running_tasks
        Looks after them.
    """

    def __init__(
        self, cell: Cell, tasks: list[RunningTask], running_tasks: RunningTasks
    ) -> None:
        self._all = running_tasks
        self._tasks = tasks
        self._asked_at: float | None = None
        self._forced = False
        # Which methods have begun, and when that is to be asked next.
        self._begun: dict[bytes, bool] = {}
        self._ask_at = 0.0
        self._closed = threading.Event()
        # Copies: a context cannot be entered while somebody else is in it.
        self._context = cell.context.copy()
        self._display_id = f"ray-jupyter-async-{uuid.uuid4().hex}"
        self._context.run(self._show)
        threading.Thread(
            target=cell.context.copy().run,
            args=(self._follow,),
            name="ray_jupyter_async notice",
            daemon=True,
        ).start()

    @property
    def open(self) -> bool:
        """Whether it still has something to say."""
        return not self._closed.is_set()

    def close(self) -> None:
        """Leave what it says as text."""
        if not self._closed.is_set():
            self._closed.set()
            self._context.run(self._make_static)

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

    def _make_static(self) -> None:
        _update_display(self._bundle(), raw=True, display_id=self._display_id)
        for widget in (self._box, self._button, self._text):
            widget.close()

    def _bundle(self) -> dict[str, str]:
        words = self._words()
        return {"text/plain": words, "text/html": f"<div>{markup(words)}</div>"}

    def _clicked(self, _button: object) -> None:
        force = self._asked_at is not None
        if self._button.disabled or self._closed.is_set():
            # A page that was slow to disable its button: the second click of two must
            # not count as one on "End by force".
            return
        self._button.disabled = True
        self._forced = force
        self._asked_at = time.monotonic()
        self._all.cancel(
            [task for task in self._tasks if not (force and task.of_actor)],
            force=force,
        )
        self._say()

    def _follow(self) -> None:
        """Keep the words true until nothing runs any more."""
        try:
            while not self._closed.wait(_LOOK):
                self._tasks = self._all.still(self._tasks)
                if not self._tasks:
                    self.close()
                    return
                if self._waited_in_vain() and time.monotonic() >= self._ask_at:
                    self._begun = self._all.begun(self._tasks)
                    self._ask_at = time.monotonic() + _ASK
                self._say()
        except Exception:
            logger.debug("the notice of an interrupt ended", exc_info=True)

    def _say(self) -> None:
        words = markup(self._words())
        if self._text.value != words:
            self._text.value = words
        if self._waited_in_vain() and not self._forced:
            forceable = any(not task.of_actor for task in self._tasks)
            self._button.description = "End by force" if forceable else "Cancel again"
            self._button.disabled = not forceable

    def _waited_in_vain(self) -> bool:
        asked = self._asked_at
        return asked is not None and time.monotonic() - asked > PATIENCE

    def _words(self) -> str:
        if not self._tasks:
            return "No Ray task of this cell runs any more"
        if self._asked_at is None:
            return f"{count(self._tasks)} of this cell still running"
        if not self._waited_in_vain():
            return f"Cancelling {count(self._tasks)} …"
        return " ".join(did_not_stop(self._tasks, self._begun, "The button kills"))
