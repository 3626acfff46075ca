"""The rows of ``billing_monthly`` cut where a meter served several points or occupants: one row per bill."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl

from climkit_pipeline.warehouse.bills import LINES
from climkit_pipeline.warehouse.queries import run_query

_METER = ["site_id", "meter_id"]
_OF_LINES = ["line_from", "line_until", "occupant"]
"""Columns that rows of a meter do not have."""
_OF_METERS = {"version", "interval_minutes"}
"""Numbers that are as true of a part of the month as of the whole."""


def rows_per_line(table: pl.DataFrame, lines: pl.DataFrame) -> pl.DataFrame:
    """The same table with ``occupant``, ``line_from`` and ``line_until``, one row per line of a meter.

    Of a meter with several lines, each row states what its line does: quantities, indices, grade and reasons. What is
    known of the whole period alone (peaks, counts of intervals, flows) is null there.
    """
    lines = lines.with_columns(pl.len().over(_METER).alias("lines"))
    alone = table.join(lines.filter(pl.col("lines") == 1).select(*_METER, *_OF_LINES), on=_METER, how="left")
    cut = lines.filter(pl.col("lines") > 1)
    if cut.is_empty():
        return alone
    known = {name: name for name in cut.columns if name in table.columns and name not in _METER}
    known |= {"billed_total": "total", "billed_solar": "solar", "billed_grid": "grid"}
    lost = [
        name
        for name, kind in table.schema.items()
        if (kind.is_numeric() and name not in {*known, *_OF_METERS}) or name == "peak_at_utc"
    ]
    several = table.join(cut.select(_METER).unique(), on=_METER, how="semi").join(
        cut.select(*_METER, *_OF_LINES, *(pl.col(name).alias(f"line {name}") for name in set(known.values()))),
        on=_METER,
    )
    several = several.with_columns(
        *(pl.lit(None).alias(name).cast(table.schema[name]) for name in lost),
        *(
            pl.col(f"line {of_line}").cast(table.schema[name]).alias(name)
            for name, of_line in known.items()
            if name in table.columns
        ),
    )
    if {"index_start", "index_end", "index_advance"} <= set(table.columns):
        several = several.with_columns((pl.col("index_end") - pl.col("index_start")).alias("index_advance"))
    others = alone.join(cut.select(_METER).unique(), on=_METER, how="anti")
    found = pl.concat([others, several.select(others.columns)], how="vertical_relaxed")
    order = [name for name in ("site_name", "site_id", "meter_name", "meter_id", "line_from") if name in found.columns]
    return found.sort(order, nulls_last=True, maintain_order=True)


def lines_of(path: Path, period: date | tuple[date, date], *, current: bool) -> pl.DataFrame:
    """The lines of a month (its first day), frozen where it is closed unless ``current``, or those of any days."""
    if not isinstance(period, date):
        return run_query(path, "from billing_lines(?, ?)", period)
    if current:
        return run_query(path, "from billing_lines_monthly where billing_month = ?", [period.replace(day=1)])
    return run_query(path, LINES, {"month": period.replace(day=1)})
