"""One call for a whole site: series of meters out of the answer about their site, where that is proven to be the same.

Here: which windows of meters one answer about a site may fill, the random sample that is asked for both ways first, and
what is done with a difference. Not here: comparing (``comparisons``), whose fields are whose (``api.wide_columns``).

Nothing that is taken from a site's answer reaches the lake before the sample of the same run was found equal. What is
in doubt is left to a call about the meter: columns missing or of nothing but 0 for a day, rows missing, values that are
stored otherwise, parts that are not the whole, a sum that is not that of the site.
"""

from __future__ import annotations

import json
import logging
import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from math import ceil
from typing import Any

import polars as pl

from climkit_pipeline.api import wide_columns
from climkit_pipeline.api.answers import METER_SERIES, parse_meter_series
from climkit_pipeline.api.client import Answer
from climkit_pipeline.domain.periods import ONE_DAY, Period, dates_between
from climkit_pipeline.ingest.comparisons import (
    DIFFERS,
    EQUAL,
    Comparison,
    Proofs,
    compare,
    differing_rows,
    read_proofs,
)
from climkit_pipeline.ingest.fetching import Fetcher
from climkit_pipeline.ingest.frames import Finding, ParsedAnswer
from climkit_pipeline.ingest.landing import Landed, LandingFolder
from climkit_pipeline.ingest.news import keep
from climkit_pipeline.ingest.purposes import COMPARISON
from climkit_pipeline.ingest.reports import IngestReport
from climkit_pipeline.ingest.site_groups import SAMPLE_SHARE, Group, groups_of, splits, summands
from climkit_pipeline.ingest.tasks import Plan, Task
from climkit_pipeline.ingest.windows import Window
from climkit_pipeline.lake import journals
from climkit_pipeline.lake.day_files import current_rows, read_days
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.lake.schemas import ANSWER_COMPARISONS, METER_INTERVALS, SITE_INTERVALS

logger = logging.getLogger(__name__)

DIFFERENCE = "site_answer_differs"
FROM_SITE = "from the site's answer"
"""The detail of days that were filled so."""


@dataclass(frozen=True, slots=True)
class Filled:
    """A window of a meter, as the site's answer has it."""

    task: Task
    entry: Landed
    parsed: ParsedAnswer
    group: tuple[str, str]
    adds_up: bool
    is_doubted: bool = False
    """Whether other values are stored: the meter is asked, and both answers are compared."""


