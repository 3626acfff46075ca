"""Who is billed: questions for the first day, which no data answer.

By default every listed consumer is billed, the building's heat as well as a flat's; and a bill has no name until
``occupancies.csv`` gives it one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from pathlib import Path

from climkit_pipeline.warehouse.queries import run_query

_METERS = """
with

newest as (
    select
        site_id,
        coalesce(max(billing_month) filter (where days_over = day(last_day(billing_month))), max(billing_month))
            as billing_month
    from billing_monthly
    where is_billed and total is not null
    group by site_id
)

select
    bills.site_id,
    bills.site_name,
    bills.meter_id,
    coalesce(bills.meter_name, bills.meter_id) as meter_name,
    bills.meter_type,
    bills.unit,
    bills.total,
    coalesce(bills.billing_point, bills.meter_id) in (select billing_point from occupancies) as has_occupant
from billing_monthly as bills
inner join newest using (site_id, billing_month)
where bills.is_billed
order by bills.site_name, bills.site_id, bills.meter_type, bills.meter_name, bills.meter_id
"""

OF_A_BUILDING = re.compile(
    r"\b(building|house|total|main|whole|gebäude|haus|haupt\w*|gesamt\w*|"
    r"immeuble|bâtiment|maison|général\w*|edificio|stabile|casa|generale)\b",
    re.IGNORECASE,
)
"""Words in names of meters that measure a whole building; a meter of common areas measures those alone."""


@dataclass(frozen=True)
class BilledMeter:
    """A meter that is on the bill, in its site's newest whole month."""

    site_id: str
    site_name: str
    meter_id: str
    meter_name: str
    meter_type: str
    unit: str | None
    total: Decimal | None
    has_occupant: bool


@dataclass(frozen=True)
class Question:
    """Something that a person has to know, and how to say it."""

    site: str
    text: str
    file: str
    """Of the user's files, with the columns of ``lines``."""
    lines: tuple[str, ...]


def questions(path: Path) -> list[Question]:
    """What to ask on the first day, site by site."""
    meters = [BilledMeter(**row) for row in run_query(path, _METERS).iter_rows(named=True)]
    found: list[Question] = []
    for _, of_site in groupby(meters, key=lambda meter: meter.site_id):
        billed = list(of_site)
        for _, of_medium in groupby(billed, key=lambda meter: meter.meter_type):
            found += _buildings_beside_flats(list(of_medium))
        is_only_one = len({meter.site_id for meter in meters if meter.site_name == billed[0].site_name}) == 1
        found += _without_a_name(billed, billed[0].site_name if is_only_one else billed[0].site_id)
    return found


def _buildings_beside_flats(billed: list[BilledMeter]) -> Iterator[Question]:
    """A meter that may contain the others: by its name, or because it measured more than all of them together."""
    for meter in billed:
        others = [other for other in billed if other is not meter]
        rest = sum((other.total or Decimal(0) for other in others), Decimal(0))
        is_larger = meter.total is not None and meter.total >= rest
        if not others or not (OF_A_BUILDING.search(meter.meter_name) or (is_larger and len(others) > 1)):
            continue
        names = ", ".join(other.meter_name for other in others)
        yield Question(
            meter.site_name,
            f"{meter.meter_name} ({_amount(meter)} of {meter.meter_type}) is billed beside {names}: does it measure "
            "what they measure, too? Then that is billed twice; take it off the bill",
            "meters.csv (site_id,meter_id,is_billed)",
            (f"{meter.site_id},{meter.meter_id},false",),
        )


def _without_a_name(billed: list[BilledMeter], site: str) -> Iterator[Question]:
    """Meters whose bill nobody gets by name; lines call the site ``site``."""
    nameless = [meter for meter in billed if not meter.has_occupant]
    if nameless:
        yield Question(
            nameless[0].site_name,
            f"{len(nameless)} of {len(billed)} billed meters have no occupant: who pays?",
            "occupancies.csv (site;billing_point;occupant;from;until)",
            tuple(f"{site};{meter.meter_name};NAME;;" for meter in nameless),
        )


def _amount(meter: BilledMeter) -> str:
    return "nothing" if meter.total is None else f"{meter.total.normalize():f} {meter.unit or ''}".strip()
