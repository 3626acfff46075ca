"""What Dagster knows: assets, partitions, schedule, sensors; runs in a real instance on a real simulator."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import duckdb
import pytest
import yaml
from real_runs import launcher, settings_for

from climkit_pipeline.defs.alert_sensors import watch_alarms
from climkit_pipeline.defs.automation import INGEST_JOB, MODELS_BY_CALLER_TAG, MODELS_JOB, asks_for_raw, look_back_from
from climkit_pipeline.defs.descriptions import SUPPORT
from climkit_pipeline.defs.factory import build_definitions
from climkit_pipeline.defs.keys import asset_key, model_key
from climkit_pipeline.domain.periods import month_start
from climkit_pipeline.installation import ROOT_DIR
from climkit_pipeline.lake.schemas import DATASETS
from climkit_pipeline.settings import Settings, load_settings
from climkit_pipeline.simulator import Fault, Request, SimulatorServer, World
from climkit_pipeline.warehouse.data_checks import DATA_CHECKS
from climkit_pipeline.warehouse.project import load_project

pytestmark = pytest.mark.slow

ALL = tuple(DATASETS)
GROUPS = {
    "lake": "1_lake", "listing": "2_listing", "series": "3_series", "days": "4_days", "registers": "5_registers",
    "periods": "6_periods", "quality": "7_quality", "bills": "8_bills", "analysis": "9_analysis",
}  # fmt: skip
"""The groups of the UI, which sorts them by name, by the folder of the models."""


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return settings_for("http://127.0.0.1:9/api/v1", tmp_path_factory.mktemp("defs"))


@pytest.fixture(scope="module")
def definitions(settings: Settings) -> dg.Definitions:
    return build_definitions(settings)


def test_every_dataset_and_every_published_table_is_an_asset(definitions: dg.Definitions) -> None:
    keys = {key.to_user_string() for key in definitions.resolve_asset_graph().materializable_asset_keys}
    assert {f"climkit/{name}" for name in ALL} <= keys
    published = {name for name, model in load_project().models.items() if model.is_published}
    assert {key for key in keys if key.startswith("warehouse/")} == {f"warehouse/{name}" for name in published}


def test_the_job_of_the_lake_fills_the_lake_alone(definitions: dg.Definitions) -> None:
    """It was chosen by a group that has tables, too: each ingestion ran a part of the models."""
    job = definitions.resolve_job_def(INGEST_JOB.name)
    assert set(job.asset_layer.selected_asset_keys) == {asset_key(name) for name in ALL}


def read_by(name: str) -> set[str]:
    """The published tables and datasets that a model reads, itself or through inner models; straight from the refs."""
    model = load_project().models[name]
    found = {source.removesuffix("_coverage") for source in model.sources} & set(ALL)
    for ref in model.refs:
        is_inner = not load_project().models[ref].is_published
        found |= read_by(ref) if is_inner else {ref}
    return found


def test_tables_stand_below_what_they_read_and_have_their_data_tests_as_a_check(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    assert graph.get(model_key("meter_intervals")).parent_keys == {asset_key("meter_intervals")}
    assert graph.get(model_key("coverage_days")).parent_keys == {asset_key(name) for name in ALL}
    for name, model in load_project().models.items():
        if model.is_published:
            asset = graph.get(model_key(name))
            group = f"{GROUPS[model.folder]}_support" if name in SUPPORT else GROUPS[model.folder]
            assert ({key.path[-1] for key in asset.parent_keys}, asset.group_name) == (read_by(name), group)
    checked = {key.asset_key for key in graph.asset_check_keys}
    tested = {test.model for test in load_project().tests}
    assert {model_key(name) for name in tested if load_project().models[name].is_published} <= checked
    data_checks = {(key.asset_key, key.name) for key in graph.asset_check_keys if key.name != "data_tests"}
    assert data_checks == {(model_key(check.table), check.name) for check in DATA_CHECKS}
    # What stands apart has to be there to stand apart.
    assert {name for name, model in load_project().models.items() if model.is_published} >= SUPPORT


def test_assets_say_where_they_lie_whose_they_are_and_what_their_columns_are(settings: Settings) -> None:
    """Every column of every table was a "string", and nobody owned anything."""
    owned = settings.model_copy(update={"owners": ("team:energy", "anna@example.ch")})
    graph = build_definitions(owned).resolve_asset_graph()
    assert all(list(graph.get(key).owners) == list(owned.owners) for key in graph.materializable_asset_keys)
    for name, dataset in DATASETS.items():
        columns = graph.get(asset_key(name)).metadata["dagster/column_schema"].columns
        assert [column.name for column in columns] == list(dataset.schema)
        assert all(column.description for column in columns), name
        assert {column.name for column in columns if not column.constraints.nullable} == set(dataset.key)
        folder = owned.data_dir / "lake" / name
        assert graph.get(asset_key(name)).metadata["path"] == dg.MetadataValue.path(str(folder))
    # Nothing is published here: a type that nobody knows is not stated.
    for key in (model_key("billing_monthly"), model_key("meters")):
        assert {column.type for column in graph.get(key).metadata["dagster/column_schema"].columns} == {"unknown"}


def test_partitions_are_local_days_of_the_configured_zone(definitions: dg.Definitions) -> None:
    """At 23:30 UTC on 1 June it is already 2 June in Zurich, so 1 June has ended and is a partition."""
    partitions = definitions.resolve_asset_graph().get(asset_key("meter_intervals")).partitions_def
    assert partitions is not None
    keys = partitions.get_partition_keys(current_time=datetime(2026, 6, 1, 23, 30, tzinfo=UTC))
    assert (keys[0], keys[-1]) == ("2024-01-01", "2026-06-01")


def test_the_schedule_asks_again_for_the_look_back_in_one_run(definitions: dg.Definitions) -> None:
    schedule = definitions.resolve_schedule_def("daily_look_back")
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("30 6 * * *", "Europe/Zurich")
    at = datetime(2026, 10, 26, 5, 30, tzinfo=UTC)
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_schedule_context(instance=instance, scheduled_execution_time=at)
        (request,) = schedule.evaluate_tick(context).run_requests
    assert request.tags["dagster/asset_partition_range_start"] == "2026-10-12"
    assert request.tags["dagster/asset_partition_range_end"] == "2026-10-25"
    assert request.run_config == {"ops": {"ingest": {"config": {"refetch": True, "goes_first": True}}}}
    assert request.tags["climkit/asks"] == "14 days, 1 calls per meter and series"


def test_raw_readings_are_asked_for_once_a_week_and_with_whole_months() -> None:
    """They were half of every morning's calls, and no bill waits for a day of them."""
    own, monday = load_settings(), date(2026, 10, 26)
    usual, week = look_back_from(monday, own), [monday - timedelta(days=number) for number in range(1, 8)]
    assert asks_for_raw(monday, usual, own, [])
    assert [asks_for_raw(monday, usual, own, [newest]) for newest in week] == [False] * 6 + [True]
    third = date(2026, 11, 3)
    assert asks_for_raw(third, look_back_from(third, own), own, [third - timedelta(days=1)])
    assert asks_for_raw(monday, usual, load_settings(raw_data="all"), week[:1])


