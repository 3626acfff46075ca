"""Text for a stdout that cannot show it: a cron job's or an old terminal's ASCII or Latin-1.

Here: what stands for a sign that is not in the encoding. Not here: what is printed. Files, CSV and JSON are UTF-8
whatever the encoding of stdout is: programs read them.
"""

from __future__ import annotations

import codecs
import io
import sys
import unicodedata

PLAIN = "climkit_plain"
"""The name of the error handler."""

SUBSTITUTES = {
    "–": "-", "—": "-", "…": "...", "’": "'", "‘": "'", "“": '"', "”": '"', "«": '"', "»": '"', "·": "-", "→": "->",
    "×": "x", "≥": ">=", "≤": "<=", "²": "2", "³": "3", "ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "\u202f": " ",
    "\u00a0": " ", "✓": "ok", "━": "-", "─": "-", "│": "|", "┃": "|",
}  # fmt: skip
"""What is read as the same; letters with accents lose them, and all else is a question mark."""


def plain(text: str) -> str:
    """The text in ASCII, so that a person can still read it."""
    found = []
    for sign in text:
        if sign.isascii():
            found.append(sign)
            continue
        letters = unicodedata.normalize("NFKD", SUBSTITUTES.get(sign, sign))
        found.append("".join(letter for letter in letters if letter.isascii()) or "?")
    return "".join(found)


def _substitute(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return plain(error.object[error.start : error.end]), error.end


def never_raise() -> None:
    """Let stdout and stderr show what they cannot encode in other signs, rather than raise UnicodeEncodeError."""
    codecs.register_error(PLAIN, _substitute)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and not stream.encoding.lower().startswith("utf"):
            stream.reconfigure(errors=PLAIN)
