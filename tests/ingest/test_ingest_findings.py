"""What is odd in an answer is said, with counts and sample keys, and changes nothing that is right."""

from __future__ import annotations

import json
from datetime import date, timedelta

import polars as pl
import pytest
from ingest_bench import QUARTER, quarters, rewriting, stamp

DAY = date(2026, 6, 10)
DAYS = DAY, DAY + timedelta(days=1)
SMALL = {"sites": 1, "meters": 4}
TIME = {"meter_intervals": "interval_start_utc", "site_intervals": "interval_start_utc"}
VALUE = {
    "meter_data": ("meter_intervals", "total", "total"),
    "site_data": ("site_intervals", "conso_total", "consumption"),
    "meter_data_raw": ("meter_indices", "en_im", "index_import_kwh"),
    "sensor_data": ("sensor_readings", "value", "reading"),
}


@pytest.fixture
def one(bench):
    return bench(world=SMALL)


def subject_of(one, endpoint):
    """One that has the value under test: the grid's meter, the house's electricity, the first sensor."""
    site = one.world.sites[0]
    meter = next(meter for meter in site.meters if meter.type == "electricity" and not meter.is_rule_meter)
    return {"site_data": "electricity", "sensor_data": site.sensors[0].id}.get(endpoint, meter.id)


def at_of(one, number):
    """The stamp of a quarter-hour of the two days."""
    return quarters(one.world, one.world.sites[0].site_id, *DAYS)[number] + QUARTER


def key_of(dataset, at):
    """Rows of intervals are kept by their start."""
    return at - QUARTER if dataset in TIME else at


def run_with(one, faults, endpoint, change):
    """The findings of a run in which ``change`` rewrites the rows of one subject, and what is current then."""
    dataset, _, _ = VALUE[endpoint]
    subject = subject_of(one, endpoint)
    faults.add(lambda request: (request.endpoint, request.subject) == (endpoint, subject), rewriting(change))
    report = one.run(*DAYS, datasets=(dataset,))
    assert report.is_good
    for each in report.committed.findings:
        assert (each.finding.dataset, each.finding.subject_id) == (dataset, subject)
        assert each.finding.site_id == one.world.sites[0].site_id
    found = {each.finding.code: (each.finding.count, each.finding.samples) for each in report.committed.findings}
    return found, one.current(dataset).filter(pl.nth(1) == subject)


@pytest.mark.parametrize("endpoint", VALUE)
def test_a_clean_answer_has_no_finding_edge_rows_or_not(one, faults, endpoint):
    """Every call asks for a quarter-hour too many on purpose: a finding per call would hide the real ones."""
    found, _ = run_with(one, faults, endpoint, lambda rows: rows)
    assert found == {}


@pytest.mark.parametrize("endpoint", VALUE)
def test_rows_far_outside_the_window_are_a_finding_and_not_kept(one, faults, endpoint):
    """An API that ignores the window sent last year's rows, which were filed under days that nobody had asked for."""
    days = timedelta(days=40)

    def change(rows):
        strange = ({**row, "timestamp": (stamp(row) - days).isoformat()} for row in rows[5:7])
        return [*strange, *rows]

    found, current = run_with(one, faults, endpoint, change)
    (first,) = [stamps for code, (count, stamps) in found.items() if (code, count) == ("outside_window", 2)]
    assert len(found) == 1
    assert all(date.fromisoformat(text[:10]) < DAY - timedelta(days=30) for text in first)
    assert min(current["day"]) >= DAY - timedelta(days=1)


@pytest.mark.parametrize("endpoint", ["meter_data", "site_data"])
def test_stamps_off_the_grid_are_a_finding_and_kept(one, faults, endpoint):
    """A stamp at :07 is no quarter-hour: it must show, and its energy must not vanish."""
    odd = at_of(one, 40)

    def change(rows):
        return [{**r, "timestamp": (odd + timedelta(minutes=7)).isoformat()} if stamp(r) == odd else r for r in rows]

    found, current = run_with(one, faults, endpoint, change)
    assert found == {"off_grid": (1, ((odd + timedelta(minutes=7)).isoformat(),))}
    assert current.filter(interval_end_utc=odd + timedelta(minutes=7)).height == 1


@pytest.mark.parametrize("endpoint", VALUE)
def test_rows_sent_twice_are_a_finding_and_counted_once(one, faults, endpoint):
    """A quarter-hour in an answer twice was on the bill twice. Samples name each day concerned."""
    twice = {at_of(one, number) for number in (10, 11, 12, 13, 150, 151)}
    found, current = run_with(one, faults, endpoint, lambda rows: [*rows, *(r for r in rows if stamp(r) in twice)])
    (count, samples) = found.pop("duplicate_rows")
    assert found == {}
    assert (count, len(samples)) == (6, 4)
    assert samples[-1] == str(key_of(VALUE[endpoint][0], at_of(one, 150)))
    keys = current.select(pl.nth(0), pl.nth(1), TIME.get(VALUE[endpoint][0], "read_at_utc"))
    assert keys.is_unique().all()


@pytest.mark.parametrize("endpoint", VALUE)
def test_two_values_for_one_key_are_a_finding_of_their_own(one, faults, endpoint):
    """Which of the two is right nobody knows: said, and the last one is current. It is no row that counts once."""
    dataset, word, column = VALUE[endpoint]
    at = at_of(one, 20)
    found, current = run_with(
        one, faults, endpoint, lambda rows: [*rows, *({**r, word: 987.5} for r in rows if stamp(r) == at)]
    )
    assert {code: count for code, (count, _) in found.items()} == {"conflicting_rows": 1}
    key = key_of(dataset, at)
    assert found["conflicting_rows"][1] == (str(key),)
    assert current.filter(pl.col(TIME.get(dataset, "read_at_utc")) == key)[column].to_list() == [987.5]


ODD = ["1.5", "n/a", True, {"kwh": 1}, [2], 10**400]


@pytest.mark.parametrize("endpoint", VALUE)
def test_values_that_are_no_numbers_are_kept_in_extra_counted_and_never_zero(one, faults, endpoint):
    """They became null without a word: a month of them looked like a month of nulls from the provider."""
    dataset, word, column = VALUE[endpoint]
    odd = {at_of(one, 30 + number): value for number, value in enumerate(ODD)}
    found, current = run_with(
        one,
        faults,
        endpoint,
        lambda rows: [{**row, word: odd[stamp(row)]} if stamp(row) in odd else row for row in rows],
    )
    assert found == {"not_a_number": (6, tuple(each.isoformat() for each in sorted(odd)[:3]))}
    time = TIME.get(dataset, "read_at_utc")
    shift = QUARTER if dataset in TIME else timedelta(0)
    rows = current.filter(pl.col(time).is_in([each - shift for each in odd])).sort(time)
    assert rows[column].to_list() == [None] * 6
    assert [json.loads(text) for text in rows["extra"]] == [{word: value} for value in ODD]
    assert current.filter(pl.col("extra").is_null())[column].null_count() == 0


def test_null_is_data_and_no_finding(one, faults):
    """The provider says null where it has no value: that is counted in bills, not in findings."""
    found, current = run_with(one, faults, "meter_data", lambda rows: [{**row, "total": None} for row in rows])
    assert found == {}
    assert current["total"].null_count() == current.height == 192
