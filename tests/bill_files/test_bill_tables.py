"""What a bill says beside its quantities, of months that were made up here."""

from __future__ import annotations

import re
import zipfile
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from climkit_pipeline.bill_files.legend import legend_table
from climkit_pipeline.bill_files.tables import line_table, overview_facts
from climkit_pipeline.bill_files.text import line_frame
from climkit_pipeline.bill_files.workbook import write_workbook
from climkit_pipeline.languages.words import Words
from climkit_pipeline.warehouse.bills import Closing, SiteBill

AT = datetime(2026, 11, 5, 9, tzinfo=UTC)
QUANTITY = pl.Decimal(18, 6)
QUANTITIES = (
    "total", "solar", "grid", "billable_total", "billable_solar", "billable_grid", "index_start", "index_end",
)  # fmt: skip


def a_line(occupant: str | None, first: int, last: int, total: str) -> dict[str, Any]:
    return {
        **dict.fromkeys(QUANTITIES),
        "billing_point": "m", "flat": "Flat 1", "occupant": occupant, "is_vacant": occupant is None, "meter_id": "m",
        "meter_name": "Flat 1", "meter_type": "electricity", "unit": "kWh", "line_from": date(2026, 10, first),
        "line_until": date(2026, 10, last), "total": Decimal(total), "billable_total": Decimal(total),
        "grade": "ready", "reasons": [], "is_excluded": False,
    }  # fmt: skip


def a_correction(occupant: str | None, before: str | None, now: str | None, settled: int | None) -> dict[str, Any]:
    closed, current = (None if value is None else Decimal(value) for value in (before, now))
    return {
        "billing_point": "m", "meter_id": "m", "meter_name": "Flat 1", "meter_type": "electricity",
        "occupant": occupant, "quantity": "total", "unit": "kWh", "closed_value": closed, "current_value": current,
        "delta": (current or Decimal(0)) - (closed or Decimal(0)), "cause": "decision", "version": 1,
        "settled_version": settled, "settled_at_utc": None if settled is None else AT,
        "settled_by": None if settled is None else "Ada", "settled_why": None,
    }  # fmt: skip


def a_bill(corrections: list[dict[str, Any]]) -> SiteBill:
    lines = [a_line("Muster", 1, 14, "61.488"), a_line("Dupont", 15, 31, "79.506")]
    texts = dict.fromkeys(("occupant", "settled_by", "settled_why", "unit"), pl.String)
    values = dict.fromkeys(("closed_value", "current_value", "delta"), QUANTITY)
    schema = dict.fromkeys(a_correction(None, None, None, None), pl.String)
    whole = {"settled_at_utc": pl.Datetime("us", "UTC"), "version": pl.Int64, "settled_version": pl.Int64}
    return SiteBill(
        "s", "House", ZoneInfo("Europe/Zurich"), date(2026, 10, 1), Closing(1, AT, "Ada", has_lines=True), AT,
        pl.DataFrame(lines, schema_overrides=dict.fromkeys(QUANTITIES, QUANTITY) | {"reasons": pl.List(pl.String)}),
        pl.DataFrame({"meter_type": ["electricity"], "unit": ["kWh"], "total": [Decimal("140.994")]}),
        pl.DataFrame(corrections, schema=schema | texts | values | whole),
    )  # fmt: skip


MOVED = [("Dupont", "79.506", "54.241"), ("Muster", "61.488", "86.753")]


def remarks(bill: SiteBill, words: Words) -> list[Any]:
    table = line_table(bill, words)
    at = [column.name for column in table.columns].index("remark")
    return [row[at] for row in table.rows]


def test_open_corrections_stand_in_the_overview_and_beside_the_lines_that_they_change():
    bill = a_bill([a_correction(*change, None) for change in MOVED])
    assert ("Attention", "House: 2 corrections are not settled yet; the lines still say what was closed.") in list(
        overview_facts([bill], Words("en"))
    )
    assert remarks(bill, Words("fr")) == [
        "Pas encore réglé : total 61,488 → 86,753 kWh", "Pas encore réglé : total 79,506 → 54,241 kWh",
    ]  # fmt: skip
    frame = line_frame([bill], Words("en"), for_people=False)
    assert frame["remark"].to_list() == remarks(bill, Words("en"))


