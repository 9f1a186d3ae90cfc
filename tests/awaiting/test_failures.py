"""The class and the message of an error, as they are shown."""

from __future__ import annotations

import pytest
from ray import exceptions
from ray.exceptions import RayError, RayTaskError

from ray_jupyter_async._awaiting.error_text import LONGEST_MESSAGE, describe

FRAMES = 'ray::f() (pid=1, ip=10.0.0.1)\n  File "f.py", line 1, in f\n    raise\n'


def task_error(cause, last_lines):
    return RayTaskError("f", FRAMES + last_lines, cause, "ray::f", 1, "10.0.0.1")


class ShownError(Exception):
    """An error with a text of its own."""

    def __str__(self):
        raise AssertionError("code of the error's class was run")


def shown(error):
    error, message, _ = describe(error, object())
    return error, message


def test_message_is_the_tasks_own():
    cause = ValueError("bad: ValueError: inner\nmore")
    error = task_error(cause, "ValueError: bad: ValueError: inner\nmore")
    assert shown(error) == ("ValueError", "bad: ValueError: inner")
    assert shown(error.as_instanceof_cause()) == shown(error)


def test_traceback_is_rays():
    error = task_error(ValueError("x"), "ValueError: x")
    assert describe(error, object()).traceback == str(error)
    assert describe(error.as_instanceof_cause(), object()).traceback == str(error)


def test_message_of_a_class_with_own_text_is_rays():
    error = task_error(ShownError("a"), "mod.Outer.<locals>.ShownError: as it was")
    assert shown(error.as_instanceof_cause()) == ("ShownError", "as it was")


def test_name_is_not_asked_of_a_metaclass():
    class Meta(type):
        @property
        def __name__(cls):
            raise AssertionError("code of the metaclass was run")

    class LyingError(Exception, metaclass=Meta):
        pass

    assert shown(LyingError("text")) == ("LyingError", "text")


def test_message_is_cut():
    _, message = shown(RuntimeError("x" * 10_000))
    assert len(message) == LONGEST_MESSAGE


def test_unpicklable_error_keeps_its_name():
    cause = RayError("Exception mod.OddError isn't serializable: no.")
    error = task_error(cause, "mod.f.<locals>.OddError: the text")
    assert shown(error) == ("OddError", "the text")


@pytest.mark.skipif(
    not hasattr(exceptions, "UnserializableException"),
    reason="oldest Ray: it does not keep the text of an error that cannot be loaded",
)
def test_unloadable_error_keeps_its_name():
    text = f"ray.exceptions.RayTaskError: {FRAMES}mod.OddError: the text\n"
    error = exceptions.UnserializableException(text)
    assert shown(error) == ("OddError", "the text")


@pytest.mark.parametrize(
    ("detail", "message"),
    [
        ("pip failed\nmore", "pip failed"),
        (f"Traceback:\n{FRAMES}mod.CondaError: no conda\n", "CondaError: no conda"),
    ],
)
def test_failed_environment_is_shown_with_its_cause(detail, message):
    error = exceptions.RuntimeEnvSetupError(detail)
    assert shown(error) == (
        "RuntimeEnvSetupError",
        f"Failed to set up runtime environment. {message}",
    )


def test_failed_actor_start_is_shown_with_its_cause():
    cause = task_error(ValueError("bad start"), "ValueError: bad start")
    error = exceptions.ActorDiedError(cause)
    kind, message = shown(error)
    assert kind == "ActorDiedError"
    assert message.endswith("raised in its creation task: ValueError: bad start")


def test_wrapped_user_error_runs_none_of_its_code():
    error = exceptions.RaySystemError(ShownError("a"), "Traceback")
    assert shown(error) == ("RaySystemError", "System error: ShownError")
