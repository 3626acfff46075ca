"""Two backfills on one data directory: they leave no secret behind, and a correction in between reaches the bill."""

from __future__ import annotations

import base64
import gzip
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from urllib.parse import quote

import duckdb
import polars as pl
import pytest
from accounts import Account, Finished, account_for

from climkit_pipeline.simulator import Call, Fault, Request, SimulatorServer, World

pytestmark = pytest.mark.story

PASSWORD = "pässword/that+nobody may see"
RANGE = ("--debug", "backfill", "2026-10-01", "2026-10-02")
SERIES = {"meter_data", "site_data", "meter_data_raw", "sensor_data"}
CHANGED, NULLED = (datetime(2026, 10, 1, 9, 45, tzinfo=UTC), datetime(2026, 10, 2, 17, tzinfo=UTC))
TAKEN_BACK = datetime(2026, 10, 2, 6, 15, tzinfo=UTC)
"""Stamps of three quarter-hours that the provider corrects between the two backfills."""


class Observed(SimulatorServer):
    """A server that remembers every token it gave out."""

    def __init__(self, world: World) -> None:
        super().__init__(world, requests_per_second=None, password=PASSWORD, interceptor=self._meet)
        self.issued: list[str] = []
        self.landing: tuple[Path, Path] | None = None
        self.is_corrected = False

    def log_in(self, username: object, password: object) -> dict[str, object] | None:
        session = super().log_in(username, password)
        if session is not None:
            self.issued.append(str(session["access_token"]))
        return session

    def _meet(self, request: Request) -> Fault | None:
        """Early faults of every kind that ends in a message; later, corrected values; once, a look at landing."""
        if request.endpoint in SERIES and self.landing is not None and len(self.calls) > 14:
            shutil.copytree(*self.landing)
            self.landing = None
        kind = {"meter_info": "http_500", "site_data": "expired", "sensor_data": "html"}.get(request.endpoint)
        if kind and request.attempt == 1:
            return Fault(kind)
        if self.is_corrected and (request.endpoint, request.subject) == ("meter_data", self.meter):
            return Fault("rewrite", rewrite=correct)
        return None

    @property
    def meter(self) -> str:
        return self.world.sites[0].meters[0].id

    def series_calls(self) -> list[Call]:
        return [call for call in self.calls if call.endpoint in SERIES and call.fault in (None, "rewrite")]


def correct(rows: object) -> object:
    assert isinstance(rows, list)
    corrected = []
    for row in rows:
        stamp = datetime.fromisoformat(row["timestamp"]).astimezone(UTC)
        if stamp == CHANGED:
            corrected.append({**row, "total": 77.25})
        elif stamp == NULLED:
            corrected.append({**row, "total": None})
        elif stamp != TAKEN_BACK:
            corrected.append(row)
    return corrected


@dataclass
class Lived:
    """Both backfills, the calls of each, and the bill of the meter after the second."""

    server: Observed
    account: Account
    landing: Path
    finished: list[Finished] = field(default_factory=list)
    calls: list[list[Call]] = field(default_factory=list)

    def backfill(self, *options: str) -> None:
        self.server.forget_calls()
        self.finished.append(self.account.climkit(*RANGE, *options))
        self.calls.append(self.server.series_calls())

    def bill(self) -> dict[str, object]:
        with duckdb.connect(str(self.account.data_dir / "warehouse.duckdb"), read_only=True) as connection:
            bill = connection.execute("from billing_monthly where meter_id = ?", [self.server.meter])
            names = [column[0] for column in bill.description]
            (row,) = bill.fetchall()
            return dict(zip(names, row, strict=True))


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lived]:
    folder = tmp_path_factory.mktemp("lived")
    with Observed(World(seed=3, sites=1, meters=2)) as server:
        account = account_for(server, folder)
        account = replace(account, environment=account.environment | {"CLIMKIT_PASSWORD": PASSWORD})
        lived = Lived(server, account, folder / "landing-caught")
        server.landing = account.data_dir / "landing", lived.landing
        lived.backfill("--no-models")
        server.is_corrected = True
        lived.backfill("--refetch")
        yield lived


def text_of(path: Path) -> bytes:
    """What a file holds, unpacked: a secret in a compressed column is a secret all the same."""
    content = path.read_bytes()
    if path.suffix == ".gz":
        return content + gzip.decompress(content)
    if path.suffix == ".parquet":
        return content + pl.read_parquet(path, glob=False, hive_partitioning=False).write_ndjson().encode()
    if path.suffix == ".duckdb":
        with duckdb.connect(str(path), read_only=True) as database:
            tables = database.execute("select schema_name, table_name from duckdb_tables()").fetchall()
            return b"".join(
                repr(database.execute(f'from "{schema}"."{table}"').fetchall()).encode() for schema, table in tables
            )
    if content.startswith(b"SQLite format 3"):
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            return content + "\n".join(database.iterdump()).encode()
    return content


