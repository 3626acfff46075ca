"""A month from its closing to a dispute: closed, revised by the provider, settled, excluded, opened again."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import duckdb
import pytest
from accounts import PASSWORD, USERNAME, Account, Finished, account_for, assert_refused

from climkit_pipeline.ingest.opening import open_ingestion
from climkit_pipeline.ingest.reports import IngestRequest
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.settings import Settings, load_settings
from climkit_pipeline.simulator import Fault, Request, SimulatorServer, World
from climkit_pipeline.warehouse.closed_files import content_hash, read_rows, read_versions, version_file
from climkit_pipeline.warehouse.refresh import model_settings, refresh

pytestmark = pytest.mark.story

MONTH = date(2026, 2, 1)
FIRST, LAST = date(2026, 2, 1), date(2026, 2, 28)
MORE_KWH = Decimal("0.02")
"""What one quarter-hour gains in the revision; less than any check tolerates between index and intervals."""


@dataclass
class Story:
    """What commands said, and what the warehouse held after each step."""

    account: Account
    settings: Settings
    world: World
    said: dict[str, Finished] = field(default_factory=dict)
    held: dict[str, dict[str, list[tuple[Any, ...]]]] = field(default_factory=dict)
    instants: dict[str, datetime] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    """Of decisions.csv, after what was refused."""

    @property
    def site(self) -> str:
        return self.world.sites[0].site_id

    def meter(self, kind: str) -> str:
        return next(meter.id for meter in self.world.sites[0].meters if meter.kind == kind)

    @property
    def layout(self) -> Layout:
        return Layout(self.settings.data_dir)

    def fetch(self, *, refetch: bool = False) -> None:
        with open_ingestion(self.settings) as ingestion:
            assert ingestion.run(IngestRequest(FIRST, LAST, refetch=refetch)).is_good
        refresh(self.layout, model_settings(self.settings))

    def command(self, step: str, *arguments: str) -> Finished:
        self.said[step] = self.account.climkit(*arguments)
        return self.said[step]

    def look(self, step: str) -> None:
        queries = {
            "billing": "select * from billing_monthly order by meter_id",
            "closed": "select * from billing_closed order by meter_id",
            "closings": "select version, kind, closed_by, reason, is_closed from billing_closings order by version",
            "corrections": "select * from billing_corrections order by meter_id, quantity",
            "superseded": "select * from meter_intervals_superseded",
        }
        self.held[step] = {name: self.rows(sql) for name, sql in queries.items()}
        self.instants[step] = datetime.now(UTC)

    def rows(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.layout.warehouse), read_only=True) as connection:
            connection.execute("set timezone = 'UTC'")
            return connection.execute(sql, list(parameters)).fetchall()

    def as_of(self, instant: datetime) -> list[tuple[Any, ...]]:
        return self.rows("select * from billing_as_of(?) order by meter_id", instant)

    def number(self, version: int) -> datetime:
        """The state of the lake that a version stands on."""
        return read_versions(self.layout, self.site, MONTH)[version - 1].lake_as_of_utc


def revise(flat: str) -> Any:
    """Makes the provider tell of one quarter-hour of the flat that it used more from the grid."""

    def rewrite(payload: Any) -> Any:
        row = payload[1000]
        row["total"] = float(Decimal(str(row["total"])) + MORE_KWH)
        row["ext"] = float(Decimal(str(row["ext"])) + MORE_KWH)
        return payload

    def intercept(request: Request) -> Fault | None:
        if request.endpoint == "meter_data" and request.subject == flat:
            return Fault("rewrite", rewrite=rewrite)
        return None

    return intercept


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("closing")
    with SimulatorServer(World(seed=3, sites=1, meters=3), requests_per_second=None) as server:
        account = account_for(server, folder)
        settings = load_settings(
            base_url=server.base_url, username=USERNAME, password=PASSWORD, requests_per_second=500,
            data_dir=account.data_dir, state_dir=folder / "state",
        )  # fmt: skip
        told = Story(account, settings, server.world)
        site, flat, roof = told.site, told.meter("flat"), told.meter("photovoltaics")
        told.fetch()
        told.look("fetched")
        told.command("close", "close", "2026-02", "--site", site, "--by", "A. Clerk")
        told.command("close again", "close", "2026-02", "--site", site)
        told.look("closed")

        server.interceptor = revise(flat)
        told.command(
            "exclude", "accept", "missing_intervals", "--site", site, "--meter", roof, "--from", "2026-02-01",
            "--to", "2026-02-28", "--by", "A. Clerk", "--why", "settled by hand", "--exclude",
        )  # fmt: skip
        told.fetch(refetch=True)
        told.look("revised")
        told.command("export closed", "export", "billing", "2026-02")
        told.command("export current", "export", "billing", "2026-02", "--current", "--site", site)
        refresh(told.layout, model_settings(settings), full=True)
        told.look("rebuilt")

        told.command("settle", "settle", "2026-02", "--site", site, "--by", "B. Clerk")
        told.look("settled")
        told.command("reopen", "close", "2026-02", "--site", site, "--by", "C", "--reopen", "--why", "wrong tenant")
        told.look("reopened")

        about = ("--site", site, "--by", "A. Clerk", "--why", "read on the spot", "--from", "2026-02-10", "--to")
        told.command("accept in vain", "accept", "too_young", *about, "2026-02-28")
        told.command("accept a part", "accept", "index_difference", *about, "2026-02-28")
        told.command("accept at nowhere", "accept", "null_intervals", *about, "2026-02-28", "--site", "nosuch")
        decisions = told.layout.config / "decisions.csv"
        told.lines = decisions.read_text().splitlines()
        decisions.write_text("\n".join([*told.lines, f"too_young,{site},,2026-02-01,2026-02-28,accept,A,old"]) + "\n")
        told.command("accept a whole day", "accept", "null_intervals", *about, "2026-02-10")
        told.command("refresh", "refresh")
        reopened = version_file(told.layout, read_versions(told.layout, site, MONTH)[-1])
        reopened.rename(told.layout.root / "taken")
        told.command("refresh without it", "refresh")
        told.command("check without it", "check")
        (told.layout.root / "taken").rename(reopened)
        yield told


def test_a_ready_month_is_closed_with_the_rows_that_were_there(story: Story) -> None:
    assert story.said["close"].status == 0, story.said["close"].err
    assert "is closed by A. Clerk: version 1, 3 meters" in story.said["close"].out
    width = len(story.held["fetched"]["billing"][0])
    assert [row[:width] for row in story.held["closed"]["closed"]] == story.held["fetched"]["billing"]


def test_closing_twice_is_refused_and_changes_nothing(story: Story) -> None:
    assert_refused(story.said["close again"], 1, "was closed on", "by A. Clerk (version 1)", "settle", "--reopen")
    assert story.held["closed"]["closings"] == [(1, "close", "A. Clerk", None, True)]


def test_the_frozen_file_tells_what_it_was_computed_from(story: Story) -> None:
    version, *_ = read_versions(story.layout, story.site, MONTH)
    rows = read_rows(story.layout, version)
    assert (version.kind, version.meters, rows.height) == ("close", 3, 3)
    assert content_hash(rows) == version.content_hash
    assert rows["grade"].to_list() == ["ready"] * 3
    assert version.frozen_columns == (*(row[0] for row in story.rows("describe billing_monthly")), "lines")
    assert timedelta(0) < version.closed_at_utc - version.lake_as_of_utc < timedelta(hours=1)


def corrections(story: Story, step: str) -> list[dict[str, Any]]:
    names = [row[0] for row in story.rows("describe billing_corrections")]
    return [dict(zip(names, row, strict=True)) for row in story.held[step]["corrections"]]


def test_a_revision_leaves_the_closed_rows_and_becomes_a_correction(story: Story) -> None:
    assert story.held["revised"]["closed"] == story.held["closed"]["closed"]
    found = [row for row in corrections(story, "revised") if row["meter_id"] == story.meter("flat")]
    assert [(row["quantity"], row["delta"], row["cause"]) for row in found] == [
        ("grid", MORE_KWH, "values"),
        ("total", MORE_KWH, "values"),
    ]
    [(revised_at,)] = story.rows("select max(fetched_at_utc) from meter_intervals")
    assert {row["first_seen_at_utc"] for row in found} == {revised_at}
    [old] = story.held["revised"]["superseded"]
    assert old[8] == revised_at


def test_a_decision_after_closing_is_a_correction_with_that_cause(story: Story) -> None:
    assert story.said["exclude"].status == 0, story.said["exclude"].err
    assert "`climkit refresh` applies it" in story.said["exclude"].out
    assert f"2026-02 of site {story.site} is closed: corrections follow" in story.said["exclude"].err
    found = {
        row["quantity"]: row for row in corrections(story, "revised") if row["meter_id"] == story.meter("photovoltaics")
    }
    assert {row["cause"] for row in found.values()} == {"decision"}
    total = found["total"]
    assert (total["current_value"], total["delta"]) == (None, -total["closed_value"])
    assert total["closed_value"] > 0


def test_what_was_known_at_the_closing_is_exactly_what_was_closed(story: Story) -> None:
    frozen = story.held["fetched"]["billing"]
    assert story.as_of(story.number(1)) == frozen
    assert story.as_of(story.instants["closed"]) == frozen
    assert story.as_of(story.instants["revised"]) == frozen


def test_a_dispute_is_replayed_from_the_closed_file_to_the_intervals_known_then(story: Story) -> None:
    """The sums are made here, in Decimal, of every interval as it was known; not by the models."""
    version, *_ = read_versions(story.layout, story.site, MONTH)
    sums: dict[str, Decimal] = {}
    for meter_id, total in story.rows("select meter_id, total from meter_intervals_as_of(?)", version.lake_as_of_utc):
        sums[meter_id] = sums.get(meter_id, Decimal(0)) + Decimal(str(total))
    closed = read_rows(story.layout, version)
    assert dict(closed.select("meter_id", "total").iter_rows()) == sums
    now = {
        row[0]: row[1]
        for row in story.rows("select meter_id, sum(total::decimal(18, 6)) from meter_intervals group by 1")
    }
    flat = story.meter("flat")
    assert now[flat] == sums[flat] + MORE_KWH


def test_before_the_closing_there_are_sums_and_no_grade(story: Story) -> None:
    """Between two calls of the first fetch: what had come by then, and nothing that says it may be billed."""
    early = story.number(1) - timedelta(days=1)
    assert {(row[11], row[33]) for row in story.as_of(early)} == {(None, None)}


def test_an_export_says_that_it_writes_the_closed_version(story: Story) -> None:
    closed, current = story.said["export closed"], story.said["export current"]
    assert (closed.status, current.status) == (0, 0)
    assert f"2026-02 of site {story.site}: version 1, closed on" in closed.err
    assert "as they are now" in current.err
    assert "2026-02: billed meters: 1 ready; not billed: 2 ready" in closed.err
    old, new = (
        {row["meter_id"]: row for row in csv.DictReader(io.StringIO(text))} for text in (closed.out, current.out)
    )
    flat = story.meter("flat")
    assert Decimal(new[flat]["total"]) - Decimal(old[flat]["total"]) == MORE_KWH
    assert {row["version"] for row in old.values()} == {"1"}


def test_settling_freezes_the_corrections_as_the_next_version(story: Story) -> None:
    assert story.said["settle"].status == 0, story.said["settle"].err
    assert story.held["settled"]["closings"] == [
        (1, "close", "A. Clerk", None, False),
        (2, "settle", "B. Clerk", None, True),
    ]
    assert story.held["settled"]["corrections"] == []
    first, second, *_ = (read_rows(story.layout, version) for version in read_versions(story.layout)[:2])
    delta = second["total"].sum() - first["total"].sum()
    assert delta == MORE_KWH
    known = story.as_of(story.instants["settled"])
    assert known == [row[: len(known[0])] for row in story.held["settled"]["closed"]]
    assert story.as_of(story.instants["revised"]) == story.held["fetched"]["billing"]


def test_a_full_rebuild_gives_the_same_rows(story: Story) -> None:
    """When a correction was first seen is told by no file of the lake, unless it is about values."""
    assert story.held["rebuilt"] == story.held["revised"]


def test_opening_again_is_recorded_and_deletes_nothing(story: Story) -> None:
    assert story.said["reopen"].status == 0, story.said["reopen"].err
    assert story.held["reopened"]["closings"] == [
        (1, "close", "A. Clerk", None, False),
        (2, "settle", "B. Clerk", None, False),
        (3, "reopen", "C", "wrong tenant", False),
    ]
    assert (story.held["reopened"]["closed"], story.held["reopened"]["corrections"]) == ([], [])
    assert story.as_of(story.instants["closed"]) == story.held["fetched"]["billing"]
    assert {row[33] for row in story.as_of(story.instants["reopened"])} == {None}


def test_what_accepts_nothing_by_its_nature_is_refused_and_leaves_the_file_alone(story: Story) -> None:
    assert_refused(story.said["accept in vain"], 2, "too_young cannot be accepted")
    assert_refused(story.said["accept a part"], 2, "index_difference is judged by whole months, and 2026-02 is not")
    assert_refused(story.said["accept at nowhere"], 2, "no site 'nosuch' was ever listed; ", "decisions.csv by hand")
    assert [line.partition(",")[0] for line in story.lines] == ["check", "missing_intervals"]


def test_accept_speaks_of_its_own_line_and_refresh_of_all(story: Story) -> None:
    """Every `accept` repeated what is doubtful about older lines, as if it were about the new one."""
    nothing_failed = "by what is published, null_intervals did not fail from 2026-02-10 to 2026-02-10"
    accepted, refreshed = story.said["accept a whole day"], story.said["refresh"]
    assert (accepted.status, refreshed.status) == (0, 0), refreshed.err
    assert accepted.err.splitlines() == [f"climkit: {nothing_failed} at site {story.site!r}: nothing is accepted"]
    assert "decisions.csv, line 3: too_young cannot be accepted" in refreshed.err
    assert f"decisions.csv, line 4: {nothing_failed}" in refreshed.err


def test_a_closed_file_that_is_gone_stops_the_refresh_and_is_named_by_check(story: Story) -> None:
    """The reopening was the last file: without it, the month simply counted as closed again."""
    refused = story.said["refresh without it"]
    assert (refused.status, refused.out) == (1, "")
    assert refused.err.endswith("v0003.parquet is gone, and warehouse.duckdb holds it: restore it from a backup\n")
    assert story.said["check without it"].status == 1
    assert "v0003.parquet is gone" in " ".join(story.said["check without it"].out.split())
    assert story.rows("select max(version) from billing_closings") == [(3,)]
