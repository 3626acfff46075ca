"""The pictures of a report: Altair states them, vl-convert draws them, without a browser and without a network.

Days are numbers, so no picture needs the names of months; colours tell apart for colour-blind eyes, too.
"""

from __future__ import annotations

import re
from typing import Any

import altair as alt
import polars as pl
import vl_convert

from climkit_pipeline.languages.words import Words
from climkit_pipeline.report.content import Picture
from climkit_pipeline.report.figures import SiteMonth

WIDTH = 640
SOLAR, GRID, INK, PALE = "#f2a900", "#4f6d8f", "#22313f", "#c3d0dd"
FONT = "Liberation Sans, Arial, sans-serif"
"""The first comes with vl-convert, so that text is as wide as it was laid out."""


def pictures(month: SiteMonth, words: Words) -> list[Picture]:
    """All pictures of which there are data."""
    made = []
    if not month.days.is_empty():
        made += [_day_bars(month, words), _autonomy(month, words)]
    if not month.hours.is_empty():
        made += [_heat_map(month, words), _load_curve(month, words)]
    if not month.flats.is_empty():
        made.append(_flats(month, words))
    return made


def svg_of(picture: Picture) -> str:
    """The drawing as SVG whose ids are its own, so that several may stand in one page."""
    drawn: str = vl_convert.vegalite_to_svg(picture.specification)
    ids = re.sub(r'\bid="', f'id="{picture.name}-', drawn)
    return re.sub(r"url\(#", f"url(#{picture.name}-", ids).replace('href="#', f'href="#{picture.name}-')


def pdf_of(picture: Picture) -> bytes:
    """The drawing as a page of PDF, with its fonts."""
    drawn: bytes = vl_convert.vegalite_to_pdf(picture.specification)
    return drawn


def _day_bars(month: SiteMonth, words: Words) -> Picture:
    solar, grid = words.say("Solar"), words.say("Grid")
    rows = [
        {"day": row["local_date"].day, "part": part, "kwh": row[column]}
        for row in month.days.iter_rows(named=True)
        for column, part in (("solar", solar), ("grid", grid))
    ]
    chart = _chart(rows, 190).mark_bar()
    return _picture(
        "days",
        words.say("Electricity used per day"),
        chart.encode(
            x=_day_axis(month, words),
            y=alt.Y("kwh:Q", title="kWh"),
            color=alt.Color("part:N", scale=alt.Scale(domain=[solar, grid], range=[SOLAR, GRID]), title=None),
            order=alt.Order("part:N", sort="descending" if solar > grid else "ascending"),
        ),
        words,
    )


def _autonomy(month: SiteMonth, words: Words) -> Picture:
    rows = [
        {"day": row["local_date"].day, "percent": row["autonomy"]}
        for row in month.days.iter_rows(named=True)
        if row["autonomy"] is not None
    ]
    bars = _chart(rows, 130).mark_bar(color=SOLAR)
    return _picture(
        "autonomy",
        words.say("Autonomy per day: share of the use that came from the roof"),
        bars.encode(
            x=_day_axis(month, words),
            y=alt.Y("percent:Q", title="%", scale=alt.Scale(domain=[0, 100])),
        ),
        words,
    )


def _heat_map(month: SiteMonth, words: Words) -> Picture:
    rows = [
        {"day": row["local_date"].day, "hour": row["hour_of_day"], "kw": round(row["consumption"], 3)}
        for row in month.hours.iter_rows(named=True)
        if row["consumption"] is not None
    ]
    return _picture(
        "heat_map",
        words.say("When electricity is used: mean power by hour and day"),
        _chart(rows, 240)
        .mark_rect()
        .encode(
            x=_day_axis(month, words),
            y=alt.Y("hour:O", title=words.say("Hour"), axis=alt.Axis(values=list(range(0, 24, 3)))),
            color=alt.Color("kw:Q", title="kW", scale=alt.Scale(scheme="yellowgreenblue")),
        ),
        words,
    )


