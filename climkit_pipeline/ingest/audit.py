"""The audit of the past: what the API states of whole months now, against what it stated before and what is stored.

A month that differs beyond rounding is asked for again in quarter-hours, once for each new difference: whether the
total of a month is the sum of its quarter-hours is not documented, and where it is not, asking again would not end.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any

import polars as pl

from climkit_pipeline.domain.periods import ONE_DAY, month_start, next_month
from climkit_pipeline.ingest.comparisons import read_proofs
from climkit_pipeline.ingest.frames import Finding
from climkit_pipeline.ingest.ingestion import Ingestion
from climkit_pipeline.ingest.news import keep
from climkit_pipeline.ingest.purposes import AUDIT
from climkit_pipeline.ingest.reports import IngestReport, IngestRequest
from climkit_pipeline.ingest.stated_months import StatedMonth, read_stated_months
from climkit_pipeline.ingest.windows import Window
from climkit_pipeline.lake import journals
from climkit_pipeline.lake.coverage import LATE_DATA
from climkit_pipeline.lake.first_days import refused_until
from climkit_pipeline.lake.forgotten import read_tombstones, without_month_values
from climkit_pipeline.lake.schemas import METER_INTERVALS, STATED_MONTHS

logger = logging.getLogger(__name__)

MONTH_DIFFERS = "month_differs"
ROUNDING = 0.01
"""kWh or m3: a month's total may be stated in hundredths; a quarter-hour that was corrected is mostly more."""
LAST_ANSWER, INTERVALS = "last answer", "intervals"
SUMS_SCHEMA = {"site_id": pl.String, "meter_id": pl.String, "billing_month": pl.Date, "intervals_total": pl.Float64}
"""What stored intervals add up to, of months that lack none."""

MonthKey = tuple[str, str, date]


@dataclass
class AuditReport:
    """What an audit found and did."""

    months: int = 0
    unanswered_meters: int = 0
    """Of which no month was answered: nothing is said of them."""
    findings: list[Finding] = field(default_factory=list)
    reports: list[IngestReport] = field(default_factory=list)
    """Of what was asked for again."""

    def __str__(self) -> str:
        revised = sum(report.committed.rows_revised for report in self.reports)
        silent = f"; nothing of {self.unanswered_meters:,} meters" if self.unanswered_meters else ""
        return f"{self.months:,} months, {len(self.findings):,} differ{silent}; asked again: {revised:,} values revised"


def audit(
    ingestion: Ingestion, first_day: date, last_day: date, sums: pl.DataFrame, like: IngestRequest | None = None
) -> AuditReport:
    """Ask for every whole month of a range, compare, and ask again for what differs.

    ``sums`` has the columns of ``SUMS_SCHEMA``; without rows, months are compared with the last answer alone. What is
    asked again is read as what ``like`` says of meters: steps that are stated, meters that are set aside.
    """
    like = like or IngestRequest(first_day, last_day)
    report = AuditReport()
    now = ingestion.now()
    first = first_day if first_day.day == 1 else next_month(first_day)
    window = Window(first, month_start(min(last_day + ONE_DAY, (now - LATE_DATA - timedelta(days=1)).date())) - ONE_DAY)
    if window.last_day < window.first_day:
        return report
    proofs = read_proofs(ingestion.layout, now)
    before = {_key(row): row for row in read_stated_months(ingestion.layout).iter_rows(named=True) if _was_over(row)}
    answered = {key[:2] for key, row in before.items() if row["is_stated"]}
    stored = {_key(row): row["intervals_total"] for row in sums.iter_rows(named=True)}
    tombstones = read_tombstones(ingestion.layout)
    refused = refused_until(ingestion.layout, METER_INTERVALS)
    questions = ingestion.month_questions(AUDIT)
    asked_of = [
        (listing, listing.subjects(METER_INTERVALS.name))
        for listing in ingestion.listings(ingestion.open_account()).sites
    ]
    ingestion.expect_calls(sum(questions.expected_calls(listing, meters, proofs) for listing, meters in asked_of))
    for listing, meters in asked_of:
        months = questions.ask(listing, meters, window, proofs, refused)
        again: dict[date, list[Finding]] = defaultdict(list)
        rows = {}
        for each in months:
            key = (each.site_id, each.meter_id, each.month)
            [stated] = without_month_values([each.as_row(ingestion.now())], tombstones)
            row = _compared(stated, before.get(key), stored.get(key), is_known=key[:2] in answered)
            rows[key] = row
            if _is_news(row, before.get(key)):
                again[each.month].append(_finding(each, row, before.get(key)))
        report.months += len(rows)
        report.unanswered_meters += len(set(meters) - {each.meter_id for each in months})
        _tell(ingestion, again, report)
        failed = _ask_again(ingestion, like, listing.site_id, again, report)
        # A difference that could not be asked about is news again at the next audit.
        journals.append(ingestion.layout, STATED_MONTHS, [row for key, row in rows.items() if key not in failed])
    return report


