"""Jobs of ``bench_ingest``, each a process of its own: an ingestion, answers left behind, and their commit.

python ingest_jobs.py ingest FROM TO ROWS_FILE      with the settings of the environment
python ingest_jobs.py land DATA_DIR SITES           the answers of a month of SITES x 30 meters
python ingest_jobs.py commit DATA_DIR
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from climkit_pipeline.api.client import ClimkitClient
from climkit_pipeline.api.pacer import Pacer
from climkit_pipeline.domain.periods import QUARTER_HOUR, local_days
from climkit_pipeline.ingest.commit import commit_folder
from climkit_pipeline.ingest.ingestion import Ingestion
from climkit_pipeline.ingest.landing import Landed, abandoned_folders, open_landing
from climkit_pipeline.ingest.reports import IngestRequest
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.settings import load_settings

MONTH = date(2026, 10, 1), date(2026, 10, 31)
METERS_OF_A_SITE = 30
ZONE = ZoneInfo("Europe/Zurich")


def ingest(first: str, last: str, rows_file: str) -> None:
    settings = load_settings()
    pacer = Pacer(settings.data_dir / "pacer", settings.requests_per_second)
    with ClimkitClient(base_url=settings.base_url, username="demo", password="demo-simulator", pacer=pacer) as client:
        request = IngestRequest(
            date.fromisoformat(first), date.fromisoformat(last), ("sites", "meters", "sensors", "meter_intervals")
        )
        report = Ingestion(settings=settings, client=client).run(request)
    Path(rows_file).write_text(json.dumps(report.committed.rows))


def land(data_dir: str, sites: str) -> None:
    """Put a month of answers on disk as a killed run leaves them; all meters say the same, but for one figure."""
    days = local_days(*MONTH, ZONE)
    stamps = [days.start_utc + QUARTER_HOUR * number for number in range(1, days.count() + 1)]
    rows = [{"timestamp": f"{stamp:%Y-%m-%d %H:%M:%S}+00:00", "total": number % 97 / 1000,
             "self": number % 31 / 1000, "ext": number % 13 / 1000} for number, stamp in enumerate(stamps)]  # fmt: skip
    received = datetime(2026, 11, 20, tzinfo=UTC)
    with open_landing(Layout(Path(data_dir)).landing, "left-behind") as folder:
        for number in range(int(sites) * METERS_OF_A_SITE):
            rows[number % len(rows)]["total"] = number / 1000
            folder.add(
                Landed(
                    dataset="meter_intervals",
                    site_id=f"site-{number // METERS_OF_A_SITE:03d}",
                    subject_id=f"meter-{number:05d}",
                    timezone=ZONE.key,
                    first_day=MONTH[0],
                    last_day=MONTH[1],
                    received_at_utc=received + timedelta(seconds=number),
                    asked_from_utc=days.start_utc,
                    asked_until_utc=days.end_utc + QUARTER_HOUR,
                    exists_from_utc=days.start_utc - timedelta(days=100),
                    interval_minutes=15,
                    body=json.dumps(rows).encode(),
                )
            )


def commit(data_dir: str) -> None:
    layout = Layout(Path(data_dir))
    with abandoned_folders(layout.landing) as (folder,):
        report = commit_folder(layout, folder)
    assert len(report.days_written) == 31


if __name__ == "__main__":
    {"ingest": ingest, "land": land, "commit": commit}[sys.argv[1]](*sys.argv[2:])
