"""The pictures, read back: every cell has the colour of what it is, and a name cannot break the drawing."""

from __future__ import annotations

import re
import shutil
from collections import defaultdict
from datetime import date, timedelta
from xml.etree import ElementTree as ET

import duckdb
from hypothesis import given
from hypothesis import strategies as st
from small_lake import AS_OF, GAP_DAY

from climkit_pipeline.warehouse.pictures import (
    GRADES,
    LEVELS,
    SITES_SHOWN,
    completeness_of_days,
    completeness_picture,
    grades_picture,
)
from climkit_pipeline.warehouse.queries import open_warehouse

FIRST = date(2026, 9, 1)
LINE = re.compile(r"M([\d.]+) ([\d.]+)h([\d.]+)")


def cells_of(svg: str) -> dict[tuple[float, int], str]:
    """By height and column: the colours of the 8 pixels wide cells right of the labels, without the legend."""
    found: dict[tuple[float, int], str] = {}
    for path in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}path"):  # noqa: S314 - our own
        if path.get("stroke-width") != "14":
            continue
        for left, y, length in LINE.findall(path.get("d", "")):
            for number in range(round(float(length) / 8)):
                cell = (float(y), round((float(left) - 170) / 8) + number)
                assert cell not in found, "two strokes on one cell"
                found[cell] = path.get("stroke", "")
    return found


levels = st.lists(st.sampled_from([*LEVELS, None]), min_size=1, max_size=70)


@given(st.dictionaries(st.text(min_size=1), levels, min_size=1, max_size=4))
def test_every_cell_has_the_colour_of_its_level(sites):
    sites = {f"{number}{_printable(name)}": of_site for number, (name, of_site) in enumerate(sites.items())}
    days = {
        name: {FIRST + timedelta(days=n): (level, 1.0) for n, level in enumerate(of_site) if level}
        for name, of_site in sites.items()
    }
    svg = completeness_picture(days)
    first = min((day for of_site in days.values() for day in of_site), default=None)
    if first is None:
        assert svg is None
        return
    assert svg is not None
    rows: dict[float, dict[int, str]] = defaultdict(dict)
    for (y, column), colour in cells_of(svg).items():
        rows[y][column] = colour
    drawn = [rows[20 + 16 * number + 8] for number in range(len(days))]
    assert drawn == [
        {(day - first).days: LEVELS[level] for day, (level, _) in of_site.items()} for of_site in days.values()
    ]


def _printable(text: str) -> str:
    """As XML 1.0 can hold it at all; names are the provider's, and end in databases that refuse the rest."""
    return "".join(sign for sign in text if sign.isprintable() and sign not in "\ufffe\uffff")


def test_a_name_is_text_whatever_it_holds():
    svg = completeness_picture({"<b>&\"'": {FIRST: ("whole", 1.0)}})
    assert svg is not None
    texts = [text.text for text in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]  # noqa: S314
    assert "<b>&\"'" in texts


def test_a_large_account_stays_a_small_picture():
    """A picture is a row in Dagster's database, each time."""
    days = {FIRST + timedelta(days=n): ("whole" if n % 9 else "less", 1.0) for n in range(92)}
    svg = completeness_picture({f"site {number}": days for number in range(60)})
    assert svg is not None
    assert f"{60 - SITES_SHOWN} more sites lack less" in svg
    assert len(svg) < 20_000


def test_the_bars_of_a_month_are_as_long_as_its_meters_are_many():
    rows = [
        {"month": date(2026, 10, 1), "ready": 30, "ready_with_estimates": 0, "provisional": 10, "blocked": 20},
        {"month": date(2026, 10, 1), "ready": 0, "ready_with_estimates": 0, "provisional": 0, "blocked": 20},
        {"month": date(2026, 9, 1), "ready": 40, "ready_with_estimates": 0, "provisional": 0, "blocked": 0},
    ]
    svg = grades_picture(rows)
    assert svg is not None
    bars = re.findall(r'd="M[\d.]+ ([\d.]+)h([\d.]+)" stroke="(#\w+)" stroke-width="14"', svg)
    grades = {colour: grade for grade, colour in GRADES.items()}
    lengths = [(grades[colour], float(length)) for _, length, colour in bars]
    assert lengths == [("ready", 180), ("provisional", 60), ("blocked", 240), ("ready", 240)]
    assert grades_picture([]) is None


def test_the_days_of_the_small_lake_are_as_they_are(built):
    with open_warehouse(built.layout.warehouse) as connection:
        days = completeness_of_days(connection, AS_OF)
        names = dict(connection.execute("select site_id, coalesce(site_name, site_id) from sites").fetchall())
    zurich = days[names["z1"]]
    level, share = zurich[GAP_DAY]
    assert level == "90 % or more"
    assert share is not None
    assert 0.9 <= share < 1
    assert next(iter(days)) == names["z1"], "the site that lacks most comes first"
    assert {level for level, _ in zurich.values()} >= {"whole", "90 % or more"}


def test_sites_of_one_name_are_two_rows(built, tmp_path):
    """A name is the provider's, and need not be unique: the days of one would have hidden those of the other."""
    path = tmp_path / "same.duckdb"
    shutil.copyfile(built.layout.warehouse, path)
    with duckdb.connect(path) as connection:
        connection.execute("update sites set site_name = 'Lac'")
        assert set(completeness_of_days(connection, AS_OF)) == {"Lac (z1)", "Lac (k1)"}
