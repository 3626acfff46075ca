"""What the checks of the data say of the small lake, and of copies of its warehouse in which one thing is otherwise."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from small_lake import AS_OF, GAP_DAY, KATHMANDU_DAYS, ZURICH_DAYS

from climkit_pipeline.warehouse.data_checks import DATA_CHECKS
from climkit_pipeline.warehouse.data_checks.question import Answer, CheckSettings
from climkit_pipeline.warehouse.data_state import long_blocked, look_at_warehouse, silent_sites
from climkit_pipeline.warehouse.project import load_project

MONTH = date(2026, 10, 1)
CHECKS = {(check.table, check.name): check for check in DATA_CHECKS}
Changed = Callable[..., Path]


def ask(warehouse: Path, table: str, name: str, now: datetime = AS_OF, rate: float = 1.0) -> Answer:
    state = look_at_warehouse(warehouse, CheckSettings(now, rate), [CHECKS[table, name]])
    ((_, answer),) = state.answers
    assert answer.could_compute, answer.sentence
    assert "\n" not in answer.sentence
    return answer


@pytest.fixture
def changed(built, tmp_path) -> Changed:
    """A copy of the published warehouse after some statements."""

    def change(*statements: str) -> Path:
        path = tmp_path / "changed.duckdb"
        shutil.copyfile(built.layout.warehouse, path)
        with duckdb.connect(path) as connection:
            for statement in statements:
                connection.execute(statement)
        return path

    return change


CLOSE = """insert into billing_closings by name
    select '{site}' as site_id, date '2026-10-01' as billing_month, 1 as version, true as is_closed"""


def test_every_check_is_of_a_published_table_and_says_what_to_do():
    published = {name for name, model in load_project().models.items() if model.is_published}
    assert {check.table for check in DATA_CHECKS} <= published
    assert all("What to do" in check.description for check in DATA_CHECKS)


@pytest.mark.parametrize("dataset", ["meter_intervals", "site_intervals", "meter_indices", "sensor_readings"])
def test_gaps_are_counted_as_the_lakes_coverage_has_them(built, dataset):
    gaps = Counter(
        (row["site_id"], row["subject_id"])
        for (name, _), rows in built.lake.coverage.items()
        if name == dataset
        for row in rows
        if row["state"] == "gap"
    )
    answer = ask(built.layout.warehouse, dataset, "coverage")
    assert answer.figures["gap_days"] == gaps.total()
    assert sorted(row["days"] for row in answer.rows if row["problem"] == "gap") == sorted(gaps.values())
    assert answer.passed == (not answer.rows)


def test_the_small_lake_has_a_gap_to_find(built):
    answer = ask(built.layout.warehouse, "meter_intervals", "coverage")
    assert not answer.passed
    # The last day of the other site was still running when it was asked for last.
    assert [(row["problem"], row["first_day"]) for row in answer.rows] == [
        ("gap", GAP_DAY),
        ("late", max(KATHMANDU_DAYS)),
    ]


COVERED = "update coverage_days set state = '{state}', expected = 96, received = 90 where dataset = 'meter_intervals' "
FLAT = "and subject_id = 'flat' and local_date between '2026-10-20' and '2026-10-22'"
ALL_WELL = "update coverage_days set state = 'complete'"


@pytest.mark.parametrize(("state", "figure", "words"), [
    ("failed", "failed_days", "calls failed for 3 days of 1 meter"),
    ("gap", "gap_days", "values are missing on 3 days of 1 meter"),
    ("pending", "late_days", "late are 3 days of 1 meter"),
])  # fmt: skip
def test_what_is_the_matter_with_days_is_said_apart(changed, state, figure, words):
    path = changed(ALL_WELL, COVERED.format(state=state) + FLAT)
    answer = ask(path, "meter_intervals", "coverage")
    assert (answer.passed, answer.figures[figure], answer.figures["missing_intervals"]) == (False, 3, 3 * 6)
    assert sum(answer.figures[name] for name in ("failed_days", "gap_days", "late_days")) == 3
    assert words in answer.sentence


def test_a_day_is_late_when_48_hours_have_passed_since_it_ended(changed):
    path = changed(ALL_WELL, COVERED.format(state="pending") + FLAT)
    ended = datetime(2026, 10, 22, 22, tzinfo=UTC)  # 23 October, 0:00 in Zurich
    for now, late in ((ended + timedelta(hours=47, minutes=59), 2), (ended + timedelta(hours=48), 3)):
        assert ask(path, "meter_intervals", "coverage", now).figures["late_days"] == late


@pytest.mark.parametrize("settled", [
    CLOSE.format(site="z1"),
    """insert into acceptances by name select 'missing_intervals' as check_name, 'z1' as site_id, 'flat' as meter_id,
        date '2026-10-20' as first_day, date '2026-10-22' as last_day, 'anna' as accepted_by, 'why' as accepted_why""",
    """insert into exclusions by name select 'z1' as site_id, 'flat' as meter_id, date '2026-10-01' as first_day,
        date '2026-10-31' as last_day, false as is_of_site, 'why' as reason, 'anna' as decided_by""",
    "update meter_services set last_day = '2026-10-19' where meter_id = 'flat'",
])  # fmt: skip
def test_what_a_person_has_settled_is_no_news(changed, settled):
    path = changed(ALL_WELL, COVERED.format(state="gap") + FLAT, settled)
    assert ask(path, "meter_intervals", "coverage").passed


def grades_of(built) -> Counter:
    return Counter(built.rows("select billing_month, site_id, grade from billing_monthly"))


def test_blocked_meters_are_counted_by_month_and_site(built):
    grades = grades_of(built)
    blocked = {key: number for key, number in grades.items() if key[2] == "blocked"}
    assert blocked, "the small lake has something to find"
    answer = ask(built.layout.warehouse, "billing_monthly", "grades")
    assert not answer.passed
    assert answer.figures["blocked_meters"] == sum(blocked.values())
    assert answer.figures["provisional_meters"] == sum(n for key, n in grades.items() if key[2] == "provisional")
    assert answer.figures["blocked_months"] == len({month for month, *_ in blocked})
    names = dict(built.rows("select site_id, site_name from sites"))
    assert {(row["month"], row["site"]): row["blocked"] for row in answer.rows} == {
        (month, names[site] or site): number for (month, site, _), number in blocked.items()
    }


IN_OCTOBER = "billing_month = '2026-10-01'"


def test_the_sentence_names_causes_before_what_follows_from_them(built, changed):
    reasons = "['unsound_sibling: x', 'stuck_unread: y; z']"
    path = changed(
        "update bill_rows set grade = 'ready', reasons = []",
        f"update bill_rows set grade = 'blocked', reasons = {reasons} where site_id = 'z1' and {IN_OCTOBER}",
    )
    [(meters,)] = built.rows(f"select count(*) from billing_monthly where site_id = 'z1' and {IN_OCTOBER}")
    answer = ask(path, "billing_monthly", "grades")
    assert answer.sentence.startswith(f"2026-10: {meters} of ")
    assert answer.sentence.endswith(f"because of stuck_unread ({meters}), unsound_sibling ({meters})")


def test_a_closed_month_blocks_nobody(changed, built):
    path = changed(CLOSE.format(site="z1"))
    answer = ask(path, "billing_monthly", "grades")
    expected = sum(
        number
        for (month, site, grade), number in grades_of(built).items()
        if grade == "blocked" and (month, site) != (MONTH, "z1")
    )
    assert answer.figures["blocked_meters"] == expected


def test_failed_checks_are_those_of_the_quality_table_that_block_and_are_not_accepted(built):
    columns = "billing_month, check_name, severity, passed, is_accepted"
    rows = built.rows(f"select {columns} from data_quality_monthly")
    failed = [row for row in rows if not row[3] and not row[4]]
    answer = ask(built.layout.warehouse, "data_quality_monthly", "failed_checks")
    assert not answer.passed
    assert answer.figures["blocking_failures"] == sum(row[2] == "blocks" for row in failed)
    assert answer.figures["warnings"] == sum(row[2] == "warns" for row in failed)
    assert {(row["month"], row["check"]) for row in answer.rows} == {
        row[:2] for row in failed if row[2] in {"blocks", "warns"}
    }


def test_corrections_after_closing_say_where_and_how_to_settle_them(built, changed):
    assert ask(built.layout.warehouse, "billing_corrections", "after_closing").passed
    path = changed(
        """insert into billing_corrections by name select 'z1' as site_id, 'Lac' as site_name, 'flat' as meter_id,
        'Flat' as meter_name, date '2026-10-01' as billing_month, 'total' as quantity, 'kWh' as unit,
        10.5 as closed_value, 11 as current_value, 0.5 as delta, 'values' as cause"""
    )
    answer = ask(path, "billing_corrections", "after_closing")
    assert not answer.passed
    assert answer.sentence == (
        "1 quantity in 2026-10 of Lac is not what was closed; bill the correction: climkit settle 2026-10 --site z1"
    )
    assert float(answer.rows[0]["delta"]) == 0.5


def calls(number: int, first: str, apart_seconds: float, status: int = 200) -> str:
    return f"""insert into api_calls by name
        select 'r' as run_id, n as sequence, 'meter_data' as endpoint, {status} as status,
            case when {status} = 200 then 'ok' else 'RateLimited' end as outcome,
            timestamptz '{first}' + n * interval '{apart_seconds} seconds' as started_at_utc,
            date '{first[:10]}' as utc_date
        from range({number}) as numbers(n)"""


def test_calls_within_the_rate_pass_and_their_share_is_told(changed):
    path = changed("delete from api_calls", calls(90, "2026-11-20 03:00:00+00", 1.0))
    answer = ask(path, "api_calls", "rate_use")
    assert answer.passed
    assert answer.figures == {"calls": 90, "answered_429": 0, "busiest_minute_share": 1.0}
    assert "100 % of the allowed rate" in answer.sentence


def test_more_calls_in_a_minute_than_are_allowed_are_seen(changed):
    path = changed("delete from api_calls", calls(120, "2026-11-20 03:00:00+00", 0.5))
    answer = ask(path, "api_calls", "rate_use")
    assert not answer.passed
    assert answer.sentence.startswith("on 2026-11-20, 120 calls began within a minute, where 60 are allowed")
    assert ask(path, "api_calls", "rate_use", rate=2.0).passed


@pytest.mark.parametrize(("refused", "passed"), [(1, True), (2, False)])
def test_single_refusals_are_normal_and_many_are_not(changed, refused, passed):
    path = changed(
        "delete from api_calls",
        calls(50, "2026-11-20 03:00:00+00", 2.0),
        calls(refused, "2026-11-20 04:00:00+00", 2.0, status=429),
    )
    answer = ask(path, "api_calls", "rate_use")
    assert (answer.passed, answer.figures["answered_429"]) == (passed, refused)


def test_freshness_is_the_newest_day_of_each_site_against_its_own_yesterday(built):
    newest = {"z1": max(ZURICH_DAYS), "k1": max(KATHMANDU_DAYS)}
    now = datetime(2026, 11, 6, 20, tzinfo=UTC)  # 6 November in Zurich, 7 November in Kathmandu
    answer = ask(built.layout.warehouse, "meter_intervals", "freshness", now)
    behind = {row["newest day"]: row["days behind"] for row in answer.rows}
    assert behind == {newest["z1"]: 5, newest["k1"]: 1}
    assert (answer.passed, answer.figures) == (False, {"sites_behind": 1, "days_behind": 5})
    day_after = datetime(2026, 11, 2, 12, tzinfo=UTC)
    assert ask(built.layout.warehouse, "meter_intervals", "freshness", day_after).passed


def test_a_check_without_its_table_says_so_and_does_not_raise(changed):
    path = changed("drop table billing_corrections")
    state = look_at_warehouse(path, CheckSettings(AS_OF, 1.0), [CHECKS["billing_corrections", "after_closing"]])
    ((_, answer),) = state.answers
    assert (answer.passed, answer.could_compute) == (False, False)
    assert answer.sentence.startswith("nothing could be computed: ")


def test_blocked_months_are_late_from_a_day_on(built):
    months = {month for month, _, grade in grades_of(built) if grade == "blocked"}
    late = long_blocked(built.layout.warehouse, date(2026, 11, 16), 15)
    assert {month.month for month in late} == {month for month in months if month <= MONTH}
    assert late[0].due == date(2026, 11, 16)
    early = long_blocked(built.layout.warehouse, date(2026, 11, 15), 15)
    assert {month.month for month in early} == {month for month in months if month < MONTH}


def test_a_site_is_silent_from_the_end_of_its_newest_day_on(built):
    settings = CheckSettings(datetime(2026, 11, 5, 23, tzinfo=UTC), 1.0)
    (site,) = silent_sites(built.layout.warehouse, settings, timedelta(hours=84))
    assert (site.site_id, site.newest_day) == ("z1", max(ZURICH_DAYS))
    assert site.silent_since == datetime(2026, 10, 31, 23, tzinfo=UTC)
    assert silent_sites(built.layout.warehouse, settings, timedelta(hours=121)) == []


def test_the_state_counts_the_rows_of_every_table(built):
    state = look_at_warehouse(built.layout.warehouse, CheckSettings(AS_OF, 1.0), [])
    tables = [name for (name,) in built.rows("select table_name from duckdb_tables() where schema_name = 'main'")]
    assert set(state.row_counts) == set(tables)
    for name in ("meter_intervals", "data_quality_monthly", "bill_rows"):
        assert state.row_counts[name] == len(built.rows(f"select 1 from {name}"))
