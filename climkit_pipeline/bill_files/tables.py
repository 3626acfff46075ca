"""The tables of a bill, in the words of its reader: one cell, one value.

Here: which columns, rows and sums there are. Not here: how a file shows them (``workbook``, ``text``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any, Literal

import polars as pl

from climkit_pipeline.bill_files import open_corrections
from climkit_pipeline.languages.remarks import grid_to_nobody
from climkit_pipeline.languages.words import Words
from climkit_pipeline.warehouse.bills import SiteBill

Kind = Literal["text", "day", "quantity", "number"]
Cell = str | date | Decimal | int | None
READY = ("ready", "ready_with_estimates")
ROUNDING = Decimal("0.000002")
"""Parts are rounded one by one to a millionth; see ``meter_days``."""


@dataclass(frozen=True)
class Column:
    """One column: its name in files for programs, its words, and what its cells are."""

    name: str
    words: str
    kind: Kind = "text"
    width: int = 10
    comment_of: str = ""
    """The column of billing_lines_monthly whose comment explains it."""


@dataclass(frozen=True)
class Table:
    """Rows under a header; ``sums`` stand below them."""

    columns: tuple[Column, ...]
    rows: list[list[Cell]]
    sums: list[list[Cell]] = field(default_factory=list)


LINE_COLUMNS = (
    Column("flat", "Flat", width=21, comment_of="billing_point"),
    Column("occupant", "Occupant", width=14, comment_of="occupant"),
    Column("from", "From", "day", 11, comment_of="line_from"),
    Column("to", "To", "day", 11, comment_of="line_until"),
    Column("medium", "Medium", width=17, comment_of="meter_type"),
    Column("total", "Total", "quantity", 12, comment_of="billable_total"),
    Column("solar", "Solar", "quantity", 11, comment_of="billable_solar"),
    Column("grid", "Grid", "quantity", 11, comment_of="billable_grid"),
    Column("unit", "Unit", width=8, comment_of="unit"),
    Column("index_before", "Index before", "quantity", 12, comment_of="index_start"),
    Column("index_after", "Index after", "quantity", 12, comment_of="index_end"),
    Column("state", "State", width=13, comment_of="grade"),
    Column("remark", "Remark", width=38, comment_of="reasons"),
)
_LINES_BY_NAME = {column.name: column for column in LINE_COLUMNS}
SITE_COLUMN = Column("site", "Site", width=22, comment_of="site_name")
DETAIL_COLUMNS = (
    SITE_COLUMN,
    *(_LINES_BY_NAME[name] for name in ("flat", "occupant", "from", "to", "medium", "unit")),
    Column("measured_total", "Measured total", "quantity", 12, comment_of="total"),
    Column("measured_solar", "Measured solar", "quantity", 12, comment_of="solar"),
    Column("measured_grid", "Measured grid", "quantity", 12, comment_of="grid"),
    Column("meter", "Meter", width=22, comment_of="meter_name"),
    Column("meter_id", "Id of the meter", width=27, comment_of="meter_id"),
    Column("code", "Codes of the reasons", width=22),
)
CORRECTION_COLUMNS = (
    SITE_COLUMN,
    *(_LINES_BY_NAME[name] for name in ("flat", "occupant", "medium")),
    Column("quantity", "Quantity", width=10),
    Column("closed_value", "As closed", "quantity", 12),
    Column("current_value", "Corrected", "quantity", 12),
    Column("delta", "Difference", "quantity", 12),
    _LINES_BY_NAME["unit"],
    Column("cause", "Cause", width=14),
    Column("version", "Version", "number", 11),
    Column("settled_version", "Settled by version", "number", 14),
    Column("settled_on", "Settled on", "day", 12),
    Column("settled_by", "Settled by", width=16),
    Column("settled_why", "Why", width=26),
)
MEDIUM_COLUMNS = (
    SITE_COLUMN,
    Column("medium", "Medium", width=16),
    Column("lines", "Lines", "number", 8),
    Column("total", "Total", "quantity", 13),
    Column("solar", "Solar", "quantity", 13),
    Column("grid", "Grid", "quantity", 13),
    Column("unit", "Unit", width=7),
    Column("not_yet", "Not billable yet", "quantity", 13),
    Column("adds_up", "Lines are the meters' total", width=24),
    Column("splits", "Solar and grid are the total", width=24),
)


def occupant_of(row: Mapping[str, Any], words: Words) -> str | None:
    """Who is billed; days on which nobody is stated, between others' days, are the owner's."""
    return row["occupant"] or (words.say("the owner") if row["is_vacant"] else None)


def state_of(row: Mapping[str, Any], words: Words) -> str:
    """Whether the line may be billed, in a word or two."""
    return words.say("not billed" if row["is_excluded"] else str(row["grade"]))


def _remark(bill: SiteBill, row: Mapping[str, Any], words: Words) -> str:
    said = [] if bill.closing is not None else [words.say("The month is open: values may still change.")]
    if not_settled := open_corrections.remark(bill, row, words):
        said.append(not_settled)
    return "\n".join(said + [_capital(words.reason(reason)) for reason in row["reasons"] or []])


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def line_table(bill: SiteBill, words: Words) -> Table:
    """What each occupant is billed, with one sum per medium; quantities that may not be billed yet are empty."""
    rows: list[list[Cell]] = [
        [
            row["flat"],
            occupant_of(row, words),
            row["line_from"],
            row["line_until"],
            words.say(row["meter_type"]),
            row["billable_total"],
            row["billable_solar"],
            row["billable_grid"],
            row["unit"],
            row["index_start"],
            row["index_end"],
            state_of(row, words),
            _remark(bill, row, words),
        ]
        for row in bill.lines.iter_rows(named=True)
    ]
    sums: list[list[Cell]] = []
    for found in _by_medium(bill):
        start: list[Cell] = [words.say("Sum"), None, None, None, words.say(found["meter_type"])]
        sums.append([*start, found["total"], found["solar"], found["grid"], found["unit"], *[None] * 4])
    return Table(LINE_COLUMNS, rows, sums)


def detail_table(bills: Sequence[SiteBill], words: Words) -> Table:
    """What was measured for each line, billable or not, and by which meter."""
    rows: list[list[Cell]] = []
    for bill in bills:
        for row in bill.lines.iter_rows(named=True):
            start: list[Cell] = [bill.name, row["flat"], occupant_of(row, words), row["line_from"], row["line_until"]]
            measured = [words.say(row["meter_type"]), row["unit"], row["total"], row["solar"], row["grid"]]
            codes = ", ".join(reason.partition(":")[0] for reason in row["reasons"] or [])
            rows.append([*start, *measured, row["meter_name"], row["meter_id"], codes])
    return Table(DETAIL_COLUMNS, rows)


def correction_table(bills: Sequence[SiteBill], words: Words) -> Table:
    """What is billed otherwise than it was closed, settled or not."""
    rows: list[list[Cell]] = []
    for bill in bills:
        flats = dict(bill.lines.select("billing_point", "flat").iter_rows())
        for row in bill.corrections.iter_rows(named=True):
            settled = row["settled_at_utc"]
            rows.append(
                [
                    bill.name,
                    flats.get(row["billing_point"], row["meter_name"]),
                    row["occupant"] or words.say("the owner"),
                    words.say(row["meter_type"]),
                    words.say(row["quantity"]),
                    row["closed_value"],
                    row["current_value"],
                    row["delta"],
                    row["unit"],
                    words.say(row["cause"]),
                    row["version"],
                    row["settled_version"],
                    None if settled is None else settled.astimezone(bill.zone).date(),
                    row["settled_by"],
                    row["settled_why"],
                ]
            )
    return Table(CORRECTION_COLUMNS, rows)


def medium_table(bills: Sequence[SiteBill], words: Words) -> Table:
    """Sums per site and medium, and whether they are what the meters' bills add up to."""
    rows: list[list[Cell]] = []
    for bill in bills:
        of_meters = {(kind, unit): total for kind, unit, total in bill.meter_totals.iter_rows()}
        for found in _by_medium(bill):
            of_meter = of_meters.get((found["meter_type"], found["unit"]))
            apart = (found["measured"] or Decimal(0)) - (of_meter or Decimal(0))
            split_apart = None
            if found["solar"] is not None:
                split_apart = found["split_total"] - found["solar"] - (found["grid"] or Decimal(0))
            rows.append(
                [
                    bill.name,
                    words.say(found["meter_type"]),
                    found["lines"],
                    found["total"],
                    found["solar"],
                    found["grid"],
                    found["unit"],
                    found["not_yet"] or None,
                    _whether_equal(apart, ROUNDING, found["unit"], words),
                    "" if split_apart is None
                    else _whether_equal(split_apart, ROUNDING * found["lines"], found["unit"], words),
                ]
            )  # fmt: skip
    return Table(MEDIUM_COLUMNS, rows)


