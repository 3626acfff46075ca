"""The published tables as assets ``warehouse/<table>``, with what their data tests found, and the published warehouse.

The assets are made from the models' own files: their folders are the groups, which show the way of the data. Inner
models lie on the way to a table, and belong to it. One step of Dagster follows the lake's changes, builds what is
stale and publishes, under one lock: two refreshes never meet.
"""

from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from climkit_pipeline.defs.data_checks import (
    data_check_results,
    data_check_specs,
    selected_data_checks,
    table_metadata,
)
from climkit_pipeline.defs.keys import asset_key as lake_asset_key
from climkit_pipeline.defs.keys import model_key
from climkit_pipeline.lake.account import create_data_dir
from climkit_pipeline.lake.day_files import write_empty_files
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.lake.schemas import DATASETS
from climkit_pipeline.settings import Settings
from climkit_pipeline.warehouse.build import BuildReport, TestResult
from climkit_pipeline.warehouse.closing import closable_months, close_what_is_ready
from climkit_pipeline.warehouse.data_checks.question import CheckSettings
from climkit_pipeline.warehouse.data_state import DataState, look_at_build_file, look_at_warehouse
from climkit_pipeline.warehouse.project import Project, load_project
from climkit_pipeline.warehouse.refresh import Refresh, model_settings, open_refresh

CHECK = "data_tests"
"""The check of a table: how many rows each of its data tests found that should not be there."""

CHECK_DESCRIPTION = (
    "What the pipeline itself promises of the table, whatever the data are: keys are unique, ids are known elsewhere, "
    "no row of the lake is lost, sums add up. Each figure is the number of rows that break the promise. What to do: an "
    "error keeps the last published warehouse as it was; run `climkit refresh --full`, and report it if it stays. A "
    "warning is about what the provider delivered, and is in the quality tables, too."
)


MOST_CLOSABLE = 20
"""Months of sites that a run's log names; whoever never closes any has thousands."""


class RefreshConfig(dg.Config):
    """How to refresh: from what changed, or everything anew."""

    full: bool = False


def build_warehouse_assets(settings: Settings) -> dg.AssetsDefinition:
    """The assets of the published tables."""
    create_data_dir(Layout(settings.data_dir))
    project = load_project()
    tested = {_table_of(project, test.model) for test in project.tests}

    @dg.multi_asset(
        name="models",
        specs=[_spec(project, name) for name in project.inner_models],
        check_specs=[
            *(
                dg.AssetCheckSpec(CHECK, asset=model_key(name), description=CHECK_DESCRIPTION)
                for name in project.inner_models
                if name in tested
            ),
            *data_check_specs(),
        ],
        # Whoever asks for some gets all: a part of a refresh could not be published. So "materialize all", which asks
        # for them in several runs, refreshes in the first, and the others find nothing to do.
        can_subset=True,
    )
    def models(context: dg.AssetExecutionContext, config: RefreshConfig) -> Iterator[Any]:
        layout = Layout(settings.data_dir)
        write_empty_files(layout)
        asked = CheckSettings.of(settings, datetime.now(UTC))
        checks = selected_data_checks(context.selected_asset_check_keys)
        if context.is_subset and not context.selected_asset_keys:
            # Somebody asks for checks alone: about what is published, and nothing is made.
            yield from data_check_results(look_at_warehouse(layout.warehouse, asked, checks))
            return
        state = DataState()
        with open_refresh(layout, model_settings(settings), full=config.full) as refresh:
            context.log.info(f"changes in the lake: {refresh.changes}")
            if refresh.changes.is_empty:
                context.log.info("no model was run: the results of the last checks stay valid")
            else:
                report = refresh.run_models()
                if report.problem is None:
                    state = look_at_build_file(refresh.build_file, asked, checks)
                for event in _materializations(project, report, state):
                    context.log_event(event)
                yield from _check_results(project, report, context.selected_asset_check_keys)
                report.check()
                refresh.follow()
            _tell_closable(context, refresh, close_them=settings.close_automatically)
            context.log.info(f"published: {refresh.publish(settings.publish_months) or 'it is up to date'}")
        yield from data_check_results(state)

    return models


