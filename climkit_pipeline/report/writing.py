"""Reports as files: one per site."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Literal

from climkit_pipeline.errors import WarehouseError
from climkit_pipeline.files import atomic_file
from climkit_pipeline.languages import Language
from climkit_pipeline.report.figures import site_month, sites_of
from climkit_pipeline.report.html import as_html
from climkit_pipeline.report.pages import report_of
from climkit_pipeline.report.pdf import as_pdf
from climkit_pipeline.report.pictures import svg_of

ReportFormat = Literal["html", "pdf", "svg"]


def write_reports(
    warehouse: Path,
    month: date,
    folder: Path,
    *,
    sites: tuple[str, ...] = (),
    language: Language = "de",
    report_format: ReportFormat = "html",
) -> Iterator[Path]:
    """Write the report of each site (by id; all, if none is named), and give the path of each file.

    ``svg`` writes each picture by itself. Raises WarehouseError if a site has no data of the month or the folder cannot
    be written, ConfigurationError for a site that is not known.
    """
    names = sites_of(warehouse, sites)
    if not names:
        raise WarehouseError("no data yet: no site is known")
    for site_id, site in names.items():
        report = report_of(site_month(warehouse, site_id, site, month), language)
        stem = f"report-{month:%Y-%m}-{_file_name(site) or site_id}"
        if report_format == "pdf":
            files = {f"{stem}.pdf": as_pdf(report)}
        elif report_format == "html":
            files = {f"{stem}.html": as_html(report).encode()}
        else:
            files = {f"{stem}-{each.name}.svg": svg_of(each).encode() for each in report.pictures}
        for name, content in files.items():
            yield _written(folder / name, content)


def pictures_of(warehouse: Path, month: date, site_id: str, language: Language) -> dict[str, str]:
    """A site's pictures as SVG, by title; none where the site has no data of the month."""
    site = sites_of(warehouse, (site_id,))[site_id]
    try:
        report = report_of(site_month(warehouse, site_id, site, month), language)
    except WarehouseError:
        return {}
    return {f"{site}: {each.title}": svg_of(each) for each in report.pictures}


def _written(path: Path, content: bytes) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise WarehouseError(f"{path} cannot be written: {error.strerror or error}") from error
    return path


def _file_name(site: str) -> str:
    """What any file system takes: letters without accents, digits and hyphens."""
    plain = unicodedata.normalize("NFKD", site).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
