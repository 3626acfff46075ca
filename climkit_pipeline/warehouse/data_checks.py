"""What a person should know of the data: each check is one question to the tables, its answer a sentence and figures.

Here: the questions, their SQL, and what the answers mean. Not here: Dagster (``defs.data_checks``), pictures
(``warehouse.pictures``), grades and their reasons (the models): what is counted here was judged there.

A check that fails says something of the data, never of the code: it stops nothing. What a person has settled already
(a month that is closed, a failure that was accepted, days off the bill) is no news and fails no check.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any

import duckdb

from climkit_pipeline.lake.coverage import LATE_DATA
from climkit_pipeline.settings import Settings

MOST_ROWS = 30
"""Of a table that is shown: more is a question for a query."""

MONTHS_IN_A_SENTENCE = 3
NAMES_IN_A_SENTENCE = 4

RATE_TOLERANCE = 0.02
"""Stamps of calls are taken after the pacer's, so a minute can seem fuller than it was by a call or two."""

REFUSED_TOLERANCE = 0.01
"""Of the calls of a day: a 429 now and then comes of the network's jitter (docs/operations.md)."""

DAYS_OF_CALLS = 7
"""Days of the ledger that are shown."""

FOLLOWS_FROM_OTHERS = ("missing_sibling", "unsound_sibling")
"""Checks that fail because another meter of the site did: mending that one mends them."""

CLOSED_MONTHS = "(select site_id, billing_month from billing_closings where is_closed)"


@dataclass(frozen=True)
class CheckSettings:
    """What the questions are asked with."""

    now: datetime
    requests_per_second: float
    wants_site: Callable[[str], bool] = field(default=lambda _: True)

    @classmethod
    def of(cls, settings: Settings, now: datetime) -> CheckSettings:
        """The same from the settings of the environment."""
        return cls(now, settings.requests_per_second, settings.wants_site)


@dataclass(frozen=True)
class Answer:
    """What a check found."""

    passed: bool
    sentence: str
    """One, for a person who has seen nothing else."""
    figures: Mapping[str, float]
    """Always under the same names, so that they can be plotted over time."""
    rows: Sequence[Mapping[str, Any]] = ()
    """The worst or newest first, all with the same columns."""
    could_compute: bool = True

    @property
    def shown(self) -> Sequence[Mapping[str, Any]]:
        """As many rows as a page has room for."""
        return self.rows[:MOST_ROWS]


@dataclass(frozen=True)
class DataCheck:
    """A question about a published table."""

    table: str
    name: str
    description: str
    """What it means when it fails, and what to do."""
    ask: Callable[[duckdb.DuckDBPyConnection, CheckSettings], Answer]

    def answer(self, connection: duckdb.DuckDBPyConnection, settings: CheckSettings) -> Answer:
        """The answer; one that says so where the tables give none."""
        try:
            return self.ask(connection, settings)
        except duckdb.Error as error:
            why = " ".join(str(error).partition("\n\n")[0].split())[:300]
            return Answer(False, f"nothing could be computed: {why}", {}, could_compute=False)


