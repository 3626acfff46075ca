"""``climkit demo``: the first command of README, on a machine with nothing of ours."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import dagster as dg
import pytest
from accounts import Account, Finished, assert_refused, bare_environment, climkit_command, run_command
from cookbook import recipes
from python_calamine import CalamineWorkbook

from climkit_pipeline.cli.demo import DEMO_SEED
from climkit_pipeline.domain.periods import next_month
from climkit_pipeline.simulator import World
from climkit_pipeline.warehouse.queries import run_query

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Finished, Account]:
    folder = tmp_path_factory.mktemp("demo")
    environment = bare_environment(folder)
    finished = run_command([climkit_command(), "demo"], environment, folder)
    return finished, Account(environment, folder, folder / "demo-data")


def last_full_month(account: Account) -> date:
    (newest,) = account.rows("select max(billing_month) from billing_monthly where period_end_utc <= now()")
    month = newest[0]
    assert isinstance(month, date)
    return month


def test_the_demo_succeeds_and_prints_the_table_of_the_last_full_month(demo: tuple[Finished, Account]) -> None:
    finished, account = demo
    assert (finished.status, "failed:" in finished.err) == (0, False), finished.err
    assert f"billing_monthly of {last_full_month(account):%Y-%m}" in finished.out
    for (name,) in account.rows("select meter_name from meters"):
        assert str(name) in finished.out
    assert str(account.data_dir / "warehouse.duckdb") in finished.out


def test_what_the_demo_says_to_do_next_can_be_done_as_it_is_printed(demo: tuple[Finished, Account]) -> None:
    """It named a command that is not on PATH, and advised to ask a simulator again that had ended."""
    finished, account = demo
    (line,) = [line for line in finished.out.splitlines() if line.endswith("query 'from meters'")]
    printed = run_command(["/bin/sh", "-c", line], bare_environment(account.folder), account.folder)
    assert (printed.status, "charge_point" in printed.out) == (0, True), printed.err
    assert "not_confirmed: " in finished.out
    assert "--refetch" not in finished.out
    assert "1 meters" not in finished.out


def test_the_bill_that_the_demo_speaks_of_is_written_and_is_the_simulators_truth(
    demo: tuple[Finished, Account],
) -> None:
    finished, account = demo
    (line,) = [line for line in finished.out.splitlines() if " export bill " in line]
    written = run_command(
        ["/bin/sh", "-c", line.partition("   (")[0]], bare_environment(account.folder), account.folder
    )
    month = last_full_month(account)
    assert written.status == 0, written.err
    book = CalamineWorkbook.from_path(account.folder / f"bill-{month:%Y-%m}.xlsx")
    world = World(seed=DEMO_SEED)
    truth = {
        (site.name, meter.name): world.month_truth(site.site_id, meter.id, month).total
        for site in world.sites
        for meter in site.meters
    }
    billed = 0
    for site in world.sites:
        for row in book.get_sheet_by_name(site.name).to_python()[3:]:
            if row[0] != "Summe":
                assert Decimal(str(row[5])) == pytest.approx(truth[site.name, row[0]], abs=Decimal("0.000001"))
                billed += 1
    assert billed == account.rows(f"select count(*) from billing_lines_monthly where billing_month = '{month}'")[0][0]


def test_the_demo_asks_who_is_billed(demo: tuple[Finished, Account]) -> None:
    """The building's heat and a flat's heat are both, by default."""
    _, account = demo
    asked = account.climkit("todo", "--first-day", DATA_DIR=str(account.data_dir))
    assert asked.status == 1
    assert "Heating building" in asked.out
    assert "is billed beside Heating flat" in asked.out
    assert "have no occupant: who pays?" in asked.out


def test_every_total_of_the_demo_equals_the_simulators_truth_to_the_watt_hour(demo: tuple[Finished, Account]) -> None:
    _, account = demo
    month = last_full_month(account)
    rows = account.rows(f"""
        select site_id, meter_id, total, solar, grid, index_advance, intervals_missing, completeness
        from billing_monthly where billing_month = '{month}'
    """)
    world = World(seed=DEMO_SEED)
    assert {(site, meter) for site, meter, *_ in rows} == {
        (site.site_id, meter.id) for site in world.sites for meter in site.meters
    }
    for site_id, meter_id, total, solar, grid, advance, missing, completeness in rows:
        truth = world.month_truth(str(site_id), str(meter_id), month)
        assert (total, solar, grid) == (truth.total, truth.solar, truth.grid)
        assert (missing, completeness) == (0, 1.0)
        assert advance == (None if truth.index_start is None else truth.total)


def test_every_day_of_the_demo_is_green_in_dagster(demo: tuple[Finished, Account]) -> None:
    """The runs of the command are in the instance that `make dev` shows."""
    _, account = demo
    first = last_full_month(account)
    yesterday = account.rows("select max(local_date) from meter_days")[0][0]
    assert isinstance(yesterday, date)
    expected = {(first + timedelta(days=n)).isoformat() for n in range((yesterday - first).days + 1)}
    with dg.DagsterInstance.from_config(str(account.data_dir / "dagster")) as instance:
        for dataset in ("sites", "meters", "sensors", "site_intervals", "meter_intervals", "meter_indices"):
            assert instance.get_materialized_partitions(dg.AssetKey(["climkit", dataset])) == expected
        runs = instance.get_runs()
        assert {run.status for run in runs} == {dg.DagsterRunStatus.SUCCESS}
        months = {(first.year, first.month), (yesterday.year, yesterday.month)}
        assert len([run for run in runs if run.job_name == "ingest_lake"]) == len(months)
        assert instance.get_latest_materialization_event(dg.AssetKey(["warehouse", "billing_monthly"])) is not None


def test_a_refresh_that_has_nothing_to_do_says_so_and_starts_no_run(demo: tuple[Finished, Account]) -> None:
    _, account = demo
    published = (account.data_dir / "warehouse.duckdb").stat().st_mtime_ns
    with dg.DagsterInstance.from_config(str(account.data_dir / "dagster")) as instance:
        runs = len(instance.get_runs())
        again = account.climkit("refresh", DATA_DIR=str(account.data_dir))
        assert (again.status, again.out) == (0, ""), again.err
        assert again.err.splitlines()[-1] == f"nothing changed: {account.data_dir}/warehouse.duckdb is up to date"
        assert len(instance.get_runs()) == runs
    assert (account.data_dir / "warehouse.duckdb").stat().st_mtime_ns == published


def test_the_demo_leaves_no_password_and_no_landed_answer(demo: tuple[Finished, Account]) -> None:
    _, account = demo
    assert list((account.data_dir / "landing").iterdir()) == []
    files = [path for path in account.data_dir.rglob("*") if path.is_file()]
    assert len(files) > 100
    holding = [path for path in files if b"demo-simulator" in path.read_bytes()]
    assert holding == []


def test_the_demos_second_site_lives_in_another_zone(demo: tuple[Finished, Account]) -> None:
    _, account = demo
    zones = dict(account.rows("select site_id, timezone from sites"))
    assert set(zones.values()) == {"Europe/Zurich", "Europe/Lisbon"}


def test_a_query_on_the_demo_prints_a_table_and_csv(demo: tuple[Finished, Account], tmp_path: Path) -> None:
    _, account = demo
    sql = "select meter_type, count(*) as meters from meters group by all order by all"
    settings = {"DATA_DIR": str(account.data_dir)}
    table = account.climkit("query", sql, **settings)
    assert (table.status, "electricity" in table.out) == (0, True)
    csv = account.climkit("query", sql, "--format", "csv", **settings)
    assert csv.out.splitlines()[0] == "meter_type,meters"
    assert dict(line.split(",") for line in csv.out.splitlines()[1:])["charge_point"] == "2"
    wrong = account.climkit("query", "selec 1", **settings)
    assert (wrong.status, wrong.err.count("\n")) == (2, 1)
    exported = tmp_path / "bill.xlsx"
    month = f"{last_full_month(account):%Y-%m}"
    assert (
        account.climkit("export", "billing", month, "--format", "xlsx", "--output", str(exported), **settings).status
        == 0
    )
    assert exported.read_bytes().startswith(b"PK")


def test_every_recipe_of_the_cookbook_runs_and_answers_what_the_page_shows(demo: tuple[Finished, Account]) -> None:
    """In the demo's own months: those of the page have gone by."""
    _, account = demo
    month = last_full_month(account)
    shown = list(recipes())
    assert len(shown) == 12
    for recipe in shown:
        answer = run_query(account.data_dir / "warehouse.duckdb", recipe.about(month, next_month(month)))
        assert answer.columns == recipe.columns, recipe.title
        assert answer.height > 0, recipe.title


def test_a_site_may_be_named(demo: tuple[Finished, Account]) -> None:
    """24 hexadecimal digits were asked for, always."""
    _, account = demo
    own = {"DATA_DIR": str(account.data_dir)}
    [site_id, name] = account.rows("select site_id, site_name from sites order by site_id limit 1")[0]
    by_id, by_name = (
        account.climkit("export", "billing", f"{last_full_month(account):%Y-%m}", "--site", str(site), **own)
        for site in (site_id, name)
    )
    assert by_name.out == by_id.out
    assert by_id.out.count(str(site_id)) > 3
    assert_refused(account.climkit("close", "2026-10", "--site", "Nowhere", **own), 2, "there is no site 'Nowhere'")