@pytest.mark.parametrize(
    ("today", "first"),
    [
        (date(2026, 11, 2), date(2026, 10, 19)),
        (date(2026, 11, 3), date(2026, 10, 1)),
        (date(2026, 11, 4), date(2026, 10, 21)),
        (date(2026, 11, 10), date(2026, 10, 27)),
        (date(2026, 11, 11), date(2026, 10, 1)),
        (date(2026, 1, 3), date(2025, 12, 1)),
        (date(2024, 1, 11), date(2024, 1, 1)),
    ],
)
def test_two_mornings_a_month_ask_for_the_whole_month_before(today: date, first: date) -> None:
    """A look-back of 14 days never saw the first half of a month again after its end: no month was ever confirmed."""
    assert look_back_from(today, load_settings()) == first


@pytest.mark.parametrize(
    ("today", "newest", "first"),
    [
        (date(2026, 10, 26), date(2026, 10, 25), date(2026, 10, 12)),
        (date(2026, 10, 26), date(2026, 10, 22), date(2026, 10, 12)),
        (date(2026, 10, 26), date(2026, 9, 1), date(2026, 8, 1)),  # what the mornings of 3 and 11 September asked for
        (date(2026, 10, 26), date(2026, 9, 20), date(2026, 9, 1)),  # that of 3 and 11 October was missed, too
        (date(2026, 11, 5), date(2026, 11, 1), date(2026, 10, 1)),  # that of 3 November was missed
        (date(2026, 11, 5), date(2026, 11, 4), date(2026, 10, 22)),
    ],
)
def test_after_missed_mornings_one_asks_for_all_that_they_would_have(today: date, newest: date, first: date) -> None:
    assert look_back_from(today, load_settings(), newest) == first


