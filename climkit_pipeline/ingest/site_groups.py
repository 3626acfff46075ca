"""Which calls about a site may stand for which windows of its meters, and how many calls that makes of a plan.

Here: grouping the windows of a plan. Not here: making the calls (``site_answers``), and what proves a meter
(``comparisons``).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from math import ceil

from climkit_pipeline.domain.meters import CHARGE_POINT, CONSUMPTION, ELECTRICITY, has_split
from climkit_pipeline.ingest.comparisons import Proofs
from climkit_pipeline.ingest.listings import SiteListing
from climkit_pipeline.ingest.purposes import COMPARISON, HISTORY
from climkit_pipeline.ingest.tasks import Plan, Task
from climkit_pipeline.ingest.windows import Window
from climkit_pipeline.lake.schemas import METER_INTERVALS, SITE_INTERVALS

SAMPLE_SHARE = 0.05
"""Of the windows of proven meters, compared again in each run; one at least."""
FEWEST_METERS = 2
"""That make a call about their site worth more than calls of their own, one of which is compared."""


@dataclass
class Group:
    """The windows of one length of a site's meters of one type, and the call about the site that may fill them."""

    site_task: Task
    meter_tasks: list[Task] = field(default_factory=list)

    @property
    def name(self) -> tuple[str, str]:
        """Site and meter type."""
        return self.site_task.site_id, self.site_task.subject_id


def groups_of(plan: Plan, proofs: Proofs, *, is_forced: bool) -> list[Group]:
    """The windows of meters that one call about their site might fill.

    A call that the plan does not hold anyway is worth making only where something is proven, or forced.
    """
    site_tasks = {
        (task.site_id, task.subject_id, task.window): task
        for task in plan.tasks
        if task.dataset is SITE_INTERVALS and not task.is_probe
    }
    by_window: dict[tuple[str, str, Window], list[Task]] = defaultdict(list)
    types: dict[str, dict[str, str]] = {}
    for task in plan.tasks:
        if task.dataset is METER_INTERVALS and not task.is_probe:
            if task.site_id not in types:
                types[task.site_id] = types_of(task.listing)
            meter_type = types[task.site_id].get(task.subject_id)
            if meter_type is not None:
                by_window[task.site_id, meter_type, task.window].append(task)
    groups = []
    for (site_id, meter_type, window), tasks in by_window.items():
        if len(tasks) < FEWEST_METERS or (not is_forced and (site_id, meter_type) in proofs.off_since):
            continue
        own = site_tasks.get((site_id, meter_type, window))
        is_worth_it = len(tasks) > FEWEST_METERS and (is_forced or proofs.has_any(site_id, meter_type))
        if own is None and is_worth_it:
            own = Task(SITE_INTERVALS, tasks[0].listing, meter_type, window, purpose=tasks[0].purpose)
        if own is not None:
            groups.append(Group(own, tasks))
    return groups


def types_of(listing: SiteListing) -> dict[str, str]:
    """The type of each meter, where the site has a series of that type; a meter listed as two is left out."""
    types: dict[str, set[str]] = defaultdict(set)
    for meter in listing.meters:
        types[meter.meter_id].add(meter.meter_type)
    series = set(listing.subjects(SITE_INTERVALS.name))
    return {meter_id: min(found) for meter_id, found in types.items() if len(found) == 1 and found <= series}


def expected_calls(plan: Plan, proofs: Proofs, mode: str) -> Counter[str]:
    """How many calls a plan takes by purpose, as far as is proven now: what is not, is asked for meter by meter."""
    calls = Counter(task.purpose or HISTORY for task in plan.tasks)
    is_forced = mode == "always"
    for group in [] if mode == "never" else groups_of(plan, proofs, is_forced=is_forced):
        proven = [task for task in group.meter_tasks if is_forced or (*group.name, task.subject_id) in proofs.meters]
        if not proven:
            continue
        compared = 0 if is_forced else ceil(SAMPLE_SHARE * len(proven))
        calls[group.site_task.purpose or HISTORY] += all(group.site_task is not task for task in plan.tasks)
        calls[COMPARISON] += compared
        calls[proven[0].purpose or HISTORY] -= len(proven)
    return +calls


def splits(listing: SiteListing, meter_id: str) -> bool | None:
    """Whether a meter's total has parts; None where its mode is not listed."""
    meter = next(meter for meter in listing.meters if meter.meter_id == meter_id)
    return None if meter.meter_mode == "unknown" else has_split(meter.meter_type, meter.meter_mode)


def summands(listing: SiteListing, meter_type: str) -> list[str]:
    """The meters whose totals should add up to the site's consumption."""
    types = {ELECTRICITY, CHARGE_POINT} if meter_type == ELECTRICITY else {meter_type}
    return [
        meter.meter_id
        for meter in listing.meters
        if meter.meter_type in types and meter.meter_mode == CONSUMPTION and not meter.is_rule_meter
    ]
