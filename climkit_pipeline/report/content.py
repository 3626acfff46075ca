"""What a report consists of, whatever it is set in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Picture:
    """A drawing, as the specification that makes it (Vega-Lite)."""

    name: str
    title: str
    specification: dict[str, Any]
    note: str = ""


@dataclass(frozen=True)
class Table:
    """A table of texts; columns from ``numbers_from`` on are aligned to the right."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers_from: int = 1
    note: str = ""


@dataclass(frozen=True)
class Report:
    """One month of one site, ready to be set."""

    language: str
    title: str
    subtitle: str
    parts: Sequence[Picture | Table] = field(default_factory=list)

    @property
    def pictures(self) -> list[Picture]:
        """Only the pictures, in order."""
        return [part for part in self.parts if isinstance(part, Picture)]
