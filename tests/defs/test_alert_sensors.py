"""The sensors that tell people: real runs that fail on a real simulator, and a real server that takes the messages."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from real_runs import launcher, settings_for
from receivers import HttpReceiver, http_receiver

from climkit_pipeline.defs.alert_sensors import build_alert_sensors
from climkit_pipeline.errors import AlertError
from climkit_pipeline.settings import Settings
from climkit_pipeline.simulator import Fault, Request, SimulatorServer, World

SECRET = "hunter2-nobody-may-see"
DATASETS = ("sites", "meters", "meter_intervals")


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with http_receiver() as receiver:
        yield receiver


class Sensor:
    """One of the sensors, looked at again and again with the cursor that it left."""

    def __init__(self, name: str, settings: Settings, instance: dg.DagsterInstance) -> None:
        self.now = datetime.now(UTC)
        sensors = {sensor.name: sensor for sensor in build_alert_sensors(settings, lambda: self.now)}
        self.sensor, self.instance, self.cursor = sensors[name], instance, None

    def look(self) -> str:
        context = dg.build_sensor_context(instance=self.instance, cursor=self.cursor)
        answer = self.sensor(context)
        self.cursor = context.cursor
        assert SECRET not in f"{answer} {self.cursor}"
        return str(answer.skip_message)


def alerting(server: SimulatorServer, folder: Path, receiver: HttpReceiver) -> Settings:
    return settings_for(server.base_url, folder, alert_urls=f"{receiver.address}?+token={SECRET}")


@pytest.mark.slow
def test_a_failure_is_told_once_told_again_when_it_is_another_and_when_it_is_over(
    tmp_path: Path, receiver: HttpReceiver
) -> None:
    """A meter is refused on two mornings, then another one too, then all is well."""
    world = World(seed=3, sites=1, meters=3)
    refused = {world.sites[0].meters[0].id}

    def refuse(request: Request) -> Fault | None:
        is_refused = request.endpoint == "meter_data" and request.subject in refused
        return Fault("status", status=403) if is_refused else None

    with (
        SimulatorServer(world, requests_per_second=None, interceptor=refuse) as server,
        launcher(server, tmp_path) as (launch, instance, _),
    ):
        sensor = Sensor("alert_failed_runs", alerting(server, tmp_path, receiver), instance)
        assert sensor.look() == "nothing new"

        assert not launch.ingest(date(2026, 10, 24), date(2026, 10, 25), DATASETS, (), refetch=False)
        (run,) = instance.get_runs()
        assert sensor.look() == "climkit: an ingestion failed: accepted by 1 (json)"
        (message,) = receiver.messages
        assert message["title"] == "climkit: an ingestion failed"
        for part in (next(iter(refused)), run.run_id, "2026-10-24 to 2026-10-25", "Since: 20", "climkit backfill 2026"):
            assert part in message["message"]

        assert sensor.look() == "nothing new"
        assert not launch.ingest(date(2026, 10, 25), date(2026, 10, 26), DATASETS, (), refetch=False)
        assert sensor.look() == "nothing new", "the same meter on the next morning"

        # A good run about other days mends nothing.
        refused.clear()
        assert launch.ingest(date(2026, 10, 20), date(2026, 10, 21), DATASETS, (), refetch=False)
        assert sensor.look() == "nothing new"

        refused.add(world.sites[0].meters[1].id)
        assert not launch.ingest(date(2026, 10, 27), date(2026, 10, 27), DATASETS, (), refetch=False)
        receiver.status = 503
        with pytest.raises(AlertError, match="it answered 503"):
            sensor.look()
        receiver.status = 200
        assert sensor.look().startswith("climkit: an ingestion failed"), "what nobody took is sent again"
        assert len(receiver.messages) == 2
        assert world.sites[0].meters[1].id in receiver.messages[1]["message"]

        refused.clear()
        assert launch.ingest(date(2026, 10, 20), date(2026, 10, 27), DATASETS, (), refetch=False)
        assert sensor.look().startswith("climkit: over: an ingestion failed (and 1 more)")
        assert sensor.look() == "nothing new"
        assert len(receiver.messages) == 3


@pytest.mark.slow
def test_nothing_came_is_told_after_so_many_hours_and_is_over_with_a_good_run(
    tmp_path: Path, receiver: HttpReceiver
) -> None:
    with (
        SimulatorServer(World(seed=3, sites=1, meters=2), requests_per_second=None) as server,
        launcher(server, tmp_path) as (launch, instance, _),
    ):
        sensor = Sensor("alert_nothing_came", alerting(server, tmp_path, receiver), instance)
        began = sensor.now
        assert sensor.look() == "nothing new", "switched on just now"
        sensor.now = began + timedelta(hours=36)
        assert sensor.look() == "nothing new"
        sensor.now = began + timedelta(hours=36, seconds=1)
        assert sensor.look().startswith("climkit: no good ingestion for 36 hours")
        sensor.now = began + timedelta(hours=90)
        assert sensor.look() == "nothing new", "still nothing, and it was told"
        assert "daily_look_back" in receiver.messages[0]["message"]

        assert launch.ingest(date(2026, 10, 24), date(2026, 10, 24), ("sites", "meters"), (), refetch=False)
        sensor.now = datetime.now(UTC)
        assert sensor.look().startswith("climkit: over: no good ingestion")
        sensor.now += timedelta(hours=37)
        assert sensor.look().startswith("climkit: no good ingestion"), "it counts from the last good run now"
    assert receiver.titles == [
        "climkit: no good ingestion for 36 hours",
        "climkit: over: no good ingestion for 36 hours",
        "climkit: no good ingestion for 36 hours",
    ]


def test_sensors_are_off_and_say_why_until_there_is_an_address(tmp_path: Path) -> None:
    quiet = settings_for("http://127.0.0.1:9/api/v1", tmp_path)
    loud = settings_for("http://127.0.0.1:9/api/v1", tmp_path, alert_urls="json://127.0.0.1:9/")
    assert {sensor.default_status for sensor in build_alert_sensors(quiet)} == {dg.DefaultSensorStatus.STOPPED}
    assert {sensor.default_status for sensor in build_alert_sensors(loud)} == {dg.DefaultSensorStatus.RUNNING}
    with dg.DagsterInstance.ephemeral() as instance:
        for name in ("alert_failed_runs", "alert_nothing_came", "alert_listing"):
            assert Sensor(name, quiet, instance).look() == "CLIMKIT_ALERT_URLS is not set"


@pytest.mark.slow
def test_a_meter_that_is_new_gone_or_changed_is_told_once_by_its_name(tmp_path: Path, receiver: HttpReceiver) -> None:
    world = World(seed=3, sites=1, meters=3)
    site = world.sites[0]
    gone, turned = site.meters[0], site.meters[1]

    def without_gone(rows: list[dict[str, object]]) -> list[dict[str, object]]:
        kept = [row for row in rows if row["id"] != gone.id]
        return [row | {"mode": "production"} if row["id"] == turned.id else row for row in kept]

    def listing(request: Request) -> Fault | None:
        is_other = changed and request.endpoint == "meter_info"
        return Fault("rewrite", rewrite=without_gone) if is_other else None

    changed: set[str] = set()
    day = date(2026, 10, 24)
    with SimulatorServer(world, requests_per_second=None, interceptor=listing) as server:
        for _ in range(3):
            with launcher(server, tmp_path) as (launch, instance, _):
                assert launch.ingest(day, day, ("sites", "meters"), (), refetch=True)
            changed |= {gone.id, turned.id}
        sensor = Sensor("alert_listing", alerting(server, tmp_path, receiver), instance)
        assert sensor.look() == "nothing new", "it may still be on its way to the disk"
        sensor.now += timedelta(minutes=2)
        assert "and 1 more" in sensor.look()
        sensor.now += timedelta(minutes=10)
        assert sensor.look() == "nothing new"
        with launcher(server, tmp_path) as (_, instance, _):
            events = instance.fetch_observations(dg.AssetKey(["climkit", "meters"]), limit=10).records
    (message,) = receiver.messages
    said = f"{turned.name} of {site.name}: meter mode was {turned.mode}, is production"
    for part in (f"{gone.name} of {site.name}", "meters.csv", said, site.site_id):
        assert part in message["message"]
    (event,) = events
    observation = event.asset_observation
    assert observation is not None
    assert observation.metadata["listed otherwise"].value == 2
    assert gone.name in str(observation.metadata["what"].value)
