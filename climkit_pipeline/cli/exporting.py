"""``climkit export``: tables and bills, to files for others."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from climkit_pipeline.cli.ranges import billing_period, parse_month
from climkit_pipeline.cli.sites import SITE, SITE_METAVAR
from climkit_pipeline.errors import QueryError
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.languages import LANGUAGES
from climkit_pipeline.settings import load_settings

CSV_FORMATS = ("csv", "csv-excel", "csv-excel-point")
"""Plain, for programs; for spreadsheets with a decimal comma; for those with a decimal point (German Switzerland)."""
BILL_FORMATS = ("xlsx", "csv", "csv-excel", "csv-excel-point", "csv-plain")
"""Of a bill, ``csv`` is for spreadsheets, too, with the decimal sign of the language; ``csv-plain`` for programs."""
GRADES = ("ready", "ready_with_estimates", "provisional", "blocked")


@click.group()
def export() -> None:
    """Write tables to files for others."""


@export.command()
@click.argument("month", metavar="[MONTH]", required=False)
@click.option("--from", "first", metavar="DATE", help="Instead of MONTH: any first local day …")
@click.option("--to", "last", metavar="DATE", help="… and the last one, included.")
@click.option("--site", "sites", multiple=True, type=SITE, metavar=SITE_METAVAR, help="Only this site (repeatable).")
@click.option("--grade", "grades", multiple=True, type=click.Choice(GRADES), help="Only this grade (repeatable).")
@click.option("--current", is_flag=True, help="What the values are now, even where the month is closed.")
@click.option("--format", "output_format", type=click.Choice([*CSV_FORMATS, "xlsx", "parquet"]), default="csv")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Default: stdout.")
def billing(
    *,
    month: str | None,
    first: str | None,
    last: str | None,
    sites: tuple[str, ...],
    grades: tuple[str, ...],
    current: bool,
    output_format: str,
    output: Path | None,
) -> None:
    """billing_monthly of one MONTH (YYYY-MM), as closed if it is; or of any local days. Counts go to stderr."""
    from climkit_pipeline.cli.results import export_billing

    warehouse = Layout(load_settings().data_dir).warehouse
    period = billing_period(month, first, last)
    export_billing(warehouse, period, output_format, output, sites=sites, grades=grades, current=current)


@export.command()
@click.argument("month", metavar="MONTH")
@click.option("--site", "sites", multiple=True, type=SITE, metavar=SITE_METAVAR, help="Only this site (repeatable).")
@click.option("--language", type=click.Choice(LANGUAGES), default="de", show_default=True, help="Of all words.")
@click.option("--format", "output_format", type=click.Choice(BILL_FORMATS), help="Default: xlsx, or what F ends in.")
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), help="Default: bill-MONTH.xlsx; csv: stdout."
)
def bill(*, month: str, sites: tuple[str, ...], language: str, output_format: str | None, output: Path | None) -> None:
    """The bill per occupant of a MONTH (YYYY-MM), for people: as closed if it is, else as it is now."""
    from climkit_pipeline.cli.results import export_bill

    first_day = parse_month(month)
    if output_format is None:
        output_format = "csv" if output is not None and output.suffix.lower() == ".csv" else "xlsx"
    if output is None and output_format == "xlsx":
        output = Path(f"bill-{first_day:%Y-%m}.xlsx")
    if output is not None and output_format == "xlsx" and output.suffix.lower() != ".xlsx":
        raise QueryError(f"{output} is no name for a workbook: let it end in .xlsx, or name a --format")
    warehouse = Layout(load_settings().data_dir).warehouse
    export_bill(warehouse, first_day, output_format, output, sites=sites, language=language)


@export.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--table", "tables", multiple=True, help="Instead of the views for people: this table (repeatable).")
@click.option("--since", type=click.DateTime(["%Y-%m-%d"]), help="Only local days and months from this date on.")
def datapackage(*, folder: Path, tables: tuple[str, ...], since: datetime | None) -> None:
    """Write the views for people to FOLDER as Parquet, with a Frictionless datapackage.json that describes them."""
    from climkit_pipeline.warehouse.data_package import write_data_package

    warehouse = Layout(load_settings().data_dir).warehouse
    written = write_data_package(warehouse, folder, tables=tables, since=since.date() if since else None)
    for table in written:
        click.echo(f"{table.name}.parquet: {table.rows:,} rows, {table.size_bytes / 2**20:,.1f} MiB", err=True)
    click.echo(str(folder / "datapackage.json"))
