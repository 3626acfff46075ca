"""The report in a real browser: its pictures are drawn, and it asks nobody for anything."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from playwright.sync_api import sync_playwright

from climkit_pipeline.report.figures import SiteMonth
from climkit_pipeline.report.html import as_html
from climkit_pipeline.report.pages import report_of

CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]


@pytest.fixture
def month() -> SiteMonth:
    first = date(2026, 10, 1)
    days = [first + timedelta(days=number) for number in range(31)]
    energy = {"consumption": 100.0, "production": 50.0, "self_consumption": 25.0, "grid_import": 75.0}
    shares = {"autonomy": 0.25, "own_use": 0.5, "degree_days": None, "charge_points": None}
    figures = {**energy, **shares, "grid_export": 25.0, "whole_days": 31, "has_every_day": True}
    hours = [(day, hour, 1.0 + hour / 10, 0.5) for day in days for hour in range(24)]
    empty = pl.DataFrame()
    return SiteMonth(
        site="Lake 1",
        month=first,
        as_of="2026-11-28T03:00:00Z",
        figures={"now": figures, "last_month": dict.fromkeys(figures), "last_year": dict.fromkeys(figures)},
        days=pl.DataFrame({
            "local_date": days, "solar": [1.0] * 31, "grid": [2.0] * 31, "autonomy": [33.0] * 31,
            "completeness": [1.0] * 31,
        }),
        hours=pl.DataFrame(hours, schema=["local_date", "hour_of_day", "consumption", "production"], orient="row"),
        flats=pl.DataFrame({
            "name": ["Flat 1"], "kwh": [9.5], "solar_percent": [30.0], "base_watts": [80.0], "peak_kw": [2.5],
            "local_peak_at": [None],
        }),
        gaps=empty,
        grades=pl.DataFrame({"grade": ["ready"], "meters": [3]}),
        not_ready=empty,
        corrections=empty,
        closing=None,
        grid_to_nobody_kwh=None,
    )  # fmt: skip


def test_the_pictures_are_drawn_inside_the_page_and_nothing_is_asked_for(month: SiteMonth, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(as_html(report_of(month, "de")), encoding="utf-8")
    asked: list[str] = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 900, "height": 1200})
        page.on("request", lambda request: asked.append(request.url))
        page.goto(path.as_uri())
        assert page.locator("h1").inner_text() == "Lake 1 · Oktober 2026"
        boxes = [each.bounding_box() for each in page.locator("svg").all()]
        assert len(boxes) == 5
        assert all(box is not None and box["width"] > 300 and box["x"] + box["width"] < 900 for box in boxes)
        bars = page.locator('svg[aria-label="Strombezug pro Tag"] .mark-rect path')
        assert bars.count() == 62  # solar and grid of each day
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        browser.close()
    assert asked == [path.as_uri()]
