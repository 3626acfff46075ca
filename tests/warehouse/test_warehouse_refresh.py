"""What a refresh follows: changed days only, exactly as a full build would, and nothing it should not."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import duckdb
import pytest
from built_warehouse import SETTINGS, Built
from small_lake import GAP_DAY, SECOND_FETCH, ZURICH, SmallLake, days, midnight, starts

from climkit_pipeline.errors import WarehouseError
from climkit_pipeline.files import file_lock
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.warehouse import build, lake_state
from climkit_pipeline.warehouse.project import load_project, models_version
from climkit_pipeline.warehouse.publish import is_published
from climkit_pipeline.warehouse.refresh import refresh

pytestmark = pytest.mark.story

REVISED_DAY = date(2026, 10, 3)
EMPTIED_DAY = date(2026, 10, 7)
DELETED_DAY = date(2026, 4, 1)
NEW_DAY = date(2026, 4, 2)
INDEX_DAY = date(2026, 10, 9)
SITE_DAY = date(2026, 10, 26)
LATE_DAY = date(2026, 3, 29)
SWAPPED_FROM = date(2026, 10, 18)
ZERO_DAYS = [date(2026, 10, 29), date(2026, 10, 30)]
NEXT_ZERO_DAY = date(2026, 10, 31)


def contents(built: Built) -> dict[str, list[tuple]]:
    """Every published table, all rows in order; when it was published is the one thing that may differ."""
    tables = [
        row[0] for row in built.rows("select table_name from information_schema.tables where table_schema = 'main'")
    ]
    where = {"about": "where key <> 'published_at_utc'"}
    return {table: built.rows(f"from {table} {where.get(table, '')} order by all") for table in sorted(tables)}


def october_total(built: Built) -> Decimal:
    [(total,)] = built.rows(
        "select total from billing_monthly where meter_id = 'flat' and billing_month = '2026-10-01'"
    )
    return total


def change_some_days(built: Built) -> None:
    """A revision, a day that became empty, a day whose files are gone, a day that is new, and other datasets too."""
    lake = built.lake
    [first, *_] = [row for row in lake.rows["meter_intervals", REVISED_DAY] if row["meter_id"] == "flat"]
    lake.revise("meter_intervals", REVISED_DAY, first, total=first["total"] + 100)
    lake.rows["meter_intervals", EMPTIED_DAY] = [
        row for row in lake.rows["meter_intervals", EMPTIED_DAY] if row["meter_id"] != "grid"
    ]
    for dataset in ("sites", "meters", "sensors", "meter_intervals"):
        for name in ("data_file", "coverage_file"):
            getattr(built.layout, name)(dataset, DELETED_DAY).unlink()
        built.layout.day(dataset, DELETED_DAY).rmdir()
    for start in starts(NEW_DAY, ZURICH):
        lake.add(
            "meter_intervals", NEW_DAY, site_id="z1", meter_id="flat", interval_start_utc=start,
            interval_end_utc=start + timedelta(minutes=15), total=0.25,
        )  # fmt: skip
    lake.cover("meter_intervals", NEW_DAY, "z1", "flat")
    # The register of another meter is read anew, one day of the site's series disappears.
    [reading, *_] = [row for row in lake.rows["meter_indices", INDEX_DAY] if row["meter_id"] == "water"]
    lake.revise("meter_indices", INDEX_DAY, reading, volume_m3=reading["volume_m3"] - 500)
    lake.rows["site_intervals", SITE_DAY] = []
    lake.write(
        built.layout,
        only=[
            *(("meter_intervals", day) for day in (REVISED_DAY, EMPTIED_DAY, NEW_DAY)),
            ("meter_indices", INDEX_DAY),
            ("site_intervals", SITE_DAY),
        ],
    )


def set_to_zero(built: Built, days: list[date]) -> None:
    """From noon of the first day on a flat whose register nobody reads takes nothing."""
    lake = built.lake
    noon = datetime.combine(ZERO_DAYS[0], datetime.min.time(), ZURICH) + timedelta(hours=12)
    for day in days:
        current = [
            row for row in lake.rows["meter_intervals", day]
            if row["meter_id"] == "unsplit" and row["superseded_at_utc"] is None and row["interval_start_utc"] >= noon
        ]  # fmt: skip
        for row in current:
            lake.revise("meter_intervals", day, row, total=0.0, solar=0.0, grid=0.0)
    lake.write(built.layout, only=[("meter_intervals", day) for day in days])


def swap_registers(built: Built) -> None:
    """From one midnight on the flat is counted by its export register, while import stands still."""
    lake = built.lake
    days = sorted(day for dataset, day in lake.rows if dataset == "meter_indices" and day >= SWAPPED_FROM)
    [standing] = {
        row["index_import_kwh"]
        for row in lake.rows["meter_indices", SWAPPED_FROM - timedelta(days=1)]
        if row["meter_id"] == "flat" and row["read_at_utc"] == midnight(SWAPPED_FROM, ZURICH)
    }
    for row in lake.rows["meter_indices", SWAPPED_FROM - timedelta(days=1)]:
        if row["meter_id"] == "flat" and row["read_at_utc"] == midnight(SWAPPED_FROM, ZURICH):
            row["index_export_kwh"] = 7.0
    for day in days:
        for row in lake.rows["meter_indices", day]:
            if row["meter_id"] == "flat":
                counted = Decimal(str(row["index_import_kwh"])) - Decimal(str(standing))
                row |= {"index_import_kwh": standing, "index_export_kwh": float(7 + counted)}
    lake.write(built.layout, only=[("meter_indices", day) for day in (SWAPPED_FROM - timedelta(days=1), *days)])


def revise_a_late_day(built: Built) -> None:
    """In the spring, long after: a value, and the register of a meter that had none then."""
    lake = built.lake
    row = next(row for row in lake.rows["meter_intervals", LATE_DAY] if row["meter_id"] == "gap")
    lake.revise("meter_intervals", LATE_DAY, row, total=row["total"] + 3, grid=row["grid"] + 3)
    for number, day in enumerate((LATE_DAY - timedelta(days=1), LATE_DAY)):
        at = midnight(day + timedelta(days=1), ZURICH)
        lake.add("meter_indices", day, site_id="z1", meter_id="flat", read_at_utc=at, index_import_kwh=100.0 + number)
        lake.cover("meter_indices", day, "z1", "flat")
    only = [("meter_intervals", LATE_DAY), *(("meter_indices", LATE_DAY - timedelta(days=days)) for days in (0, 1))]
    lake.write(built.layout, only=only)


def decide(built: Built) -> None:
    """The user accepts one failure, excludes another meter, and tolerates a null."""
    folder = built.layout.config
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "decisions.csv").write_text(
        "check,site_id,meter_id,from,to,action,who,why\n"
        f"missing_intervals,z1,gap,{GAP_DAY},{GAP_DAY},accept,Clerk,power cut\n"
        f"missing_intervals,z1,unsplit,{LATE_DAY},{LATE_DAY},exclude,Clerk,moved out\n"
    )
    (folder / "tolerances.csv").write_text("check,tolerance,why\nnull_intervals,1,one is little\n")


def files_read(built: Built, name: str) -> int:
    """How many files of the lake a model opens for the days that changed."""
    days = ", ".join(f"date '{day}'" for day in built.report.changes.files[name])
    with duckdb.connect(built.layout.build_file) as connection:
        plan = connection.execute(
            f"explain (analyze, format json) from ({load_project().models[name].sql}) where local_date in ({days})"
        ).fetchall()[0][1]
    json.loads(plan)
    return sum(int(number) for number in re.findall(r'"Total Files Read": "?(\d+)', plan))


def test_incremental_equals_full_and_opens_changed_days_only(copy):
    before = october_total(copy)
    emptied_before = copy.rows(
        "select count(*) from meter_intervals where meter_id = 'grid' and local_date = ?", [EMPTIED_DAY]
    )
    change_some_days(copy)

    report = copy.refresh()

    assert not report.changes.full_refresh
    assert report.changes.days["meter_intervals"] == [DELETED_DAY, NEW_DAY, REVISED_DAY, EMPTIED_DAY]
    assert report.changes.days["meters"] == [DELETED_DAY]
    assert "sensor_readings" not in report.changes.days
    assert october_total(copy) == before + 100
    assert emptied_before == [(96,)]
    assert copy.rows(
        "select count(*) from meter_intervals where meter_id = 'grid' and local_date = ?", [EMPTIED_DAY]
    ) == [(0,)]
    assert copy.rows("select count(*) from meter_intervals where local_date = ?", [DELETED_DAY]) == [(0,)]
    assert copy.rows("select meter_id, total from meter_days where local_date = ?", [NEW_DAY]) == [
        ("flat", Decimal(24))
    ]
    assert files_read(copy, "meter_intervals") == 3  # of 64
    assert_equal_to_a_full_build(copy)


def assert_equal_to_a_full_build(copy: Built) -> None:
    incremental = contents(copy)
    assert copy.refresh(full=True).changes.full_refresh
    full = contents(copy)
    assert incremental.keys() == full.keys()
    for table, rows in full.items():
        assert incremental[table] == rows, table


def test_what_reaches_beyond_changed_days_equals_a_full_build(copy):
    """A register swapped on the way, a zero run that goes on, a late month and a decision change days that did not."""
    swap_registers(copy)
    assert min(copy.refresh().changes.days["meter_indices"]) == SWAPPED_FROM - timedelta(days=1)
    swapped = "select min(local_date) from meter_index_days where meter_id = 'flat' and is_swapped"
    assert copy.rows(swapped) == [(SWAPPED_FROM,)]

    set_to_zero(copy, ZERO_DAYS)
    copy.refresh()
    zero_hours = "select local_date, measured from data_quality_daily where check_name = 'zero_run' order by 1"
    assert copy.rows(zero_hours) == [(ZERO_DAYS[1], Decimal(36))]
    set_to_zero(copy, [NEXT_ZERO_DAY])
    revise_a_late_day(copy)
    report = copy.refresh()
    assert report.changes.days["meter_intervals"] == [LATE_DAY, NEXT_ZERO_DAY]
    assert copy.rows(zero_hours) == [(ZERO_DAYS[1], Decimal(60)), (NEXT_ZERO_DAY, Decimal(60))]

    decide(copy)
    report = copy.refresh()
    assert (report.changes.days, report.changes.inputs) == ({}, {"decisions", "tolerances"})
    assert copy.rows("select accepted_by from data_quality_daily where accepted_by is not null") == [("Clerk",)]
    assert copy.rows("select tolerance from data_quality_checks where check_name = 'null_intervals'") == [(1,)]
    assert_equal_to_a_full_build(copy)


EMPTY_SINCE, SILENT_UNTIL = date(2026, 1, 1), date(2026, 6, 30)


def empty_flat(until: date) -> SmallLake:
    """A flat that nobody lives in, asked for day by day; its register is not read."""
    lake = SmallLake()
    for day in days(EMPTY_SINCE, until):
        asked_at = midnight(day + timedelta(days=1), ZURICH) + timedelta(hours=5)
        asked = {"first_asked_at_utc": asked_at, "last_asked_at_utc": asked_at, "equal_answers": 1}
        seen = {"site_id": "s", "fetched_at_utc": asked_at}
        lake.add("sites", day, site_name="S", timezone="Europe/Zurich", is_timezone_assumed=False, **seen)
        listed = {"meter_id": "m", "meter_name": "Flat", "meter_type": "electricity", "meter_mode": "consumption"}
        lake.add("meters", day, is_rule_meter=False, **listed, **seen)
        for dataset in ("sites", "meters"):
            lake.cover(dataset, day, "s", "s", **asked)
        for start in starts(day, ZURICH):
            ends = {"interval_start_utc": start, "interval_end_utc": start + timedelta(minutes=15)}
            lake.add("meter_intervals", day, meter_id="m", total=0.0, solar=0.0, grid=0.0, **ends, **seen)
        lake.cover("meter_intervals", day, "s", "m", **asked)
    return lake


def test_a_run_of_zeros_that_goes_on_makes_only_its_season_again(tmp_path):
    """Each day made it longer, and so another on all of its days: years of months were built again every morning."""
    layout = Layout(tmp_path / "data")
    empty_flat(SILENT_UNTIL).write(layout)
    built = Built(layout, SmallLake, refresh(layout, SETTINGS))
    told = "select distinct measured, reason from data_quality_daily where check_name = 'zero_run_unread'"
    assert built.rows(told) == [(45, "zero for 45 days or more, while the register counted or was not read")]

    next_day = SILENT_UNTIL + timedelta(days=1)
    datasets = ("sites", "meters", "meter_intervals")
    empty_flat(next_day).write(layout, only=[(dataset, next_day) for dataset in datasets])
    report = built.refresh()

    assert report.changes.days["meter_intervals"] == [next_day]
    parts = {model.name: model.parts for model in report.models.models}
    # May, June and July: the season around the day. January to April say what they said.
    assert parts["data_quality_daily"] == parts["bill_rows"] == 3
    tables = ("data_quality_daily", "data_quality_monthly", "billing_monthly")
    followed = [built.rows(f"from {table} order by all") for table in tables]
    built.refresh(full=True)
    assert [built.rows(f"from {table} order by all") for table in tables] == followed


def registers(built: Built) -> dict[str, list[tuple]]:
    """The inner tables that follow registers from day to day, all rows in order."""
    tables = ("links", "counts", "midnights", "agreements", "roles")
    with duckdb.connect(built.layout.build_file, read_only=True) as connection:
        return {
            table: connection.execute(f"from intermediate.int_register_{table} order by all").fetchall()
            for table in tables
        }


def test_registers_of_months_long_past_are_those_of_a_full_build(copy):
    """A reading after months without one is looked at from the last day before; a late one, from all days since."""
    lake = copy.lake
    late, silent_until = LATE_DAY, date(2027, 1, 15)
    for day, index in ((late, 100.0), (silent_until, 90000.0)):
        at = midnight(day + timedelta(days=1), ZURICH)
        lake.add("meter_indices", day, site_id="z1", meter_id="flat", read_at_utc=at, index_import_kwh=index)
        lake.cover("meter_indices", day, "z1", "flat")
        lake.write(copy.layout, only=[("meter_indices", day)])
        copy.refresh()

    with duckdb.connect(copy.layout.build_file, read_only=True) as connection:
        silences = connection.execute(
            "select max(silent_until) from intermediate.int_register_silences where meter_id = 'flat'"
        ).fetchall()
    assert silences == [(silent_until,)]
    followed = registers(copy)
    assert_equal_to_a_full_build(copy)
    assert registers(copy) == followed


def test_nothing_changed_means_no_models_and_no_publishing(copy):
    report = copy.refresh()
    assert report.changes.is_empty
    assert (report.models, report.published) == (None, None)


def test_a_meter_that_changes_its_mode_keeps_its_old_days_as_they_were(copy):
    """What is listed as production from today on was a consumer yesterday, and its bill lacks a split."""
    split = "select sum(intervals_without_split) from billing_monthly where meter_id = 'unsplit'"
    before = copy.rows(split)
    last = date(2026, 10, 31)
    for row in copy.lake.rows["meters", last]:
        if row["meter_id"] == "unsplit":
            row["meter_mode"] = "production"
    copy.lake.write(copy.layout, only=[("meters", last)])
    copy.refresh()
    assert copy.rows(split) == before != [(0,)]
    assert_equal_to_a_full_build(copy)


def test_a_site_that_is_listed_in_another_zone_stays_in_the_one_that_its_days_are_filed_in(copy):
    """Rows that lie in the days of Zurich were looked for in those of Lisbon: nobody's months were built any more."""
    last = date(2026, 10, 31)
    for row in copy.lake.rows["sites", last]:
        if row["timezone"] == str(ZURICH):
            row |= {"timezone": "Europe/Lisbon", "fetched_at_utc": SECOND_FETCH}
    copy.lake.write(copy.layout, only=[("sites", last)])
    before = copy.rows("select site_id, meter_id, billing_month, total, grade from billing_monthly order by all")
    change_some_days(copy)
    report = copy.refresh()
    assert not report.changes.full_refresh
    assert copy.rows("select zone from sites where site_id = 'z1'") == [("Europe/Zurich",)]
    after = copy.rows("select site_id, meter_id, billing_month, total, grade from billing_monthly order by all")
    assert [row for row in after if row[0] == "k1"] == [row for row in before if row[0] == "k1"] != []
    assert october_total(copy) == 100 + next(row[3] for row in before if row[1:3] == ("flat", date(2026, 10, 1)))
    assert_equal_to_a_full_build(copy)


