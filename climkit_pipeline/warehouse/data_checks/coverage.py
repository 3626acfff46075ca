"""Whether every day of the series is there that should be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import duckdb

from climkit_pipeline.lake.coverage import LATE_DATA
from climkit_pipeline.warehouse.data_checks.question import (
    CLOSED_MONTHS,
    SETTLED_DOES_NOT_COUNT,
    Answer,
    CheckSettings,
    DataCheck,
    many,
    named,
    rows_of,
)

SUBJECTS = {
    "meter_intervals": "meter",
    "meter_indices": "meter",
    "site_intervals": "meter type",
    "sensor_readings": "sensor",
}
"""The series, and what one call of each is about."""

_PROBLEMS = {"failed": "calls failed for", "gap": "values are missing on", "late": "late are"}
"""What can be the matter with a day, worst first, and how a sentence about it begins."""

_COVERAGE = f"""
with open_problems as (
    select
        coverage.*,
        case when coverage.state = 'pending' then 'late' else coverage.state end as problem
    from (from coverage_days where dataset = $dataset and state in ('gap', 'failed', 'pending')) as coverage
    inner join sites using (site_id)
    left join calendar_days as days on days.zone = sites.zone and days.local_date = coverage.local_date
    where coverage.state <> 'pending' or days.day_end_utc <= $late_before
),

unsettled as (
    select *, date_trunc('month', local_date)::date as billing_month
    from open_problems
    where not exists (
        select 1
        from (
            select site_id, meter_id, first_day, last_day from acceptances
            where check_name in ('missing_intervals', 'no_data', 'failed', 'pending')
            union all
            select site_id, meter_id, first_day, last_day from exclusions
        ) as decided
        where decided.site_id = open_problems.site_id
            and coalesce(decided.meter_id, open_problems.subject_id) = open_problems.subject_id
            and open_problems.local_date between decided.first_day and decided.last_day
    )
    -- Days on which the meter is not in service hold nothing by the user's word; what no meter is has no service.
    and coalesce((
        select bool_or(open_problems.local_date between services.first_day and services.last_day)
        from meter_services as services
        where services.site_id = open_problems.site_id and services.meter_id = open_problems.subject_id
    ), true)
)

select
    problem,
    coalesce(sites.site_name, site_id) as site,
    coalesce(meters.meter_name, sensors.sensor_name, subject_id) as subject,
    count(*) as days,
    min(local_date) as first_day,
    max(local_date) as last_day,
    coalesce(sum(greatest(expected - received, 0)), 0)::bigint as missing
from unsettled
anti join {CLOSED_MONTHS} as closed using (site_id, billing_month)
left join sites using (site_id)
left join meters on meters.site_id = unsettled.site_id and meters.meter_id = subject_id
left join sensors on sensors.site_id = unsettled.site_id and sensors.sensor_id = subject_id
group by all
order by days desc, site, subject
"""  # noqa: S608 - our own constant


def _coverage_of(dataset: str) -> Callable[[duckdb.DuckDBPyConnection, CheckSettings], Answer]:
    def ask(connection: duckdb.DuckDBPyConnection, settings: CheckSettings) -> Answer:
        rows = rows_of(connection, _COVERAGE, {"dataset": dataset, "late_before": settings.now - LATE_DATA})
        rows.sort(key=lambda row: list(_PROBLEMS).index(row["problem"]))
        days: Counter[str] = Counter()
        subjects: Counter[str] = Counter()
        for row in rows:
            days[row["problem"]] += row["days"]
            subjects[row["problem"]] += 1
        what = SUBJECTS[dataset]
        said = [
            f"{words} {many(days[problem], 'day')} of {many(subjects[problem], what)}"
            for problem, words in _PROBLEMS.items()
            if days[problem]
        ]
        where = f" ({named([row['site'] for row in rows])})" if rows else ""
        return Answer(
            not rows,
            "; ".join(said) + where if said else "every day that was asked for is whole, or younger than 48 hours",
            {
                "failed_days": days["failed"],
                "gap_days": days["gap"],
                "late_days": days["late"],
                "missing_intervals": sum(row["missing"] for row in rows),
            },
            rows,
        )

    return ask


CHECKS = tuple(
    DataCheck(
        dataset,
        "coverage",
        "Days on which values are missing (gap), whose call failed, or which are still not whole 48 hours after "
        "their end (late). What to do: failed and late days are asked for again by `climkit backfill FROM TO`; so "
        "is a gap, once per run. What is missing then is a matter for the provider, or for a decision: "
        "`climkit accept`." + SETTLED_DOES_NOT_COUNT,
        _coverage_of(dataset),
    )
    for dataset in SUBJECTS
)
