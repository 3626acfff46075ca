"""What a person would write by hand to get meters' quarter-hours into a file per day: no package of ours is imported.

    python hand_script.py BASE_URL USERNAME PASSWORD FROM TO OUT

It asks once for every meter and month, keeps each answer as it came, and writes one Parquet file per local day. It
tries nothing again, compares nothing with what is there already, and knows nothing of what is missing.
"""

from __future__ import annotations

import gzip
import json
import sys
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx
import polars as pl

QUARTER = timedelta(minutes=15)


def midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time.min, tzinfo=zone).astimezone(UTC)


def months(first: date, last: date) -> list[tuple[date, date]]:
    found = []
    while first <= last:
        end = min(last, (first.replace(day=1) + timedelta(days=32)).replace(day=1) - timedelta(days=1))
        found.append((first, end))
        first = end + timedelta(days=1)
    return found


def rows_of(answer: list[dict], site: str, meter: str, first: datetime, end: datetime) -> list[dict]:
    rows = []
    for row in answer:
        stamp = datetime.fromisoformat(row["timestamp"]).astimezone(UTC)
        if first < stamp <= end:
            rows.append(
                {
                    "site_id": site,
                    "meter_id": meter,
                    "interval_start_utc": stamp - QUARTER,
                    "interval_end_utc": stamp,
                    "total": row.get("total"),
                    "solar": row.get("self"),
                    "grid": row.get("ext"),
                }
            )
    return rows


def main(base_url: str, log_in: dict, first: date, last: date, out: Path) -> None:
    schema = {
        "site_id": pl.String,
        "meter_id": pl.String,
        "interval_start_utc": pl.Datetime("us", "UTC"),
        "interval_end_utc": pl.Datetime("us", "UTC"),
        "total": pl.Float64,
        "solar": pl.Float64,
        "grid": pl.Float64,
    }
    (out / "answers").mkdir(parents=True)
    with httpx.Client(base_url=base_url, timeout=60) as client:
        token = client.post("/auth", json=log_in).json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        for site in client.get("/all_installations").json():
            site_id = site["id"] if isinstance(site, dict) else site
            zone = ZoneInfo(client.get(f"/installation_infos/{site_id}").json().get("timezone") or "Europe/Zurich")
            meters = [meter["id"] for meter in client.get(f"/meter_info/{site_id}").json()]
            for month_first, month_last in months(first, last):
                begin, end = midnight(month_first, zone), midnight(month_last + timedelta(days=1), zone)
                rows = []
                for meter in meters:
                    answer = client.post(
                        f"/meter_data/{site_id}/{meter}",
                        json={
                            "t_s": begin.replace(tzinfo=None).isoformat(),
                            "t_e": (end + QUARTER).replace(tzinfo=None).isoformat(),
                            "sampling_frequency": "15T",
                        },
                    )
                    answer.raise_for_status()
                    name = f"{meter}-{month_first}.json.gz"
                    (out / "answers" / name).write_bytes(gzip.compress(answer.content, compresslevel=1))
                    rows += rows_of(json.loads(answer.content), site_id, meter, begin, end)
                frame = pl.DataFrame(rows, schema=schema)
                local = pl.col("interval_start_utc").dt.convert_time_zone(zone.key).dt.date().alias("day")
                for (day,), of_day in frame.with_columns(local).partition_by("day", as_dict=True).items():
                    folder = out / site_id / f"day={day}"
                    folder.mkdir(parents=True)
                    of_day.drop("day").sort("meter_id", "interval_start_utc").write_parquet(
                        folder / "data.parquet", compression="zstd"
                    )


if __name__ == "__main__":
    url, user, secret, start, stop, folder = sys.argv[1:]
    main(url, {"username": user, "password": secret}, date.fromisoformat(start), date.fromisoformat(stop), Path(folder))