def test_a_duplicate_key_blocks_publishing_and_is_named(copy):
    published = copy.layout.warehouse.stat()
    day = copy.lake.rows["meter_intervals", GAP_DAY]
    day.append(dict(day[0]))
    copy.lake.write(copy.layout, only=[("meter_intervals", GAP_DAY)])
    with pytest.raises(WarehouseError, match="unique_key of meter_intervals"):
        copy.refresh()
    now = copy.layout.warehouse.stat()
    assert (now.st_ino, now.st_mtime_ns) == (published.st_ino, published.st_mtime_ns)
    # Nothing was ticked off: what failed is still to be done.
    scan = lake_state.scan_lake(copy.layout)
    changes = lake_state.prepare(copy.layout.build_file, scan, SETTINGS, models_version=models_version())
    assert changes.days == {"meter_intervals": [GAP_DAY]}


def test_an_empty_lake_builds(tmp_path):
    layout = Layout(tmp_path / "data")
    SmallLake().write(layout)
    report = refresh(layout, SETTINGS)
    built = Built(layout, SmallLake, report)
    assert report.published is not None
    assert is_published(layout)
    assert built.rows("from billing_monthly") == []
    assert dict(built.rows("from about"))["as_of_utc"] is None


def test_a_meter_is_too_young_by_its_own_last_call(copy):
    """Asked for until 4 November only; that other meters were asked later made its first values billable."""
    october = date(2026, 10, 1)
    for (dataset, day), rows in copy.lake.coverage.items():
        for row in rows:
            if (dataset, row["subject_id"]) == ("meter_intervals", "water") and day.replace(day=1) == october:
                row["last_asked_at_utc"] = datetime(2026, 11, 4, 9, tzinfo=UTC)
    copy.lake.write(copy.layout, only=[key for key in copy.lake.coverage if key[1].replace(day=1) == october])
    copy.refresh()
    ((grade, reasons, billable),) = copy.rows(
        "select grade, reasons, billable_total from billing_monthly where meter_id = 'water' and billing_month = ?",
        [october],
    )
    assert (grade, billable) == ("provisional", None)
    assert reasons == ["too_young: the last call was less than 10 days after the end of the period"]


