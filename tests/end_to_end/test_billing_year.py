"""A year of two sites in two zones, from the API to the bill and to a dispute about it a year later.

The simulator serves it over real sockets, the real client and ingestion fetch it at times of the test's choice, and
commands do all that follows. What is expected is the simulator's truth, and counts made here by walking through UTC in
steps of a quarter-hour; nothing is taken from the calendar or the models under test.

Zurich: created on 5 December 2023; a flat's meter appears on 14 May 2024; July is not asked for at first.
New York: created on 16 December 2023, changes its clocks on 10 March and 3 November; a flat's meter vanishes on 11
September 2024, five minutes after it was asked for the last time; its heat meter (hourly) sends nothing in November.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import duckdb
import polars as pl
import pytest
from accounts import PASSWORD, USERNAME, Account, Finished, account_for

from climkit_pipeline.api.client import ClimkitClient
from climkit_pipeline.api.pacer import Pacer
from climkit_pipeline.ingest.ingestion import Ingestion
from climkit_pipeline.ingest.reports import IngestRequest
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.settings import load_settings
from climkit_pipeline.simulator import DataFault, Fault, Request, SimulatorServer, World
from climkit_pipeline.simulator.registers import solar
from climkit_pipeline.warehouse.closed_files import content_hash, read_rows, read_versions

pytestmark = pytest.mark.story

QUARTER = timedelta(minutes=15)
MEGA = 1_000_000
"""Registers count in millionths."""
MONTHS = [date(2023, 12, 1), *(date(2024, month, 1) for month in range(1, 13))]
FIRST, LAST = date(2023, 12, 1), date(2024, 12, 31)
YEAR = (date(2024, 1, 1), LAST)
APPEARS, VANISHES = date(2024, 5, 14), date(2024, 9, 11)
NEVER_ASKED, WITHOUT_DATA = date(2024, 7, 1), date(2024, 11, 1)
DISPUTED = date(2024, 10, 1)
BEFORE_IT_VANISHES = datetime(2024, 9, 11, 3, 55, tzinfo=UTC)
"""Five minutes to midnight in New York: the last quarter-hour of the last day is never served."""
IN_FEBRUARY = datetime(2025, 2, 20, 9, tzinfo=UTC)
"""Later than 35 days after December: what is asked for the first time counts as confirmed."""
IN_MARCH = datetime(2025, 3, 5, 9, tzinfo=UTC)
DATASETS = ("sites", "meters", "sensors", "meter_intervals", "meter_indices")
MORE_KWH = Decimal("0.02")
"""What a quarter-hour gains in the late revision."""

MeterMonth = tuple[str, str, date]


@dataclass
class Row:
    """What is looked at of one row of billing_monthly."""

    grade: str
    codes: list[str]
    expected: int
    present: int
    total: Decimal | None
    solar: Decimal | None
    grid: Decimal | None
    billable: Decimal | None
    is_billed: bool
    index_start: Decimal | None
    index_end: Decimal | None
    index_advance: Decimal | None
    sources: tuple[str, str]
    register: str | None


COLUMNS = """site_id, meter_id, billing_month, grade,
    list_transform(reasons, lambda reason: split_part(reason, ':', 1)), intervals_expected, intervals_present,
    total, solar, grid, billable_total, is_billed, index_start, index_end, index_advance,
    (index_start_source, index_end_source), index_register"""


@dataclass
class Story:
    """The account, the world behind it, and copies of what was published after each step."""

    account: Account
    server: SimulatorServer
    world: World
    clock: list[datetime]
    said: dict[str, Finished] = field(default_factory=dict)

    @property
    def layout(self) -> Layout:
        return Layout(self.account.data_dir)

    @property
    def zurich(self) -> str:
        return self.world.sites[0].site_id

    @property
    def new_york(self) -> str:
        return self.world.sites[1].site_id

    def meter(self, site_id: str, kind: str) -> str:
        (meter,) = self.world.site(site_id).of_kind(kind)
        return meter.id

    def now(self) -> datetime:
        """A millisecond later at every look, so that no two answers tie."""
        self.clock[0] += timedelta(milliseconds=1)
        return self.clock[0]

    def ingest(self, at: datetime, first: date, last: date, *site_ids: str, again: bool = False) -> None:
        self.clock[0] = at
        settings = load_settings(
            base_url=self.server.base_url, username=USERNAME, password=PASSWORD, data_dir=self.account.data_dir,
            state_dir=self.account.folder / "state", requests_per_second=1000,
        )  # fmt: skip
        client = ClimkitClient(
            base_url=settings.base_url,
            username=USERNAME,
            password=PASSWORD,
            pacer=Pacer(settings.state_dir / "pacer", 1000),
            now=self.now,
        )
        try:
            ingestion = Ingestion(settings=settings, client=client, now=self.now)
            report = ingestion.run(
                IngestRequest(first, last, datasets=DATASETS, site_ids=site_ids or None, refetch=again)
            )
        finally:
            client.close()
        assert not report.failures

    def command(self, step: str, *arguments: str) -> Finished:
        self.said[step] = self.account.climkit(*arguments)
        return self.said[step]

    def keep(self, step: str) -> None:
        shutil.copyfile(self.layout.warehouse, self.account.folder / f"{step}.duckdb")

    def rows(self, step: str, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        """The answer of what was published after a step."""
        with duckdb.connect(str(self.account.folder / f"{step}.duckdb"), read_only=True) as connection:
            connection.execute("set timezone = 'UTC'")
            return connection.execute(sql, list(parameters)).fetchall()

    def billing(self, step: str) -> dict[MeterMonth, Row]:
        found = self.rows(step, f"select {COLUMNS} from billing_monthly")
        return {(site, meter, month): Row(*rest) for site, meter, month, *rest in found}


def quarters(story: Story, site_id: str, first: date, last: date) -> list[datetime]:
    """The UTC starts of the quarter-hours of local days, both included, since the site's creation: a plain walk."""
    site = story.world.site(site_id)
    start = datetime(first.year, first.month, first.day, tzinfo=UTC) - timedelta(days=1)
    walked = (start + number * QUARTER for number in range(((last - first).days + 3) * 96))
    first = max(first, site.created)
    return [at for at in walked if first <= at.astimezone(site.zone).date() <= last]


