"""``climkit forget``: what it shows before it removes anything, and what it refuses."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from built_warehouse import SETTINGS, Built, build_with
from click.testing import CliRunner

from climkit_pipeline.cli.forgetting import forget
from climkit_pipeline.errors import ClimkitError, ConfigurationError
from climkit_pipeline.lake.forgotten import Tombstone, add_tombstones, remove_rows
from climkit_pipeline.user_files.config_folder import rename_occupant
from climkit_pipeline.warehouse.closed_files import Version, content_hash, write_version
from climkit_pipeline.warehouse.closing import NotReadyError, open_closings
from climkit_pipeline.warehouse.personal_data import days_of_meter, days_of_occupant
from climkit_pipeline.warehouse.todo import read_todo

OCTOBER = date(2026, 10, 1)


@pytest.fixture
def asked(copy: Built, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CLIMKIT_DATA_DIR", str(copy.layout.root))

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(forget, ["--site", "z1", *arguments], standalone_mode=False)
        if isinstance(result.exception, ClimkitError):
            raise result.exception
        assert result.exception is None
        return result.output

    return run


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*.parquet")}


def test_it_shows_what_would_go_and_removes_nothing(asked, copy):
    before = files_of(copy.layout.lake)
    said = asked("--meter", "flat", "--from", "2026-10-14", "--until", "15.10.2026")
    rows = [row for row in copy.lake.rows["meter_intervals", date(2026, 10, 14)] if row["meter_id"] == "flat"]
    assert len(rows) == 98  # two intervals have an older version each
    assert f"meter_intervals: {len(rows) + 96} rows of 2 days, every version" in said
    assert "Nothing was removed" in said
    assert files_of(copy.layout.lake) == before
    assert not (copy.layout.config / "forgotten.csv").exists()


def test_closed_months_are_refused_by_name_unless_they_are_meant(asked, copy):
    """The values prove the invoice; what is forgotten of a closed month is a person's decision."""
    rows = pl.DataFrame({"meter_id": ["flat"], "total": ["1"]})
    write_version(copy.layout, frozen(rows), rows)
    with pytest.raises(ConfigurationError, match=r"2026-10 is closed.*--closed-too"):
        asked("--meter", "flat", "--until", "2026-10-01", "--yes")
    said = asked("--meter", "flat", "--until", "2026-10-01")
    assert "Nothing was removed. 2026-10 is closed" in said
    assert "--closed-too --yes" in said
    assert not (copy.layout.config / "forgotten.csv").exists()
    assert "Nothing was removed" in asked("--meter", "flat", "--until", "2026-09-30")
    assert "Nothing was removed" in asked("--meter", "flat", "--closed-too")


def test_what_was_forgotten_of_a_closed_month_is_neither_settled_nor_asked_for_again(copy):
    """The bill stood on these values: a settlement would take them off it."""
    layout = copy.layout
    with open_closings(layout, SETTINGS) as closings:
        closings.close("k1", OCTOBER, "Ada")
    ((meter, name),) = copy.rows(
        """select meter_id, meter_name from billing_monthly
        where site_id = 'k1' and billing_month = '2026-10-01' and is_billed order by total desc limit 1"""
    )
    today = datetime.now(UTC).date()
    tombstone = Tombstone("k1", meter, date(2026, 10, 3), date(2026, 10, 20), today, "Ada", "moved out")
    add_tombstones(layout, [tombstone])
    remove_rows(layout, [tombstone])
    with open_closings(layout, SETTINGS) as closings:
        with pytest.raises(NotReadyError, match=rf"days of {re.escape(name)} were .*--forgotten-too"):
            closings.settle("k1", OCTOBER, "Ada")
        with pytest.raises(NotReadyError, match="cannot be frozen"):
            closings.settle("k1", OCTOBER, "Ada", forgotten_too=True)
    (entry,) = [
        each for each in read_todo(layout.warehouse, OCTOBER, ["k1"], [tombstone]).entries if each.meter_ids == [meter]
    ]
    advice = {way for failure in entry.kinds for way in failure.advice("k1")}
    assert advice == {"days of it were forgotten on purpose (config/forgotten.csv): leave the bill as it was closed"}
    assert "settle" in {failure.remedy for each in read_todo(layout.warehouse, OCTOBER, ["k1"]).entries
                        for failure in each.failures}  # fmt: skip


def frozen(rows: pl.DataFrame) -> Version:
    at = datetime(2026, 11, 20, tzinfo=UTC)
    return Version("z1", OCTOBER, 1, "close", at, "me", None, rows.height, content_hash(rows), at, "", "", "", "", ())


def test_an_occupant_goes_with_the_days_of_the_occupancy_and_the_name(copy):
    layout = copy.layout
    build_with(layout, occupancies=[("z1", "flat", "Muster", date(2026, 1, 1), date(2026, 10, 14))])
    # As far as there are days of the meter: the bounds of the occupancy are those that count.
    assert days_of_occupant(layout.warehouse, "z1", "Muster") == [("flat", date(2026, 1, 1), date(2026, 10, 14))]
    with pytest.raises(ConfigurationError, match="nobody is called 'Dupont'"):
        days_of_occupant(layout.warehouse, "z1", "Dupont")
    path = layout.config / "occupancies.csv"
    path.parent.mkdir(exist_ok=True)
    path.write_text("# Muster and others\nsite,billing_point,occupant\nz1,flat,Muster\nz1,gap,Dupont\n")
    assert rename_occupant(layout, "Muster") == "forgotten 1"
    assert rename_occupant(layout, "Dupont") == "forgotten 2"
    assert rename_occupant(layout, "Dupont") is None
    assert path.read_text() == (
        "# Muster and others\nsite,billing_point,occupant\nz1,flat,forgotten 1\nz1,gap,forgotten 2\n"
    )


def test_a_meter_goes_by_its_id_or_its_name_and_only_one_is_meant(built):
    assert days_of_meter(built.layout.warehouse, "z1", "flat") == [("flat", date.min, date.max)]
    assert days_of_meter(built.layout.warehouse, "z1", "Meter flat (renamed)") == [("flat", date.min, date.max)]
    with pytest.raises(ConfigurationError, match="no meter 'nothing'"):
        days_of_meter(built.layout.warehouse, "z1", "nothing")
