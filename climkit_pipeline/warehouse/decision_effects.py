"""Which lines of the user's files have no effect, by what is published: slips of the pen, and decisions in vain.

Here: comparing lines with the published warehouse. Not here: reading the files, and what is wrong with a line whatever
the data are (``user_files``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from climkit_pipeline.errors import ConfigurationError, QueryError, WarehouseError
from climkit_pipeline.user_files.checks import AcceptedFor, known_checks, never_accepted, part_of_a_month
from climkit_pipeline.user_files.lines import Decision, Entry, MeterFact, SensorRole, UserInputs
from climkit_pipeline.warehouse.occupancy_effects import doubtful_occupancies
from climkit_pipeline.warehouse.queries import run_query

_FAILURES: Mapping[AcceptedFor, str] = {
    "days": """
        select check_name, site_id, meter_id, local_date as first_on, local_date as last_on
        from data_quality_daily
        where list_contains(?, check_name)
    """,
    "months": """
        select check_name, site_id, meter_id, billing_month as first_on, last_day(billing_month) as last_on
        from data_quality_monthly
        where list_contains(?, check_name) and not passed
    """,
}

_SENSOR_NAMES = """
    select
        unnest([site_id, site_name, site_id, site_name, site_id, site_name]) as site,
        unnest([
            sensor_id, sensor_id, sensor_name, sensor_name, concat_ws(' ', sensor_name, '(' || sensor_type || ')'),
            concat_ws(' ', sensor_name, '(' || sensor_type || ')')
        ]) as sensor,
        sensor_id
    from sensors
    inner join sites using (site_id)
"""


def doubtful_lines(inputs: UserInputs, warehouse: Path) -> list[str]:
    """One line of text per line of the user's files that may not do what it was written for."""
    return (
        list(inputs.notes)
        + [f"{line} (kept: it may be listed later)" for line in unknown_ids(inputs, warehouse)]
        + without_effect(inputs, warehouse)
        + doubtful_occupancies(inputs.occupancies, warehouse)
        + unknown_sensors(inputs.sensor_roles, warehouse)
    )


def unknown_sensors(entries: Sequence[Entry[SensorRole]], warehouse: Path) -> list[str]:
    """One line per entry of sensors.csv that names no sensor, or several."""
    names = f"from ({_SENSOR_NAMES}) group by all having count(distinct sensor_id) = 1"
    try:
        known = set(run_query(warehouse, f"select site, sensor {names}").iter_rows()) if entries else set()
    except (WarehouseError, QueryError):
        return []
    return [
        f"sensors.csv, line {entry.line}: no sensor {entry.content.sensor!r} is known at {entry.content.site!r}, "
        "or several are called so"
        for entry in entries
        if (entry.content.site, entry.content.sensor) not in known
    ]


def unknown_ids(inputs: UserInputs, warehouse: Path) -> list[str]:
    """One line per entry about a site or meter that was never listed: a slip of the pen, or not listed yet."""
    listed = _listed_meters(warehouse)
    return [
        f"{name}, line {entry.line}: {unknown}"
        for name, entries in (("meters.csv", inputs.meter_facts), ("decisions.csv", inputs.decisions))
        for entry in entries
        if (unknown := _unknown_id(entry.content, listed))
    ]


def check_ids(decision: Decision, warehouse: Path) -> None:
    """Raises ConfigurationError for a decision about a site or meter that was never listed."""
    if unknown := _unknown_id(decision, _listed_meters(warehouse)):
        raise ConfigurationError(f"{unknown}; if it will be later, write the line into decisions.csv by hand")


def without_effect(inputs: UserInputs, warehouse: Path) -> list[str]:
    """One line per decision that accepts nothing, for all of its days or for some."""
    checks = known_checks() or {}
    failures = _failures([entry.content for entry in inputs.decisions], warehouse)
    found = []
    for entry in inputs.decisions:
        useless = (
            never_accepted(entry.content, checks)
            or part_of_a_month(entry.content, checks)
            or _nothing_failed(entry.content, failures)
        )
        if useless:
            found.append(f"decisions.csv, line {entry.line}: {useless}")
    return found


def nothing_failed(decision: Decision, warehouse: Path) -> str | None:
    """What to say of a decision on whose days its check did not fail."""
    return _nothing_failed(decision, _failures([decision], warehouse))


@dataclass(frozen=True)
class _Failure:
    """A failed check of a day or of a month, accepted or not; no meter: of the site as a whole."""

    check_name: str
    site_id: str
    meter_id: str | None
    first_day: date
    last_day: date

    def is_accepted_by(self, decision: Decision) -> bool:
        return (
            (decision.check_name, decision.site_id) == (self.check_name, self.site_id)
            and decision.meter_id in {None, self.meter_id}
            and decision.first_day <= self.first_day
            and decision.last_day >= self.last_day
        )


def _failures(decisions: Iterable[Decision], warehouse: Path) -> list[_Failure] | None:
    """The failures of the checks that are decided about; None as long as nothing is published."""
    checks = known_checks() or {}
    decided = {decision.check_name for decision in decisions if decision.action == "accept"}
    found: list[_Failure] = []
    try:
        for accepted_for, sql in _FAILURES.items():
            names = sorted(name for name in decided if name in checks and checks[name].accepted_for == accepted_for)
            # What is judged by months is a view over everything: it is asked only when somebody decided about it.
            if names:
                found += [_Failure(*row) for row in run_query(warehouse, sql, [names]).iter_rows()]
    except WarehouseError:
        return None
    return found


def _nothing_failed(decision: Decision, failures: list[_Failure] | None) -> str | None:
    if decision.action == "exclude" or failures is None:
        return None
    if any(failure.is_accepted_by(decision) for failure in failures):
        return None
    meter = "" if decision.meter_id is None else f"meter {decision.meter_id!r} of "
    return (
        f"by what is published, {decision.check_name} did not fail from {decision.first_day} to {decision.last_day} "
        f"at {meter}site {decision.site_id!r}: nothing is accepted"
    )


def _listed_meters(warehouse: Path) -> set[tuple[str, str]] | None:
    """Site and meter of all that was ever listed; None as long as nothing is published, so that none is unknown."""
    try:
        return set(run_query(warehouse, "select site_id, meter_id from meters").iter_rows())
    except WarehouseError:
        return None


def _unknown_id(line: MeterFact | Decision, listed: set[tuple[str, str]] | None) -> str | None:
    if listed is None:
        return None
    if line.site_id not in {site_id for site_id, _ in listed}:
        return f"no site {line.site_id!r} was ever listed"
    if line.meter_id is not None and (line.site_id, line.meter_id) not in listed:
        return f"no meter {line.meter_id!r} was ever listed at site {line.site_id!r}"
    return None
