"""``climkit report``: the monthly report per site."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from climkit_pipeline.cli.ranges import parse_month
from climkit_pipeline.cli.sites import SITE, SITE_METAVAR
from climkit_pipeline.errors import ConfigurationError
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.languages import LANGUAGES, Language
from climkit_pipeline.report import EXTRA
from climkit_pipeline.settings import load_settings

if TYPE_CHECKING:
    from climkit_pipeline.report.writing import ReportFormat

FORMATS = ("html", "pdf", "svg")


@click.command()
@click.argument("month", metavar="MONTH")
@click.option("--site", "sites", multiple=True, type=SITE, metavar=SITE_METAVAR, help="Only this site (repeatable).")
@click.option("--language", type=click.Choice(LANGUAGES), default="de", show_default=True, help="Of all words.")
@click.option(
    "--format", "report_format", type=click.Choice(FORMATS), default="html", show_default=True,
    help="svg: each picture by itself.",
)  # fmt: skip
@click.option(
    "--output", "folder", type=click.Path(path_type=Path, file_okay=False),
    help="Default: reports/ in the data directory.",
)  # fmt: skip
def report(
    *, month: str, sites: tuple[str, ...], language: Language, report_format: ReportFormat, folder: Path | None
) -> None:
    """The report of a MONTH (YYYY-MM): key figures, pictures and what is missing, one file per site."""
    try:
        from climkit_pipeline.report.writing import write_reports
    except ModuleNotFoundError as error:
        if error.name not in EXTRA:
            raise
        raise ConfigurationError(
            f"reports need a package that is not installed ({error.name}): pip install 'climkit-pipeline[report]'"
        ) from error

    first_day = parse_month(month)
    layout = Layout(load_settings().data_dir)
    written = write_reports(
        layout.warehouse, first_day, folder or layout.reports, sites=sites, language=language,
        report_format=report_format,
    )  # fmt: skip
    for path in written:
        click.echo(str(path))
