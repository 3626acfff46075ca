"""The laws of local days and months, held against a walk through UTC that knows nothing of them."""

from __future__ import annotations

import calendar
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from climkit_pipeline.domain.meters import has_split, site_series_types, unit_of
from climkit_pipeline.domain.periods import (
    Period,
    dates_between,
    local_date_of_interval,
    local_date_of_reading,
    local_day,
    local_days,
    local_midnight_utc,
    local_month,
    month_start,
    next_month,
)

MINUTE = timedelta(minutes=1)
QUARTER = timedelta(minutes=15)
ZONES = [
    "Europe/Zurich",
    "Europe/Lisbon",
    "Asia/Kolkata",
    "America/St_Johns",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Pacific/Apia",
    # clocks change at midnight: the day starts at 01:00, or has 00:00 twice
    "Atlantic/Azores",
    "Asia/Beirut",
    "Africa/Cairo",
    "America/Havana",
]
LONG_DAYS = {"Atlantic/Azores": date(2026, 10, 25), "America/Havana": date(2026, 11, 1)}
SHORT_DAYS = {"Atlantic/Azores": date(2026, 3, 29), "Asia/Beirut": date(2026, 3, 29), "Africa/Cairo": date(2026, 4, 24)}

zones = st.sampled_from(ZONES).map(ZoneInfo)
days = st.dates(date(2012, 1, 1), date(2036, 12, 31))
near_changes = st.sampled_from(
    [date(year, month, day) for year in (2024, 2025, 2026) for month in (3, 4, 10, 11) for day in range(1, 31)]
)


