"""What a backfill will cost: calls, hours at the allowed rate, disk."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from climkit_pipeline.api.pacer import spacing_seconds
from climkit_pipeline.ingest.comparisons import Proofs
from climkit_pipeline.ingest.site_groups import expected_calls
from climkit_pipeline.ingest.tasks import Plan
from climkit_pipeline.settings import Settings

BYTES_PER_SUBJECT_DAY = {
    "meter_intervals": 4500,
    "meter_indices": 4000,
    "site_intervals": 5000,
    "sensor_readings": 5500,
}
BYTES_PER_DAY = 100_000
"""Lake, build file and published file, and per day Dagster's events and small files: measured over 21 months of two
simulated sites with 36 subjects each (105 + 71 + 68 + 38 MB), rounded up."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """The cost of plans."""

    calls: Counter[str]
    """By purpose."""
    seconds_per_call: float
    disk_bytes: int

    @property
    def hours(self) -> float:
        """At the allowed rate."""
        return self.hours_of(self.calls.total())

    def hours_of(self, calls: int) -> float:
        """What some of the calls take."""
        return calls * self.seconds_per_call / 3600

    def __add__(self, other: Estimate) -> Estimate:
        return Estimate(self.calls + other.calls, self.seconds_per_call, self.disk_bytes + other.disk_bytes)

    def __str__(self) -> str:
        disk = f"{self.disk_bytes / 1e6:,.0f} MB of disk"
        return f"{self.calls.total():,} calls, {as_duration(self.hours)} at the allowed rate, {disk}"


def nothing(settings: Settings) -> Estimate:
    """What no plan costs."""
    return Estimate(Counter(), spacing_seconds(settings.requests_per_second), 0)


def estimate(plan: Plan, settings: Settings, proofs: Proofs) -> Estimate:
    """Calls, hours and bytes of a plan, given which meters' series an answer about their site is known to hold."""
    disk = sum(BYTES_PER_SUBJECT_DAY[dataset] * days for dataset, days in plan.subject_days.items())
    disk += BYTES_PER_DAY * plan.days
    return replace(nothing(settings), calls=expected_calls(plan, proofs, settings.site_answers), disk_bytes=disk)


def as_duration(hours: float) -> str:
    """Hours as people say them."""
    if hours < 1 / 60:
        return "under a minute"
    if hours >= 2:
        return f"{hours:.1f} hours"
    minutes = round(hours * 60)
    return f"{minutes} minutes" if minutes > 1 else "1 minute"
