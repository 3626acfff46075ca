"""What lines of occupancies.csv lead to, by what is published.

Names of nothing, two names for one billing point, and stretches between occupants or after the last one of a meter
that goes on, which are the owner's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from itertools import pairwise
from pathlib import Path

from climkit_pipeline.errors import WarehouseError
from climkit_pipeline.user_files.lines import Entry, Occupancy
from climkit_pipeline.warehouse.queries import run_query

_VACANCIES = """
select site_name, coalesce(meter_name, billing_point), first_day, last_day
from occupancies
inner join sites using (site_id)
left join meters on meters.site_id = occupancies.site_id and meters.meter_id = occupancies.billing_point
where is_vacant and first_day > date '1900-01-01' and (
    last_day < date '9999-12-31'
    or exists (
        from billing_lines_monthly as lines
        where lines.site_id = occupancies.site_id and lines.billing_point = occupancies.billing_point
            and lines.is_vacant and lines.line_from >= occupancies.first_day and lines.total <> 0
    )
)
order by site_name, billing_point, first_day
"""


def doubtful_occupancies(entries: Sequence[Entry[Occupancy]], warehouse: Path) -> list[str]:
    """One line per entry that names nothing, or a point that another names otherwise, and per vacancy."""
    if not entries:
        return []
    try:
        names = run_query(
            warehouse, "select site_called, point_called, site_id, billing_point from billing_point_names"
        )
        vacancies = run_query(warehouse, _VACANCIES)
    except WarehouseError:
        return []
    by_name: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for site, called, site_id, point in names.iter_rows():
        by_name.setdefault((site, called), set()).add((site_id, point))
    found = [
        f"occupancies.csv, line {entry.line}: no billing point or meter {entry.content.billing_point!r} is known at "
        f"{entry.content.site!r}, or several sites are called so"
        for entry in entries
        if (entry.content.site, entry.content.billing_point) not in by_name
    ]
    found += _named_twice(entries, by_name)
    found += [
        f"occupancies.csv: nobody occupies {point!r} of {site!r} {_days(first, last)}: these days are the owner's"
        for site, point, first, last in vacancies.iter_rows()
    ]
    return found


def _days(first: date, last: date) -> str:
    return f"from {first} " + (f"to {last}" if last.year < date.max.year else "on, and what it uses is still measured")


def _named_twice(
    entries: Sequence[Entry[Occupancy]], by_name: dict[tuple[str, str], set[tuple[str, str]]]
) -> Iterator[str]:
    of_points: dict[tuple[str, str], list[Entry[Occupancy]]] = {}
    for entry in entries:
        for point in by_name.get((entry.content.site, entry.content.billing_point), ()):
            of_points.setdefault(point, []).append(entry)
    told = set()
    for lines in of_points.values():
        for earlier, later in pairwise(sorted(lines, key=lambda entry: entry.content.first_day)):
            pair = (earlier.line, later.line)
            if later.content.first_day <= earlier.content.last_day and pair not in told:
                told.add(pair)
                yield (
                    f"occupancies.csv, line {later.line}: names the billing point of line {earlier.line}, too, "
                    f"which ends on {earlier.content.last_day}: from {later.content.first_day} on, line {later.line} "
                    "counts"
                )
