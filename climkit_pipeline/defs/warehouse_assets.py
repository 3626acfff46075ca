"""The SQL models as assets ``warehouse/<model>``, their data tests as asset checks, and the published warehouse.

One step follows the lake's changes, runs dbt and publishes, under one lock: two refreshes never meet.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, dbt_assets

from climkit_pipeline.defs.lake_assets import asset_key as lake_asset_key
from climkit_pipeline.lake.account import create_data_dir
from climkit_pipeline.lake.day_files import write_empty_files
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.settings import Settings
from climkit_pipeline.warehouse.closing import closable_months, close_what_is_ready
from climkit_pipeline.warehouse.dbt_project import DbtReport, ensure_manifest
from climkit_pipeline.warehouse.refresh import Refresh, model_settings, open_refresh

WAREHOUSE_GROUP = "warehouse"
KEY_PREFIX = "warehouse"


class RefreshConfig(dg.Config):
    """How to refresh: from what changed, or everything anew."""

    full: bool = False


class _Translator(DagsterDbtTranslator):
    """Models are ``warehouse/<model>``; the lake's sources are the lake's assets."""

    def __init__(self) -> None:
        # Data and coverage of a dataset are two sources and one asset.
        super().__init__(DagsterDbtTranslatorSettings(enable_duplicate_source_asset_keys=True))

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        name = dbt_resource_props["name"]
        if dbt_resource_props["resource_type"] == "source":
            if dbt_resource_props["source_name"] == "climkit":
                return lake_asset_key(name.removesuffix("_coverage"))
            return dg.AssetKey([dbt_resource_props["source_name"], name])
        return dg.AssetKey([KEY_PREFIX, name])

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str:
        del dbt_resource_props
        return WAREHOUSE_GROUP


def build_warehouse_assets(settings: Settings) -> dg.AssetsDefinition:
    """The assets of the dbt project; its manifest is made first if it is missing or stale."""
    create_data_dir(Layout(settings.data_dir))
    manifest = ensure_manifest(Layout(settings.data_dir))

    @dbt_assets(
        manifest=manifest, dagster_dbt_translator=_Translator(), name="models", exclude="resource_type:unit_test"
    )
    def models(context: dg.AssetExecutionContext, config: RefreshConfig) -> Iterator[Any]:
        layout = Layout(settings.data_dir)
        write_empty_files(layout)
        select: list[str] = []
        if context.is_subset:
            select = sorted(key.path[-1] for key in context.selected_asset_keys)
            context.log.info("a part of the models: the lake's changes stay noted for the others, nothing is published")
        with open_refresh(layout, model_settings(settings), full=config.full and not select) as refresh:
            context.log.info(f"changes in the lake: {refresh.changes}")
            # Also when nothing changed: Dagster would show checks that did not run as skipped, over their last result.
            report = refresh.run_dbt(select=select)
            yield from _events(context, report)
            report.check()
            if select:
                return
            if not refresh.changes.is_empty:
                refresh.follow()
            _tell_closable(context, refresh, close_them=settings.close_automatically)
            context.log.info(f"published: {refresh.publish(settings.publish_months) or 'it is up to date'}")

    return models


def _tell_closable(context: dg.AssetExecutionContext, refresh: Refresh, *, close_them: bool) -> None:
    """Name the months that a person can close now; close them only if the settings say so."""
    if close_them:
        for closed in close_what_is_ready(refresh):
            context.log.info(f"closed: {closed.billing_month:%Y-%m} of site {closed.site_id}, {closed.meters} meters")
        return
    for site_id, month in closable_months(refresh.layout):
        context.log.info(f"can be closed: climkit close {month:%Y-%m} --site {site_id}")


def _events(
    context: dg.AssetExecutionContext, report: DbtReport
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
    """What dbt did, as Dagster says it: models are materializations, data tests are check results."""
    checks = {key.name: key.asset_key for key in context.selected_asset_check_keys}
    for node in report.nodes:
        if node.kind in {"model", "seed"} and node.status == "success":
            asset_key = dg.AssetKey([KEY_PREFIX, node.name])
            yield dg.MaterializeResult(asset_key=asset_key, metadata={"seconds": node.seconds})
        elif node.kind == "test" and node.name in checks and node.status != "skipped":
            yield dg.AssetCheckResult(
                asset_key=checks[node.name],
                check_name=node.name,
                passed=node.status == "pass",
                severity=dg.AssetCheckSeverity.WARN if node.status == "warn" else dg.AssetCheckSeverity.ERROR,
                metadata={"message": node.message, "seconds": node.seconds},
            )
        elif node.status != "pass":
            context.log.warning(f"{node.kind} {node.name}: {node.status}, {node.message}")