class SiteAnswers:
    """Fills windows of meters from answers about their sites; ``dice`` draws what is compared."""

    def __init__(
        self,
        layout: Layout,
        fetcher: Fetcher,
        *,
        mode: str,
        dice: random.Random,
        now: Callable[[], datetime],
    ) -> None:
        self._layout = layout
        self._fetcher = fetcher
        self._mode = mode
        self._dice = dice
        self._now = now

    def fill(self, folder: LandingFolder, plan: Plan, report: IngestReport) -> Plan:
        """Make the calls about sites, and those that are compared; returns the calls that are left to make."""
        if self._mode == "never":
            return plan
        proofs = read_proofs(self._layout, self._now())
        groups = groups_of(plan, proofs, is_forced=self._mode == "always")
        if not groups:
            return plan
        answers: dict[tuple[tuple[str, str, str], Window], tuple[Answer, ParsedAnswer]] = {}

        def note(task: Task, answer: Answer, parsed: ParsedAnswer, _: Sequence[Period]) -> None:
            answers[task.key, task.window] = answer, parsed

        self._fetcher.fetch(folder, Plan(tuple(group.site_task for group in groups)), report, note)
        asked = {(group.site_task.key, group.site_task.window) for group in groups}
        # Types of meters share their windows.
        stored = cache(self._stored)
        filled: list[Filled] = []
        for group in groups:
            answered = answers.get((group.site_task.key, group.site_task.window))
            if answered is None or answered[1].findings:
                continue
            if wide_columns.holds_wide_columns(answered[0].payload):
                filled += self._fillable(group, answered[0], proofs, stored, report)
        sample = [] if self._mode == "always" else self._sample(filled, proofs)
        comparisons = self._ask_both_ways(folder, sample, report)
        asked |= {(each.task.key, each.task.window) for each in sample}
        for each in self._believed(filled, sample, comparisons, proofs):
            folder.add(replace(each.entry, parsed=each.parsed))
            asked.add((each.task.key, each.task.window))
        return Plan(tuple(task for task in plan.tasks if task.is_probe or (task.key, task.window) not in asked))

    def _fillable(
        self,
        group: Group,
        answer: Answer,
        proofs: Proofs,
        stored_of: Callable[[str, Window], pl.DataFrame],
        report: IngestReport,
    ) -> list[Filled]:
        """What of a group a site's answer holds soundly."""
        listing, payload = group.site_task.listing, answer.payload
        adds_up = wide_columns.adds_up(payload, summands(listing, group.site_task.subject_id))
        if group.name in proofs.add_up and not adds_up:
            sample = "the meters' columns do not add up to the site's consumption as they did; each meter is asked"
            subject = group.site_task.subject_id
            finding = Finding(DIFFERENCE, SITE_INTERVALS.name, listing.site_id, subject, 1, (sample,))
            self._keep(finding, group.site_task, report)
            return []
        stored = stored_of(listing.site_id, group.site_task.window)
        found = []
        for task in group.meter_tasks:
            rows = wide_columns.meter_rows(payload, task.subject_id, has_split=splits(listing, task.subject_id))
            if rows is None or all(row["total"] == 0 for row in rows) or not wide_columns.parts_add_up(rows):
                continue
            entry = replace(
                task.landed(replace(answer, body=json.dumps(rows).encode()), group.site_task.asked, "plan"),
                detail=FROM_SITE,
            )
            parsed, missing = self._fetcher.missing_stretches(task, entry)
            if missing or parsed.findings or parsed.rows.is_empty():
                continue
            if rests_for_a_day(parsed.rows, stored):
                continue
            settled = as_stored(parsed, stored)
            if settled is not None and settled is not parsed:
                entry = replace(entry, body=_with_digits(rows, settled, group.site_task.asked))
            found.append(Filled(task, entry, settled or parsed, group.name, adds_up, is_doubted=settled is None))
        return found

    def _stored(self, site_id: str, window: Window) -> pl.DataFrame:
        """What the lake holds of a site and the days of a window."""
        days = dates_between(window.first_day - ONE_DAY, window.last_day)
        return current_rows(read_days(self._layout, METER_INTERVALS, days, pl.col("site_id") == site_id))

    def _sample(self, filled: Sequence[Filled], proofs: Proofs) -> list[Filled]:
        """What is asked for both ways: a window of each meter that is not proven, and a share of all others."""
        by_meter: dict[tuple[str, ...], list[Filled]] = defaultdict(list)
        proven: dict[tuple[str, str], list[Filled]] = defaultdict(list)
        for each in filled:
            if each.is_doubted:
                continue
            meter = (*each.group, each.task.subject_id)
            if meter in proofs.meters:
                proven[each.group].append(each)
            else:
                by_meter[meter].append(each)
        sample = [each for each in filled if each.is_doubted]
        sample += [self._dice.choice(windows) for windows in by_meter.values()]
        for windows in proven.values():
            sample += self._dice.sample(windows, ceil(SAMPLE_SHARE * len(windows)))
        return sample

    def _ask_both_ways(
        self, folder: LandingFolder, sample: Sequence[Filled], report: IngestReport
    ) -> dict[tuple[tuple[str, str, str], Window], Comparison]:
        by_site = {(each.task.key, each.task.window): each for each in sample}
        found: dict[tuple[tuple[str, str, str], Window], Comparison] = {}

        def note(task: Task, _: Answer, parsed: ParsedAnswer, missing: Sequence[Period]) -> None:
            each = by_site.get((task.key, task.window))
            if each is not None and not missing:  # a short answer tells nothing of the other one
                found[task.key, task.window] = compare(
                    task, each.group[1], each.parsed.rows, parsed.rows, self._now(), adds_up=each.adds_up
                )

        self._fetcher.fetch(folder, Plan(tuple(_as_asked(each) for each in sample)), report, note)
        journals.append(self._layout, ANSWER_COMPARISONS, [each.as_row(self._now()) for each in found.values()])
        for each in found.values():
            if each.outcome == DIFFERS:
                self._tell(each, report)
        return found

    def _tell(self, each: Comparison, report: IngestReport) -> None:
        task = each.task
        sample = (
            f"{each.sample}; {each.differing} of {each.compared} intervals; what came from answers about the site "
            f"since the last equal comparison can be asked for again: climkit backfill FROM TO --site {task.site_id} "
            "--dataset meter_intervals --refetch"
        )
        finding = Finding(DIFFERENCE, METER_INTERVALS.name, task.site_id, task.subject_id, each.differing, (sample,))
        self._keep(finding, task, report)

    def _keep(self, finding: Finding, task: Task, report: IngestReport) -> None:
        report.news.append(finding)
        keep(self._layout, [finding], self._now(), task.window)

    def _believed(
        self,
        filled: Sequence[Filled],
        sample: Sequence[Filled],
        comparisons: Mapping[Any, Comparison],
        proofs: Proofs,
    ) -> list[Filled]:
        """What is taken from answers about sites: of proven meters, unless the sample shows a difference."""
        if self._mode == "always":
            return [each for each in filled if not each.is_doubted]
        differing = {each.group for each in sample if _outcome(each, comparisons) == DIFFERS}
        # A sample of which nothing came back proves nothing.
        unanswered = {each.group for each in sample if _outcome(each, comparisons) is None}
        proven = set(proofs.meters)
        proven |= {(*each.group, each.task.subject_id) for each in sample if _outcome(each, comparisons) == EQUAL}
        sampled = {(each.task.key, each.task.window) for each in sample}
        return [
            each
            for each in filled
            if each.group not in differing | unanswered
            and (*each.group, each.task.subject_id) in proven
            and (each.task.key, each.task.window) not in sampled
        ]


