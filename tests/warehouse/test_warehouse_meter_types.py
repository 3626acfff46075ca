"""What follows from a meter's type and mode: the seed, the domain, and what a meter gets of it."""

from __future__ import annotations

import csv
from datetime import date, timedelta
from itertools import product

import duckdb
import pytest
from rendered_models import rendered_model

from climkit_pipeline.domain.meters import METER_MODES, METER_TYPES, SPLIT_TYPES, has_split, unit_of
from climkit_pipeline.installation import PROJECT_DIR

ANY_OTHER = "*"


def seed() -> list[dict[str, str]]:
    with (PROJECT_DIR / "seeds" / "known_meter_types.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_type_of_the_domain_is_there_in_every_mode_once_and_nothing_else_is():
    stated = [(row["meter_type"], row["meter_mode"]) for row in seed()]
    assert sorted(stated) == sorted(product((*METER_TYPES, ANY_OTHER), (*METER_MODES, ANY_OTHER)))


def test_units_and_splits_are_those_of_the_domain():
    for row in seed():
        meter_type, mode = row["meter_type"], row["meter_mode"]
        assert (row["unit"] or None) == unit_of(meter_type), row
        assert (row["has_split"] == "true") == has_split(meter_type, mode), row
        # What is shared out is electricity, and the provider cannot share it without who draws it.
        assert (row["carrier"] == "electricity") == (meter_type in SPLIT_TYPES), row
        assert row["is_in_split"] == "true" or row["has_split"] == "false", row


def test_the_role_is_by_the_mode_alone():
    assert len({(row["meter_mode"], row["meter_role"]) for row in seed()}) == len(METER_MODES) + 1


@pytest.fixture(scope="module")
def database():
    with duckdb.connect() as connection:
        connection.execute(f"create table meter_types as {rendered_model('known_meter_types')}")
        connection.execute(
            "create table int_listed_meters_daily (site_id text, meter_id text, local_date date, meter_type text,"
            " meter_mode text, is_rule_meter boolean)"
        )
        connection.execute(
            "create table meter_facts (site_id text, meter_id text, valid_from date, valid_until date, meter_mode text)"
        )
        connection.execute(
            "create table int_stated_splits_daily (site_id text, meter_id text, local_date date,"
            " intervals_with_value integer, intervals_with_split integer)"
        )
        yield connection


@pytest.mark.parametrize(
    ("meter_type", "mode", "is_rule_meter", "expected"),
    [
        ("electricity", "consumption", False, ("kWh", "electricity", "consumer", True, True, "import")),
        ("charge_point", "consumption", False, ("kWh", "electricity", "consumer", True, True, "import")),
        ("electricity", "introduction", False, ("kWh", "electricity", "grid_connection", False, True, "import")),
        ("electricity", "production", False, ("kWh", "electricity", "production", False, False, "export")),
        ("electricity", "battery", False, ("kWh", "electricity", "storage", False, False, None)),
        ("hot_water", "consumption", False, ("m3", "hot_water", "consumer", False, False, "volume")),
        ("reactive", "introduction", False, ("kvarh", "reactive", "grid_connection", False, False, None)),
        ("electricity", "consumption", True, ("kWh", "electricity", "sum_of_meters", True, True, None)),
        ("electricity", "consumption", None, ("kWh", "electricity", "consumer", True, True, "import")),
        ("electricity", "resale", False, ("kWh", "electricity", "unknown", False, False, None)),
        ("heating", "resale", False, ("kWh", "heating", "unknown", False, False, "heat")),
        ("heating", None, False, ("kWh", "heating", "unknown", False, False, "heat")),
        ("steam", "consumption", False, (None, "steam", "consumer", False, False, None)),
        ("steam", "resale", True, (None, "steam", "sum_of_meters", False, False, None)),
        (None, None, None, (None, None, "unknown", False, False, None)),
    ],
)  # fmt: skip
def test_a_meter_of_any_type_and_mode_has_one_row(database, meter_type, mode, is_rule_meter, expected):
    """A type that nobody documents has its meter's row all the same: a join that loses it would lose its bill."""
    database.execute("delete from int_listed_meters_daily")
    database.execute(
        "insert into int_listed_meters_daily values ('s', 'm', date '2026-10-01', ?, ?, ?)",
        [meter_type, mode, is_rule_meter],
    )
    found = database.execute(
        "select unit, carrier, meter_role, has_split, is_in_split, usual_register"
        f" from ({rendered_model('meter_kinds')})"
    ).fetchall()
    assert found == [expected]


ALWAYS = date(1900, 1, 1), date(9999, 12, 31)


@pytest.mark.parametrize(
    ("lists", "lines", "splits", "expected"),
    [
        # Nothing is known.
        ({1: None}, [], None, [(1900, "unknown", None)]),
        ({1: "unknown"}, [], (96, 48), [(1900, "unknown", None)]),
        # The data tell.
        ({1: "unknown"}, [], (96, 49), [(1900, "consumption", "split")]),
        # A mode that is stated but not known is no consumer, whatever is split.
        ({1: "resale"}, [], (96, 96), [(1900, "resale", "list")]),
        # A list that states none takes nothing away, and adds no change.
        ({1: "production", 5: "unknown"}, [], (96, 96), [(1900, "production", "list")]),
        ({1: "unknown", 5: "battery"}, [], None, [(1900, "battery", "list")]),
        ({1: "production", 5: None, 9: "consumption"}, [], None,
         [(1900, "production", "list"), (9, "consumption", "list")]),
        # The user's line counts before both, for its days alone.
        ({1: "unknown"}, [(*ALWAYS, "introduction")], (96, 96), [(1900, "introduction", "meters.csv")]),
        ({1: "consumption"}, [(date(2026, 10, 4), date(2026, 10, 8), "battery")], None,
         [(1900, "consumption", "list"), (4, "battery", "meters.csv"), (9, "consumption", "list")]),
        ({1: "unknown"}, [(date(2026, 10, 4), ALWAYS[1], "production")], (9, 9),
         [(1900, "consumption", "split"), (4, "production", "meters.csv")]),
    ],
)  # fmt: skip
def test_the_mode_is_what_the_user_says_else_the_lists_else_the_data(database, lists, lines, splits, expected):
    """Meters of the older list had no role, were billed to nobody, and were ready."""
    for table in ("int_listed_meters_daily", "meter_facts", "int_stated_splits_daily"):
        database.execute(f"delete from {table}")
    for day, mode in lists.items():
        database.execute(
            "insert into int_listed_meters_daily values ('s', 'm', ?, 'electricity', ?, false)",
            [date(2026, 10, day), mode],
        )
    for line in lines:
        database.execute("insert into meter_facts values ('s', 'm', ?, ?, ?)", line)
    if splits:
        database.execute("insert into int_stated_splits_daily values ('s', 'm', date '2026-10-01', ?, ?)", splits)
    found = database.execute(
        f"select first_day, last_day, meter_mode, mode_source from ({rendered_model('meter_kinds')}) order by first_day"
    ).fetchall()
    assert [(day.day if day.year > 1900 else 1900, *rest) for day, _, *rest in found] == expected
    assert [last for _, last, *_ in found] == [
        *(first - timedelta(days=1) for first, *_ in found[1:]), ALWAYS[1]
    ]  # fmt: skip
