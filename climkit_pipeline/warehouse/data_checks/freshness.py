"""Whether the newest days of each site have arrived."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import duckdb

from climkit_pipeline.lake.coverage import LATE_DATA
from climkit_pipeline.warehouse.data_checks.question import Answer, CheckSettings, DataCheck, many, named, rows_of

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
    return [row for row in rows_of(connection, _NEWEST, {"now": settings.now}) if settings.wants_site(row["site_id"])]


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
        newest = named([f"{row['site']}: {row['newest day'] or 'none'}" for row in stale])
        sentence = f"{len(stale)} of {many(len(rows), 'site')} have no values of the last days; newest day: {newest}"
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


CHECKS = (
    DataCheck(
        "meter_intervals",
        "freshness",
        "The newest day with values of each site, against yesterday; two days are what gateways may take. What to do: "
        "is the schedule daily_look_back switched on, and are its runs good? If they are, the site's gateway is "
        "silent: tell the provider.",
        _ask_freshness,
    ),
)