def _rows(
    connection: duckdb.DuckDBPyConnection, sql: str, parameters: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    result = connection.execute(sql, dict(parameters) if parameters else None)
    names = [column[0] for column in result.description or ()]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def _named(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    distinct = list(dict.fromkeys(names))
    rest = len(distinct) - NAMES_IN_A_SENTENCE
    return ", ".join(distinct[:NAMES_IN_A_SENTENCE]) + (f" and {rest} more" if rest > 0 else "")


def _many(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"


def _month(month: date) -> str:
    return f"{month:%Y-%m}"


# --- coverage of the series -------------------------------------------------------------------------------------------

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
        rows = _rows(connection, _COVERAGE, {"dataset": dataset, "late_before": settings.now - LATE_DATA})
        rows.sort(key=lambda row: list(_PROBLEMS).index(row["problem"]))
        days: Counter[str] = Counter()
        subjects: Counter[str] = Counter()
        for row in rows:
            days[row["problem"]] += row["days"]
            subjects[row["problem"]] += 1
        what = SUBJECTS[dataset]
        said = [
            f"{words} {_many(days[problem], 'day')} of {_many(subjects[problem], what)}"
            for problem, words in (
                ("failed", "calls failed for"),
                ("gap", "values are missing on"),
                ("late", "late are"),
            )
            if days[problem]
        ]
        where = f" ({_named([row['site'] for row in rows])})" if rows else ""
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


# --- grades of months -------------------------------------------------------------------------------------------------

_GRADES = f"""
select
    billing_month as month,
    site_id,
    coalesce(site_name, site_id) as site,
    count(*) as meters,
    count(*) filter (grade = 'ready') as ready,
    count(*) filter (grade = 'ready_with_estimates') as ready_with_estimates,
    count(*) filter (grade = 'provisional') as provisional,
    count(*) filter (grade = 'blocked') as blocked,
    bool_or(closed.site_id is not null) as closed
from billing_monthly
left join {CLOSED_MONTHS} as closed using (site_id, billing_month)
group by all
order by month desc, site
"""  # noqa: S608 - our own constant

_WHY = f"""
select
    billing_month as month,
    site_id,
    split_part(reason, ': ', 1) as code,
    count(*) as meters
from (
    select site_id, billing_month, unnest(reasons) as reason
    from billing_monthly
    where grade = 'blocked'
)
anti join {CLOSED_MONTHS} as closed using (site_id, billing_month)
group by all
order by meters desc, code
"""  # noqa: S608 - our own constant


def grades(connection: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """How many meters have which grade: one row per month and site, newest first; ``closed`` tells frozen ones."""
    return _rows(connection, _GRADES)


def blocked_months(
    connection: duckdb.DuckDBPyConnection, known: Sequence[Mapping[str, Any]] | None = None
) -> list[tuple[date, str, list[dict[str, Any]]]]:
    """The open months with blocked meters, newest first: the month, a sentence about it, and a row per site."""
    open_months = [row for row in (grades(connection) if known is None else known) if not row["closed"]]
    why = _rows(connection, _WHY)
    found = []
    for month, of_month in groupby(open_months, key=lambda row: row["month"]):
        sites = list(of_month)
        of_it = [row for row in why if row["month"] == month]
        rows = [
            {
                **{name: site[name] for name in ("month", "site", "meters", "blocked", "provisional")},
                "because of": _causes([row for row in of_it if row["site_id"] == site["site_id"]]),
            }
            for site in sites
            if site["blocked"]
        ]
        if rows:
            where = _named([f"{row['site']}: {row['blocked']}" for row in rows])
            sentence = (
                f"{_month(month)}: {sum(row['blocked'] for row in rows)} of "
                f"{_many(sum(site['meters'] for site in sites), 'meter')} blocked ({where}), because of "
                f"{_causes(of_it)}"
            )
            found.append((month, sentence, rows))
    return found


def _ask_grades(connection: duckdb.DuckDBPyConnection, _: CheckSettings) -> Answer:
    known = grades(connection)
    months = blocked_months(connection, known)
    open_months = [row for row in known if not row["closed"]]
    said = [sentence for _, sentence, _ in months[:MONTHS_IN_A_SENTENCE]]
    if len(months) > len(said):
        said.append(f"and {_many(len(months) - len(said), 'earlier month')}")
    return Answer(
        not months,
        "; ".join(said) or "no open month has a blocked meter",
        {
            "blocked_meters": sum(row["blocked"] for row in open_months),
            "provisional_meters": sum(row["provisional"] for row in open_months),
            "ready_meters": sum(row["ready"] + row["ready_with_estimates"] for row in open_months),
            "blocked_months": len(months),
        },
        [row for *_, rows in months for row in rows],
    )


def _causes(why: Sequence[Mapping[str, Any]]) -> str:
    """The codes with how many meters each blocks, causes before what follows from them."""
    codes: Counter[str] = Counter()
    for row in why:
        codes[row["code"]] += row["meters"]
    ordered = sorted(codes, key=lambda code: (code in FOLLOWS_FROM_OTHERS, -codes[code], code))
    return _named([f"{code} ({codes[code]})" for code in ordered])


_FAILED_CHECKS = f"""
select
    failed.billing_month as month,
    failed.check_name as "check",
    failed.severity,
    count(distinct (failed.site_id, failed.meter_id)) as meters,
    list(distinct coalesce(sites.site_name, failed.site_id) order by 1) as sites,
    min(coalesce(meters.meter_name || ': ', '') || failed.reason) as "for example"
from data_quality_monthly as failed
inner join data_quality_checks as checks using (check_name)
anti join {CLOSED_MONTHS} as closed using (site_id, billing_month)
left join sites on sites.site_id = failed.site_id
left join meters on meters.site_id = failed.site_id and meters.meter_id = failed.meter_id
where not failed.passed and not failed.is_accepted and failed.severity in ('blocks', 'warns')
group by failed.billing_month, failed.check_name, failed.severity, checks.position
order by failed.severity = 'warns', month desc, checks.position
"""  # noqa: S608 - our own constant


def _ask_failed_checks(connection: duckdb.DuckDBPyConnection, _: CheckSettings) -> Answer:
    rows = _rows(connection, _FAILED_CHECKS)
    blocking = [row for row in rows if row["severity"] == "blocks"]
    causes = [row for row in blocking if row["check"] not in FOLLOWS_FROM_OTHERS]
    said = _named([f"{row['check']} in {_month(row['month'])} ({_many(row['meters'], 'meter')})" for row in causes])
    sites = _named([site for row in blocking for site in row["sites"]])
    return Answer(
        not blocking,
        f"{said or 'only what follows from other months'}; at {sites}" if blocking else "no check that blocks fails",
        {
            "blocking_failures": sum(row["meters"] for row in blocking),
            "warnings": sum(row["meters"] for row in rows if row["severity"] == "warns"),
        },
        [{**row, "sites": _named(row["sites"])} for row in rows],
    )


# --- corrections after closing ----------------------------------------------------------------------------------------


def _ask_corrections(connection: duckdb.DuckDBPyConnection, _: CheckSettings) -> Answer:
    rows = _rows(
        connection,
        """
        select
            billing_month as month, site_id, coalesce(site_name, site_id) as site, meter_name as meter, quantity,
            closed_value, current_value, delta, unit, cause
        from billing_corrections
        order by month desc, site, meter, quantity
        """,
    )
    months = list(dict.fromkeys((row["month"], row["site_id"], row["site"]) for row in rows))
    where = _named([f"{_month(month)} of {site}" for month, _, site in months])
    todo = f"climkit settle {_month(months[0][0])} --site {months[0][1]}" if months else ""
    return Answer(
        not rows,
        f"{_many(len(rows), 'quantity').replace('quantitys', 'quantities')} in {where} "
        f"{'is' if len(rows) == 1 else 'are'} not what was closed; bill the correction: {todo}"
        if rows
        else "every closed month is what it was closed as",
        {"corrected_quantities": len(rows), "corrected_months": len(months)},
        [{name: value for name, value in row.items() if name != "site_id"} for row in rows],
    )


# --- the rate of calls ------------------------------------------------------------------------------------------------

_CALLS = """
with minutes as (
    select
        utc_date,
        date_trunc('minute', started_at_utc) as minute,
        count(*) as calls,
        count(*) filter (status = 429) as refused,
        count(*) filter (outcome <> 'ok') as failed
    from api_calls
    where utc_date > (select max(utc_date) from api_calls) - $days::integer
    group by all
)

select
    utc_date as day,
    sum(calls)::bigint as calls,
    sum(refused)::bigint as "answered 429",
    sum(failed)::bigint as "not answered well",
    max(calls)::bigint as "in the busiest minute"
from minutes
group by all
order by day desc
"""


def _ask_rate(connection: duckdb.DuckDBPyConnection, settings: CheckSettings) -> Answer:
    allowed = 60 * settings.requests_per_second
    rows = _rows(connection, _CALLS, {"days": DAYS_OF_CALLS})
    calls, refused, busiest = (
        [int(row[name]) for row in rows] for name in ("calls", "answered 429", "in the busiest minute")
    )
    too_fast = [row for row in rows if row["in the busiest minute"] > allowed * (1 + RATE_TOLERANCE) + 1]
    too_often = [row for row in rows if row["answered 429"] > max(1, REFUSED_TOLERANCE * row["calls"])]
    if too_fast or too_often:
        worst = (too_fast or too_often)[0]
        sentence = (
            f"on {worst['day']}, {worst['in the busiest minute']} calls began within a minute, where {allowed:g} are "
            f"allowed, and {worst['answered 429']} of {_many(worst['calls'], 'call')} were answered 429"
        )
    else:
        share = 100 * max(busiest, default=0) / allowed
        sentence = (
            f"{_many(sum(calls), 'call')} in the last {_many(len(rows), 'day')} with calls, {sum(refused)} of them "
            f"answered 429; the busiest minute used {share:.0f} % of the allowed rate"
        )
    return Answer(
        not (too_fast or too_often),
        sentence,
        {
            "calls": calls[0] if calls else 0,
            "answered_429": refused[0] if refused else 0,
            "busiest_minute_share": round(max(busiest, default=0) / allowed, 4),
        },
        rows,
    )


# --- freshness --------------------------------------------------------------------------------------------------------

_NEWEST = """
select
    site_id,
    any_value(coalesce(sites.site_name, sites.site_id)) as site,
    any_value(sites.zone) as zone,
    any_value(($now at time zone sites.zone)::date - 1) as yesterday,
    max(days.local_date) as newest_day
from sites
left join (from meter_days where intervals_present > 0) as days using (site_id)
where sites.is_listed
group by site_id
order by newest_day nulls first, site
"""


def newest_days(connection: duckdb.DuckDBPyConnection, settings: CheckSettings) -> list[dict[str, Any]]:
    """Of each listed site that is wanted: site_id, site, zone, yesterday there, and its newest day with values."""
    return [row for row in _rows(connection, _NEWEST, {"now": settings.now}) if settings.wants_site(row["site_id"])]


def _ask_freshness(connection: duckdb.DuckDBPyConnection, settings: CheckSettings) -> Answer:
    rows = [
        {
            "site": row["site"],
            "newest day": row["newest_day"],
            "yesterday": row["yesterday"],
            "days behind": None if row["newest_day"] is None else max(0, (row["yesterday"] - row["newest_day"]).days),
        }
        for row in newest_days(connection, settings)
    ]
    tolerated = LATE_DATA // timedelta(days=1)
    stale = [row for row in rows if row["days behind"] is None or row["days behind"] > tolerated]
    behind = [row["days behind"] for row in rows if row["days behind"] is not None]
    if stale:
        named = _named([f"{row['site']}: {row['newest day'] or 'none'}" for row in stale])
        sentence = f"{len(stale)} of {_many(len(rows), 'site')} have no values of the last days; newest day: {named}"
    elif behind:
        sentence = f"every site has values of {min(row['newest day'] for row in rows)} or later"
    else:
        sentence = "no site is listed"
    return Answer(
        not stale,
        sentence,
        {"sites_behind": len(stale), "days_behind": max(behind, default=0)},
        rows,
    )


# --- all of them ------------------------------------------------------------------------------------------------------

_SETTLED = " Closed months, accepted failures and excluded days do not count."

DATA_CHECKS: Sequence[DataCheck] = (
    *(
        DataCheck(
            dataset,
            "coverage",
            "Days on which values are missing (gap), whose call failed, or which are still not whole 48 hours after "
            "their end (late). What to do: failed and late days are asked for again by `climkit backfill FROM TO`; so "
            "is a gap, once per run. What is missing then is a matter for the provider, or for a decision: "
            "`climkit accept`." + _SETTLED,
            _coverage_of(dataset),
        )
        for dataset in SUBJECTS
    ),
    DataCheck(
        "meter_intervals",
        "freshness",
        "The newest day with values of each site, against yesterday; two days are what gateways may take. What to do: "
        "is the schedule daily_look_back switched on, and are its runs good? If they are, the site's gateway is "
        "silent: tell the provider.",
        _ask_freshness,
    ),
    DataCheck(
        "billing_monthly",
        "grades",
        "Meters that cannot be billed because a person has to look, by month and site. What to do: read `reasons` in "
        "billing_monthly, begin with causes (what follows from another meter is named last), mend the data or say what "
        "you know in meters.csv, or accept it with `climkit accept`. Months that are closed do not count; those that "
        "only wait (provisional) neither.",
        _ask_grades,
    ),
    DataCheck(
        "data_quality_monthly",
        "failed_checks",
        "Checks of the data that fail and block, by month, those of the running month included: a meter that stands "
        "still is seen here before its month is over. What to do: the sentence of an example names the days; "
        "data_quality_daily has all of them, data_quality_checks why it matters. Warnings are listed, and fail "
        "nothing." + _SETTLED,
        _ask_failed_checks,
    ),
    DataCheck(
        "billing_corrections",
        "after_closing",
        "Quantities that are not what a month was closed with: values came late, or a decision changed. What to do: "
        "bill the difference, and freeze it with `climkit settle MONTH --site ID`.",
        _ask_corrections,
    ),
    DataCheck(
        "api_calls",
        "rate_use",
        f"Calls of the last {DAYS_OF_CALLS} days with calls, against the rate that is allowed, and how many were "
        "refused for their number (429). What to do: more than allowed means that another machine or user name calls "
        "too: give each a part of the rate (CLIMKIT_REQUESTS_PER_SECOND). Single refusals are normal.",
        _ask_rate,
    ),
)
