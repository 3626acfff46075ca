"""The worst day: the data directory is gone, and there is a backup."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import dagster as dg
import pytest
from accounts import Account, account_for

from climkit_pipeline.simulator import SimulatorServer, World

BILL = "select * from billing_monthly order by all"


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    with SimulatorServer(World(seed=7, sites=1, meters=3), requests_per_second=500) as server:
        account = account_for(server, tmp_path_factory.mktemp("backup"))
        done = account.climkit("backfill", "2026-09-29", "2026-10-02")
        assert done.status == 0, done.err
        yield account


def test_a_lost_data_directory_comes_back_as_it_was(account: Account) -> None:
    """Also the way to another machine: the bill, the green days, and nothing to fetch or to build again."""
    bill = account.rows(BILL)
    assert bill
    made = account.climkit("backup", str(account.folder / "backups"), "--keep", "3")
    assert made.status == 0, made.err
    shutil.rmtree(account.data_dir)
    restored = account.climkit("restore", made.out.strip())
    assert restored.status == 0, restored.err
    built = account.climkit("refresh")
    assert (built.status, "published" in built.err) == (0, True), built.err
    again = account.climkit("refresh")
    assert (again.status, "nothing changed" in again.err) == (0, True), again.err
    assert account.rows(BILL) == bill
    plan = account.climkit("backfill", "2026-09-29", "2026-10-02")
    assert plan.status == 0, plan.err
    assert account.rows(BILL) == bill
    with dg.DagsterInstance.from_config(str(account.data_dir / "dagster")) as instance:
        days = instance.get_materialized_partitions(dg.AssetKey(["climkit", "meter_intervals"]))
    assert days == {"2026-09-29", "2026-09-30", "2026-10-01", "2026-10-02"}


def test_a_restoration_onto_data_is_refused(account: Account) -> None:
    made = account.climkit("backup", str(account.folder / "backups"))
    done = account.climkit("restore", made.out.strip())
    assert (done.status, "holds data already" in done.err) == (2, True)


def test_tidying_keeps_green_days_green(account: Account) -> None:
    """Deleting a run takes its materializations along."""
    before = account.climkit("status")
    done = account.climkit("tidy", "--keep-days", "0")
    assert (done.status, "old runs deleted" in done.err) == (0, True), done.err
    with dg.DagsterInstance.from_config(str(account.data_dir / "dagster")) as instance:
        assert len(instance.get_materialized_partitions(dg.AssetKey(["climkit", "meter_intervals"]))) == 4
    again = account.climkit("tidy", "--keep-days", "0")
    assert again.err.startswith("0 old runs deleted"), again.err
    assert account.climkit("status").out == before.out
