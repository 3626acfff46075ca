"""Tables for people, on stdout."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal

import polars as pl
from rich.console import Console
from rich.table import Table

PIPE_WIDTH = 200
"""Columns when stdout is no terminal: wide enough not to cut a billing table."""


def print_frame(frame: pl.DataFrame, *, title: str | None = None, right: Sequence[str] = ()) -> None:
    """Print a frame as a table; numbers and the columns in ``right`` are right-aligned, null is a dash."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=PIPE_WIDTH)
    table = Table(title=title, title_justify="left")
    for name, dtype in frame.schema.items():
        table.add_column(name, justify="right" if dtype.is_numeric() or name in right else "left", overflow="fold")
    for row in frame.iter_rows():
        table.add_row(*(as_text(value) for value in row))
    console.print(table)


def as_text(value: object) -> str:
    """A cell for people: null is a dash, instants are ISO in UTC, decimals keep no trailing zeros."""
    if value is None:
        return "–"
    if isinstance(value, date):
        return value.isoformat(sep=" ", timespec="seconds") if isinstance(value, datetime) else value.isoformat()
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, float):
        return f"{value:g}" if abs(value) < 1e-3 else f"{value:,.3f}".rstrip("0").rstrip(".").replace(",", "'")
    if isinstance(value, list):
        return "; ".join(map(as_text, value))
    return str(value)
