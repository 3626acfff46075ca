"""Daily snapshots of what is listed (``sites``, ``meters``, ``sensors``).

A listing fills the day it was fetched, and each past day of the range that has none yet; ``fetched_at_utc`` tells
which is which. The snapshot of a past day is never changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import polars as pl

from climkit_pipeline.api import answers
from climkit_pipeline.api.series import extra_text
from climkit_pipeline.ingest.frames import rows_frame
from climkit_pipeline.lake.schemas import METERS, SENSORS, SITES, Dataset


def parse_answer(
    dataset: Dataset, payload: object, *, site_id: str, timezone: str, is_timezone_assumed: bool, fetched_at: datetime
) -> pl.DataFrame:
    """The listed rows, for any day: the dataset's columns, ``extra`` and ``fetched_at_utc``."""
    if dataset is SITES:
        site = answers.parse_site(payload, site_id)
        columns = _site_columns(site, timezone, is_timezone_assumed=is_timezone_assumed)
        extras = [extra_text(site.extra)]
    elif dataset is METERS:
        meters = {meter.meter_id: meter for meter in answers.parse_meters(payload)}.values()
        columns = _columns(meters, site_id, {"meter_name": "name"}, dataset)
        extras = [extra_text(meter.extra) for meter in meters]
    else:
        sensors = {sensor.sensor_id: sensor for sensor in answers.parse_sensors(payload)}.values()
        columns = _columns(sensors, site_id, {"sensor_name": "name"}, SENSORS)
        extras = [extra_text(sensor.extra) for sensor in sensors]
    no_dates = [fetched_at.date()] * len(extras)
    return rows_frame(dataset, columns, extras=extras, local_dates=no_dates, fetched_at=fetched_at).drop("local_date")


def _site_columns(site: answers.Site, timezone: str, *, is_timezone_assumed: bool) -> Mapping[str, Sequence[Any]]:
    named = {"site_name": "name"}
    own = {"timezone": timezone, "is_timezone_assumed": is_timezone_assumed}
    return {name: [own[name] if name in own else getattr(site, named.get(name, name))] for name in SITES.columns}


def _columns(
    records: Any,  # noqa: ANN401 - meters or sensors, alike in what is used here
    site_id: str,
    named: Mapping[str, str],
    dataset: Dataset,
) -> Mapping[str, Sequence[Any]]:
    return {
        name: [site_id if name == "site_id" else getattr(record, named.get(name, name)) for record in records]
        for name in dataset.columns
    }
