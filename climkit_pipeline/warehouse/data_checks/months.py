"""Whether months can be billed, what stands in the way, and what is not as it was closed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from itertools import groupby
from typing import Any

import duckdb

from climkit_pipeline.warehouse.data_checks.question import (
    CLOSED_MONTHS,
    SETTLED_DOES_NOT_COUNT,
    Answer,
    CheckSettings,
    DataCheck,
    many,
    month_name,
    named,
    rows_of,
)

MONTHS_IN_A_SENTENCE = 3

FOLLOWS_FROM_OTHERS = ("missing_sibling", "unsound_sibling")
"""Checks that fail because another meter of the site did: mending that one mends them."""

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
    return rows_of(connection, _GRADES)


def blocked_months(
    connection: duckdb.DuckDBPyConnection, known: Sequence[Mapping[str, Any]] | None = None
) -> list[tuple[date, str, list[dict[str, Any]]]]:
    """The open months with blocked meters, newest first: the month, a sentence about it, and a row per site."""
    open_months = [row for row in (grades(connection) if known is None else known) if not row["closed"]]
    why = rows_of(connection, _WHY)
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
            where = named([f"{row['site']}: {row['blocked']}" for row in rows])
            sentence = (
                f"{month_name(month)}: {sum(row['blocked'] for row in rows)} of "
                f"{many(sum(site['meters'] for site in sites), 'meter')} blocked ({where}), because of "
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
        said.append(f"and {many(len(months) - len(said), 'earlier month')}")
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
    return named([f"{code} ({codes[code]})" for code in ordered])


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
    rows = rows_of(connection, _FAILED_CHECKS)
    blocking = [row for row in rows if row["severity"] == "blocks"]
    causes = [row for row in blocking if row["check"] not in FOLLOWS_FROM_OTHERS]
    said = named([f"{row['check']} in {month_name(row['month'])} ({many(row['meters'], 'meter')})" for row in causes])
    sites = named([site for row in blocking for site in row["sites"]])
    return Answer(
        not blocking,
        f"{said or 'only what follows from other months'}; at {sites}" if blocking else "no check that blocks fails",
        {
            "blocking_failures": sum(row["meters"] for row in blocking),
            "warnings": sum(row["meters"] for row in rows if row["severity"] == "warns"),
        },
        [{**row, "sites": named(row["sites"])} for row in rows],
    )


def _ask_corrections(connection: duckdb.DuckDBPyConnection, _: CheckSettings) -> Answer:
    rows = rows_of(
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
    where = named([f"{month_name(month)} of {site}" for month, _, site in months])
    todo = f"climkit settle {month_name(months[0][0])} --site {months[0][1]}" if months else ""
    return Answer(
        not rows,
        f"{many(len(rows), 'quantity').replace('quantitys', 'quantities')} in {where} "
        f"{'is' if len(rows) == 1 else 'are'} not what was closed; bill the correction: {todo}"
        if rows
        else "every closed month is what it was closed as",
        {"corrected_quantities": len(rows), "corrected_months": len(months)},
        [{name: value for name, value in row.items() if name != "site_id"} for row in rows],
    )


CHECKS = (
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
        "nothing." + SETTLED_DOES_NOT_COUNT,
        _ask_failed_checks,
    ),
    DataCheck(
        "billing_corrections",
        "after_closing",
        "Quantities that are not what a month was closed with: values came late, or a decision changed. What to do: "
        "bill the difference, and freeze it with `climkit settle MONTH --site ID`.",
        _ask_corrections,
    ),
)