def test_no_file_and_no_line_that_a_backfill_leaves_holds_a_password_or_a_token(lived: Lived) -> None:
    """A token in a debug line, a run's configuration or a landed request opens the account to who reads a backup."""
    assert [finished.status for finished in lived.finished] == [0, 0], lived.finished
    assert len(set(lived.server.issued)) >= 3, "a log-in per process, and one after the token that ended early"
    files = [path for path in lived.account.folder.rglob("*") if path.is_file()]
    kinds = {path.suffix for path in files}
    assert {".gz", ".parquet", ".duckdb", ".db", ".json", ".lock"} <= kinds
    assert list(lived.landing.rglob("*.answer.gz")), "landing was not caught while it held answers"
    assert any("state" in path.parts for path in files)
    assert "try 1: " in lived.finished[0].err, "retries are told at debug level"
    secrets = {PASSWORD, quote(PASSWORD), repr(PASSWORD)[1:-1], base64.b64encode(PASSWORD.encode()).decode()}
    secrets |= {PASSWORD.encode("unicode_escape").decode(), *lived.server.issued}
    shown = {f"output {n}": (each.out + each.err).encode() for n, each in enumerate(lived.finished)}
    shown |= {str(path): text_of(path) for path in files} | {"names": "\n".join(map(str, files)).encode()}
    assert [name for name, text in shown.items() if any(secret.encode() in text for secret in secrets)] == []


def test_a_changed_a_nulled_and_a_taken_back_value_reach_the_bill_of_the_next_look_back(lived: Lived) -> None:
    """The invoice said one thing, the platform another, and nothing said that they differed."""
    world, meter = lived.server.world, lived.server.meter
    site = world.sites[0]
    registers = world.registers(site.site_id)

    def measured(stamp: datetime) -> Decimal:
        quarter = int(stamp.timestamp()) // 900
        before, after = registers.between(meter, quarter - 1, quarter)
        return Decimal(int(after - before)) / 1_000_000

    bill = lived.bill()
    days = datetime(2026, 10, 1).date(), datetime(2026, 10, 2).date()  # noqa: DTZ001 - local dates
    gone = sum(map(measured, (CHANGED, NULLED, TAKEN_BACK)))
    assert bill["total"] == world.truth_between(site.site_id, meter, *days).total - gone + Decimal("77.25")
    counts = ("intervals_expected", "intervals_missing", "intervals_null", "intervals_revised")
    assert [bill[count] for count in counts] == [2980, 2980 - 2 * 96 + 1, 1, 3]
    windows = [[(call.endpoint, call.subject, call.t_s, call.t_e) for call in calls] for calls in lived.calls]
    extra = [window for window in windows[1] if window not in windows[0]]
    # Only what is taken back needs a second look: one short answer must not withdraw anything.
    # A window begins 90 minutes before the first interval that is wanted.
    begins = TAKEN_BACK - timedelta(minutes=15 + 90)
    assert extra == [("meter_data", meter, begins, TAKEN_BACK + timedelta(minutes=15))]
    assert len(windows[1]) == len(windows[0]) + 1


def test_the_old_values_stay_in_the_day_files_with_when_they_were_replaced(lived: Lived) -> None:
    """Two years later somebody asks what the first invoice was made of."""
    folder = lived.account.data_dir / "lake" / "meter_intervals"
    rows = pl.concat(
        [
            pl.read_parquet(path, glob=False, hive_partitioning=False)
            for path in folder.glob("day=2026-10-0?/data.parquet")
        ]
    ).filter(meter_id=lived.server.meter)
    ended = rows.filter(pl.col("superseded_at_utc").is_not_null())
    assert set(ended["interval_end_utc"]) == {CHANGED, NULLED, TAKEN_BACK}
    new = rows.filter(pl.col("interval_end_utc").is_in([CHANGED, NULLED]), pl.col("superseded_at_utc").is_null())
    assert dict(new.select("interval_end_utc", "total").iter_rows()) == {CHANGED: 77.25, NULLED: None}
    replaced = dict(ended.select("interval_end_utc", "superseded_at_utc").iter_rows())
    assert dict(new.select("interval_end_utc", "fetched_at_utc").iter_rows()) == {
        stamp: replaced[stamp] for stamp in (CHANGED, NULLED)
    }
    assert replaced[TAKEN_BACK] > max(ended["fetched_at_utc"])
