"""The monthly report as an asset: its pictures show in the UI, its pages lie in ``reports/`` of the data directory.

It is there where the extra ``report`` is installed. Nobody materializes it but a person: a report is of a month, and
whoever wants one looks at it.
"""

import importlib.util
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import dagster as dg

from climkit_pipeline.defs.data_checks import picture_of
from climkit_pipeline.defs.keys import model_key
from climkit_pipeline.domain.periods import last_month
from climkit_pipeline.errors import ConfigurationError
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.languages import Language
from climkit_pipeline.report import EXTRA
from climkit_pipeline.settings import Settings

READS = (
    "site_energy_days",
    "site_flows",
    "meter_flows",
    "peaks_monthly",
    "billing_monthly",
    "billing_line_corrections",
)
MOST_SITES_SHOWN = 5
"""Of a larger account, the UI shows the first; their pages are all written."""


class ReportConfig(dg.Config):
    """Which month, in which language."""

    month: str = ""
    """YYYY-MM; nothing: the last full one."""
    language: Language = "de"


def build_report_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """The asset, or none without the packages that draw."""
    if not all(importlib.util.find_spec(name) for name in EXTRA):
        return []

    @dg.asset(
        key=["reports", "monthly_report"],
        group_name="9_analysis",
        deps=[model_key(name) for name in READS],
        owners=settings.owners,
        description=(
            "The report of a month per site: key figures, use and autonomy per day, when electricity is used, base "
            "load and peaks, what is missing. Materialize it for the last full month, or state another in its "
            "configuration; `climkit report` writes the same, and PDF."
        ),
    )
    def monthly_report(context: dg.AssetExecutionContext, config: ReportConfig) -> dg.MaterializeResult[None]:
        zone = ZoneInfo(settings.timezone)
        month = _month_of(config.month, datetime.now(UTC).astimezone(zone).date())
        pages, shown = _write(Layout(settings.data_dir), month, config)
        context.log.info(f"{len(pages)} reports of {month:%Y-%m}: {', '.join(map(str, pages))}")
        return dg.MaterializeResult(metadata={"month": f"{month:%Y-%m}", "reports": len(pages), **dict(shown)})

    return [monthly_report]


def _month_of(stated: str, today: date) -> date:
    if not stated:
        return last_month(today)
    try:
        return datetime.strptime(stated, "%Y-%m").replace(tzinfo=UTC).date()
    except ValueError as error:
        raise ConfigurationError(f"{stated!r} is no month such as 2026-10") from error


def _write(
    layout: Layout, month: date, config: ReportConfig
) -> tuple[list[Path], list[tuple[str, dg.MarkdownMetadataValue]]]:
    """Paths of the pages, and pictures by title."""
    # To draw is slow to load, and no other run needs it.
    from climkit_pipeline.report.figures import sites_of
    from climkit_pipeline.report.writing import pictures_of, write_reports

    pages = list(write_reports(layout.warehouse, month, layout.reports, language=config.language))
    shown = []
    for site in list(sites_of(layout.warehouse, ()))[:MOST_SITES_SHOWN]:
        for title, svg in pictures_of(layout.warehouse, month, site, config.language).items():
            if (picture := picture_of(svg, title)) is not None:
                shown.append((title, picture))
    return pages, shown