def month_end(month: date) -> date:
    return (month + timedelta(days=31)).replace(day=1) - timedelta(days=1)


def due(story: Story, key: MeterMonth, *, is_dated: bool) -> int:
    """How many intervals the month holds, once the user has said when the flats' meters served."""
    site_id, meter_id, month = key
    first, last, lost = month, month_end(month), 0
    if is_dated and meter_id == story.meter(story.zurich, "flat"):
        first = max(first, APPEARS)
    if is_dated and meter_id == story.meter(story.new_york, "flat") and last >= VANISHES:
        last, lost = VANISHES - timedelta(days=1), 1
    every = 4 if meter_id == story.meter(site_id, "building_heat") else 1
    return (len(quarters(story, site_id, first, last)) if first <= last else 0) // every - lost


def truth(story: Story, key: MeterMonth) -> tuple[Decimal, Decimal | None, Decimal | None]:
    """Total, solar and grid that the meter counted in the month and the platform served.

    Exact: registers count whole steps of a millionth, and so do the values served, which a float carries unharmed.
    """
    site_id, meter_id, month = key
    known = story.world.month_truth(site_id, meter_id, month)
    if meter_id != story.meter(story.new_york, "flat") or month != VANISHES.replace(day=1):
        return known.total, known.solar, known.grid
    last = quarters(story, site_id, month, VANISHES - timedelta(days=1))[-1]
    number = int(last.timestamp()) // 900
    registers = story.world.registers(site_id)
    lost, sunny = (
        Decimal(registers.at(column, number + 1) - registers.at(column, number)) / MEGA
        for column in (meter_id, solar(meter_id))
    )
    assert known.solar is not None
    assert known.grid is not None
    return known.total - lost, known.solar - sunny, known.grid - (lost - sunny)


def keys(story: Story) -> list[MeterMonth]:
    """Every meter's months from its site's creation on; the meter that vanished has none after it."""
    gone = story.meter(story.new_york, "flat")
    return [
        (site.site_id, meter.id, month)
        for site in story.world.sites
        for meter in site.meters
        for month in MONTHS
        if meter.id != gone or month < VANISHES
    ]


