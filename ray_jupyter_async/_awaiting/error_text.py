"""Descriptions of failed awaits: text, never the error itself.

An error holds its frames and therefore a cell's data; text pins nothing.

Descriptions are also made on the event loop, so no code of a user's class runs here:
no `str`, `repr`, `bool`, `==`, `hash` or attribute of a user-defined error. Fields are
read from the instance's dict, classes and their names through `type`, and only values
of plain types become text.
"""

from __future__ import annotations

import re
from types import FunctionType
from typing import Any, NamedTuple, cast

import ray
from ray import exceptions as ray_exceptions
from ray.exceptions import RayError, RaySystemError, RayTaskError

#: Characters.
LONGEST_MESSAGE = 200
LONGEST_TRACEBACK = 20_000
#: Characters of a text that are searched for the error's class and message.
_LONGEST_SEARCHED = 200_000

#: Errors of one cell, class and message whose traceback is kept.
_WITH_TRACEBACK = 3
#: Groups of such errors that are counted.
_GROUPS = 1_000

_counts: dict[tuple[object, str, str], int] = {}

# Slots of Python's own types, whose results a class cannot override.
_DICT: Any = BaseException.__dict__["__dict__"]
_ARGS: Any = BaseException.__dict__["args"]
_NAME: Any = type.__dict__["__name__"]
_MRO: Any = type.__dict__["__mro__"]
_NAMES: Any = type.__dict__["__dict__"]

#: Types whose text comes from Python or Ray. By id: `==` of types may be overridden.
_PLAIN = frozenset(
    map(id, (str, bytes, int, float, bool, type(None), ray.ActorID, ray.TaskID))
)
_RAY_CODE: dict[str, Any] = vars(ray_exceptions)
#: Ray Data's wrapper, for which Ray omits more frames.
_UserCode: Any = getattr(ray_exceptions, "UserCodeException", None)
#: Ray 2.5x and later. Before, Ray's text is that of the unpickling error.
_Unserializable: Any = getattr(ray_exceptions, "UnserializableException", None)

#: The line of a traceback that names the error: `module.Outer.<locals>.Kind: message`.
_RAISED = re.compile(r"(?:[\w<>]+\.)*(\w+)(?::(?: (.*))?)?")


class Description(NamedTuple):
    """The class name, the message and the traceback of an error."""

    error: str
    message: str
    traceback: str


#: Describes an object that is not an error.
VALUE = Description("", "", "")


def describe(error: BaseException, origin: object) -> Description:
    """Return the description of an error. Thread-safe; takes some microseconds.

    Runs no code of the error's class and never raises.

    Parameters
    ----------
    error : BaseException
        The error as its await raises it.
    origin : object
        The value of `events.origin`: the cell's id, if any.
    """
    try:
        kind, message, text = _read(error)
    except Exception:  # an unknown form of Ray's text
        return Description(class_name(type(error)), "", "")
    message = _first_line(message)
    if not text:
        return Description(kind, message, "")
    group = (origin, kind, message)
    count = _counts.get(group, 0)
    if count >= _WITH_TRACEBACK:
        return Description(kind, message, "")
    if len(_counts) >= _GROUPS:
        _counts.clear()
    _counts[group] = count + 1
    return Description(kind, message, cut_middle(text, LONGEST_TRACEBACK))


def describe_text(error_type: str, text: str) -> Description:
    """Return the description of an error from Ray's text alone.

    Parameters
    ----------
    error_type : str
        Ray's name for the kind of error: ``"TASK_EXECUTION_EXCEPTION"``.
    text : str
        Ray's message or, for a task's own exception, its traceback.
    """
    if error_type == "TASK_CANCELLED":
        return Description(error_type, "", "")
    text = cut_middle(text, LONGEST_TRACEBACK)
    if error_type != "TASK_EXECUTION_EXCEPTION":
        kind = error_type.lower().replace("_", " ")
        return Description(kind, message_of(text, ""), text)
    kind, message = _raised_in(text) or ("RayTaskError", message_of(text, ""))
    return Description(kind, message, text)


