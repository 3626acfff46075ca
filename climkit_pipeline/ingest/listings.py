"""What an account consists of: sites, their meters and sensors, as listed once per run.

Here: the listing calls and what they say together. Not here: how listings become daily snapshots (``snapshots``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from zoneinfo import ZoneInfo

from climkit_pipeline.api import answers, calls
from climkit_pipeline.api.client import Answer, ClimkitClient
from climkit_pipeline.domain.meters import SPLIT_TYPES, site_series_types
from climkit_pipeline.domain.periods import local_day
from climkit_pipeline.errors import ApiError, ApiUnavailableError, AuthenticationError, UnexpectedPayloadError
from climkit_pipeline.lake import schemas


@dataclass(frozen=True, slots=True)
class SiteListing:
    """One site with its meters and sensors, and the answers that said so (by dataset)."""

    site: answers.Site
    zone: ZoneInfo
    """In which the site's days are filed."""
    stated_zone: ZoneInfo
    """What the listing states now, or what sites have that state none."""
    is_timezone_assumed: bool
    meters: tuple[answers.Meter, ...]
    sensors: tuple[answers.Sensor, ...]
    listed_at_utc: datetime
    answers: dict[str, Answer] = field(repr=False)

    @property
    def site_id(self) -> str:
        """The site's id."""
        return self.site.site_id

    @property
    def name(self) -> str:
        """What people call it."""
        return self.site.name or self.site_id

    def names(self, subject_id: str) -> tuple[str, ...]:
        """What people call the site and one of its meters or sensors, as far as it is known."""
        of_subject = [meter.name for meter in self.meters if meter.meter_id == subject_id]
        of_subject += [sensor.name for sensor in self.sensors if sensor.sensor_id == subject_id]
        return tuple(filter(None, [self.site.name, *of_subject[:1]]))

    def is_before_creation(self, day: date) -> bool:
        """Whether the site did not exist yet on a local day: nothing is asked for it."""
        created = self.site.created_at_utc
        return created is not None and local_day(day, self.zone).end_utc <= created

    def subjects(self, dataset: str) -> list[str]:
        """What a series dataset asks about at this site: meters, meter types or sensors."""
        if dataset == schemas.SITE_INTERVALS.name:
            return site_series_types({meter.meter_type for meter in self.meters})
        if dataset == schemas.METER_INTERVALS.name:
            return list(dict.fromkeys(meter.meter_id for meter in self.meters))
        if dataset == schemas.METER_INDICES.name:
            return list(dict.fromkeys(meter.meter_id for meter in self.meters if not meter.is_rule_meter))
        if dataset == schemas.SENSOR_READINGS.name:
            return list(dict.fromkeys(sensor.sensor_id for sensor in self.sensors))
        raise ValueError(f"{dataset} is no series")

    def interval_minutes(self, dataset: str, subject_id: str) -> int | None:
        """The step of the subject's intervals where it is certain: 15 for electricity; None where data must tell."""
        if dataset == schemas.SITE_INTERVALS.name:
            types = {subject_id}
        else:
            types = {meter.meter_type for meter in self.meters if meter.meter_id == subject_id}
        return 15 if types & SPLIT_TYPES else None


@dataclass(frozen=True, slots=True)
class Listings:
    """Every listed site that could be read, and why the others could not."""

    sites: tuple[SiteListing, ...]
    failures: dict[str, str]
    """Reason by site id."""


def list_site_ids(client: ClimkitClient) -> list[str]:
    """The ids of the account's sites; one call."""
    return client.installations()


def fetch_listings(
    client: ClimkitClient,
    site_ids: list[str],
    default_zone: ZoneInfo,
    filed_zones: Mapping[str, ZoneInfo],
    on_call: Callable[[], None] = lambda: None,
) -> Listings:
    """Sites, meters and sensors of ``site_ids``: three calls a site. A site whose calls fail stops no other.

    A site of which there are days already stays in the zone in which they are filed (``filed_zones``).
    """
    sites, failures = [], {}
    for site_id in site_ids:
        try:
            sites.append(_fetch_site(client, site_id, default_zone, filed_zones, on_call))
        except AuthenticationError:
            raise
        except ApiError as error:
            if isinstance(error, ApiUnavailableError) and not error.was_reached:
                raise  # nobody is there: the next site would fare no better
            failures[site_id] = str(error)
    return Listings(tuple(sites), failures)


def _fetch_site(
    client: ClimkitClient,
    site_id: str,
    default_zone: ZoneInfo,
    filed_zones: Mapping[str, ZoneInfo],
    on_call: Callable[[], None],
) -> SiteListing:
    received: dict[str, Answer] = {}
    for dataset, call in (
        (schemas.SITES.name, calls.installation_infos(site_id)),
        (schemas.METERS.name, calls.meter_info(site_id)),
        (schemas.SENSORS.name, calls.sensors_list(site_id)),
    ):
        received[dataset] = client.perform(call)
        on_call()
    site = answers.parse_site(received[schemas.SITES.name].payload, site_id)
    stated_zone = zone_of(site, default_zone)
    return SiteListing(
        site=site,
        zone=filed_zones.get(site_id, stated_zone),
        stated_zone=stated_zone,
        is_timezone_assumed=site.timezone is None,
        meters=tuple(answers.parse_meters(received[schemas.METERS.name].payload)),
        sensors=tuple(answers.parse_sensors(received[schemas.SENSORS.name].payload)),
        listed_at_utc=received[schemas.METERS.name].received_at_utc,
        answers=received,
    )


def zone_of(site: answers.Site, default_zone: ZoneInfo) -> ZoneInfo:
    """The site's zone, or ``default_zone`` where it states none.

    Raises UnexpectedPayloadError for a zone that does not exist: with a guessed zone every month would be wrong.
    """
    if site.timezone is None:
        return default_zone
    try:
        return ZoneInfo(site.timezone)
    except (KeyError, OSError, ValueError) as error:
        raise UnexpectedPayloadError(f"site {site.site_id} states a time zone that does not exist") from error