def revise(meter_id: str) -> Any:
    """Makes the provider tell of one quarter-hour of a meter that it used more from the grid."""

    def rewrite(payload: Any) -> Any:
        row = payload[1000]
        row["total"] = float(Decimal(str(row["total"])) + MORE_KWH)
        row["ext"] = float(Decimal(str(row["ext"])) + MORE_KWH)
        return payload

    def intercept(request: Request) -> Fault | None:
        is_concerned = (request.endpoint, request.subject) == ("meter_data", meter_id)
        return Fault("rewrite", rewrite=rewrite) if is_concerned else None

    return intercept


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("year")
    clock = [BEFORE_IT_VANISHES]
    world = World(
        seed=5, sites=2, meters=5, created=date(2023, 11, 21), zones=("Europe/Zurich", "America/New_York"),
        step_minutes=60, clock=lambda: clock[0], cached_site_days=1000,
        data_faults=[
            DataFault("appears", 0, 0, APPEARS),
            DataFault("vanishes", 1, 0, VANISHES),
            DataFault("no_data", 1, 4, WITHOUT_DATA, month_end(WITHOUT_DATA)),
        ],
    )  # fmt: skip
    with SimulatorServer(world, requests_per_second=None, clock=lambda: clock[0]) as server:
        told = Story(account_for(server, folder), server, world, clock)
        zurich, new_york = told.zurich, told.new_york

        told.ingest(BEFORE_IT_VANISHES, FIRST, date(2024, 6, 30))
        told.ingest(told.clock[0], date(2024, 7, 1), VANISHES - timedelta(days=1), new_york)
        told.ingest(IN_FEBRUARY, date(2024, 8, 1), VANISHES - timedelta(days=1), new_york, again=True)
        told.ingest(told.clock[0], date(2024, 8, 1), LAST)
        assert told.command("refresh", "refresh").status == 0, told.said["refresh"].err
        told.command("close what was never asked", "close", "2024-07", "--site", zurich)
        told.command("close before it appears", "close", "2024-03", "--site", zurich, "--by", "A. Clerk")
        told.keep("fetched")

        told.ingest(IN_MARCH, NEVER_ASKED, month_end(NEVER_ASKED), zurich)
        told.ingest(told.clock[0], date(2024, 9, 1), VANISHES - timedelta(days=1), new_york, again=True)
        (told.layout.config).mkdir(exist_ok=True)
        (told.layout.config / "meters.csv").write_text(
            "site_id,meter_id,in_service_from,in_service_until\n"
            f"{zurich},{told.meter(zurich, 'flat')},{APPEARS},\n"
            f"{new_york},{told.meter(new_york, 'flat')},,{VANISHES - timedelta(days=1)}\n"
        )
        told.command("close", "close", "2024-10", "--site", zurich, "--by", "A. Clerk")
        told.command("close without data", "close", "2024-11", "--site", new_york)
        told.keep("dated")

        server.interceptor = revise(told.meter(zurich, "flat"))
        told.ingest(datetime.now(UTC) + timedelta(days=366), DISPUTED, month_end(DISPUTED), zurich, again=True)
        assert told.command("refresh again", "refresh").status == 0, told.said["refresh again"].err
        told.keep("disputed")
        yield told


# --- rows, counts and grades ---------------------------------------------------------------------------------------


def test_every_meter_has_a_row_for_each_month_it_was_asked_or_listed_and_no_other(story: Story) -> None:
    """Also for the month that was never asked for, between months that were; none before a site was created."""
    assert sorted(story.billing("fetched")) == sorted(keys(story))
    assert sorted(story.billing("dated")) == sorted(keys(story))


@pytest.mark.parametrize("step", ["fetched", "dated"])
def test_expected_counts_are_those_of_a_walk_through_local_time(story: Story, step: str) -> None:
    """Clock changes on different days in both zones, a leap day, hourly values, creation on a day in mid-month."""
    found = {key: row.expected for key, row in story.billing(step).items()}
    assert found == {key: due(story, key, is_dated=step == "dated") for key in keys(story)}
    grid = {site: story.meter(site, "grid") for site in (story.zurich, story.new_york)}
    by_site = {site: [found[site, grid[site], month] for month in MONTHS] for site in grid}
    whole = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    assert by_site[story.zurich] == [27 * 96, *(d * 96 + {3: -4, 10: 4}.get(m, 0) for m, d in enumerate(whole, 1))]
    assert by_site[story.new_york] == [16 * 96, *(d * 96 + {3: -4, 11: 4}.get(m, 0) for m, d in enumerate(whole, 1))]


