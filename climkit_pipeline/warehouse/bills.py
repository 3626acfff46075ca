"""The bill of a month per occupant, as the published warehouse tells it: frozen where the month is closed.

Here: what is on the bill. Not here: how a file shows it (``bill_files``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl

from climkit_pipeline.errors import ConfigurationError, WarehouseError
from climkit_pipeline.warehouse.queries import about, frame_of, open_warehouse

LINES = """
with

frozen_sites as (
    select site_id, version
    from billing_closings
    where billing_month = $month and is_closed and list_contains(frozen_columns, 'lines')
),

lines as (
    select
        closed.site_id, closed.billing_point, closed.occupant, closed.is_vacant, closed.meter_id, closed.meter_name,
        closed.meter_type, closed.unit, closed.line_from, closed.line_until, closed.total, closed.solar, closed.grid,
        closed.billable_total, closed.billable_solar, closed.billable_grid, closed.index_start, closed.index_end,
        closed.grade, closed.reasons, closed.was_excluded as is_excluded
    from billing_closed_lines as closed
    inner join frozen_sites on frozen_sites.site_id = closed.site_id and frozen_sites.version = closed.version
    where closed.billing_month = $month
    union all by name
    select
        site_id, billing_point, occupant, is_vacant, meter_id, meter_name, meter_type, unit, line_from, line_until,
        total, solar, grid, billable_total, billable_solar, billable_grid, index_start, index_end, grade, reasons,
        grade in ('ready', 'ready_with_estimates') and billable_total is null and total is not null as is_excluded
    from billing_lines_monthly
    anti join frozen_sites using (site_id)
    where billing_month = $month
)

select
    lines.*,
    coalesce(sites.site_name, lines.site_id) as site_name,
    case when lines.billing_point = lines.meter_id then coalesce(lines.meter_name, lines.meter_id)
        else lines.billing_point end as flat
from lines
left join sites using (site_id)
order by site_name, site_id, flat, line_from, meter_type, meter_id
"""

_METERS = """
with

bills as (
    select site_id, meter_type, unit, total, billed_total, is_excluded
    from billing_monthly
    where billing_month = $month
    and site_id not in (select site_id from billing_closings where billing_month = $month and is_closed)
    union all by name
    select site_id, meter_type, unit, total, billed_total, is_excluded
    from billing_closed
    where billing_month = $month
)

select site_id, meter_type, unit, sum(billed_total)::decimal(18, 6) as total
from bills
group by all
"""

_CORRECTIONS = """
from billing_line_corrections
where billing_month = $month
order by
    site_name, site_id, billing_point, meter_name, version, occupant,
    list_position(['total', 'solar', 'grid'], quantity)
"""

_CLOSINGS = """
select
    sites.site_id,
    coalesce(sites.site_name, sites.site_id) as site_name,
    sites.zone,
    closings.version,
    closings.closed_at_utc,
    closings.closed_by,
    closings.lake_as_of_utc,
    coalesce(list_contains(closings.frozen_columns, 'lines'), false) as has_lines
from sites
left join billing_closings as closings
    on closings.site_id = sites.site_id and closings.billing_month = $month and closings.is_closed
"""

_GRID_TO_NOBODY = """
select site_id, grid_to_nobody
from site_balance_monthly
where billing_month = $month and grid_to_nobody is not null
"""

_COMMENTS = """
select column_name, comment
from duckdb_columns()
where table_name = 'billing_lines_monthly' and schema_name = 'main' and comment is not null
"""


@dataclass(frozen=True)
class Closing:
    """The version of a closed month that is in force."""

    version: int
    closed_at_utc: datetime
    closed_by: str
    has_lines: bool
    """Versions from before there were lines froze meters alone; their lines are as they are now."""


@dataclass(frozen=True)
class SiteBill:
    """A site's month."""

    site_id: str
    name: str
    zone: ZoneInfo
    month: date
    closing: Closing | None
    as_of_utc: datetime | None
    """When the API was last asked, of all that the lines were computed from."""
    lines: pl.DataFrame
    """Per flat, occupant and meter: columns of billing_lines_monthly, ``flat``, ``is_excluded``; by flat and day."""
    meter_totals: pl.DataFrame
    """What the bills of its meters add up to: meter_type, unit, total."""
    corrections: pl.DataFrame
    """Columns of billing_line_corrections."""
    grid_to_nobody_kwh: Decimal | None = None
    """Drawn from the grid and on no meter's bill, by site_balance_monthly as it is now."""


def read_bills(path: Path, month: date, sites: Sequence[str] = ()) -> list[SiteBill]:
    """The bills of a month (its first day), of some sites (by id) or of all, by name.

    Raises ConfigurationError for a site that is not known, WarehouseError if there is nothing to bill.
    """
    bound = {"month": month.replace(day=1)}
    with open_warehouse(path) as connection:
        lines, meters, corrections, closings, to_nobody = (
            frame_of(connection, sql, bound) for sql in (LINES, _METERS, _CORRECTIONS, _CLOSINGS, _GRID_TO_NOBODY)
        )
    known = closings.sort("site_name", "site_id")
    check_sites(sites, dict(known.select("site_id", "site_name").iter_rows()))
    as_of = about(path).get("as_of_utc")
    bills = []
    for row in known.iter_rows(named=True):
        of_site = pl.col("site_id") == row["site_id"]
        if (sites and row["site_id"] not in sites) or lines.filter(of_site).is_empty():
            continue
        closing = None
        if row["version"] is not None:
            closing = Closing(row["version"], row["closed_at_utc"], row["closed_by"], row["has_lines"])
        bills.append(
            SiteBill(
                row["site_id"],
                row["site_name"],
                ZoneInfo(row["zone"]),
                bound["month"],
                closing,
                row["lake_as_of_utc"] or (datetime.fromisoformat(as_of) if as_of else None),
                lines.filter(of_site),
                meters.filter(of_site).drop("site_id"),
                corrections.filter(of_site),
                dict(to_nobody.iter_rows()).get(row["site_id"]),
            )
        )
    if not bills:
        raise WarehouseError(f"nothing to bill for {month:%Y-%m}: no meter was billed in that month")
    return bills


def check_sites(asked: Sequence[str], names: Mapping[str, str]) -> None:
    """Raises ConfigurationError for the id of a site that is not among the known ones (names by id)."""
    if unknown := [site for site in asked if site not in names]:
        known = ", ".join(f"{name} ({site_id})" for site_id, name in names.items())
        raise ConfigurationError(f"there is no site {unknown[0]!r}; accepted: {known or 'none yet'}")


def column_comments(path: Path) -> dict[str, str]:
    """What the warehouse says of the columns of billing_lines_monthly, by name."""
    with open_warehouse(path) as connection:
        return dict(frame_of(connection, _COMMENTS).iter_rows())
