"""The seven datasets of the lake as daily-partitioned assets, materialized together by one step.

One step, because one plan covers a range of days with the fewest calls; each good day is then reported on its own,
and a step with failed days fails after its last call.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import date
from typing import Any

import dagster as dg
from pydantic import Field

from climkit_pipeline.defs.resources import Ingests
from climkit_pipeline.ingest.reports import IngestReport, IngestRequest
from climkit_pipeline.lake.schemas import DATASETS, SNAPSHOTS
from climkit_pipeline.lake.status import WORST_FIRST

LAKE_GROUP = "lake"
KEY_PREFIX = "climkit"


class IngestConfig(dg.Config):
    """How to ingest: which sites (none named: all), and whether to ask again for what is complete."""

    site_ids: list[str] = Field(default_factory=list)
    refetch: bool = False


def asset_key(dataset: str) -> dg.AssetKey:
    """The asset of a dataset, which is also its name as a dbt source."""
    return dg.AssetKey([KEY_PREFIX, dataset])


def build_lake_assets(partitions: dg.DailyPartitionsDefinition) -> dg.AssetsDefinition:
    """The assets ``climkit/<dataset>``."""
    specs = [
        dg.AssetSpec(
            asset_key(dataset.name),
            description=(
                f"{dataset.description}\n\nOne Parquet file per local day of the site, with every version of every "
                "row and a coverage file beside it. Source: the Climkit API. A green day is complete, empty, pending "
                "or has its gaps recorded; a red one has calls that failed."
            ),
            group_name=LAKE_GROUP,
            kinds={"parquet", "snapshot" if dataset in SNAPSHOTS else "series"},
            skippable=True,  # days are reported one by one, with log_event
        )
        for dataset in DATASETS.values()
    ]

    @dg.multi_asset(
        name="ingest",
        specs=specs,
        can_subset=True,
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def ingest(
        context: dg.AssetExecutionContext, config: IngestConfig, climkit: dg.ResourceParam[Ingests]
    ) -> Iterator[Any]:
        days = sorted(date.fromisoformat(key) for key in context.partition_keys)
        if not days:
            raise dg.Failure("the range holds no day: is it reversed?", allow_retries=False)
        selected = tuple(name for name in DATASETS if asset_key(name) in context.selected_asset_keys)
        request = IngestRequest(
            first_day=days[0],
            last_day=days[-1],
            datasets=selected,
            site_ids=tuple(config.site_ids) or None,
            refetch=config.refetch,
        )
        report = climkit.run(request, context.run.run_id)
        _report_days(context, report, set(days))
        if not report.is_good:
            raise dg.Failure(
                f"{len(report.failures)} parts failed: " + "; ".join(map(str, report.failures[:5])),
                metadata={"failures": dg.MetadataValue.text("\n".join(map(str, report.failures)))},
                allow_retries=False,  # what is missing is asked again by the next backfill, not all of it
            )
        yield from ()

    return ingest


def _report_days(context: dg.AssetExecutionContext, report: IngestReport, days: set[date]) -> None:
    for dataset in report.request.datasets:
        failed = report.failed_days(dataset)
        for day in sorted(days - failed):
            context.log_event(
                dg.AssetMaterialization(
                    asset_key(dataset),
                    partition=day.isoformat(),
                    metadata=_day_metadata(report.states[dataset][day]),
                )
            )
    for finding in report.news:
        context.log.warning(str(finding))
    context.log.info(
        f"calls: {dict(report.calls)}; rows: {report.committed.rows}; new: {report.committed.rows_new}; "
        f"revised: {report.committed.rows_revised}; short answers: {report.short_answers}; "
        f"findings: {len(report.committed.findings)}"
    )


def _day_metadata(states: Counter[str]) -> dict[str, int]:
    # All of them, zeros too: what is stated on some days alone cannot be plotted.
    return {"subjects": states.total(), **{state: states[state] for state in WORST_FIRST}}