def headline(error: BaseException) -> str:
    """Return `Kind: message`, without running code of the error's class."""
    kind = class_name(type(error))
    message = _first_line(_own_message(error) or "")
    return f"{kind}: {message}" if message else kind


def class_name(kind: type) -> str:
    """Return the name of a class, without running code of its metaclass."""
    name: str = _NAME.__get__(kind)
    return str.__str__(name)  # may be an instance of a subclass of str


def message_of(text: str, kind: str) -> str:
    """Return the first line of an error's message, shortened.

    Parameters
    ----------
    text : str
        A message, or a traceback that contains the line ``Kind: message``.
    kind : str
        The class name to look for.
    """
    text = cut_middle(text, _LONGEST_SEARCHED)
    if not kind:
        return _first_line(text)
    # At the start of a line: a message may name the class, too.
    starts = list(
        re.finditer(rf"^(?:[\w<>]+\.)*{re.escape(kind)}: ", text, re.MULTILINE)
    )
    if starts:
        return _first_line(text[starts[-1].end() :])
    if text.rstrip().endswith(kind):
        return ""  # raised without a message
    return _first_line(text)


def cut_middle(text: str, longest: int) -> str:
    """Return a text, without its middle if it has more than `longest` characters."""
    if len(text) <= longest:
        return text
    half = longest // 2
    return f"{text[:half]}\n[…]\n{text[-half:]}"


def _first_line(text: str) -> str:
    line = text[:_LONGEST_SEARCHED].strip().partition("\n")[0].rstrip()
    return line if len(line) <= LONGEST_MESSAGE else line[: LONGEST_MESSAGE - 1] + "…"


def _read(error: BaseException) -> tuple[str, str, str]:
    """Return an error's class name, message and traceback."""
    own = type(error)
    if issubclass(own, RayTaskError):
        return _read_task_error(error)
    kind = class_name(own)
    if not issubclass(own, RayError):
        # Raised by this package, or while an object was loaded.
        return kind, _own_message(error) or "", ""
    if own is RaySystemError:
        return _read_system_error(error)
    text = _rays_text(error)
    if _Unserializable is not None and own is _Unserializable:
        original = _field(error, "_original_stack_trace")
        raised = _raised_in(original) if type(original) is str else None
        if raised is not None:
            return (*raised, text)
    first, _, rest = text.partition("\n")
    if own is ray_exceptions.RuntimeEnvSetupError and rest:
        # The cause is a traceback, or a few lines of text.
        raised = _raised_in(rest) if "\n  File " in rest else None
        return kind, f"{first} {_joined(raised) if raised else rest.strip()}", text
    if own is ray_exceptions.ActorDiedError and "creation task, " in first:
        raised = _raised_in(text)
        if raised is not None:
            start = first.partition("creation task, ")[0]
            return kind, f"{start}creation task: {_joined(raised)}", text
    return kind, message_of(text, kind) if text else _own_message(error) or "", text


def _read_task_error(error: BaseException) -> tuple[str, str, str]:
    text = _rays_text(error)
    cause = _field(error, "cause")
    if not issubclass(type(cause), BaseException):
        # Not in the instance's dict; Ray's class is named after the cause's class.
        kind = class_name(type(error))
        if kind.startswith("RayTaskError(") and kind.endswith(")"):
            kind = kind[len("RayTaskError(") : -1]
        return kind, message_of(text, kind), text
    kind = class_name(type(cause))
    if type(cause) is RayError:
        # The error itself could not be pickled; the traceback still names it.
        raised = _raised_in(text)
        if raised is not None:
            return (*raised, text)
    message = _own_message(cast(BaseException, cause))
    return kind, message_of(text, kind) if message is None else message, text


def _read_system_error(error: BaseException) -> tuple[str, str, str]:
    """Read Ray's wrapper of another error, such as one of loading an object."""
    cause, traceback = _field(error, "client_exc"), _field(error, "traceback_str")
    text = traceback if type(traceback) is str else ""
    if issubclass(type(cause), BaseException):
        message = _own_message(cast(BaseException, cause)) or headline(
            cast(BaseException, cause)
        )
    else:
        message = cause if type(cause) is str else ""
    return class_name(type(error)), f"System error: {message}", text