def _tell(ingestion: Ingestion, again: Mapping[date, Sequence[Finding]], report: AuditReport) -> None:
    """Say what differs, month by month: the journal knows a meter's findings apart by their instant alone."""
    for month, findings in again.items():
        report.findings += findings
        keep(ingestion.layout, findings, ingestion.now(), Window(month, next_month(month) - ONE_DAY))
        for finding in findings:
            logger.warning("%s", finding)


def _ask_again(
    ingestion: Ingestion,
    like: IngestRequest,
    site_id: str,
    again: Mapping[date, Sequence[Finding]],
    report: AuditReport,
) -> set[MonthKey]:
    """Ask for the quarter-hours of months of a site's meters; returns those of which some did not come."""
    failed = set()
    for month, findings in again.items():
        meter_ids = [finding.subject_id for finding in findings]
        request = replace(
            like,
            first_day=month,
            last_day=next_month(month) - ONE_DAY,
            datasets=(METER_INTERVALS.name,),
            site_ids=(site_id,),
            meter_ids=tuple(meter_ids),
            refetch=True,
            purpose=AUDIT,
        )
        ran = ingestion.run(request)
        report.reports.append(ran)
        about = {failure.subject_id for failure in ran.failures}
        failed |= {(site_id, meter_id, month) for meter_id in meter_ids if about & {meter_id, site_id}}
    return failed


def _was_over(row: Mapping[str, Any]) -> bool:
    """Whether a month had ended, and late data were in, when it was stated: a part of it is no total."""
    return bool((row["stated_at_utc"] - LATE_DATA).date() > next_month(row["billing_month"]))


def _key(row: Mapping[str, Any]) -> MonthKey:
    return row["site_id"], row["meter_id"], row["billing_month"]


def _compared(
    row: dict[str, Any], before: Mapping[str, Any] | None, stored: float | None, *, is_known: bool
) -> dict[str, Any]:
    """The row with what it differs from; ``is_known``: the last answer stated some month of the meter.

    Then a month that it lacked held nothing, and may have been filed as empty: a total of it now is a difference.
    """
    total = row["total"]
    differs = None
    if before is not None and is_known and _is_another(total, before["total"]):
        differs = LAST_ANSWER
    elif stored is not None and total is not None and _is_another(total, stored):
        differs = INTERVALS
    return row | {"intervals_total": stored, "differs_from": differs}


def _is_another(total: float | None, other: float | None) -> bool:
    if total is None or other is None:
        return total is not other
    return abs(total - other) > ROUNDING


def _is_news(row: Mapping[str, Any], before: Mapping[str, Any] | None) -> bool:
    """Whether a difference was not there at the last answer: that one has been asked for again."""
    if row["differs_from"] != INTERVALS or before is None or before["differs_from"] is None:
        return row["differs_from"] is not None
    return _is_another(row["intervals_total"], before["intervals_total"])


def _finding(each: StatedMonth, row: Mapping[str, Any], before: Mapping[str, Any] | None) -> Finding:
    other = before["total"] if before and row["differs_from"] == LAST_ANSWER else row["intervals_total"]
    what = "before" if row["differs_from"] == LAST_ANSWER else "by its intervals"
    sample = f"{each.month:%Y-%m} is stated as {each.total}, and was {other} {what}; asked for again"
    return Finding(MONTH_DIFFERS, METER_INTERVALS.name, each.site_id, each.meter_id, 1, (sample,))
