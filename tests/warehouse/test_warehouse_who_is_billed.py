"""The questions of the first day: what may be billed twice, and whose bill has no name."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from climkit_pipeline.warehouse.who_is_billed import questions

METERS = [
    # site, meter, type, total, billed
    ("s", "Heating building", "heating", 2002, True),
    ("s", "Heating flat 1", "heating", 187, True),
    ("s", "Common areas", "electricity", 250, True),
    ("s", "Flat 1", "electricity", 200, True),
    ("s", "Flat 2", "electricity", 240, True),
    ("t", "Zähler 1", "cold_water", 90, True),
    ("t", "Zähler 2", "cold_water", 40, True),
    ("t", "Zähler 3", "cold_water", 30, True),
    ("t", "Immeuble", "electricity", 900, False),
    ("t", "Appartement", "electricity", 100, True),
]


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    path = tmp_path / "warehouse.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("""
            create table billing_monthly (
                site_id varchar, site_name varchar, meter_id varchar, meter_name varchar, meter_type varchar,
                unit varchar,
                billing_month date, total decimal(18, 6), is_billed boolean, days_over integer, billing_point varchar
            );
            create table occupancies (site_id varchar, billing_point varchar);
        """)
        for site, meter, kind, total, is_billed in METERS:
            # September is whole; what of October is over says nothing of a month.
            connection.execute(
                """
                insert into billing_monthly
                select $1, 'Rue ' || $1, $2, $2, $3, 'kWh', month, $4, $5, days_over, null
                from (values (date '2026-09-01', 30), (date '2026-10-01', 3)) as months (month, days_over)
                """,
                [site, meter, kind, total, is_billed],
            )
        connection.execute("insert into occupancies values ('s', 'Flat 1'), ('s', 'Flat 2'), ('t', 'Appartement')")
    return path


def test_a_building_beside_its_flats_is_asked_about_and_common_areas_are_not(warehouse):
    """The building's heat and a flat's heat were both billed, and nothing asked."""
    asked = [(each.site, each.text.partition(" is billed beside ")[0], each.lines) for each in questions(warehouse)]
    assert [each for each in asked if each[2][0].endswith("false")] == [
        ("Rue s", "Heating building (2002 kWh of heating)", ("s,Heating building,false",)),
        # By no name, but as much as all others together.
        ("Rue t", "Zähler 1 (90 kWh of cold_water)", ("t,Zähler 1,false",)),
    ]


def test_who_pays_is_asked_of_each_meter_without_an_occupant(warehouse):
    asked = [each for each in questions(warehouse) if "who pays?" in each.text]
    assert [(each.text, each.lines) for each in asked] == [
        (
            "3 of 5 billed meters have no occupant: who pays?",
            ("Rue s;Common areas;NAME;;", "Rue s;Heating building;NAME;;", "Rue s;Heating flat 1;NAME;;"),
        ),
        (
            "3 of 4 billed meters have no occupant: who pays?",
            ("Rue t;Zähler 1;NAME;;", "Rue t;Zähler 2;NAME;;", "Rue t;Zähler 3;NAME;;"),
        ),
    ]


def test_a_site_whose_name_another_bears_is_called_by_its_id(warehouse):
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute("update billing_monthly set site_name = 'Rue'")
    assert [each.lines[0] for each in questions(warehouse) if "who pays?" in each.text] == [
        "s;Common areas;NAME;;",
        "t;Zähler 1;NAME;;",
    ]


def test_nothing_is_asked_where_all_is_said(warehouse):
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute("delete from billing_monthly where meter_name not in ('Flat 1', 'Flat 2')")
    assert questions(warehouse) == []