def odd_rows(story: Story) -> dict[MeterMonth, tuple[str, list[str]]]:
    """Grade and reasons of every row that is not ready before anybody dated a meter."""
    appears, vanishes = story.meter(story.zurich, "flat"), story.meter(story.new_york, "flat")
    odd: dict[MeterMonth, tuple[str, list[str]]] = {
        (story.zurich, meter.id, NEVER_ASKED): ("provisional", ["not_fetched"]) for meter in story.world.sites[0].meters
    }
    for month in MONTHS[:5]:
        odd[story.zurich, appears, month] = ("provisional", ["starts_inside", "no_data", "missing_intervals"])
    odd[story.zurich, appears, date(2024, 5, 1)] = ("provisional", ["starts_inside", "missing_intervals"])
    odd[story.new_york, vanishes, date(2024, 8, 1)] = ("provisional", ["too_young"])
    odd[story.new_york, vanishes, date(2024, 9, 1)] = (
        "provisional", ["not_fetched", "too_young", "pending", "ends_inside"],
    )  # fmt: skip
    # Ten days were seen once before the month's end and once after: only a register confirms that, and it has none.
    odd[story.new_york, story.meter(story.new_york, "rule"), date(2024, 9, 1)] = ("provisional", ["not_confirmed"])
    odd[story.new_york, story.meter(story.new_york, "building_heat"), WITHOUT_DATA] = (
        "blocked", ["no_data", "missing_intervals"],
    )  # fmt: skip
    return odd


def test_every_month_is_ready_but_those_with_a_reason_not_to_be(story: Story) -> None:
    odd = odd_rows(story)
    assert {key: (row.grade, row.codes) for key, row in story.billing("fetched").items()} == {
        key: odd.get(key, ("ready", [])) for key in keys(story)
    }


def test_dated_meters_are_ready_and_only_the_month_without_data_stays_blocked(story: Story) -> None:
    """A meter that is gone can never be asked again, and used to wait for that for ever."""
    appears = story.meter(story.zurich, "flat")
    before = {(story.zurich, appears, month): ("ready", ["not_in_service"]) for month in MONTHS[:5]}
    silent = (story.new_york, story.meter(story.new_york, "building_heat"), WITHOUT_DATA)
    left = before | {silent: odd_rows(story)[silent]}
    assert {key: (row.grade, row.codes) for key, row in story.billing("dated").items()} == {
        key: left.get(key, ("ready", [])) for key in keys(story)
    }


# --- quantities ----------------------------------------------------------------------------------------------------


def is_empty(story: Story, key: MeterMonth, step: str) -> bool:
    """Whether nothing was served, or nothing asked for."""
    site_id, meter_id, month = key
    return (
        (meter_id == story.meter(story.zurich, "flat") and month < APPEARS.replace(day=1))
        or (meter_id == story.meter(story.new_york, "building_heat") and month == WITHOUT_DATA)
        or (step == "fetched" and site_id == story.zurich and month == NEVER_ASKED)
    )


@pytest.mark.parametrize("step", ["fetched", "dated"])
def test_every_monthly_quantity_is_exactly_what_the_meter_counted(story: Story, step: str) -> None:
    found = {key: (row.total, row.solar, row.grid) for key, row in story.billing(step).items()}
    nothing = (None, None, None)
    expected = {key: nothing if is_empty(story, key, step) else truth(story, key) for key in keys(story)}
    assert found == expected
    assert sum(total > 0 for total, *_ in expected.values() if total is not None) > 90


def test_what_may_be_billed_is_the_quantity_of_ready_rows_alone(story: Story) -> None:
    for step in ("fetched", "dated"):
        for key, row in story.billing(step).items():
            assert row.billable == (row.total if row.grade == "ready" else None), key


REGISTERS = {"import": "en_im", "export": "en_ex", "heat": "heat_energy_kwh"}


def test_indices_at_the_bounds_are_what_the_registers_showed_there(story: Story) -> None:
    """Local midnight in two zones: wherever the reading of that instant exists, it is the one that is used."""
    gone = (story.new_york, story.meter(story.new_york, "flat"), VANISHES.replace(day=1))
    read = 0
    for key, row in story.billing("dated").items():
        known = story.world.month_truth(*key)
        if known.index_start is None or known.index_end is None or row.register is None:
            continue
        name = REGISTERS[row.register]
        # The meter that vanished was read for the last time a quarter-hour before midnight.
        end = known.index_end[name] - (known.total - truth(story, key)[0] if key == gone else 0)
        indices = zip((row.index_start, row.index_end), row.sources, (known.index_start[name], end), strict=True)
        for index, source, true in indices:
            if source in {"read", "zero_at_installation"}:
                assert index == true, key
                read += 1
    # 8 registers over 13 months, one of them for 10; no reading: a flat's 5 months out of service and the opening of
    # its first, the heat meter's end of November and begin of December.
    assert read == 2 * (7 * 13 + 10) - 2 * 5 - 2


