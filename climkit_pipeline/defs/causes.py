"""What went wrong in a run, in one line: the error that began it, without those that were raised on top of it."""

from dagster_shared.error import SerializableErrorInfo

LONGEST = 500
"""Characters of it; a message to a phone and a line of a terminal hold no more."""


def first_cause(error: SerializableErrorInfo) -> str:
    """The message of the innermost cause."""
    while error.cause is not None:
        error = error.cause
    return " ".join(error.message.split())[:LONGEST]
