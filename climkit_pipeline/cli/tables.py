"""Tables for people, on stdout. What a cell holds is data: nothing in it is interpreted."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal

import click
import polars as pl
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

MOST_ROWS = 1000
"""More rows than anybody reads; files take them all."""
BORDER_WIDTH = 3


def print_frame(frame: pl.DataFrame, *, title: str | None = None, optional: Sequence[str] = ()) -> None:
    """Print a frame as a table; numbers are right-aligned, null is a dash.

    Where the terminal is too narrow, the columns in ``optional`` are left out, first to last; if that is not enough,
    rows are printed one below the other, a line per column. A pipe has no width.
    """
    console = Console()
    shown, cells = frame, _cells(frame)
    if console.is_terminal:
        for name in optional:
            if _width(shown, cells) <= console.width:
                break
            shown = shown.drop(name)
            cells = _cells(shown)
    width = _width(shown, cells)
    if frame.height > MOST_ROWS:
        click.echo(f"the first {MOST_ROWS:,} of {frame.height:,} rows; --output writes them all", err=True)
    if console.is_terminal and width > console.width:
        _print_records(shown, cells, title)
        return
    table = Table(title=title, title_justify="left")
    for name, dtype in shown.schema.items():
        table.add_column(Text(name), justify="right" if dtype.is_numeric() else "left", no_wrap=True)
    for row in cells:
        table.add_row(*map(Text, row))
    Console(width=max(width, console.width if console.is_terminal else 0, 20)).print(table)


def _cells(frame: pl.DataFrame) -> list[list[str]]:
    return [[as_text(value) for value in row] for row in frame.head(MOST_ROWS).iter_rows()]


def _width(frame: pl.DataFrame, cells: list[list[str]]) -> int:
    widest = [max([cell_len(name), *(cell_len(row[at]) for row in cells)]) for at, name in enumerate(frame.columns)]
    return sum(width + BORDER_WIDTH for width in widest) + 1


def _print_records(frame: pl.DataFrame, cells: list[list[str]], title: str | None) -> None:
    if title:
        click.echo(title)
    longest = max(map(len, frame.columns))
    for number, row in enumerate(cells, start=1):
        click.echo(f"--- {number} ".ljust(longest + 3, "-"))
        for name, cell in zip(frame.columns, row, strict=True):
            click.echo(f"{name.ljust(longest)}  {cell}")
    sys.stdout.flush()


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
    return " ".join(str(value).splitlines())
