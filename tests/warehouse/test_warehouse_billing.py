"""`billing_monthly` against sums made in plain Python: Decimal, zoneinfo, and the rows written to the lake."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from small_lake import AS_OF, METERS, QUARTER, ZONES, local_month, midnight

from climkit_pipeline.domain.meters import has_split, unit_of

CONTRACT = """site_id site_name meter_id meter_name meter_type meter_mode is_rule_meter unit billing_month
period_start_utc period_end_utc total solar grid billable_total billable_solar billable_grid index_register index_start
index_end index_advance index_difference interval_minutes intervals_expected intervals_present intervals_missing
intervals_null intervals_negative intervals_revised intervals_without_split completeness grade reasons
first_fetched_at_utc last_fetched_at_utc"""


def true_sums(lake, quantity, month_of):
    """{(site, meter, month): sum of what is present}, the month of each row given by ``month_of(row, zone)``."""
    sums = defaultdict(Decimal)
    for row in lake.current("meter_intervals"):
        if row[quantity] is not None:
            month = month_of(row, ZONES[row["site_id"]])
            sums[row["site_id"], row["meter_id"], month] += Decimal(str(row[quantity]))
    return dict(sums)


def month_of_start(row, zone):
    return local_month(row["interval_start_utc"], zone)


@pytest.mark.parametrize("quantity", ["total", "solar", "grid"])
def test_every_monthly_quantity_is_the_decimal_sum_of_its_local_month(built, quantity):
    found = built.rows(f"select site_id, meter_id, billing_month, {quantity} from billing_monthly")
    known = {key: value for *key_parts, value in found if value is not None for key in [tuple(key_parts)]}
    assert known == true_sums(built.lake, quantity, month_of_start)


WRONG_RULES = {
    "UTC month of the stamp": lambda row, _: local_month(row["interval_end_utc"], UTC),
    "UTC month after 15 minutes less": lambda row, _: local_month(row["interval_end_utc"] - QUARTER, UTC),
    "local month of the stamp": lambda row, zone: local_month(row["interval_end_utc"], zone),
}


@pytest.mark.parametrize("rule", WRONG_RULES)
def test_each_wrong_month_rule_gives_other_sums_than_ours(built, rule):
    """All three look right with production only, which is 0 at midnight."""
    consumption = [
        ("z1", "flat", date(2026, 3, 1)),
        ("z1", "flat", date(2026, 10, 1)),
        ("k1", "shop", date(2026, 10, 1)),
    ]
    wrong = true_sums(built.lake, "total", WRONG_RULES[rule])
    found = {
        tuple(key): total
        for *key, total in built.rows("select site_id, meter_id, billing_month, total from billing_monthly")
    }
    for key in consumption:
        assert found[key] != wrong[key]


def test_contract_columns_come_first_and_in_order(built):
    columns = [row[0] for row in built.rows("describe billing_monthly")]
    contract = CONTRACT.split()
    assert columns[: len(contract)] == contract


def test_contract_types(built):
    types = {row[0]: row[1] for row in built.rows("describe billing_monthly")}
    for quantity in ("total", "solar", "grid", "billable_total", "index_start", "index_advance", "index_difference"):
        assert types[quantity] == "DECIMAL(18,6)"
    assert types["billing_month"] == "DATE"
    assert types["period_start_utc"] == "TIMESTAMP WITH TIME ZONE"
    assert types["reasons"] == "VARCHAR[]"


def test_one_row_per_site_meter_and_month(built):
    keys = built.rows("select site_id, meter_id, billing_month from billing_monthly")
    assert len(keys) == len(set(keys))


def test_rows_exist_for_every_month_listed_or_asked_and_no_other(built):
    months = defaultdict(set)
    for site, meter, month in built.rows("select site_id, meter_id, billing_month from billing_monthly"):
        months[site, meter].add(month)
    march_to_october = {date(2026, month, 1) for month in range(3, 11)}
    for meter in METERS:
        expected = march_to_october if meter.site == "z1" else {date(2026, 10, 1), date(2026, 11, 1)}
        assert months[meter.site, meter.id] == expected


def test_a_month_never_asked_says_so(built):
    rows = built.rows(
        "select grade, reasons, total, intervals_present from billing_monthly where billing_month = '2026-06-01'"
    )
    assert set(map(repr, rows)) == {repr(("provisional", ["not_fetched: 30 of 30 days were never asked for"], None, 0))}


def test_periods_are_local_midnights(built):
    for site, month, start, end in built.rows(
        "select distinct site_id, billing_month, period_start_utc, period_end_utc from billing_monthly"
    ):
        following = (month + timedelta(days=32)).replace(day=1)
        assert (start, end) == (midnight(month, ZONES[site]), midnight(following, ZONES[site]))


@pytest.mark.parametrize(
    ("site", "meter", "month", "expected"),
    [
        ("z1", "flat", date(2026, 3, 1), 2972),
        ("z1", "flat", date(2026, 10, 1), 2980),
        ("z1", "water", date(2026, 3, 1), 743),
        ("z1", "water", date(2026, 10, 1), 745),
        ("z1", "water", date(2026, 6, 1), 720),  # never asked for: counted in intervals as long as in the other months
        ("k1", "shop", date(2026, 10, 1), 2976),
        ("k1", "heat", date(2026, 10, 1), 31),
    ],
)
def test_expected_intervals_are_real_ones(built, site, meter, month, expected):
    [(found,)] = built.rows(
        "select intervals_expected from billing_monthly where (site_id, meter_id, billing_month) = (?, ?, ?)",
        [site, meter, month],
    )
    assert found == expected


def test_a_running_month_expects_what_had_ended_at_the_last_call(built):
    [(expected, grade, reasons)] = built.rows(
        """select intervals_expected, grade, reasons from billing_monthly
        where meter_id = 'shop' and billing_month = '2026-11-01'"""
    )
    assert expected == (AS_OF - midnight(date(2026, 11, 1), ZONES["k1"])) // QUARTER
    assert grade == "provisional"
    assert [reason.partition(":")[0] for reason in reasons] == ["not_fetched", "running", "pending"]


def test_counts_tell_missing_null_and_unsplit_apart(built):
    counted = built.rows(
        """select meter_id, intervals_missing, intervals_null, intervals_without_split, intervals_revised, grade,
            list_transform(reasons, lambda reason: split_part(reason, ':', 1))
        from billing_monthly where billing_month = '2026-10-01' and site_id = 'z1' order by meter_id"""
    )
    found = {meter: tuple(rest) for meter, *rest in counted}
    assert found["flat"] == (0, 0, 0, 1, "blocked", ["missing_sibling"])  # `gap` lacks an hour: nobody's split holds
    assert found["gap"] == (4, 1, 0, 0, "blocked", ["missing_intervals", "null_intervals"])
    assert found["unsplit"] == (0, 0, 1, 0, "blocked", ["without_split", "missing_sibling"])
    assert found["roof"] == (96, 0, 0, 0, "blocked", ["missing_intervals"])
    assert found["water"] == (0, 0, 0, 0, "ready", [])


def test_negatives_are_kept_and_counted(built):
    negative = Counter(
        (row["site_id"], row["meter_id"], month_of_start(row, ZONES[row["site_id"]]))
        for row in built.lake.current("meter_intervals")
        if any((row[quantity] or 0) < 0 for quantity in ("total", "solar", "grid"))
    )
    found = {
        tuple(key): n
        for *key, n in built.rows("select site_id, meter_id, billing_month, intervals_negative from billing_monthly")
        if n
    }
    assert found == negative


def test_present_and_missing_and_null_make_up_the_expected(built):
    assert (
        built.rows(
            """select * from billing_monthly
            where intervals_expected <> intervals_present + intervals_null + intervals_missing"""
        )
        == []
    )


def test_only_ready_months_are_billable(built):
    assert built.rows("from billing_monthly where (grade = 'ready') <> (billable_total is not null)") == []
    assert (
        built.rows("from billing_monthly where grade = 'ready' and (billable_total <> total or len(reasons) > 0)") == []
    )
    assert built.rows("from billing_monthly where grade <> 'ready' and len(reasons) = 0") == []


def test_solar_and_grid_are_null_where_they_have_no_meaning(built):
    split = {(meter.site, meter.id) for meter in METERS if meter.has_split}
    found = built.rows(
        "select distinct site_id, meter_id from billing_monthly where solar is not null or grid is not null"
    )
    assert set(found) == split


def test_index_bounds_are_the_readings_at_local_midnight(built):
    rows = built.rows(
        """select meter_id, index_register, index_start, index_end, index_advance, index_difference, total
        from billing_monthly where site_id = 'z1' and billing_month = '2026-10-01'"""
    )
    found = {row[0]: row[1:] for row in rows}
    register, start, end, advance, difference, total = found["flat"]
    assert (register, start) == ("import", Decimal(1000))
    assert end == Decimal(1000) + total + Decimal("0.01")
    assert (advance, difference) == (end - start, Decimal("-0.01"))
    assert (found["roof"][0], found["roof"][1]) == ("export", Decimal(1000))
    assert (found["water"][0], found["water"][1]) == ("volume", Decimal(1000))
    assert found["rule"][:5] == (None, None, None, None, None)
    assert found["steam"][0] is None


def test_units_and_splits_follow_the_domain(built):
    for meter_type, mode, unit, split in built.rows(
        """select distinct meter_type, meter_mode, unit, has_split
        from billing_monthly join (select distinct meter_id, has_split from meter_days) using (meter_id)"""
    ):
        assert (unit, split) == (unit_of(meter_type), has_split(meter_type, mode))


def test_fetch_times_come_from_coverage(built):
    [(first, last)] = built.rows(
        """select first_fetched_at_utc, last_fetched_at_utc
        from billing_monthly where meter_id = 'flat' and billing_month = '2026-10-01'"""
    )
    assert (first, last) == (datetime(2026, 11, 2, 3, tzinfo=UTC), AS_OF)


def test_days_add_up_to_months(built):
    assert (
        built.rows(
            """select * from billing_monthly
        join (select site_id, meter_id, billing_month, sum(total) as days from meter_days group by all)
            using (site_id, meter_id, billing_month)
        where total is distinct from days"""
        )
        == []
    )