def test_a_tick_of_a_day_that_has_not_begun_asks_for_nothing(definitions: dg.Definitions) -> None:
    schedule = definitions.resolve_schedule_def("daily_look_back")
    at = datetime.now(UTC) + timedelta(days=3)
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_schedule_context(instance=instance, scheduled_execution_time=at)
        answer = schedule.evaluate_tick(context)
    assert answer.run_requests == []
    assert "has not begun" in str(answer.skip_message)


def test_a_run_marks_exactly_the_good_days_green_and_names_what_failed(tmp_path: Path) -> None:
    """One meter's October is refused: its dataset has no green day, the others are whole."""
    world = World(seed=3, sites=1, meters=2)
    broken = world.sites[0].meters[0].id

    def refuse(request: Request) -> Fault | None:
        is_broken = request.endpoint == "meter_data" and request.subject == broken
        return Fault("status", status=403) if is_broken else None

    with (
        SimulatorServer(world, requests_per_second=None, interceptor=refuse) as server,
        launcher(server, tmp_path) as (launch, instance, reports),
    ):
        assert not launch.ingest(date(2026, 10, 24), date(2026, 10, 26), ALL, (), refetch=False)
        days = {"2026-10-24", "2026-10-25", "2026-10-26"}
        for name in ALL:
            green = instance.get_materialized_partitions(asset_key(name))
            assert green == (set() if name == "meter_intervals" else days), name
        assert [failure.subject_id for failure in reports[-1].failures] == [broken]
        (run,) = instance.get_runs()
        assert (run.job_name, run.status) == (INGEST_JOB.name, dg.DagsterRunStatus.FAILURE)
        # Of the same code location as the UI's runs: its timeline lists no others.
        (workspace,) = yaml.safe_load((ROOT_DIR / "workspace.yaml").read_text())["load_from"]
        location = workspace["python_module"]["location_name"]
        assert run.remote_job_origin is not None
        assert run.remote_job_origin.repository_origin.get_label() == f"__repository__@{location}"
        # A red day says why, with the name that people know.
        records = instance.fetch_observations(asset_key("meter_intervals"), limit=10).records
        observed = {record.partition_key: record.asset_observation for record in records}
        assert set(observed) == days
        why = str(observed["2026-10-25"].metadata["why"].value)
        assert broken in why
        assert world.sites[0].meters[0].name in why

        server.interceptor = None
        assert launch.ingest(date(2026, 10, 24), date(2026, 10, 26), ("meter_intervals",), (), refetch=False)
        assert instance.get_materialized_partitions(asset_key("meter_intervals")) == days
        assert reports[-1].calls == {"meter_intervals": 1}
        event = instance.get_latest_materialization_event(asset_key("meter_intervals"))
        assert event is not None
        materialization = event.asset_materialization
        assert materialization is not None
        assert materialization.metadata["complete"].value == 2


