"""Whether the calls keep to the allowed rate."""

from __future__ import annotations

import duckdb

from climkit_pipeline.warehouse.data_checks.question import Answer, CheckSettings, DataCheck, many, rows_of

RATE_TOLERANCE = 0.02
"""Stamps of calls are taken after the pacer's, so a minute can seem fuller than it was by a call or two."""

REFUSED_TOLERANCE = 0.01
"""Of the calls of a day: a 429 now and then comes of the network's jitter (docs/operations.md)."""

DAYS_OF_CALLS = 7
"""Days of the ledger that are shown."""

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
    rows = rows_of(connection, _CALLS, {"days": DAYS_OF_CALLS})
    calls, refused, busiest = (
        [int(row[name]) for row in rows] for name in ("calls", "answered 429", "in the busiest minute")
    )
    too_fast = [row for row in rows if row["in the busiest minute"] > allowed * (1 + RATE_TOLERANCE) + 1]
    too_often = [row for row in rows if row["answered 429"] > max(1, REFUSED_TOLERANCE * row["calls"])]
    if too_fast or too_often:
        worst = (too_fast or too_often)[0]
        sentence = (
            f"on {worst['day']}, {worst['in the busiest minute']} calls began within a minute, where {allowed:g} are "
            f"allowed, and {worst['answered 429']} of {many(worst['calls'], 'call')} were answered 429"
        )
    else:
        share = 100 * max(busiest, default=0) / allowed
        sentence = (
            f"{many(sum(calls), 'call')} in the last {many(len(rows), 'day')} with calls, {sum(refused)} of them "
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


CHECKS = (
    DataCheck(
        "api_calls",
        "rate_use",
        f"Calls of the last {DAYS_OF_CALLS} days with calls, against the rate that is allowed, and how many were "
        "refused for their number (429). What to do: more than allowed means that another machine or user name calls "
        "too: give each a part of the rate (CLIMKIT_REQUESTS_PER_SECOND). Single refusals are normal.",
        _ask_rate,
    ),
)