def test_an_index_between_two_readings_lies_on_the_line_between_them(story: Story) -> None:
    """November brought no reading: the next one after its first midnight is of one o'clock on 1 December."""
    heat = story.meter(story.new_york, "building_heat")
    november, december = (story.billing("dated")[story.new_york, heat, date(2024, month, 1)] for month in (11, 12))
    assert (november.sources, december.sources[0]) == (("read", "interpolated"), "interpolated")
    hours = len(quarters(story, story.new_york, WITHOUT_DATA, month_end(WITHOUT_DATA))) // 4
    one_o_clock = int(datetime(2024, 12, 1, 6, tzinfo=UTC).timestamp()) // 900
    first = story.world.month_truth(story.new_york, heat, WITHOUT_DATA).index_start
    assert first is not None
    last = Decimal(story.world.registers(story.new_york).at(heat, one_o_clock)) / MEGA
    line = first["heat_energy_kwh"] + (last - first["heat_energy_kwh"]) * hours / (hours + 1)
    assert november.index_end == december.index_start == round(line, 6)


def test_a_meter_that_is_gone_is_confirmed_by_its_last_reading(story: Story) -> None:
    """It cannot be asked a second time, and at midnight there was no reading any more."""
    gone = (story.new_york, story.meter(story.new_york, "flat"), VANISHES.replace(day=1))
    row = story.billing("dated")[gone]
    assert (row.sources, row.index_advance) == (("read", "read"), truth(story, gone)[0])
    ((at, distance),) = story.rows(
        "dated",
        "select index_end_at_utc, index_end_distance_minutes from billing_monthly"
        " where (site_id, meter_id, billing_month) = (?, ?, ?)",
        *gone,
    )
    assert (at, distance) == (datetime(2024, 9, 11, 3, 45, tzinfo=UTC), 15)


def test_the_months_of_the_year_add_up_to_any_period_that_holds_it(story: Story) -> None:
    names = "total, solar, grid, intervals_expected, intervals_present, intervals_missing, days_over, days_asked"
    sums = ", ".join(f"sum({name})" for name in names.split(", "))
    months = story.rows(
        "dated",
        f"""select site_id, meter_id, {sums} from billing_monthly where billing_month >= '2024-01-01'
        group by all order by all""",
    )
    year = story.rows("dated", f"select site_id, meter_id, {names} from billing_between(?, ?) order by all", *YEAR)
    assert months == year
    assert len(year) == 10
    for site_id, meter_id, total, *_ in year:
        known = [truth(story, key)[0] for key in keys(story) if key[:2] == (site_id, meter_id)][1:]
        silent = (site_id, meter_id, WITHOUT_DATA)
        assert total == sum(known) - (truth(story, silent)[0] if is_empty(story, silent, "dated") else 0)


# --- closing -------------------------------------------------------------------------------------------------------


def test_a_month_that_was_never_asked_for_is_not_closed(story: Story) -> None:
    """Without a list of the month no meter counted as billed, so that nothing stood in the way."""
    refused = story.said["close what was never asked"]
    assert (refused.status, refused.out) == (1, "")
    assert "2 of its billed meters are not ready" in refused.err
    assert "not_fetched: 31 of 31 days were never asked for" in refused.err


def test_a_meter_that_appears_later_does_not_stand_in_the_way_of_earlier_months(story: Story) -> None:
    closed = story.said["close before it appears"]
    assert closed.status == 0, closed.err
    march = (story.zurich, story.meter(story.zurich, "flat"), date(2024, 3, 1))
    assert not story.billing("fetched")[march].is_billed
    assert story.billing("fetched")[march[0], march[1], date(2024, 5, 1)].is_billed


def test_a_month_without_data_of_a_billed_meter_is_not_closed(story: Story) -> None:
    refused = story.said["close without data"]
    assert refused.status == 1
    assert story.meter(story.new_york, "building_heat") in refused.err
    assert "no_data: no interval of the period has a value" in refused.err


# --- a dispute, a year later ---------------------------------------------------------------------------------------