def test_a_refresh_runs_the_models_publishes_and_then_has_nothing_to_do(tmp_path: Path) -> None:
    world = World(seed=3, sites=1, meters=2)
    with (
        SimulatorServer(world, requests_per_second=None) as server,
        launcher(server, tmp_path) as (launch, instance, _),
    ):
        assert launch.ingest(date(2026, 10, 24), date(2026, 10, 26), ALL, (), refetch=False)
        launch.refresh_models()
        warehouse = tmp_path / "data" / "warehouse.duckdb"
        first = warehouse.stat().st_mtime_ns
        assert instance.get_latest_materialization_event(dg.AssetKey(["warehouse", "billing_monthly"])) is not None
        launch.refresh_models()
        assert warehouse.stat().st_mtime_ns == first
        runs = instance.get_runs(dg.RunsFilter(job_name=MODELS_JOB.name))
        assert [run.status for run in runs] == [dg.DagsterRunStatus.SUCCESS] * 2
        second, first_run = runs
        _assert_the_data_are_judged(instance, first_run.run_id)
        assert evaluations(instance, second.run_id) == {}, "nothing changed, and a check was run again"
        said = [entry.message for run in runs for entry in instance.all_logs(run.run_id)]
        assert any(f"published: {warehouse}, " in message for message in said)
        assert not [message for message in said if "PosixPath" in message]
        types = _types(build_definitions(settings_for("http://127.0.0.1:9/api/v1", tmp_path)), "billing_monthly")
        assert (types["billing_month"], types["reasons"], types["total"]) == ("date", "varchar[]", "decimal(18,6)")
        _assert_alarms_follow_the_warehouse(instance, settings_for(server.base_url, tmp_path), world)


def _assert_alarms_follow_the_warehouse(instance: dg.DagsterInstance, settings: Settings, world: World) -> None:
    """The site is silent since 27 October; its month is an alarm once a meter of it is blocked, and long over."""
    site = world.sites[0]
    now = datetime(2026, 11, 28, 12, tzinfo=UTC)
    (silent,) = watch_alarms(instance, settings, now, now)
    assert silent.key == f"silent {site.site_id}"
    assert silent.since == datetime(2026, 10, 26, 23, tzinfo=UTC)
    with duckdb.connect(settings.data_dir / "warehouse.duckdb") as connection:
        connection.execute("update bill_rows set grade = 'blocked', reasons = ['stuck_unread: because']")
    _, blocked = watch_alarms(instance, settings, now, now)
    assert blocked.key == "blocked 2026-10"
    assert blocked.what.startswith("2026-10: 2 of 2 meters blocked")
    assert "stuck_unread (2)" in blocked.what
    assert blocked.since == datetime(2026, 11, 15, 23, tzinfo=UTC)
    early = datetime(2026, 11, 15, 22, 59, tzinfo=UTC)
    assert [alarm.key for alarm in watch_alarms(instance, settings, early, early)] == [silent.key]


def _types(definitions: dg.Definitions, table: str) -> dict[str, str]:
    schema = definitions.resolve_asset_graph().get(model_key(table)).metadata["dagster/column_schema"]
    return {column.name: column.type for column in schema.columns}


def evaluations(instance: dg.DagsterInstance, run_id: str) -> dict[tuple[str, str], dg.AssetCheckEvaluation]:
    """The results of a run's checks, by table and name."""
    events = instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    found = [entry.dagster_event.asset_check_evaluation_data for entry in events if entry.dagster_event]
    return {(each.asset_key.path[-1], each.check_name): each for each in found}


def _assert_the_data_are_judged(instance: dg.DagsterInstance, run_id: str) -> None:
    """Three days of October are whole and old: the one thing to tell is that nothing newer came."""
    checks = evaluations(instance, run_id)
    assert {(check.table, check.name) for check in DATA_CHECKS} <= set(checks)
    assert all(check.description for check in checks.values())
    failed = {key for key, check in checks.items() if not check.passed}
    assert failed == {("meter_intervals", "freshness")}
    stale = checks["meter_intervals", "freshness"]
    assert (stale.severity, stale.blocking) == (dg.AssetCheckSeverity.WARN, False)
    assert "newest day" in str(stale.description)
    assert "2026-10-26" in str(stale.description)
    for table, picture in (
        ("data_quality_monthly", "completeness by site and day"),
        ("billing_monthly", "grades by month"),
    ):
        event = instance.get_latest_materialization_event(model_key(table))
        assert event is not None
        assert event.asset_materialization is not None
        metadata = event.asset_materialization.metadata
        assert str(metadata[picture].value).startswith(f"![{picture}](data:image/svg+xml;base64,")
        (row,) = metadata["grades by site and month"].records
        assert (row.data["month"], row.data["meters"], row.data["blocked"]) == ("2026-10", 2, 0)


