"""What holds up a month, causes before their consequences, and how many lines of the bill each would free.

A fault at one meter shows on many lines: the split of a whole site is worked out of all of its meters. An entry is one
thing to mend: all failures of one meter, or those of a site that one command mends for all of its meters.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from pathlib import Path

from climkit_pipeline.errors import WarehouseError
from climkit_pipeline.lake.forgotten import Tombstone
from climkit_pipeline.warehouse.bills import check_sites
from climkit_pipeline.warehouse.queries import frame_of, open_warehouse
from climkit_pipeline.warehouse.remedies import ABOUT_THE_SITE, Failure

_FAILURES = """
select
    failed.site_id,
    failed.meter_id,
    failed.check_name,
    failed.reason as sentence,
    known.position,
    known.spreads_to <> 'nothing' or known.applies_to = 'site' as spreads,
    known.waits_last,
    known.accepted_for,
    known.mended_by,
    coalesce(min(days.local_date) filter (where known.accepted_for <> 'months'), $month) as first_day,
    coalesce(max(days.local_date) filter (where known.accepted_for <> 'months'), last_day($month))
        as last_day
from data_quality_monthly as failed
inner join data_quality_checks as known using (check_name)
left join data_quality_daily as days
    on days.check_name = failed.check_name
    and days.site_id = failed.site_id
    and days.meter_id is not distinct from failed.meter_id
    and days.billing_month = failed.billing_month
    and not days.passed
where failed.billing_month = $month and not failed.passed and not failed.is_accepted
    and failed.severity in ('waits', 'blocks')
group by all
order by failed.site_id, failed.meter_id, known.position, failed.check_name
"""

_LINES = """
select
    site_id, meter_id, meter_type, unit, total,
    list_distinct(list_transform(reasons, lambda reason: split_part(reason, ':', 1))) as codes
