"""docs/operations.md says what the code does."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path

from climkit_pipeline.api.client import RetryPolicy

PAGE = Path(__file__).resolve().parents[1] / "docs" / "operations.md"


def test_every_retry_setting_is_documented_with_its_value():
    """An operator who waits half an hour wants to know for what."""
    documented = dict(re.findall(r"^\| `(\w+)` \| ([\d.]+) \|", PAGE.read_text(), flags=re.MULTILINE))
    assert {name: float(value) for name, value in documented.items()} == asdict(RetryPolicy())