def _spec(project: Project, name: str) -> dg.AssetSpec:
    """An asset with what a reader of the UI wants to know of the table."""
    model = project.models[name]
    way = [model, *(project.models[inner] for inner in project.inner_models[name])]
    sources = {source.removesuffix("_coverage") for each in way for source in each.sources}
    return dg.AssetSpec(
        model_key(name),
        deps=[
            *(model_key(ref) for each in way for ref in each.refs if project.models[ref].is_published),
            *(lake_asset_key(source) for source in sources if source in DATASETS),
        ],
        description=model.description,
        group_name=model.folder,
        kinds={"duckdb", model.kind},
        metadata={"inner_models": ", ".join(project.inner_models[name]) or "none"},
        skippable=True,  # what is not stale is left alone
    )


def _table_of(project: Project, name: str) -> str:
    """The published table that a model is, or that it is on the way to."""
    return (
        name
        if name in project.inner_models
        else next(table for table, inner in project.inner_models.items() if name in inner)
    )


def _tell_closable(context: dg.AssetExecutionContext, refresh: Refresh, *, close_them: bool) -> None:
    """Name the months that a person can close now; close them only if the settings say so."""
    if close_them:
        for closed in close_what_is_ready(refresh):
            context.log.info(f"closed: {closed.billing_month:%Y-%m} of site {closed.site_id}, {closed.meters} meters")
        return
    months = sorted(closable_months(refresh.layout), key=lambda each: (-each[1].toordinal(), each[0]))
    closable = [f"climkit close {month:%Y-%m} --site {site_id}" for site_id, month in months]
    if closable:
        more = len(closable) - MOST_CLOSABLE
        context.log.info(
            "can be closed:\n" + "\n".join(closable[:MOST_CLOSABLE]) + (f"\nand {more:,} more" if more > 0 else "")
        )


def _materializations(project: Project, report: BuildReport, state: DataState) -> Iterator[dg.AssetMaterialization]:
    """What was built; as events, of which there is one for a table, where a result would be three."""
    built = {model.name: model for model in report.models}
    for table, inner in project.inner_models.items():
        # A view is made once, and shows whatever is new in what it reads.
        is_renewed = project.models[table].kind == "view" and bool(built.keys() & set(project.models[table].refs))
        if table in built or is_renewed:
            of_table = [built[name] for name in (*inner, table) if name in built]
            # A view has no rows of its own; what it shows is in the state of the data.
            metadata: dict[str, Any] = {}
            if table in built:
                seconds = round(sum(model.seconds for model in of_table), 3)
                metadata = {"rows written": built[table].rows, "parts": built[table].parts, "seconds": seconds}
            yield dg.AssetMaterialization(model_key(table), metadata=metadata | table_metadata(state, table))


def _check_results(
    project: Project, report: BuildReport, selected: Collection[dg.AssetCheckKey]
) -> Iterator[dg.AssetCheckResult]:
    """What the data tests found, by table, as far as the run was asked for it."""
    results: dict[str, list[TestResult]] = {}
    for result in report.tests:
        results.setdefault(_table_of(project, result.test.model), []).append(result)
    for table, of_table in results.items():
        if dg.AssetCheckKey(model_key(table), CHECK) not in selected:
            continue
        failed = [result for result in of_table if not result.has_passed]
        yield dg.AssetCheckResult(
            asset_key=model_key(table),
            check_name=CHECK,
            passed=not failed,
            severity=dg.AssetCheckSeverity.WARN
            if all(result.test.is_warning for result in failed)
            else dg.AssetCheckSeverity.ERROR,
            description="; ".join(map(str, failed)) or f"{len(of_table)} data tests found nothing wrong",
            metadata={f"{result.test.model}: {result.test.name}": result.rows for result in of_table},
        )