def known_at(story: Story, instant: datetime, month: date) -> dict[str, tuple[Decimal, Decimal | None, Decimal | None]]:
    """Total, solar and grid per meter of Zurich's month, of the lake's rows that were current at an instant."""
    files = [
        story.layout.lake / "meter_intervals" / f"day={month + timedelta(days=day)}" / "data.parquet"
        for day in range((month_end(month) - month).days + 1)
    ]
    rows = pl.concat([pl.read_parquet(path, hive_partitioning=False) for path in files], how="vertical_relaxed").filter(
        (pl.col("site_id") == story.zurich)
        & (pl.col("fetched_at_utc") <= instant)
        & (pl.col("superseded_at_utc").is_null() | (pl.col("superseded_at_utc") > instant))
    )
    sums: dict[str, list[list[Decimal]]] = {}
    for meter_id, *values in rows.select("meter_id", "total", "solar", "grid").iter_rows():
        columns = sums.setdefault(meter_id, [[], [], []])
        for column, value in zip(columns, values, strict=True):
            if value is not None:
                column.append(Decimal(repr(value)))
    return {meter: tuple(sum(column) if column else None for column in columns) for meter, columns in sums.items()}


def test_a_dispute_is_replayed_from_the_closed_file_to_the_rows_known_then(story: Story) -> None:
    """A year after the bill the provider says something else; the bill can still be shown to be what was known."""
    assert story.said["close"].status == 0, story.said["close"].err
    (version,) = read_versions(story.layout, story.zurich, DISPUTED)
    closed = read_rows(story.layout, version)
    assert content_hash(closed) == version.content_hash
    billed = {meter: tuple(parts) for meter, *parts in closed.select("meter_id", "total", "solar", "grid").iter_rows()}
    assert len(billed) == 5

    then = known_at(story, version.lake_as_of_utc, DISPUTED)
    split = {meter.id for meter in story.world.sites[0].meters if meter.has_split}
    assert {meter: (parts if meter in split else (parts[0], None, None)) for meter, parts in then.items()} == billed
    assert billed == {meter: truth(story, (story.zurich, meter, DISPUTED)) for meter in billed}

    flat = story.meter(story.zurich, "flat")
    now = known_at(story, story.clock[0], DISPUTED)
    changed = {meter: parts[0] - then[meter][0] for meter, parts in now.items() if parts != then[meter]}
    assert changed == {flat: MORE_KWH}


def test_the_warehouse_tells_the_same_of_then_and_of_the_difference(story: Story) -> None:
    (version,) = read_versions(story.layout, story.zurich, DISPUTED)
    then = known_at(story, version.lake_as_of_utc, DISPUTED)
    sums = story.rows(
        "disputed",
        """select meter_id, sum(total::decimal(18, 6)) from meter_intervals_as_of(?)
        where site_id = ? and local_date between ? and ? group by all""",
        version.lake_as_of_utc, story.zurich, DISPUTED, month_end(DISPUTED),
    )  # fmt: skip
    assert dict(sums) == {meter: total for meter, (total, *_) in then.items()}
    frozen = "select * from billing_as_of(?) where site_id = ? and billing_month = ? order by meter_id"
    asked = (version.closed_at_utc, story.zurich, DISPUTED)
    assert story.rows("disputed", frozen, *asked) == story.rows(
        "dated", "select * from billing_monthly where site_id = ? and billing_month = ? order by meter_id", *asked[1:]
    )

    flat = story.meter(story.zurich, "flat")
    corrections = story.rows(
        "disputed",
        "select meter_id, quantity, delta, cause, first_seen_at_utc from billing_corrections where site_id = ? "
        "order by quantity",
        story.zurich,
    )
    revised_at = corrections[0][4]
    assert corrections == [(flat, name, MORE_KWH, "values", revised_at) for name in ("grid", "total")]
    assert revised_at - version.closed_at_utc > timedelta(days=365)
    ((old, until),) = story.rows(
        "disputed", "select total, superseded_at_utc from meter_intervals_superseded where meter_id = ?", flat
    )
    assert until == revised_at
    ((new,),) = story.rows(
        "disputed", "select total from meter_intervals where meter_id = ? and fetched_at_utc = ?", flat, revised_at
    )
    assert Decimal(repr(new)) - Decimal(repr(old)) == MORE_KWH
    grade = story.billing("disputed")[story.zurich, flat, DISPUTED].grade
    assert grade == "blocked"
