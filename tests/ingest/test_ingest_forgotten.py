"""What was forgotten stays away, whatever is asked for; everything else comes as before."""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl
import pytest
from ingest_bench import read_lake

from climkit_pipeline.errors import ConfigurationError
from climkit_pipeline.ingest.audit import SUMS_SCHEMA, audit
from climkit_pipeline.ingest.stated_months import read_stated_months
from climkit_pipeline.lake import journals
from climkit_pipeline.lake.forgotten import (
    Tombstone,
    add_tombstones,
    held_rows,
    read_tombstones,
    remove_rows,
    tombstone_file,
)
from climkit_pipeline.lake.schemas import ANSWER_COMPARISONS

FIRST = date(2026, 6, 8)
DAYS = [FIRST + timedelta(days=number) for number in range(4)]
SERIES = ("meter_intervals", "meter_indices")


def test_neither_a_look_back_nor_a_refetch_brings_back_what_was_forgotten(bench, clock):
    """A window covers days before and after in one call: what it holds of those between must not be kept."""
    one = bench(world={"sites": 1, "meters": 3})
    assert one.run(DAYS[0], DAYS[-1]).is_good
    layout = one.ingestion.layout
    site = one.world.sites[0]
    meter = next(meter for meter in site.meters if not meter.is_rule_meter)
    gone = (pl.col("site_id") == site.site_id) & (pl.col("meter_id") == meter.id) & pl.col("day").is_in(DAYS[1:3])
    before = {name: one.versions(name) for name in SERIES}
    assert all(rows.filter(gone).height > 0 for rows in before.values())

    tombstone = Tombstone(site.site_id, meter.id, DAYS[1], DAYS[2], DAYS[3], "me", "asked, for")
    held = held_rows(layout, [tombstone])
    assert held == {name: (2, rows.filter(gone).height) for name, rows in before.items()}
    add_tombstones(layout, [tombstone])
    remove_rows(layout, [tombstone])
    assert read_tombstones(layout) == [tombstone]
    assert held_rows(layout, [tombstone]) == dict.fromkeys(SERIES, (0, 0))
    kept = {name: one.versions(name) for name in SERIES}
    for name, rows in kept.items():
        assert rows.equals(before[name].filter(~gone)), name

    for request in ({}, {"refetch": True}):
        clock.at += timedelta(days=1)
        assert one.run(DAYS[0], DAYS[-1], **request).is_good
        for name, rows in kept.items():
            assert one.versions(name).equals(rows), name
    # Whoever deletes the line may have them again.
    tombstone_file(layout).unlink()
    clock.at += timedelta(days=1)
    assert one.run(DAYS[0], DAYS[-1], refetch=True).is_good
    assert one.versions("meter_intervals").filter(gone).height == 2 * 96


def test_neither_does_an_audit_bring_back_the_totals_of_its_months(bench):
    """That a month was stated stays: with it, months before would count as empty, though they were never asked for."""
    one = bench(world={"sites": 1, "meters": 2})
    layout = one.new_ingestion().layout
    months = date(2026, 6, 1), date(2026, 7, 31)
    nothing_stored = pl.DataFrame(schema=SUMS_SCHEMA)

    def stated():
        rows = read_stated_months(layout).filter(site_id=site.site_id)
        return {(row["meter_id"], row["billing_month"]): row["total"] for row in rows.iter_rows(named=True)}

    audit(one.new_ingestion(), *months, nothing_stored)
    site = one.world.sites[0]
    before = stated()
    assert len(before) == 4
    assert None not in before.values()
    meter = site.meters[0]
    tombstone = Tombstone(site.site_id, meter.id, FIRST, FIRST, DAYS[3], "me", "asked for")
    add_tombstones(layout, [tombstone])
    remove_rows(layout, [tombstone])
    kept = before | {(meter.id, months[0]): None}
    assert stated() == kept
    assert audit(one.new_ingestion(), *months, nothing_stored).findings == []
    assert stated() == kept
    assert read_stated_months(layout)["is_stated"].all()


def test_what_findings_and_comparisons_quote_of_forgotten_days_goes_too(bench, clock):
    """A month's total was taken out of the journal of months, and stood in the sentence that tells of a difference."""
    one = bench(world={"sites": 1, "meters": 2})
    layout = one.new_ingestion().layout
    site_id, [gone, other] = one.world.sites[0].site_id, [meter.id for meter in one.world.sites[0].meters]
    months = [date(2026, 6, 1), date(2026, 7, 1)]
    stored = [(site_id, meter, month, 1.25) for meter in (gone, other) for month in months]
    audit(one.new_ingestion(), months[0], date(2026, 7, 31), pl.DataFrame(stored, SUMS_SCHEMA, orient="row"))
    window = {"first_day": months[0], "last_day": months[0]}
    about = {"site_id": site_id, "meter_type": "electricity", "compared": 96, "differing": 1, "outcome": "differs"}
    rows = [about | window | {"meter_id": meter, "sample": "1.25 instead of 2"} for meter in (gone, other)]
    rows = [row | {"compared_at_utc": clock.now(), "adds_up": True} for row in rows]
    journals.append(layout, ANSWER_COMPARISONS, rows)
    remove_rows(layout, [Tombstone(site_id, gone, months[0], months[0], DAYS[3], "me", "asked for")])
    findings = read_lake(one.data_dir, "findings", "data").filter(code="month_differs")
    quoted = findings.explode("samples").drop_nulls("samples").select("subject_id", "first_day")
    assert findings.height == 4, "that a month differed stays"
    assert sorted(quoted.rows()) == sorted([(gone, months[1]), (other, months[0]), (other, months[1])])
    compared = read_lake(one.data_dir, "answer_comparisons", "data")
    assert dict(compared.select("meter_id", "sample").rows()) == {gone: None, other: "1.25 instead of 2"}


def test_a_line_that_says_nothing_is_refused_by_name(bench):
    """Read as no tombstone, it would let the values come back."""
    one = bench(world={"sites": 1, "meters": 3})
    layout = one.new_ingestion().layout
    tombstone_file(layout).parent.mkdir(parents=True)
    header = "site_id,meter_id,first_day,last_day,forgotten_on,who,why"
    tombstone_file(layout).write_text(f"{header}\ns,m,yesterday,2026-06-09,2026-06-10,me,why\n")
    with pytest.raises(ConfigurationError, match=r"forgotten.csv, line 2: .*yesterday"):
        read_tombstones(layout)
