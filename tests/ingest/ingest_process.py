"""One ingestion run as a process of its own; the job is the only argument, as JSON."""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from datetime import date, datetime
from pathlib import Path

from ingest_bench import CREDENTIALS, SERIES, Clock

from climkit_pipeline.api.client import ClimkitClient
from climkit_pipeline.api.pacer import Pacer
from climkit_pipeline.errors import ClimkitError
from climkit_pipeline.ingest.ingestion import Ingestion
from climkit_pipeline.ingest.reports import IngestRequest
from climkit_pipeline.settings import load_settings


def die_at_rename(number: int) -> None:
    """Kill this process, without a chance to tidy up, as it puts a day file of a series in place for the n-th time."""
    renames = 0

    def watch(event: str, details: tuple) -> None:
        nonlocal renames
        if event == "os.rename" and any(f"/lake/{dataset}/day=2" in str(details[1]) for dataset in SERIES):
            renames += 1
            if renames == number:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)


def fill_disk_at_rename(folder: str, number: int) -> None:
    """Let no file grow beyond a stamp once the n-th file has been put in place under ``folder``."""
    renames = 0

    def watch(event: str, details: tuple) -> None:
        nonlocal renames
        if event == "os.rename" and f"/{folder}/" in str(details[1]):
            renames += 1
            if renames == number:
                resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))

    sys.addaudithook(watch)


def main(job: dict) -> None:
    clock = Clock(datetime.fromisoformat(job["now"]))
    settings = load_settings(
        base_url=job["base_url"],
        data_dir=Path(job["data_dir"]),
        state_dir=Path(job["state_dir"]),
        requests_per_second=1000,
        **CREDENTIALS,
        **job["settings"],
    )
    pacer = Pacer(settings.state_dir / "pacer", 1000)
    with ClimkitClient(base_url=settings.base_url, **CREDENTIALS, pacer=pacer, now=clock.now) as client:
        if job["die_at_rename"]:
            die_at_rename(job["die_at_rename"])
        if job["disk_full"]:
            fill_disk_at_rename(*job["disk_full"])
        request = {name: tuple(v) if isinstance(v, list) else v for name, v in job["request"].items()}
        days = date.fromisoformat(job["first"]), date.fromisoformat(job["last"])
        report = Ingestion(settings=settings, client=client, now=clock.now).run(IngestRequest(*days, **request))
    sys.exit(0 if report.is_good else 1)


if __name__ == "__main__":
    try:
        main(json.loads(sys.argv[1]))
    except ClimkitError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        sys.exit(error.exit_status)
