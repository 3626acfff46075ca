"""Whose values are where: the days of a meter, and the meters and days of an occupant, by what is published."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from climkit_pipeline.errors import ConfigurationError
from climkit_pipeline.warehouse.queries import run_query

Stretch = tuple[str, date, date]
"""Id of a meter, its first and its last local day, both included."""


def days_of_meter(warehouse: Path, site_id: str, meter: str) -> list[Stretch]:
    """All days of the meter with this id or unique name. Raises ConfigurationError if there is none, or several."""
    found = run_query(
        warehouse,
        "select meter_id from meters where site_id = ? and (meter_id = ? or meter_name = ?) order by meter_id = ? desc",
        [site_id, meter, meter, meter],
    )["meter_id"].to_list()
    if meter not in found and len(found) > 1:
        raise ConfigurationError(f"{len(found)} meters of the site are called {meter!r}: {', '.join(found)}")
    if not found:
        raise ConfigurationError(f"there is no meter {meter!r} at site {site_id!r}")
    return [(found[0], date.min, date.max)]


def days_of_occupant(warehouse: Path, site_id: str, occupant: str) -> list[Stretch]:
    """The meters that served the occupant, and on which days. Raises ConfigurationError if nobody is called so."""
    rows = run_query(
        warehouse,
        """
        select distinct days.meter_id, occupancies.first_day, occupancies.last_day
        from occupancies
        inner join billing_days as days
            on days.site_id = occupancies.site_id
            and coalesce(days.billing_point, days.meter_id) = occupancies.billing_point
            and days.local_date between occupancies.first_day and occupancies.last_day
        where occupancies.site_id = ? and occupancies.occupant = ?
        order by all
        """,
        [site_id, occupant],
    )
    if rows.is_empty():
        raise ConfigurationError(f"nobody is called {occupant!r} in occupancies.csv at site {site_id!r}")
    return list(rows.iter_rows())
