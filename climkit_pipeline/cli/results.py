"""Query results and exports, as tables for people or files for programs."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import cast

import click
import polars as pl
import xlsxwriter

from climkit_pipeline.cli.tables import print_frame
from climkit_pipeline.errors import QueryError, WarehouseError
from climkit_pipeline.files import atomic_file
from climkit_pipeline.warehouse.queries import ResultFormat, billing_table, write_result

XLSX_OPTIONS = {
    "remove_timezone": True,
    # Names come from the provider: text that begins with = stays text.
    "strings_to_formulas": False,
    "strings_to_urls": False,
}


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
        click.echo(text, nl=False)


def export_billing(warehouse: Path, month: date, output_format: str, output: Path | None) -> None:
    """Write one month of ``billing_monthly``; counts per grade on stderr."""
    table = billing_table(warehouse, month)
    if table.is_empty():
        raise WarehouseError(f"no data for {month:%Y-%m}: no meter was listed or asked for in that month")
    if output_format == "xlsx":
        if output is None:
            raise QueryError("xlsx is no text: name a file with --output")
        with (
            atomic_file(output.absolute()) as temporary,
            xlsxwriter.Workbook(temporary, XLSX_OPTIONS) as workbook,
        ):
            # Lists have no place in a cell; one reason per line does.
            table.with_columns(pl.col("reasons").list.join("\n")).write_excel(
                workbook, "billing_monthly", autofit=True, freeze_panes=(1, 4)
            )
    else:
        show_result(table, output_format, output)
    counts = table.group_by("grade").len().sort("grade")
    summary = ", ".join(f"{grade}: {meters}" for grade, meters in counts.iter_rows())
    click.echo(f"{month:%Y-%m}: {summary}", err=True)
