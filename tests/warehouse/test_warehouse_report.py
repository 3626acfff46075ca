"""The monthly report: what it says is what the lake holds, in every language, and it needs nothing beside itself."""

from __future__ import annotations

import base64
import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import dagster as dg
import polars as pl
import pytest
from click.testing import CliRunner

from climkit_pipeline.cli.reporting import report
from climkit_pipeline.defs.report_assets import build_report_assets
from climkit_pipeline.errors import ConfigurationError, WarehouseError
from climkit_pipeline.languages import LANGUAGES
from climkit_pipeline.languages.words import Words
from climkit_pipeline.report.content import Table
from climkit_pipeline.report.figures import SiteMonth, site_month
from climkit_pipeline.report.html import as_html
from climkit_pipeline.report.pages import number, report_of
from climkit_pipeline.report.pdf import as_pdf
from climkit_pipeline.report.pictures import svg_of
from climkit_pipeline.report.writing import write_reports
from climkit_pipeline.settings import load_settings

MONTH = date(2026, 10, 1)


@pytest.fixture(scope="module")
def month(built) -> SiteMonth:
    return site_month(built.layout.warehouse, "z1", "Bahnhofstrasse <1> & Co", MONTH)


@pytest.fixture(scope="module")
def page(month: SiteMonth) -> str:
    return as_html(report_of(month, "fr"))


def test_key_figures_are_the_sums_of_the_lake(month, built):
    rows = [row for row in built.lake.current("site_intervals") if row["site_id"] == "z1"]
    assert month.figures["now"]["consumption"] == sum(Decimal(str(row["consumption"])) for row in rows)
    assert month.figures["now"]["production"] == sum(Decimal(str(row["production"])) for row in rows)
    assert month.figures["last_month"]["consumption"] is None
    [table, *_] = report_of(month, "de").parts
    assert isinstance(table, Table)
    assert table.header == ["", "Dieser Monat"]  # a month without data has no column
    assert table.rows[0][1] == f"{number(month.figures['now']['consumption'], Words('de'))} kWh"


@pytest.mark.parametrize(("has_every_day", "difference"), [(True, "+100.0 %"), (False, "–")])
def test_a_month_beside_another_says_by_how_much_it_is_more_if_both_have_every_day(month, has_every_day, difference):
    """A running month was compared with all days of the one before: it used less, by the days to come."""
    now = month.figures["now"] | {"has_every_day": has_every_day}
    earlier = now | {"consumption": now["consumption"] / 2, "has_every_day": True}
    compared = replace(month, figures={**month.figures, "now": now, "last_year": earlier})
    [table, *_] = report_of(compared, "en").parts
    assert isinstance(table, Table)
    assert table.header == ["", "This month", "A year ago", "±"]
    assert table.rows[0][3] == difference
    assert ("have data of every day" in table.note) is not has_every_day


def test_whether_a_month_has_every_day_is_told_by_the_lake(month, built):
    october = {
        day
        for (dataset, day), rows in built.lake.rows.items()
        if dataset == "site_intervals" and day.replace(day=1) == MONTH and any(row["site_id"] == "z1" for row in rows)
    }
    assert october
    assert month.figures["now"]["has_every_day"] is (len(october) == 31)


def test_a_page_is_one_file_without_script_and_fetches_nothing(page):
    assert len(page.encode()) < 1_000_000
    assert "<script" not in page
    addresses = set(re.findall(r"""(?:href|src|url)\s*[=(]\s*["']?([^"')\s>]+)""", page))
    assert [address for address in addresses if not address.startswith("#")] == []
    assert "Bahnhofstrasse &lt;1&gt; &amp; Co" in page
    assert page.count("<svg ") == 5


def test_what_a_picture_refers_to_is_its_own(page):
    """Each was drawn with the ids of the first: the clipping of one cut the others."""
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids)) > 0
    assert set(re.findall(r"url\(#([^)]+)\)", page)) <= set(ids)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_word_of_it_is_in_the_readers_language(month, language):
    report = report_of(month, language)
    assert {"de": "Oktober 2026", "fr": "octobre 2026", "it": "ottobre 2026", "en": "October 2026"}[
        language
    ] in report.title
    # "Corrections" is French, too.
    english = {part.title for part in report_of(month, "en").parts} - {"Corrections"}
    assert language == "en" or english.isdisjoint(part.title for part in report.parts)


def test_what_is_missing_and_what_cannot_be_billed_is_told(month):
    tables = {part.title: part.rows for part in report_of(month, "en").parts if isinstance(part, Table)}
    missing = {row[0]: (row[3], row[4]) for row in tables["Missing values"]}
    assert missing["Meter gap (renamed)"] == ("1", "5")
    assert "Meter gap (renamed)" in [row[0] for row in tables["What cannot be billed yet"]]


def test_the_same_as_pdf(month):
    document = as_pdf(report_of(month, "it"))
    assert document.startswith(b"%PDF-")
    assert b"%%EOF" in document[-64:]