def _whether_equal(apart: Decimal, allowed: Decimal, unit: str | None, words: Words) -> str:
    if abs(apart) <= allowed:
        return words.say("yes")
    return words.say("no: {amount} apart", amount=f"{abs(apart).normalize():f} {unit or ''}".strip())


def _by_medium(bill: SiteBill) -> Iterator[dict[str, Any]]:
    """Sums of what may be billed, per medium and unit: null where no line states the quantity."""

    def total_of(name: str) -> pl.Expr:
        column = pl.col(name)
        return pl.when(column.count() > 0).then(column.sum())

    waits = ~pl.col("is_excluded") & ~pl.col("grade").is_in(READY)
    sums = bill.lines.group_by("meter_type", "unit").agg(
        total_of("billable_total").alias("total"),
        total_of("billable_solar").alias("solar"),
        total_of("billable_grid").alias("grid"),
        pl.col("billable_total").filter(pl.col("billable_solar").is_not_null()).sum().alias("split_total"),
        pl.col("total").sum().alias("measured"),
        pl.col("total").filter(waits).sum().alias("not_yet"),
        pl.len().alias("lines"),
    )
    yield from sums.sort("meter_type", "unit", nulls_last=True).iter_rows(named=True)


def overview_facts(bills: Sequence[SiteBill], words: Words) -> Iterator[tuple[str, str]]:
    """What this bill is: per site the month, the version, who closed it, and when the data are of."""
    yield words.say("Month"), words.month(bills[0].month)
    for bill in bills:
        yield bill.name, "; ".join(_about_site(bill, words))
    for not_settled in filter(None, (open_corrections.attention(bill, words) for bill in bills)):
        yield words.say("Attention"), not_settled
    waiting = sum(bill.lines.filter(~pl.col("grade").is_in(READY)).height for bill in bills)
    if waiting:
        yield (
            words.say("Attention"),
            words.say(
                "{count} {line is|lines are} not billable yet: the reasons are in the column Remark.", count=waiting
            ),
        )


def _about_site(bill: SiteBill, words: Words) -> Iterator[str]:
    closing = bill.closing
    if closing is None:
        yield words.say("the month is open: values may still change")
    else:
        yield words.say(
            "closed as version {version} by {who} on {at}",
            version=closing.version,
            who=closing.closed_by,
            at=words.instant(closing.closed_at_utc, bill.zone),
        )
        if not closing.has_lines:
            yield words.say("lines as they are now: this version froze meters alone")
    if bill.as_of_utc is not None:
        yield words.say("data as of {at}", at=words.instant(bill.as_of_utc, bill.zone))
    if unbilled := grid_to_nobody(bill.grid_to_nobody_kwh, words):
        yield unbilled