from billing_lines_monthly
where billing_month = $month and grade not in ('ready', 'ready_with_estimates')
order by site_id, meter_id, line_from
"""

_BILLED = "select distinct site_id from billing_lines_monthly where billing_month = $month"

_CLOSED = "select site_id from billing_closings where billing_month = $month and is_closed"

_NAMES = """
select meters.site_id, coalesce(site_name, meters.site_id), meter_id, coalesce(meter_name, meter_id)
from meters
left join sites using (site_id)
"""


@dataclass(frozen=True)
class HeldLine:
    """A line of the bill that waits, or is blocked."""

    site_id: str
    meter_id: str
    meter_type: str
    unit: str | None
    total: Decimal | None
    codes: frozenset[str]


Subject = tuple[str, str | None, frozenset[str]]
"""Site; meter, or None for all of the site's; and the checks that one thing mends, where it is all of the site's."""


@dataclass
class Entry:
    """One thing to mend."""

    site_id: str
    failures: list[Failure] = field(default_factory=list)
    lines: set[int] = field(default_factory=set)
    """Which lines it holds up, by position."""
    alone: set[int] = field(default_factory=set)
    """Those that wait for nothing else."""

    @property
    def meter_ids(self) -> list[str]:
        """The meters that failed."""
        return sorted({failure.meter_id for failure in self.failures if failure.meter_id is not None})

    @property
    def waits_for_time(self) -> bool:
        """Whether nobody can do anything."""
        return all(failure.remedy == "wait" for failure in self.failures)

    @property
    def kinds(self) -> list[Failure]:
        """One failure of each check over all days on which it failed, in the order in which they are to be mended.

        A settlement is refused as long as anything else fails; what waits last is mended by what mends the others, or
        after them. Else as in the table of checks.
        """
        by_check: dict[str, list[Failure]] = defaultdict(list)
        for failure in sorted(
            self.failures, key=lambda each: (each.remedy == "settle", each.waits_last, each.position)
        ):
            by_check[failure.check_name].append(failure)
        return [_together(failures) for failures in by_check.values()]


def _together(failures: Sequence[Failure]) -> Failure:
    """One for all of them, about a meter if it is the same one."""
    first = failures[0]
    meter_ids = {each.meter_id for each in failures}
    return replace(
        first,
        meter_id=first.meter_id if len(meter_ids) == 1 else None,
        first_day=min(each.first_day for each in failures),
        last_day=max(each.last_day for each in failures),
    )


@dataclass(frozen=True)
class Todo:
    """What there is to do for a month."""

    entries: list[Entry]
    lines: list[HeldLine]
    site_names: Mapping[str, str]
    meter_names: Mapping[tuple[str, str], str]

    def names_of(self, entry: Entry) -> list[str]:
        """The meters that failed: first those of its lines, then those that are on none, each by name."""
        billed = {self.lines[at].meter_id for at in entry.lines}
        named = [(at not in billed, self.meter_names.get((entry.site_id, at), at)) for at in entry.meter_ids]
        return [name for _, name in sorted(named)]

    def is_refused_yet(self, entry: Entry) -> bool:
        """Whether what mends it is a settlement, and that is refused until other entries of the site are mended."""
        is_settled = any(failure.remedy == "settle" for failure in entry.failures)
        return is_settled and any(other is not entry and other.site_id == entry.site_id for other in self.entries)

    def amounts(self, positions: Collection[int]) -> dict[str, Decimal]:
        """What some lines measured, by unit."""
        sums: dict[str, Decimal] = defaultdict(Decimal)
        for at in positions:
            line = self.lines[at]
            if line.unit is not None and line.total is not None:
                sums[line.unit] += line.total
        return dict(sorted(sums.items()))

    def called(self, site_id: str) -> str:
        """What a command calls the site: its name, if no other bears it."""
        name = self.site_names.get(site_id, site_id)
        return name if list(self.site_names.values()).count(name) == 1 else site_id


def read_todo(path: Path, month: date, sites: Sequence[str] = (), tombstones: Collection[Tombstone] = ()) -> Todo:
    """What holds up a month (its first day), at some sites (by id) or at all; ``tombstones`` say what was forgotten.

    Raises ConfigurationError for a site that is not known, WarehouseError if nobody is billed for that month.
    """
    bound = {"month": month.replace(day=1)}
    with open_warehouse(path) as connection:
        failures = [Failure(**row) for row in frame_of(connection, _FAILURES, bound).iter_rows(named=True)]
        held = frame_of(connection, _LINES, bound).iter_rows(named=True)
        lines = [HeldLine(**row | {"codes": frozenset(row["codes"] or [])}) for row in held]
        named = frame_of(connection, _NAMES).rows()
        billed = frame_of(connection, _BILLED, bound)["site_id"].to_list()
        closed = set(frame_of(connection, _CLOSED, bound)["site_id"])
    failures = [_with_forgotten(failure, tombstones, closed) for failure in failures]
    site_names = {site_id: site for site_id, site, _, _ in named}
    meter_names = {(site_id, meter_id): meter for site_id, _, meter_id, meter in named}
    check_sites(sites, site_names)
    if not set(sites or billed).intersection(billed):
        raise WarehouseError(f"nothing to bill for {month:%Y-%m}: no meter was billed in that month")
    if sites:
        lines = [line for line in lines if line.site_id in sites]
    return Todo(in_order(causes_of(failures, lines, meter_names), lines), lines, site_names, meter_names)


def _with_forgotten(failure: Failure, tombstones: Collection[Tombstone], closed: Collection[str]) -> Failure:
    """The failure, with what it has to do with days that were forgotten."""
    subject = (failure.site_id, failure.meter_id)
    if any(
        subject == (each.site_id, each.meter_id) and each.is_within(failure.first_day, failure.last_day)
        for each in tombstones
    ):
        return replace(failure, forgotten="closed month" if failure.site_id in closed else "open month")
    return failure


def causes_of(
    failures: Iterable[Failure], lines: Sequence[HeldLine], meter_names: Mapping[tuple[str, str], str]
) -> list[Entry]:
    """One entry per thing that has to be mended, with the lines that it holds up."""
    by_meter: dict[tuple[str, str | None], list[Failure]] = defaultdict(list)
    for failure in failures:
        by_meter[failure.site_id, failure.meter_id].append(failure)
    ids: dict[tuple[str, str], list[str]] = defaultdict(list)
    for (site_id, meter_id), name in meter_names.items():
        ids[site_id, name].append(meter_id)

    def causes(line: HeldLine) -> set[Subject]:
        found: set[Subject] = set()
        # What waits last is no reason of a line beside others; it holds it up once those are mended.
        failed = by_meter[line.site_id, line.meter_id]
        own = [each for each in failed if each.check_name in line.codes or each.waits_last]
        of_site = [each for each in by_meter[line.site_id, None] if each.check_name in line.codes]
        for failure in [*own, *of_site]:
            if failure.remedy != "others":
                found.add(subject(failure))
                continue
            others = [
                other
                for name in failure.names_in_sentence
                for meter_id in ids[line.site_id, name]
                for other in by_meter[line.site_id, meter_id]
                if other.spreads and other.remedy != "others"
            ]
            found |= {subject(other) for other in others} or {subject(failure)}
        return found

    def subject(failure: Failure) -> Subject:
        """Failures of one meter are mended together; what one command mends for a site, together for its meters."""
        beside = [each for each in by_meter[failure.site_id, failure.meter_id] if each.remedy != "others"]
        if beside and all(each.remedy in ABOUT_THE_SITE for each in beside):
            return failure.site_id, None, frozenset(each.check_name for each in beside)
        return failure.site_id, failure.meter_id, frozenset()

    entries: dict[Subject, Entry] = {}
    for at, line in enumerate(lines):
        of_line = causes(line)
        for key in of_line:
            entry = entries.setdefault(key, Entry(key[0]))
            entry.lines.add(at)
            if len(of_line) == 1:
                entry.alone.add(at)
    for of_meter in by_meter.values():
        for failure in of_meter:
            if failure.remedy != "others" and (entry_ := entries.get(subject(failure))):
                entry_.failures.append(failure)
    for key, entry in entries.items():
        if not entry.failures:  # consequences of what somebody accepted, or of what lies outside the month
            entry.failures += [each for each in by_meter[key[0], key[1]] if each.remedy == "others"]
    return [entry for entry in entries.values() if entry.failures]


def in_order(entries: Iterable[Entry], lines: Sequence[HeldLine]) -> list[Entry]:
    """What frees most comes first; what only time mends, last."""

    def rank(entry: Entry) -> tuple[object, ...]:
        amount = sum((abs(lines[at].total or Decimal(0)) for at in entry.lines), Decimal(0))
        first = entry.kinds[0]
        return entry.waits_for_time, -len(entry.lines), -amount, first.position, entry.site_id, entry.meter_ids

    return sorted(entries, key=rank)
