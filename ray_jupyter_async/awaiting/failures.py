"""What is told of a failed await: text, never the error itself.

An error holds its frames, and these hold whatever a cell computed; a few lines
of text hold nothing.
"""

from __future__ import annotations

from typing import NamedTuple

from ray.exceptions import RayError

#: Characters.
LONGEST_MESSAGE = 200
LONGEST_TRACEBACK = 20_000
#: Characters of an error's text that are looked at.
LONGEST_TEXT = 100_000

#: So many errors of one cell, class and message bring their traceback along...
_TOLD_EACH = 3
#: ...and of so many groups it is remembered how often they did.
_GROUPS = 1_000

_told: dict[tuple[object, str, str], int] = {}


class Description(NamedTuple):
    """The class name, the message and the traceback of an error."""

    error: str
    message: str
    traceback: str


#: Describes an object that is not an error.
VALUE = Description("", "", "")


def describe(error: BaseException, origin: object) -> Description:
    """Tell of an error; on any thread, about 2 us.

    Runs no code of the error's class: of a task's error Ray has made a text
    where it was raised.

    Parameters
    ----------
    error : BaseException
        As an awaiter gets it.
    origin : object
        Who awaited.
    """
    # A task's error is a class of Ray's making; its cause has the user's.
    kind = type(getattr(error, "cause", None) or error).__name__
    if not isinstance(error, RayError):
        # Of ours, or made of one by `ray_internals.error_of`.
        return Description(kind, message_of(str(error), ""), "")
    text = str(error)
    message = message_of(text, kind)
    group = (origin, kind, message)
    told = _told.get(group, 0)
    if told >= _TOLD_EACH:
        return Description(kind, message, "")
    if len(_told) >= _GROUPS:
        _told.clear()
    _told[group] = told + 1
    return Description(kind, message, cut_middle(text, LONGEST_TRACEBACK))


def describe_text(error_type: str, text: str) -> Description:
    """Return the description of an error of which only Ray's text is at hand.

    Parameters
    ----------
    error_type : str
        Ray's name for the kind of error: ``"TASK_EXECUTION_EXCEPTION"``.
    text : str
        Ray's message or, for a task's own exception, its traceback.
    """
    if error_type == "TASK_CANCELLED":
        return Description(error_type, "", "")
    if error_type != "TASK_EXECUTION_EXCEPTION":
        kind = error_type.lower().replace("_", " ")
        return Description(kind, message_of(text, ""), cut_middle(text, LONGEST_TEXT))
    text = cut_middle(text, LONGEST_TEXT)
    kind, message = _last_error(text)
    return Description(kind, message, text)


def _last_error(traceback: str) -> tuple[str, str]:
    """Return class and message of the exception that a traceback ends with."""
    # The first line after the last frame that is not indented; a message of several
    # lines may go on below it.
    frame = traceback.rfind('\n  File "')
    for line in traceback[max(frame, 0) :].splitlines():
        name, _, message = line.partition(":")
        if all(part.isidentifier() for part in name.split(".")):
            return name.rpartition(".")[2], message_of(message, "")
    return "RayTaskError", message_of(traceback, "")


def message_of(text: str, kind: str) -> str:
    """Give the first line of an error's message, cut.

    Parameters
    ----------
    text : str
        A message, or a traceback with the line ``Kind: message`` in it.
    kind : str
        The class name to look for.
    """
    at = text.rfind(f"{kind}: ") if kind else -1
    if at >= 0:
        text = text[at + len(kind) + 2 :]
    elif kind and text.rstrip().endswith(kind):
        return ""  # raised without a message
    line = text.strip().partition("\n")[0].rstrip()
    return line if len(line) <= LONGEST_MESSAGE else line[: LONGEST_MESSAGE - 1] + "…"


def cut_middle(text: str, longest: int) -> str:
    """Give a text without its middle if it is longer than so many characters."""
    if len(text) <= longest:
        return text
    half = longest // 2
    return f"{text[:half]}\n[…]\n{text[-half:]}"