def _load_curve(month: SiteMonth, words: Words) -> Picture:
    used, produced = words.say("Used"), words.say("Produced")
    means = month.hours.group_by("hour_of_day").agg(pl.col("consumption", "production").mean()).sort("hour_of_day")
    rows = [
        {"hour": row["hour_of_day"], "what": what, "kw": row[column]}
        for row in means.iter_rows(named=True)
        for column, what in (("consumption", used), ("production", produced))
        if row[column] is not None
    ]
    # A step needs an end: the last hour ends at midnight.
    rows += [{**row, "hour": 24} for row in rows if row["hour"] == 23]
    return _picture(
        "hours",
        words.say("A mean day: power by the hour"),
        _chart(rows, 150)
        .mark_line(interpolate="step-after", strokeWidth=2)
        .encode(
            x=alt.X("hour:Q", title=words.say("Hour"), axis=alt.Axis(values=list(range(0, 25, 3)), format="d")),
            y=alt.Y("kw:Q", title="kW"),
            color=alt.Color("what:N", scale=alt.Scale(domain=[used, produced], range=[GRID, SOLAR]), title=None),
        ),
        words,
    )


def _flats(month: SiteMonth, words: Words) -> Picture:
    rows = month.flats.select("name", "base_watts", "peak_kw").to_dicts()
    names = alt.Y("name:N", sort=[row["name"] for row in rows], title=None, axis=alt.Axis(labelLimit=180))
    unnamed = alt.Y("name:N", sort=[row["name"] for row in rows], title=None, axis=None)
    base_title, peak_title = f"{words.say('Base load')}, W", f"{words.say('Highest quarter-hour')}, kW"
    base = _bars_with_figures(rows, names, "base_watts", base_title, colour=GRID, number=".0f")
    peak = _bars_with_figures(rows, unnamed, "peak_kw", peak_title, colour=SOLAR, number=".2f")
    # Where the font is another, names are wider than they were laid out.
    both = alt.hconcat(base, peak, spacing=16).properties(padding={"left": 30, "top": 5, "right": 5, "bottom": 5})
    return _picture("flats", words.say("Base load and peak per flat"), both, words)


def _bars_with_figures(
    rows: list[dict[str, Any]], names: alt.Y, column: str, title: str, *, colour: str, number: str
) -> alt.LayerChart:
    highest = max((row[column] or 0 for row in rows), default=0) or 1
    # Room for the figure behind the longest bar.
    x = alt.X(f"{column}:Q", title=title, axis=alt.Axis(grid=False, labels=False, ticks=False, domain=False),
              scale=alt.Scale(domain=[0, highest * 1.2]))  # fmt: skip
    bars = _chart(rows, 22 * len(rows), WIDTH // 2 - 90).mark_bar(color=colour, height=13).encode(x=x, y=names)
    figures = bars.mark_text(align="left", dx=4, color=INK).encode(text=alt.Text(f"{column}:Q", format=number))
    return alt.LayerChart(layer=[bars, figures])


def _chart(rows: list[dict[str, Any]], height: int, width: int = WIDTH) -> alt.Chart:
    return alt.Chart(alt.InlineData(values=rows), width=width, height=height)


def _day_axis(month: SiteMonth, words: Words) -> alt.X:
    every_day = list(range(1, month.days_in_month + 1))
    return alt.X("day:O", title=words.say("Day"), scale=alt.Scale(domain=every_day),
                 axis=alt.Axis(labelAngle=0, values=[1, *range(5, month.days_in_month + 1, 5)]))  # fmt: skip


def _picture(name: str, title: str, chart: alt.Chart | alt.LayerChart | alt.HConcatChart, words: Words) -> Picture:
    numbers = alt.NumberLocale(decimal=words.decimal_sign, thousands="’", grouping=[3], currency=["", ""])
    styled = (
        chart.configure(font=FONT, background="#ffffff", locale=alt.Locale(number=numbers))
        .configure_view(stroke=None)
        .configure_axis(labelColor=INK, titleColor=INK, titleFontWeight="normal", gridColor="#e6e9ec", domainColor=PALE)
        .configure_legend(orient="top", labelColor=INK, titleColor=INK, titleFontWeight="normal", offset=4)
    )
    return Picture(name, title, styled.to_dict())