def test_a_file_per_site_and_a_site_that_is_not_known(built, tmp_path):
    [path] = write_reports(built.layout.warehouse, MONTH, tmp_path / "new", sites=("z1",))
    assert path.name == "report-2026-10-bahnhofstrasse-1.html"
    with pytest.raises(ConfigurationError, match="no site 'nowhere'"):
        list(write_reports(built.layout.warehouse, MONTH, tmp_path, sites=("nowhere",)))
    with pytest.raises(WarehouseError, match="no data of Bahnhofstrasse 1 for 2020-01"):
        list(write_reports(built.layout.warehouse, date(2020, 1, 1), tmp_path, sites=("z1",)))


def test_pages_lie_in_the_data_directory_and_not_where_the_command_was_given(built, tmp_path, monkeypatch):
    """They are personal, and a checkout is somebody's working tree."""
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    (data_dir / "warehouse.duckdb").symlink_to(built.layout.warehouse)
    monkeypatch.setenv("CLIMKIT_DATA_DIR", str(data_dir))
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(report, ["2026-10", "--site", "z1"], catch_exceptions=False)
    path = data_dir / "reports" / "report-2026-10-bahnhofstrasse-1.html"
    assert done.output == f"{path}\n"
    assert path.exists()
    assert {each.name for each in tmp_path.iterdir()} == {"data"}


def test_without_the_extra_a_sentence_says_what_to_install(tmp_path):
    code = (
        "import sys; sys.modules['altair'] = None\n"
        "from climkit_pipeline.cli.main import main\n"
        f"main(['report', '2026-10', '--output', {str(tmp_path)!r}])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].startswith(
        "climkit: reports need a package that is not installed (altair): pip"
    )


def test_the_asset_shows_the_pictures_and_keeps_the_pages(copy):
    settings = load_settings(data_dir=copy.layout.root, username="nobody", password="nothing")
    [asset] = build_report_assets(settings)
    config = {"ops": {asset.op.name: {"config": {"month": "2026-10", "language": "en"}}}}
    with dg.DagsterInstance.ephemeral() as instance:
        done = dg.materialize([asset], run_config=config, instance=instance)
    [event] = done.asset_materializations_for_node(asset.op.name)
    assert event.metadata["reports"].value == 2
    shown = event.metadata["Bahnhofstrasse 1: Electricity used per day"]
    assert isinstance(shown, dg.MarkdownMetadataValue)
    assert shown.md_str is not None
    drawn = base64.b64decode(shown.md_str.partition("base64,")[2].rstrip(")"))
    assert drawn.startswith(b"<svg ")
    assert len(list((copy.layout.root / "reports").glob("report-2026-10-*.html"))) == 2


CORRECTION = {
    "name": "Flat 1", "occupant": "Dupont", "quantity": "total", "unit": "kWh", "closed_value": Decimal("79.506"),
    "current_value": Decimal("54.241"), "delta": Decimal("-25.265"), "settled_version": None, "settled_on": None,
    "settled_by": None,
}  # fmt: skip


def test_corrections_tell_who_closed_and_which_version_settled_them(month):
    """Settled ones looked as if they were open, and nothing said that the month was closed."""
    at = datetime(2026, 11, 5, 23, 30, tzinfo=UTC)
    settled = CORRECTION | {"occupant": "Muster", "settled_version": 2, "settled_on": at.date(), "settled_by": "Ada"}
    closing = {"version": 2, "closed_at_utc": at, "closed_by": "Ada", "zone": "Europe/Zurich"}
    closed = replace(month, corrections=pl.DataFrame([CORRECTION, settled], infer_schema_length=None), closing=closing)
    table = report_of(closed, "en").parts[-1]
    assert isinstance(table, Table)
    assert "" not in table.header
    assert table.note == "Closed as version 2 by Ada on 2026-11-06 00:30."
    assert [(row[1], row[-1]) for row in table.rows] == [("Dupont", "not yet"), ("Muster", "2 (Ada, 2026-11-05)")]


def test_figures_in_pictures_have_the_readers_decimal_sign(month):
    """The tables of a French report had commas, and its pictures points."""
    (bars,) = (picture for picture in report_of(month, "fr").pictures if picture.name == "flats")
    peaks = [f"{peak:.2f}" for peak in month.flats["peak_kw"].drop_nulls()]
    assert peaks
    drawn = re.findall(r">([^<>]+)</text>", svg_of(bars))
    assert {peak.replace(".", ",") for peak in peaks} <= set(drawn)
    assert not set(peaks) & set(drawn)


def test_grid_energy_that_is_billed_to_nobody_is_named_below_the_key_figures(month):
    [table, *_] = report_of(replace(month, grid_to_nobody_kwh=Decimal("2.896028")), "fr").parts
    assert isinstance(table, Table)
    assert "2,896 kWh soutirés du réseau ne sont facturés à personne" in table.note
