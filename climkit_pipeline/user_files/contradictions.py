"""What is wrong between lines of the user's files, or with the checks that they name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from itertools import groupby, pairwise
from typing import Any

from climkit_pipeline.user_files.checks import KnownCheck, acceptable, tolerable, unknown_check
from climkit_pipeline.user_files.lines import (
    FIRST_DATE,
    AnyLine,
    Decision,
    Entry,
    MeterFact,
    Occupancy,
    Tolerance,
    UserInputs,
)


def contradictions(inputs: UserInputs, checks: Mapping[str, KnownCheck] | None) -> Iterator[str]:
    """One sentence per mistake, file by file."""
    yield from _overlaps(inputs.meter_facts)
    yield from _contradicting_services(inputs.meter_facts)
    yield from _unknown_checks("decisions.csv", inputs.decisions, checks)
    yield from _unknown_checks("tolerances.csv", inputs.tolerances, checks)
    yield from _fixed_tolerances(inputs.tolerances, checks)
    yield from _repeated_tolerances(inputs.tolerances)
    yield from _double_occupancies(inputs.occupancies)


def _overlaps(facts: Sequence[Entry[MeterFact]]) -> Iterator[str]:
    """Two lines about one meter must not hold at the same time."""
    for earlier, later in _overlapping(facts, _subject, lambda fact: (fact.valid_from, fact.valid_until)):
        yield (
            f"meters.csv, line {later.line}, column valid_from: meter {later.content.meter_id!r} of site "
            f"{later.content.site_id!r} is described by line {earlier.line}, too, until "
            f"{earlier.content.valid_until}; accepted: stretches that do not overlap"
        )


def _overlapping(
    entries: Sequence[Entry[AnyLine]],
    subject: Callable[[Entry[AnyLine]], tuple[Any, ...]],
    stretch: Callable[[AnyLine], tuple[date, date]],
) -> Iterator[tuple[Entry[AnyLine], Entry[AnyLine]]]:
    """Neighbours about one subject of which the later begins before the earlier has ended."""
    in_order = sorted(entries, key=lambda entry: (*subject(entry), stretch(entry.content)[0]))
    for earlier, later in pairwise(in_order):
        is_same = subject(earlier) == subject(later)
        if is_same and stretch(later.content)[0] <= stretch(earlier.content)[1]:
            yield earlier, later


def _contradicting_services(facts: Sequence[Entry[MeterFact]]) -> Iterator[str]:
    """A meter must not begin by one line while it is in service by an earlier one; the same beginning is no other."""
    in_order = sorted(facts, key=lambda entry: (*_subject(entry), entry.content.valid_from))
    for (site_id, meter_id), entries in groupby(in_order, key=_subject):
        begins: set[date] = set()
        ends = {FIRST_DATE: 0}  # the line that states each
        for entry in entries:
            first_day, last_day = entry.content.in_service_from, entry.content.in_service_until
            until = max(ends)
            if first_day is not None and first_day < until and first_day not in begins:
                yield (
                    f"meters.csv, line {entry.line}, column in_service_from: {first_day} is before {until}, until "
                    f"which meter {meter_id!r} of site {site_id!r} is in service by line {ends[until]}; accepted: "
                    "that day, or a later one"
                )
            if first_day is not None:
                begins.add(first_day)
            if last_day is not None:
                ends.setdefault(last_day, entry.line)


def _subject(entry: Entry[MeterFact]) -> tuple[Any, ...]:
    return entry.content.site_id, entry.content.meter_id


def _unknown_checks(
    name: str, entries: Sequence[Entry[Decision]] | Sequence[Entry[Tolerance]], checks: Mapping[str, KnownCheck] | None
) -> Iterator[str]:
    if checks is None:
        return
    offered = acceptable(checks) if name == "decisions.csv" else tolerable(checks)
    for entry in entries:
        if entry.content.check_name not in checks:
            yield f"{name}, line {entry.line}, column check: {unknown_check(entry.content.check_name, offered)}"


def _fixed_tolerances(tolerances: Sequence[Entry[Tolerance]], checks: Mapping[str, KnownCheck] | None) -> Iterator[str]:
    """Another tolerance would accept what nobody can accept, for all sites at once."""
    for entry in tolerances:
        name = entry.content.check_name
        if checks is not None and name in checks and name not in tolerable(checks):
            yield (
                f"tolerances.csv, line {entry.line}, column check: {name} has no other tolerance, "
                "for nobody can accept it: more data, time or a settlement mends it (its reason says which); accepted: "
                "checks that can be accepted, and those that only warn"
            )


def _repeated_tolerances(tolerances: Sequence[Entry[Tolerance]]) -> Iterator[str]:
    first: dict[str, int] = {}
    for entry in tolerances:
        known = first.setdefault(entry.content.check_name, entry.line)
        if known != entry.line:
            yield f"tolerances.csv, line {entry.line}: the tolerance of {entry.content.check_name} is in line {known}"


def _double_occupancies(occupancies: Sequence[Entry[Occupancy]]) -> Iterator[str]:
    """A day of a billing point is billed to one occupant; what nobody occupies is the owner's."""

    def point(entry: Entry[Occupancy]) -> tuple[str, str]:
        return entry.content.site, entry.content.billing_point

    for earlier, later in _overlapping(occupancies, point, lambda line: (line.first_day, line.last_day)):
        yield (
            f"occupancies.csv, line {later.line}, column from: {later.content.billing_point!r} of "
            f"{later.content.site!r} is {earlier.content.occupant!r}'s by line {earlier.line} until "
            f"{earlier.content.last_day}; accepted: stretches that do not overlap"
        )
