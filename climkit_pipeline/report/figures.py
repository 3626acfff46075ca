"""What a month of a site looks like in numbers: asked of the published warehouse, in one frame per picture or table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl

from climkit_pipeline.domain.periods import last_month, next_month
from climkit_pipeline.errors import ConfigurationError, WarehouseError
from climkit_pipeline.warehouse.queries import run_query

_KEY_FIGURES = """
    select
        count(*) filter (where completeness = 1) as whole_days,
        count(*) filter (where completeness > 0) = day(last_day($first)) as has_every_day,
        sum(consumption_kwh) as consumption,
        sum(charge_points_kwh) as charge_points,
        sum(production_kwh) as production,
        sum(self_consumption_kwh) as self_consumption,
        sum(grid_import_kwh) as grid_import,
        sum(grid_export_kwh) as grid_export,
        sum(self_consumption_kwh) / nullif(sum(consumption_kwh), 0) as autonomy,
        sum(self_consumption_kwh) / nullif(sum(production_kwh), 0) as own_use,
        (
            select sum(heating_degree_days) from degree_days
            where site_id = $site and local_date >= $first and local_date < $end
        ) as degree_days
    from site_energy_days
    where site_id = $site and local_date >= $first and local_date < $end
"""

_DAYS = """
    select
        local_date,
        self_consumption_kwh::double as solar,
        grid_import_kwh::double as grid,
        100 * autonomy_rate as autonomy,
        coalesce(completeness, 0) as completeness
    from site_energy_days
    where site_id = $site and local_date >= $first and local_date < $end
    order by local_date
"""

_HOURS = """
    select
        local_date,
        hour(local_start) as hour_of_day,
        avg(consumption_kw) as consumption,
        avg(production_kw) as production
    from site_flows
    where site_id = $site and local_date >= $first and local_date < $end
    group by all
    order by all
"""

_FLATS = """
    with base_loads as (
        select meter_id, 1000 * quantile_cont(power_kw, 0.05) as base_watts
        from meter_flows
        where
            site_id = $site and local_date >= $first and local_date < $end
            and meter_role = 'consumer' and meter_type = 'electricity'
        group by meter_id
    )

    select
        totals.meter_name as name,
        totals.total::double as kwh,
        100 * totals.solar / nullif(totals.total, 0) as solar_percent,
        base_loads.base_watts,
        peaks.peak_kw,
        peaks.local_peak_at
    from billing_monthly as totals
    inner join base_loads using (meter_id)
    left join peaks_monthly as peaks using (site_id, meter_id, billing_month)
    where totals.site_id = $site and totals.billing_month = $first and totals.total is not null
    order by totals.total desc, name
"""

_GAPS = """
    select
        meters.meter_name as name,
        count(*) as days,
        sum(gaps.intervals_missing + gaps.intervals_null) as intervals,
        min(gaps.local_date) as first_day,
        max(gaps.local_date) as last_day
    from missing_days as gaps
    inner join meters using (site_id, meter_id)
    where gaps.site_id = $site and gaps.local_date >= $first and gaps.local_date < $end
    group by all
    order by intervals desc, name
"""

_NOT_READY = """
    select meter_name as name, grade, reasons
    from billing_monthly
    where site_id = $site and billing_month = $first and is_billed and grade not in ('ready', 'ready_with_estimates')
    order by name
"""

_GRADES = """
    select grade, count(*) as meters
    from billing_monthly
    where site_id = $site and billing_month = $first
    group by grade
    order by grade
"""

_CORRECTIONS = """
    select
        meter_name as name, occupant, quantity, unit, closed_value, current_value, delta,
        settled_version, (settled_at_utc at time zone sites.zone)::date as settled_on, settled_by
    from billing_line_corrections as corrections
    inner join sites using (site_id)
    where corrections.site_id = $site and billing_month = $first
    order by all
"""

_GRID_TO_NOBODY = """
    select grid_to_nobody from site_balance_monthly
    where site_id = $site and billing_month = $first and grid_to_nobody is not null
"""

_CLOSING = """
    select closings.version, closings.closed_at_utc, closings.closed_by, sites.zone
    from billing_closings as closings
    inner join sites using (site_id)
    where closings.site_id = $site and closings.billing_month = $first and closings.is_closed
"""


@dataclass(frozen=True)
class SiteMonth:
    """One month of one site; frames are empty where there is nothing to tell."""

    site: str
    month: date
    as_of: str
    figures: Mapping[str, Mapping[str, Any]]
    """Key figures by ``now``, ``last_month`` and ``last_year``: kWh, rates from 0 to 1, K·d, whole days, and whether
    every day of the month has data."""
    days: pl.DataFrame
    """local_date, solar, grid (kWh), autonomy (%), completeness (0 to 1)."""
    hours: pl.DataFrame
    """local_date, hour_of_day, consumption, production (mean kW)."""
    flats: pl.DataFrame
    """name, kwh, solar_percent, base_watts, peak_kw, local_peak_at: consumers of electricity."""
    gaps: pl.DataFrame
    """name, days, intervals, first_day, last_day: what is missing, by meter."""
    grades: pl.DataFrame
    """grade, meters."""
    not_ready: pl.DataFrame
    """name, grade, reasons: of meters that are billed."""
    corrections: pl.DataFrame
    """name, occupant, quantity, unit, closed_value, current_value, delta, settled_version, settled_on, settled_by."""
    closing: Mapping[str, Any] | None
    """version, closed_at_utc, closed_by, zone (of the site): of the version in force; None of an open month."""
    grid_to_nobody_kwh: Decimal | None
    """Drawn from the grid and on no meter's bill."""

    @property
    def days_in_month(self) -> int:
        """Days that the month has."""
        return (next_month(self.month) - self.month).days


def sites_of(warehouse: Path, wanted: tuple[str, ...]) -> dict[str, str]:
    """Names by id of the sites that are wanted, or of all. Raises ConfigurationError for one that is not known."""
    known = dict(run_query(warehouse, "select distinct site_id, site from metering_points order by site").iter_rows())
    if unknown := [site for site in wanted if site not in known]:
        raise ConfigurationError(
            f"there is no site {unknown[0]!r}; accepted: {', '.join(known.values()) or 'none yet'}"
        )
    return {site: name for site, name in known.items() if site in wanted or not wanted}


def site_month(warehouse: Path, site_id: str, site: str, month: date) -> SiteMonth:
    """All that the report tells. Raises WarehouseError if the site has no data of the month."""

    def asked(sql: str, first: date = month) -> pl.DataFrame:
        # A parameter that a query has no use for would be an error.
        given = {"site": site_id, "first": first, "end": next_month(first)}
        return run_query(warehouse, sql, {name: value for name, value in given.items() if f"${name}" in sql})

    if asked(_GRADES).is_empty():
        raise WarehouseError(f"no data of {site} for {month:%Y-%m}: no meter was listed or asked for in that time")
    compared = {
        "now": month,
        "last_month": last_month(month),
        "last_year": month.replace(year=month.year - 1),
    }
    as_of = run_query(warehouse, "select value from about where key = 'as_of_utc'").item()
    return SiteMonth(
        site,
        month,
        as_of,
        {name: asked(_KEY_FIGURES, first).row(0, named=True) for name, first in compared.items()},
        asked(_DAYS),
        asked(_HOURS),
        asked(_FLATS),
        asked(_GAPS),
        asked(_GRADES),
        asked(_NOT_READY),
        asked(_CORRECTIONS),
        next(asked(_CLOSING).iter_rows(named=True), None),
        next(iter(asked(_GRID_TO_NOBODY)["grid_to_nobody"]), None),
    )
