"""The columns of every dataset: the contract between ingestion and the SQL models.

Here: names, types, keys and order. Not here: how files are merged (``lake.day_files``) or where they lie
(``lake.layout``). Energies are kWh, volumes m3, as the API states them; instants are UTC.

Every row carries ``extra`` (unknown fields as JSON text), ``fetched_at_utc`` (when this value was first seen) and
``superseded_at_utc`` (when another value replaced it; null = current).
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

INSTANT = pl.Datetime("us", "UTC")

VERSION_COLUMNS: dict[str, pl.DataType | type[pl.DataType]] = {
    "extra": pl.String,
    "fetched_at_utc": INSTANT,
    "superseded_at_utc": INSTANT,
}


@dataclass(frozen=True)
class Dataset:
    """One dataset of the lake.

    ``subject`` names the column that, with ``site_id``, says what one API call is about; ``time`` the column that
    orders rows inside a day (None for snapshots); ``columns`` holds the measured or described columns, key first.
    """

    name: str
    kind: str
    """``snapshot``, ``interval`` or ``reading``."""
    subject: str
    time: str | None
    columns: dict[str, pl.DataType | type[pl.DataType]]
    description: str

    @property
    def key(self) -> tuple[str, ...]:
        """The columns that identify a row, whatever its version."""
        parts = dict.fromkeys(("site_id", self.subject))
        return (*parts, self.time) if self.time else tuple(parts)

    @property
    def values(self) -> tuple[str, ...]:
        """The columns whose change makes a new version."""
        return tuple(column for column in self.columns if column not in self.key)

    @property
    def schema(self) -> dict[str, pl.DataType | type[pl.DataType]]:
        """All columns of a day file, in order."""
        return {**self.columns, **VERSION_COLUMNS}


SITES = Dataset(
    name="sites",
    kind="snapshot",
    subject="site_id",
    time=None,
    columns={
        "site_id": pl.String,
        "site_ref": pl.String,
        "site_name": pl.String,
        "street_name": pl.String,
        "street_number": pl.String,
        "postal_code": pl.String,
        "city": pl.String,
        "created_at_utc": INSTANT,
        "latitude": pl.Float64,
        "longitude": pl.Float64,
        "timezone": pl.String,
        "is_timezone_assumed": pl.Boolean,
    },
    description="One row per site as listed on that day.",
)

METERS = Dataset(
    name="meters",
    kind="snapshot",
    subject="meter_id",
    time=None,
    columns={
        "site_id": pl.String,
        "meter_id": pl.String,
        "meter_name": pl.String,
        "meter_type": pl.String,
        "meter_mode": pl.String,
        "primary_address": pl.Int64,
        "is_rule_meter": pl.Boolean,
    },
    description="One row per meter as listed on that day.",
)

SENSORS = Dataset(
    name="sensors",
    kind="snapshot",
    subject="sensor_id",
    time=None,
    columns={
        "site_id": pl.String,
        "sensor_id": pl.String,
        "sensor_name": pl.String,
        "sensor_type": pl.String,
        "unit": pl.String,
        "model": pl.String,
    },
    description="One row per sensor as listed on that day.",
)

SITE_INTERVALS = Dataset(
    name="site_intervals",
    kind="interval",
    subject="meter_type",
    time="interval_start_utc",
    columns={
        "site_id": pl.String,
        "meter_type": pl.String,
        "interval_start_utc": INSTANT,
        "interval_end_utc": INSTANT,
        "consumption": pl.Float64,
        "production": pl.Float64,
        "grid_import": pl.Float64,
        "self_consumption": pl.Float64,
        "grid_export": pl.Float64,
        "storage_charge": pl.Float64,
        "storage_discharge": pl.Float64,
    },
    description="Validated series of a site per meter type, 15 minutes, kWh or m3 per interval.",
)

METER_INTERVALS = Dataset(
    name="meter_intervals",
    kind="interval",
    subject="meter_id",
    time="interval_start_utc",
    columns={
        "site_id": pl.String,
        "meter_id": pl.String,
        "interval_start_utc": INSTANT,
        "interval_end_utc": INSTANT,
        "total": pl.Float64,
        "solar": pl.Float64,
        "grid": pl.Float64,
    },
    description="Validated series of a meter, 15 minutes, kWh or m3 per interval.",
)

METER_INDICES = Dataset(
    name="meter_indices",
    kind="reading",
    subject="meter_id",
    time="read_at_utc",
    columns={
        "site_id": pl.String,
        "meter_id": pl.String,
        "read_at_utc": INSTANT,
        "index_import_kwh": pl.Float64,
        "index_export_kwh": pl.Float64,
        "heat_kwh": pl.Float64,
        "volume_m3": pl.Float64,
    },
    description="Raw readings of a physical meter: cumulative register indices, or interval values of a load curve.",
)

SENSOR_READINGS = Dataset(
    name="sensor_readings",
    kind="reading",
    subject="sensor_id",
    time="read_at_utc",
    columns={
        "site_id": pl.String,
        "sensor_id": pl.String,
        "read_at_utc": INSTANT,
        "reading": pl.Float64,
    },
    description="Readings of a sensor, in the unit that its listing states.",
)

DATASETS: dict[str, Dataset] = {
    dataset.name: dataset
    for dataset in (SITES, METERS, SENSORS, SITE_INTERVALS, METER_INTERVALS, METER_INDICES, SENSOR_READINGS)
}
SNAPSHOTS = tuple(dataset for dataset in DATASETS.values() if dataset.kind == "snapshot")
SERIES = tuple(dataset for dataset in DATASETS.values() if dataset.kind != "snapshot")

COVERAGE_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "site_id": pl.String,
    # The meter, sensor or meter type that was asked for; for snapshots the site itself.
    "subject_id": pl.String,
    "first_asked_at_utc": INSTANT,
    "last_asked_at_utc": INSTANT,
    "last_changed_at_utc": INSTANT,
    "interval_minutes": pl.Int32,
    # Rows that must exist that day (null where that is unknown: readings, snapshots) and current rows held.
    "expected": pl.Int32,
    "received": pl.Int32,
    # complete, gap, empty, pending or failed
    "state": pl.String,
    "gaps": pl.List(pl.Struct({"gap_start_utc": INSTANT, "gap_end_utc": INSTANT})),
    # Answers in a row, asked after the day had ended, that said the same.
    "equal_answers": pl.Int32,
    # Those of them that were asked after the site's local month had ended, too: two of them confirm a month.
    "equal_after_month": pl.Int32,
    "detail": pl.String,
}
"""One row per site and subject in every ``coverage.parquet``."""


@dataclass(frozen=True)
class Journal:
    """What happened, one row per event, one file per UTC day of the event; rows never change."""

    name: str
    time: str
    """The column whose UTC date names the partition."""
    key: tuple[str, ...]
    columns: dict[str, pl.DataType | type[pl.DataType]]


API_CALLS = Journal(
    name="api_calls",
    time="started_at_utc",
    key=("run_id", "sequence", "started_at_utc"),
    columns={
        "run_id": pl.String,
        # Of the attempt inside its process.
        "sequence": pl.Int64,
        "endpoint": pl.String,
        "site_id": pl.String,
        # The meter, the sensor or the meter type that the call is about.
        "subject_id": pl.String,
        # What the call is made for: daily, look-back, history, raw, comparison, audit; null for log-ins and listings.
        "purpose": pl.String,
        "window_start_utc": INSTANT,
        "window_end_utc": INSTANT,
        "attempt": pl.Int32,
        "started_at_utc": INSTANT,
        "duration_seconds": pl.Float64,
        # The HTTP status, null if none came; and one word for what came of it.
        "status": pl.Int32,
        "outcome": pl.String,
        "rows": pl.Int64,
        "bytes": pl.Int64,
        "sha256": pl.String,
    },
)
"""The ledger of calls: one row per attempt, log-ins included."""

FINDINGS = Journal(
    name="findings",
    time="found_at_utc",
    key=("found_at_utc", "code", "dataset", "site_id", "subject_id"),
    columns={
        "found_at_utc": INSTANT,
        "code": pl.String,
        "dataset": pl.String,
        "site_id": pl.String,
        "subject_id": pl.String,
        "first_day": pl.Date,
        "last_day": pl.Date,
        "occurrences": pl.Int64,
        "samples": pl.List(pl.String),
    },
)
"""What was odd in answers: one row per answer and kind."""

ANSWER_COMPARISONS = Journal(
    name="answer_comparisons",
    time="compared_at_utc",
    key=("compared_at_utc", "site_id", "meter_id", "first_day"),
    columns={
        "compared_at_utc": INSTANT,
        "site_id": pl.String,
        "meter_type": pl.String,
        "meter_id": pl.String,
        # The window, in local days, that was asked for both ways.
        "first_day": pl.Date,
        "last_day": pl.Date,
        # Intervals in both answers, those that differ, and the first of these in words.
        "compared": pl.Int64,
        "differing": pl.Int64,
        "sample": pl.String,
        # equal, differs, or nothing where there was nothing to compare.
        "outcome": pl.String,
        # Whether the site's consumption was the sum of its meters' columns in every row.
        "adds_up": pl.Boolean,
    },
)
"""Series of meters asked for both ways, by an answer about the meter and by one about its site: one row per window."""

STATED_MONTHS = Journal(
    name="stated_months",
    time="stated_at_utc",
    key=("stated_at_utc", "site_id", "meter_id", "billing_month"),
    columns={
        "stated_at_utc": INSTANT,
        "site_id": pl.String,
        "meter_id": pl.String,
        # The first day of the site's local month.
        "billing_month": pl.Date,
        # False where the answer lacks the month; the values are null then.
        "is_stated": pl.Boolean,
        "total": pl.Float64,
        "solar": pl.Float64,
        "grid": pl.Float64,
        # What the stored intervals of the whole month added up to; null where some are missing, or nobody added them.
        "intervals_total": pl.Float64,
        # last answer or intervals: what the total differs from, beyond rounding; null where it does not.
        "differs_from": pl.String,
    },
)
"""What the API states of whole months (frequency M): one row per month asked for, whether it was answered or not."""

JOURNALS = (API_CALLS, FINDINGS, ANSWER_COMPARISONS, STATED_MONTHS)