def test_history_asks_for_the_newest_month_that_lacks_something_when_nothing_else_is_due(tmp_path: Path) -> None:
    world = World(seed=3, sites=1, meters=1)
    with (
        SimulatorServer(world, requests_per_second=None) as server,
        launcher(server, tmp_path) as (launch, instance, _),
    ):
        own = settings_for(server.base_url, tmp_path)
        sensor = build_definitions(own).resolve_sensor_def("history")
        assert sensor.default_status == dg.DefaultSensorStatus.STOPPED
        today = datetime.now(UTC).astimezone(own.zone).date()
        last_month = month_start(month_start(today) - timedelta(days=1))
        # Until yesterday everything is there, back to the middle of the month before.
        assert launch.ingest(last_month + timedelta(days=14), today - timedelta(days=1), ALL, (), refetch=False)

        def asked(cursor: str | None) -> tuple[list[tuple[str, str]], str | None]:
            context = dg.build_sensor_context(instance=instance, cursor=cursor)
            found = sensor.evaluate_tick(context)
            ranges = [
                (request.tags["dagster/asset_partition_range_start"], request.tags["dagster/asset_partition_range_end"])
                for request in found.run_requests or []
            ]
            return ranges, found.cursor

        first, cursor = asked(None)
        end_of_last = month_start(today) - timedelta(days=1)
        expected = (last_month.isoformat(), min(end_of_last, today - timedelta(days=1)).isoformat())
        assert first == [expected]
        # It was tried today, so the month before it is next.
        second, _ = asked(cursor)
        assert second == [
            (month_start(last_month - timedelta(days=1)).isoformat(), (last_month - timedelta(days=1)).isoformat())
        ]


@pytest.mark.parametrize(
    ("job_name", "selection", "tags", "requests"),
    [
        (INGEST_JOB.name, None, {}, 1),
        (INGEST_JOB.name, None, {MODELS_BY_CALLER_TAG: "by the command"}, 0),
        (MODELS_JOB.name, None, {}, 0),
        ("__ASSET_JOB", {asset_key("meter_intervals")}, {}, 1),
        ("__ASSET_JOB", {dg.AssetKey(["warehouse", "meters"])}, {}, 0),
    ],
)
@pytest.mark.parametrize(
    "name", ["models_after_ingestion", "models_after_partial_failure", "models_after_cancellation"]
)
def test_models_follow_ingestions_that_nobody_follows_up(  # noqa: PLR0917 - two parametrizations
    definitions: dg.Definitions,
    name: str,
    job_name: str,
    selection: set[dg.AssetKey] | None,
    tags: dict[str, str],
    requests: int,
) -> None:
    """A materialization from the UI runs in Dagster's own asset job: it must be followed, too."""
    sensor = definitions.resolve_sensor_def(name)
    run = dg.DagsterRun(
        job_name=job_name, asset_selection=frozenset(selection) if selection else None, tags=tags,
        status=dg.DagsterRunStatus.SUCCESS,
    )  # fmt: skip
    with dg.DagsterInstance.ephemeral() as instance:
        event = dg.DagsterEvent(
            event_type_value=dg.DagsterEventType.RUN_SUCCESS.value, job_name=job_name, message="done"
        )
        context = dg.build_run_status_sensor_context(
            sensor_name=sensor.name, dagster_event=event, dagster_instance=instance, dagster_run=run
        )
        answer = sensor(context)
        assert isinstance(answer, dg.RunRequest) == bool(requests)
        # One that waits for its turn will follow this ingestion, too.
        instance.add_run(dg.DagsterRun(job_name=MODELS_JOB.name, status=dg.DagsterRunStatus.NOT_STARTED))
        assert isinstance(sensor(context), dg.SkipReason)
