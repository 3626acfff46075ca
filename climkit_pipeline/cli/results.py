"""Query results and exports, as tables for people or files for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import cast

import click
import polars as pl
import xlsxwriter

from climkit_pipeline.bill_files.tables import overview_facts
from climkit_pipeline.bill_files.text import line_frame
from climkit_pipeline.bill_files.workbook import write_workbook
from climkit_pipeline.cli.tables import print_frame
from climkit_pipeline.errors import ConfigurationError, QueryError, WarehouseError
from climkit_pipeline.files import atomic_file
from climkit_pipeline.languages import Language
from climkit_pipeline.languages.words import Words
from climkit_pipeline.warehouse.bills import column_comments, read_bills
from climkit_pipeline.warehouse.queries import (
    ResultFormat,
    as_json,
    billing_table,
    billing_table_as_closed,
    billing_table_between,
    closings_of,
    run_query,
    write_result,
)
from climkit_pipeline.warehouse.rows_per_line import lines_of, rows_per_line

XLSX_OPTIONS = {
    "remove_timezone": True,
    # Names come from the provider: text that begins with = stays text.
    "strings_to_formulas": False,
    "strings_to_urls": False,
}

FORMULA = r"^[=+\-@\t\r]"
"""How a text begins that spreadsheets compute when they open a CSV file."""


def show_result(frame: pl.DataFrame, output_format: str, output: Path | None) -> None:
    """Print a result, or write it to ``output``."""
    if output_format == "table" and output is not None:
        output_format = output.suffix.removeprefix(".").lower()
        if output_format not in {"csv", "json", "parquet"}:
            raise QueryError("--output needs a name that ends in .csv, .json or .parquet, or --format")
    if output_format == "table":
        print_frame(frame)
        return
    text = write_result(frame, cast("ResultFormat", output_format), output)
    if text is not None:
        # Programs read it: UTF-8, whatever the terminal's encoding is.
        click.echo(text.encode(), nl=False)


def export_billing(
    warehouse: Path,
    period: date | tuple[date, date],
    output_format: str,
    output: Path | None,
    *,
    sites: Sequence[str] = (),
    grades: Sequence[str] = (),
    current: bool = False,
) -> None:
    """Write ``billing_monthly`` of a month (given by its first day), or of the local days from a first to a last one.

    A meter that served several points or occupants has a row for each. A month that is closed is written as it was
    frozen, unless ``current``; stderr says which it is, and how many meters have which grade (before only ``grades``
    are taken).
    """
    if isinstance(period, date):
        named = f"{period:%Y-%m}"
        table = billing_table(warehouse, period) if current else billing_table_as_closed(warehouse, period)
    else:
        named = f"{period[0]} to {period[1]}"
        table = billing_table_between(warehouse, *period)
    if sites:
        known = run_query(warehouse, "select site_id from sites order by site_id")["site_id"].to_list()
        if unknown := [site for site in sites if site not in known]:
            raise ConfigurationError(f"there is no site {unknown[0]!r}; accepted: {', '.join(known) or 'none yet'}")
        table = table.filter(pl.col("site_id").is_in(sites))
    if table.is_empty():
        raise WarehouseError(f"no data for {named}: no meter was listed or asked for in that time")
    summary = _grades(table)
    table = rows_per_line(table, lines_of(warehouse, period, current=current))
    sources = list(_sources(warehouse, table, period, current=current))
    if grades:
        table = table.filter(pl.col("grade").is_in(grades))
        summary += f"; written: {table.height} of {' and '.join(grades)}"
    if output_format == "xlsx":
        _write_workbook(table, output)
    else:
        show_result(_without_formulas(table) if output_format.startswith("csv") else table, output_format, output)
    for line in (*sources, f"{named}: {summary}"):
        click.echo(line, err=True)


def export_bill(
    warehouse: Path, month: date, output_format: str, output: Path | None, *, sites: Sequence[str], language: str
) -> None:
    """Write the bill per occupant of a month (its first day), for people; stderr says what it is."""
    words = Words(cast("Language", language))
    bills = read_bills(warehouse, month, sites)
    if output_format == "xlsx":
        if output is None:
            raise QueryError("xlsx is no text: name a file with --output")
        write_workbook(bills, column_comments(warehouse), words, output)
    else:
        if output_format == "csv":
            output_format = "csv-excel" if words.decimal_sign == "," else "csv-excel-point"
        for_people = output_format != "csv-plain"
        frame = line_frame(bills, words, for_people=for_people)
        show_result(_without_formulas(frame), output_format if for_people else "csv", output)
    for label, said in overview_facts(bills, words):
        click.echo(f"{label}: {said}", err=True)
    if output is not None:
        click.echo(str(output), err=True)


def _grades(table: pl.DataFrame) -> str:
    """How many meters have which grade; a meter that is not billed holds up no bill."""
    is_billed = pl.col("is_billed").fill_null(value=False)
    parts = []
    for name, rows in {"billed meters": table.filter(is_billed), "not billed": table.filter(~is_billed)}.items():
        counts = rows.group_by("grade").len().sort("grade")
        if not counts.is_empty():
            parts.append(f"{name}: " + ", ".join(f"{meters} {grade}" for grade, meters in counts.iter_rows()))
    return "; ".join(parts)


def _without_formulas(table: pl.DataFrame) -> pl.DataFrame:
    """The same with an apostrophe before texts that would be computed; numbers, negative ones too, stay numbers."""
    texts = pl.col(pl.String)
    return table.with_columns(pl.when(texts.str.contains(FORMULA)).then("'" + texts).otherwise(texts).name.keep())


def _sources(warehouse: Path, table: pl.DataFrame, period: date | tuple[date, date], *, current: bool) -> Iterator[str]:
    """What the rows are: one line per site that is closed, and one for all that are not."""
    if not isinstance(period, date) or current:
        yield "the values as they are now, whether closed or not"
        return
    closed = closings_of(warehouse, period).filter(pl.col("site_id").is_in(table["site_id"].unique().to_list()))
    for site_id, version, closed_at, closed_by in closed.iter_rows():
        yield (
            f"{period:%Y-%m} of site {site_id}: version {version}, closed on {closed_at:%Y-%m-%d} by {closed_by} "
            "(--current writes the values as they are now)"
        )
    open_sites = table["site_id"].n_unique() - closed.height
    if open_sites:
        sites = "1 site" if open_sites == 1 else f"{open_sites} sites"
        yield f"{period:%Y-%m} is not closed at {sites}: values as they are now"


def _write_workbook(table: pl.DataFrame, output: Path | None) -> None:
    if output is None:
        raise QueryError("xlsx is no text: name a file with --output")
    # Lists have no place in a cell; one reason per line does. Structures do not either.
    table = table.with_columns(pl.col("reasons").list.join("\n"))
    nested = [name for name, kind in table.schema.items() if kind.is_nested()]
    with (
        atomic_file(output.absolute()) as temporary,
        xlsxwriter.Workbook(temporary, XLSX_OPTIONS) as workbook,
    ):
        table.with_columns(as_json(nested)).write_excel(workbook, "billing_monthly", autofit=True, freeze_panes=(1, 4))