def _as_asked(each: Filled) -> Task:
    """What is doubted would be asked for in any case."""
    return each.task if each.is_doubted else replace(each.task, purpose=COMPARISON)


def _outcome(each: Filled, comparisons: Mapping[Any, Comparison]) -> str | None:
    found = comparisons.get((each.task.key, each.task.window))
    return found.outcome if found else None


def _with_digits(rows: list[dict[str, Any]], settled: ParsedAnswer, asked: Period) -> bytes:
    """Rows as they are put on disk, with the digits that are stored: another process may have to commit them."""
    known = {row["interval_end_utc"]: row for row in settled.rows.iter_rows(named=True)}
    for row, value in zip(rows, parse_meter_series(rows, asked), strict=True):
        own = known.get(value.stamp_utc)
        if own is not None:
            row.update({field: own[name] for field, name in METER_SERIES.names.items() if field in row})
            row.update(json.loads(own["extra"] or "{}"))
    return json.dumps(rows).encode()


def rests_for_a_day(rows: pl.DataFrame, stored: pl.DataFrame) -> bool:
    """Whether nothing but 0 is stated of a new day: a meter that is not there yet, or is out, looks like that."""
    new = rows.join(stored, on=["site_id", "meter_id", "interval_start_utc"], how="anti")
    by_day = new.group_by("local_date").agg((pl.col("total") == 0).all().alias("is_at_rest"))
    return bool(by_day["is_at_rest"].any())


def as_stored(parsed: ParsedAnswer, stored: pl.DataFrame) -> ParsedAnswer | None:
    """An answer in which equal values are those that are stored; None if any is stored otherwise.

    A revision is believed of the meter's own answer alone; and the residue of another sum is none.
    """
    key = ["site_id", "meter_id", "interval_start_utc"]
    own = stored.join(parsed.rows.select(key), on=key, how="semi")
    if own.is_empty():
        return parsed
    held = parsed.rows.join(own.select(key), on=key, how="semi")
    if not differing_rows(own, held).is_empty():
        return None
    values = ["total", "solar", "grid", "extra"]
    known = own.select(
        *key, pl.lit(value=True).alias("is_known"), *(pl.col(name).alias(f"{name}_known") for name in values)
    )
    rows = parsed.rows.join(known, on=key, how="left", maintain_order="left").with_columns(
        pl.when(pl.col("is_known")).then(pl.col(f"{name}_known")).otherwise(pl.col(name)).alias(name) for name in values
    )
    return replace(parsed, rows=rows.select(parsed.rows.columns))