def _rays_text(error: BaseException) -> str:
    """Return Ray's own text for one of its errors, or an empty string."""
    own, fields = type(error), _fields(error)
    if issubclass(own, RayTaskError) and type(fields.get("traceback_str")) is not str:
        # The class that Ray derives from a task's error has a fixed text.
        method = _found_in(own, "__str__")
        return _called(method, error) if _is_rays(method) else ""
    base, method = _str_method(own)
    if issubclass(own, RayTaskError):
        base, method = RayTaskError, RayTaskError.__dict__["__str__"]
    if not _is_rays(method):
        return _own_message(error) or ""
    # From a copy with Ray's own class and only plain fields.
    copy: Any = BaseException.__new__(base, *_plain(_args(error)))
    copy.__dict__.update(_NO_FIELDS)
    copy.__dict__.update((k, v) for k, v in fields.items() if _is_plain(v))
    if _UserCode is not None and issubclass(type(fields.get("cause")), _UserCode):
        copy.cause = _UserCode()
    return _called(method, copy)


#: Defaults of the fields that Ray's texts read.
_NO_FIELDS: dict[str, Any] = {
    "actor_repr": None,
    "_actor_id": None,
    "proctitle": "",
    "pid": "",
    "ip": "",
    "cause": None,
}


def _called(method: Any, error: BaseException) -> str:
    text = method(error)
    return text if type(text) is str else ""


def _is_rays(method: object) -> bool:
    """Whether this is a function of Ray's module of errors."""
    return type(method) is FunctionType and method.__globals__ is _RAY_CODE


def _own_message(error: BaseException) -> str | None:
    """Return `str` of an error if that runs only Python's own code, or None."""
    (_, method), args = _str_method(type(error)), _args(error)
    if len(_plain(args)) < len(args):
        return None
    if method is KeyError.__dict__["__str__"] and len(args) == 1:
        return repr(args[0])
    if method is not BaseException.__dict__["__str__"]:
        return None
    if len(args) == 1:
        return str(args[0])
    return str(args) if args else ""


def _is_plain(value: object) -> bool:
    return id(type(value)) in _PLAIN


def _plain(values: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(value for value in values if _is_plain(value))


def _raised_in(text: str) -> tuple[str, str] | None:
    """Return the class name and message of the error at a traceback's end."""
    lines = cut_middle(text, _LONGEST_SEARCHED).splitlines()
    frames = [i for i, line in enumerate(lines) if line.startswith("  File ")]
    for line in lines[frames[-1] + 1 if frames else 0 :]:
        found = _RAISED.fullmatch(line) if line and not line[0].isspace() else None
        if found:
            return found[1], _first_line(found[2] or "")
    return None


def _joined(raised: tuple[str, str]) -> str:
    kind, message = raised
    return f"{kind}: {message}" if message else kind


def _fields(error: BaseException) -> dict[str, Any]:
    """Return a copy of the instance's dict, with exact `str` keys only."""
    # Unbound: the dict's and the keys' classes may be subclasses.
    return {k: v for k, v in dict.items(_DICT.__get__(error)) if type(k) is str}


def _field(error: BaseException, name: str) -> Any:
    return _fields(error).get(name)


def _args(error: BaseException) -> tuple[Any, ...]:
    args: tuple[Any, ...] = _ARGS.__get__(error)
    return args


def _str_method(kind: type) -> tuple[type, object]:
    """Return the class that defines `__str__` for `kind`, and the method."""
    for base in _MRO.__get__(kind):
        method = _found_in(base, "__str__")
        if method is not None:
            return base, method
    return kind, None


def _found_in(kind: type, name: str) -> object:
    """Return a class's own attribute, or None."""
    for key, found in _NAMES.__get__(kind).items():
        if type(key) is str and key == name:
            return cast(object, found)
    return None