def test_a_lake_that_moves_while_the_models_run_is_built_again(copy, monkeypatch):
    """Another backfill's commit made the row counts differ, and a good backfill ended with status 1."""
    first, *_, last = [row for row in copy.lake.rows["meter_intervals", REVISED_DAY] if row["meter_id"] == "flat"]
    copy.lake.revise("meter_intervals", REVISED_DAY, first, total=first["total"] + 1)
    copy.lake.write(copy.layout, only=[("meter_intervals", REVISED_DAY)])
    make, made = vars(build)["_Run"].make, []

    def make_and_commit(run, model) -> None:
        make(run, model)
        if model.name == "meter_intervals" and model.name not in made:
            last["superseded_at_utc"] = SECOND_FETCH
            with file_lock(copy.layout.commit_lock("meter_intervals")):
                copy.lake.write(copy.layout, only=[("meter_intervals", REVISED_DAY)])
        made.append(model.name)

    monkeypatch.setattr("climkit_pipeline.warehouse.build._Run.make", make_and_commit)
    report = copy.refresh()
    assert report.models.problem is None
    assert made.count("meter_intervals") == 2
    found = "select count(*) from meter_intervals where meter_id = 'flat' and local_date = ?"
    assert copy.rows(found, [REVISED_DAY]) == [(95,)]
    assert copy.refresh().models is None, "what was built last is what the lake holds"
