"""JSON as the API sends it, read by the parser that pydantic brings: a year of answers is gigabytes of it."""

from __future__ import annotations

import json
from typing import Any

from pydantic_core import from_json


def decoded(body: bytes) -> Any:  # noqa: ANN401 - JSON
    """What a JSON text says, just as ``json.loads`` would tell it. Raises ValueError, or RecursionError."""
    try:
        return from_json(body, cache_strings="keys")
    except ValueError:
        # Half a character, or a mark of the byte order: Python's own parser takes what this one refuses.
        return json.loads(body)
