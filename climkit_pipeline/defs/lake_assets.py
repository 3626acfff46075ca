"""The seven datasets of the lake as daily-partitioned assets, materialized together by one step.

One step, because one plan covers a range of days with the fewest calls; each good day is reported as soon as it is
committed, and a step with failed days fails after its last call.
"""

from collections.abc import Iterator
from datetime import date
from typing import Any

import dagster as dg
from pydantic import Field

from climkit_pipeline.api.pacer import spacing_seconds
from climkit_pipeline.defs.keys import asset_key
from climkit_pipeline.defs.partitions import daily_partitions
from climkit_pipeline.defs.resources import Ingests
from climkit_pipeline.defs.run_log import RunLog
from climkit_pipeline.ingest.reports import IngestRequest
from climkit_pipeline.lake.schemas import DATASETS, SNAPSHOTS
from climkit_pipeline.settings import Settings

LAKE_GROUP = "0_lake_files"
"""Before the groups of tables, which are numbered as the data go: ``1_lake`` to ``9_analysis``."""


class IngestConfig(dg.Config):
    """How to ingest: which sites (none named: all), and whether to ask again for what is complete."""

    site_ids: list[str] = Field(default_factory=list)
    refetch: bool = False
    history_from: str = Field(
        default="", description="The first day of the longer range that this run is a part of, if it is one."
    )
    is_raw_sparing: bool = Field(
        default=False, description="Whether days amid months are given up where the API takes short windows alone."
    )
    goes_first: bool = Field(default=False, description="Whether other runs wait for this one between two sites.")


def build_lake_assets(settings: Settings) -> dg.AssetsDefinition:
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
        partitions_def=daily_partitions(settings),
        # As many days as a call covers: a backfill shows what is done after each, and costs no call more.
        backfill_policy=dg.BackfillPolicy.multi_run(settings.window_days),
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
            is_urgent=config.goes_first,
            is_raw_sparing=config.is_raw_sparing,
            history_from=date.fromisoformat(config.history_from) if config.history_from else None,
        )
        log = RunLog(context, spacing_seconds(settings.requests_per_second))
        report = climkit.run(request, context.run.run_id, log.tell_days, log.progress)
        log.tell_failures(report)
        log.tell_result(report)
        if not report.is_good:
            count = len(report.failures)
            raise dg.Failure(
                f"{count} part{'' if count == 1 else 's'} failed: " + "; ".join(map(str, report.failures[:5])),
                metadata={"failures": dg.MetadataValue.md("\n".join(f"- {each}" for each in report.failures))},
                allow_retries=False,  # what is missing is asked again by the next backfill, not all of it
            )
        yield from ()

    return ingest