def test_whom_the_closed_bill_has_no_line_for_is_named_beside_the_others_of_the_meter():
    bill = a_bill([a_correction("Weber", None, "12", None), a_correction(None, None, "3.5", None)])
    said = "Not settled yet: Weber: total nothing → 12 kWh, the owner: total nothing → 3.5 kWh"
    assert remarks(bill, Words("en")) == [said, said]


@pytest.mark.parametrize("corrections", [[], [a_correction(*change, 2) for change in MOVED]])
def test_what_is_settled_needs_no_attention(corrections):
    bill = a_bill(corrections)
    assert not [label for label, _ in overview_facts([bill], Words("en")) if label == "Attention"]
    assert not any(remarks(bill, Words("en")))


@pytest.mark.parametrize(
    ("amount", "said"),
    [
        ("2.896028", "2.896 kWh of the site's grid energy are billed to nobody"),
        ("-1.5", "1.500 kWh more grid energy is billed than the site drew"),
        ("0.0004", None),
        (None, None),
    ],
)
def test_grid_energy_that_is_billed_to_nobody_is_named_in_the_overview(amount, said):
    """The bill and the report of the same month differed by it, and neither said why."""
    bill = replace(a_bill([]), grid_to_nobody_kwh=None if amount is None else Decimal(amount))
    facts = dict(overview_facts([bill], Words("en")))
    assert ("grid energy" in facts["House"]) is (said is not None)
    assert (said or "") in facts["House"]


def test_quantities_for_people_have_three_decimals_and_what_is_empty_is_null():
    """Some cells were empty and others held two quotation marks; a kWh had six decimals."""
    bill = a_bill([])
    bill = replace(bill, lines=bill.lines.with_columns(billable_total=pl.lit("54.2415").cast(QUANTITY)))
    for_people, plain = (line_frame([bill], Words("en"), for_people=each) for each in (True, False))
    assert for_people["Total"].to_list() == [Decimal("54.242")] * 2
    assert ";54.242;" in for_people.write_csv(separator=";")
    assert plain["total"].to_list() == [Decimal("54.241500")] * 2
    assert for_people["Remark"].to_list() == plain["remark"].to_list() == [None, None]


def test_the_legend_explains_every_column_that_needs_it_and_the_owner():
    said = dict(tuple(row) for row in legend_table({"billable_total": "What is billed."}, Words("de")).rows)
    assert said["Total"] == "What is billed."
    needed = ("Korrigiert", "Ursache", "Bereinigt mit Version", "Noch nicht verrechenbar", "Eigentümer", "Version")
    assert set(needed) <= set(said)
    assert all(said.values())


@pytest.mark.parametrize(("corrections", "is_narrow"), [([], True), ([a_correction(*MOVED[0], None)], False)])
def test_remarks_take_room_only_where_somebody_made_one(tmp_path, corrections, is_narrow):
    """A page was printed small for a column of 38 characters without a word in it."""
    path = tmp_path / "bill.xlsx"
    write_workbook([a_bill(corrections)], {}, Words("de"), path)
    with zipfile.ZipFile(path) as archive:
        sheet = archive.read("xl/worksheets/sheet2.xml").decode()
    widths = [float(width) for width in re.findall(r'<col [^>]*width="([\d.]+)"', sheet)]
    assert (widths[-1] < 15) is is_narrow


def test_a_long_sentence_of_the_overview_has_the_lines_that_it_needs(tmp_path):
    """Rows whose cells are merged stay as high as they are stated to be: the end of the sentence was hidden."""
    bill = replace(a_bill([]), closing=Closing(1, AT, "A. Clerk of the owners, " * 10, has_lines=True))
    path = tmp_path / "bill.xlsx"
    write_workbook([bill], {}, Words("de"), path)
    with zipfile.ZipFile(path) as archive:
        sheet = archive.read("xl/worksheets/sheet1.xml").decode()
    heights = {int(row): float(height) for row, height in re.findall(r'<row r="(\d+)"[^>]* ht="([\d.]+)"', sheet)}
    assert heights[4] > heights[3]