def walked(day: date, zone: ZoneInfo) -> list[datetime]:
    """Every minute of UTC whose local date is ``day``."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(hours=15)
    minutes = (start + number * MINUTE for number in range(54 * 60))
    return [minute for minute in minutes if minute.astimezone(zone).date() == day]


@settings(deadline=None, max_examples=60)
@given(day=days | near_changes, zone=zones)
def test_a_local_day_holds_every_minute_of_that_date_and_no_other(day, zone):
    period = local_day(day, zone)
    minutes = walked(day, zone)
    assert period.duration == len(minutes) * MINUTE
    assert (period.start_utc, period.end_utc) == (minutes[0], minutes[-1] + MINUTE)
    assert period.start_utc.tzinfo is UTC


@settings(deadline=None, max_examples=60)
@given(day=days | near_changes, zone=zones)
def test_quarter_hours_tile_every_local_day(day, zone):
    period = local_day(day, zone)
    quarters = list(period.intervals())
    assert quarters[0].start_utc == period.start_utc
    assert quarters[-1].end_utc == period.end_utc
    assert all(earlier.end_utc == later.start_utc for earlier, later in pairwise(quarters))
    assert all(quarter.duration == QUARTER for quarter in quarters)
    assert len(quarters) == period.count() == len(walked(day, zone)) // 15
    assert {local_date_of_interval(quarter.start_utc, zone) for quarter in quarters} == {day}


@settings(deadline=None, max_examples=60)
@given(day=days | near_changes, zone=zones)
def test_readings_belong_to_the_day_that_they_end(day, zone):
    """The reading at midnight closes the day before; where 00:00 comes twice, only the first one does."""
    period = local_day(day, zone)
    ends = [quarter.end_utc for quarter in period.intervals()]
    assert {local_date_of_reading(end, zone) for end in ends} == {day}
    assert local_date_of_reading(period.start_utc, zone) == day - timedelta(days=1)
    assert local_date_of_reading(period.start_utc + timedelta.resolution, zone) == day
    assert local_date_of_reading(period.end_utc + timedelta.resolution, zone) == day + timedelta(days=1)


@settings(deadline=None, max_examples=40)
@given(day=days, zone=zones)
def test_days_tile_months(day, zone):
    month = local_month(day, zone)
    length = calendar.monthrange(day.year, day.month)[1]
    dates = [date(day.year, day.month, number) for number in range(1, length + 1)]
    parts = [local_day(each, zone) for each in dates]
    assert (parts[0].start_utc, parts[-1].end_utc) == (month.start_utc, month.end_utc)
    assert all(earlier.end_utc == later.start_utc for earlier, later in pairwise(parts))
    assert month == local_days(dates[0], dates[-1], zone)
    assert sum(part.count() for part in parts) == month.count()


@settings(deadline=None)
@given(day=days)
def test_months_follow_one_another(day):
    following = next_month(day)
    assert month_start(day) == date(day.year, day.month, 1)
    assert (following - month_start(day)).days == calendar.monthrange(day.year, day.month)[1]
    assert following.day == 1


@settings(deadline=None)
@given(first=days, length=st.integers(-5, 40))
def test_dates_between_has_both_ends(first, length):
    dates = dates_between(first, first + timedelta(days=length))
    assert len(dates) == max(0, length + 1)
    assert all(later - earlier == timedelta(days=1) for earlier, later in pairwise(dates))
    assert length < 0 or (dates[0], dates[-1]) == (first, first + timedelta(days=length))


@pytest.mark.parametrize(
    ("zone", "day", "quarters"),
    [
        ("Europe/Zurich", date(2026, 6, 10), 96),
        ("Europe/Zurich", date(2026, 3, 29), 92),
        ("Europe/Zurich", date(2026, 10, 25), 100),
        ("Europe/Lisbon", date(2026, 3, 29), 92),
        ("Europe/Lisbon", date(2026, 10, 25), 100),
        ("Asia/Kolkata", date(2026, 3, 29), 96),
        ("America/St_Johns", date(2026, 3, 8), 92),
        ("America/St_Johns", date(2026, 11, 1), 100),
        ("Australia/Lord_Howe", date(2026, 10, 4), 94),
        ("Australia/Lord_Howe", date(2026, 4, 5), 98),
        *((zone, day, 92) for zone, day in SHORT_DAYS.items()),
        *((zone, day, 100) for zone, day in LONG_DAYS.items()),
    ],
)
def test_change_days_have_as_many_quarter_hours_as_time_passed(zone, day, quarters):
    assert local_day(day, ZoneInfo(zone)).count() == quarters
    assert len(walked(day, ZoneInfo(zone))) == quarters * 15


@pytest.mark.parametrize(
    ("zone", "instant", "of_interval", "of_reading"),
    [
        ("Europe/Zurich", "2026-01-31T23:00", date(2026, 2, 1), date(2026, 1, 31)),
        ("Europe/Zurich", "2026-01-31T23:15", date(2026, 2, 1), date(2026, 2, 1)),
        ("Europe/Zurich", "2026-01-31T22:45", date(2026, 1, 31), date(2026, 1, 31)),
        ("Asia/Kolkata", "2026-01-31T18:30", date(2026, 2, 1), date(2026, 1, 31)),
        # Azores, spring: the day begins at 01:00 local; autumn: 00:00 comes again an hour into the day
        ("Atlantic/Azores", "2026-03-29T01:00", date(2026, 3, 29), date(2026, 3, 28)),
        ("Atlantic/Azores", "2026-10-25T00:00", date(2026, 10, 25), date(2026, 10, 24)),
        ("Atlantic/Azores", "2026-10-25T01:00", date(2026, 10, 25), date(2026, 10, 25)),
    ],
)
def test_midnight_opens_a_day_of_intervals_and_closes_a_day_of_readings(zone, instant, of_interval, of_reading):
    """Judged by the wall clock, the second 00:00 of a day counted to the day before, and 01:00 to no boundary."""
    moment = datetime.fromisoformat(f"{instant}+00:00")
    assert local_date_of_interval(moment, ZoneInfo(zone)) == of_interval
    assert local_date_of_reading(moment, ZoneInfo(zone)) == of_reading


def test_a_day_that_a_country_skipped_has_no_length():
    """Samoa had no 30 December 2011."""
    assert local_day(date(2011, 12, 30), ZoneInfo("Pacific/Apia")).count() == 0


def test_a_midnight_comes_back_in_utc():
    midnight = local_midnight_utc(date(2026, 7, 1), ZoneInfo("Europe/Zurich"))
    assert midnight == datetime(2026, 6, 30, 22, tzinfo=UTC)
    assert midnight.tzinfo is UTC


# --- periods ----------------------------------------------------------------------------------------------------

NOON = datetime(2026, 6, 10, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "other",
    [NOON.replace(tzinfo=None), NOON.astimezone(ZoneInfo("Europe/Zurich")), NOON.replace(tzinfo=timezone(MINUTE))],
    ids=str,
)
def test_a_period_is_stated_in_utc(other):
    for bounds in ((NOON, other), (other, NOON)):
        with pytest.raises(ValueError, match="stated in UTC"):
            Period(*bounds)


def test_a_period_does_not_end_before_it_starts():
    with pytest.raises(ValueError, match="cannot end"):
        Period(NOON, NOON - timedelta.resolution)
    assert Period(NOON, NOON).count() == 0


def test_a_period_holds_its_start_and_not_its_end():
    period = Period(NOON, NOON + QUARTER)
    assert NOON in period
    assert NOON + QUARTER - timedelta.resolution in period
    assert NOON + QUARTER not in period
    assert NOON - timedelta.resolution not in period


@given(minutes=st.integers(0, 3000), step=st.integers(1, 1500))
def test_a_rest_shorter_than_the_step_is_left_out(minutes, step):
    period = Period(NOON, NOON + minutes * MINUTE)
    parts = list(period.intervals(step * MINUTE))
    assert len(parts) == period.count(step * MINUTE) == minutes // step
    assert all(part.start_utc in period and part.end_utc <= period.end_utc for part in parts)


# --- meters -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("meter_type", "unit"),
    [
        ("electricity", "kWh"),
        ("charge_point", "kWh"),
        ("heating", "kWh"),
        ("cooling", "kWh"),
        ("cold_water", "m3"),
        ("hot_water", "m3"),
        ("reactive", "kvarh"),
        ("hydrogen", None),
        ("", None),
    ],
)
def test_a_meter_type_has_one_unit(meter_type, unit):
    assert unit_of(meter_type) == unit


def test_only_electricity_that_is_consumed_has_a_split():
    split = {
        (meter_type, mode)
        for meter_type in ("electricity", "charge_point", "heating", "hot_water", "reactive", "hydrogen")
        for mode in ("consumption", "production", "introduction", "battery", "unknown")
        if has_split(meter_type, mode)
    }
    assert split == {("electricity", "consumption"), ("charge_point", "consumption")}


def test_a_site_has_the_series_of_its_known_types_in_the_apis_order():
    assert site_series_types({"hot_water", "hydrogen", "electricity", "reactive"}) == ["electricity", "hot_water"]
    assert site_series_types(set()) == []
