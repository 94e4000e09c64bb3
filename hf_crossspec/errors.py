"""The one exception that is the user's to act on."""

from __future__ import annotations


class InputError(ValueError):
    """Input, file or usage that cannot be worked with.

    The message is one line that says what is wrong and what to do. The command line prints it without a traceback
    and ends with exit code 2; every other exception is a failure of the program (exit code 1).
    """


def one_line(error: BaseException) -> str:
    """A library's message on one line of bounded length, to be quoted in ours."""
    return " ".join(str(error).split())[:200] or type(error).__name__


class Interrupted(Exception):  # noqa: N818  (nothing went wrong)
    """The process was asked to end; what was done is saved, and the message says how to go on."""
