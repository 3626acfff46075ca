"""The bill as CSV: for spreadsheets in the reader's language, or plain for programs."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal

import polars as pl

from climkit_pipeline.bill_files.tables import LINE_COLUMNS, SITE_COLUMN, Cell, Column, Kind, line_table
from climkit_pipeline.languages.words import Words
from climkit_pipeline.warehouse.bills import SiteBill

_TYPES: dict[Kind, pl.DataType | type[pl.DataType]] = {
    "text": pl.String,
    "day": pl.Date,
    "quantity": pl.Decimal(18, 6),
    "number": pl.Int64,
}


def line_frame(bills: Sequence[SiteBill], words: Words, *, for_people: bool) -> pl.DataFrame:
    """One row per line of all sites: columns of a site's sheet, with the site before them.

    ``for_people``: the header and the dates are in the reader's language, quantities have the three decimals of the
    workbook; else the header is ours, dates are ISO, and quantities are whole. What is empty is null.
    """
    columns: tuple[Column, ...] = (SITE_COLUMN, *LINE_COLUMNS)
    schema = {column.name: _TYPES[column.kind] for column in columns}
    rows = [
        [bill.name, *(_cell(cell, for_people=for_people) for cell in cells)]
        for bill in bills
        for cells in line_table(bill, words).rows
    ]
    if for_people:
        schema = {name: pl.Decimal(18, 3) if kind == pl.Decimal else kind for name, kind in schema.items()}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    # One line per row: spreadsheets that split cells at line breaks are many.
    frame = frame.with_columns(pl.col("remark").str.replace_all("\n", " | "))
    if not for_people:
        return frame
    days = [pl.col(column.name).map_elements(words.day, pl.String) for column in columns if column.kind == "day"]
    return frame.with_columns(days).rename({column.name: words.say(column.words) for column in columns})


def _cell(cell: Cell, *, for_people: bool) -> Cell:
    if isinstance(cell, Decimal) and for_people:
        return cell.quantize(Decimal("0.001"), ROUND_HALF_UP)
    return None if cell == "" else cell
