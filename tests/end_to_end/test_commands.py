"""What a command says and how it ends when something is wrong; nothing half-written stays."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from accounts import (
    HANGS_AFTER_SECONDS,
    RANGE,
    REPOSITORY,
    Account,
    account_for,
    assert_refused,
    bare_environment,
    climkit_command,
    run_command,
)

from climkit_pipeline.simulator import SimulatorServer, World


@pytest.fixture(scope="module")
def server() -> Iterator[SimulatorServer]:
    with SimulatorServer(World(seed=3, sites=1, meters=3), requests_per_second=None) as server:
        yield server


@pytest.fixture
def account(server: SimulatorServer, tmp_path: Path) -> Account:
    return account_for(server, tmp_path)


@pytest.mark.parametrize(
    ("arguments", "settings", "words"),
    [
        (("backfill", "2026-10-02", "2026-10-01"), {}, ("FROM 2026-10-02", "after")),
        (("backfill", "2026-10-01", "2126-10-01"), {}, ("2126-10-01", "not ended", "allowed: 2024-01-01")),
        (("backfill", "2023-12-31", "2026-10-01"), {}, ("too early", "allowed: 2024-01-01")),
        (("backfill", "01.10.26", "2026-10-02"), {}, ("'01.10.26'", "YYYY-MM-DD")),
        (RANGE, {"TIMEZONE": "Europe/Nowhere"}, ("CLIMKIT_TIMEZONE", "Europe/Nowhere", "accepted")),
        (RANGE, {"REQUESTS_PER_SECOND": "0"}, ("CLIMKIT_REQUESTS_PER_SECOND", "'0'", "above 0")),
        (RANGE, {"USERNAME": ""}, ("CLIMKIT_USERNAME",)),
        (RANGE, {"DATA_DIR": "/proc/nowhere/data"}, ("CLIMKIT_DATA_DIR", "cannot be written")),
        (RANGE, {"BASE_URL": "http://api.example.org"}, ("CLIMKIT_BASE_URL", "clear", "https")),
        (("export", "billing", "October"), {}, ("'October'", "YYYY-MM")),
    ],
)
def test_wrong_input_is_refused_in_one_line_before_anything_starts(
    account: Account,
    server: SimulatorServer,
    arguments: tuple[str, ...],
    settings: dict[str, str],
    words: tuple[str, ...],
) -> None:
    server.forget_calls()
    assert_refused(account.climkit(*arguments, **settings), 2, *words)
    assert server.calls == []
    assert list(account.folder.iterdir()) == []


def test_wrong_credentials_are_refused_after_one_log_in(account: Account, server: SimulatorServer) -> None:
    server.forget_calls()
    assert_refused(account.climkit(*RANGE, PASSWORD="wrong"), 2, "refused the log-in", "CLIMKIT_PASSWORD")
    assert [call.endpoint for call in server.calls] == ["auth"]
    assert not account.data_dir.exists()


def test_an_unknown_site_is_refused_by_name(account: Account) -> None:
    assert_refused(account.climkit(*RANGE, "--site", "nope"), 2, "'nope'", "accepted")
    assert not list(account.data_dir.glob("lake/*meter*/day=2*"))


def test_an_unknown_dataset_is_refused_with_the_list(account: Account) -> None:
    finished = account.climkit(*RANGE, "--dataset", "meter_interval")
    assert finished.status == 2
    assert "meter_intervals" in finished.err


def test_queries_and_exports_without_data_say_so(account: Account) -> None:
    for arguments in (("query", "select 1"), ("export", "billing", "2026-10")):
        assert_refused(account.climkit(*arguments), 1, "no data yet")
    empty = account.climkit("status")
    assert (empty.status, "Nothing has been asked" in empty.out) == (0, True)


def test_check_says_ok_or_what_to_do_line_by_line(account: Account) -> None:
    good = account.climkit("check")
    assert good.status == 0, good.out
    assert [line.split("  ")[0].strip() for line in good.out.splitlines()] == [
        "configuration",
        "write access",
        "free disk",
        "your own files",
        "closed months",
        "fetch times",
        "alarms",
        "log-in and list",
        "estimate",
    ]
    assert good.out.splitlines()[-2].endswith(" 1 site")
    assert " what is missing since 2024-01-01: " in good.out.splitlines()[-1]
    wrong = account.climkit("check", PASSWORD="wrong")
    assert wrong.status == 1
    assert "refused the log-in" in wrong.out.splitlines()[-1]
    missing = account.climkit("check", TIMEZONE="Mars/Base")
    assert (missing.status, "CLIMKIT_TIMEZONE" in missing.out) == (1, True)


def test_a_plan_counts_calls_and_asks_for_no_series(account: Account, server: SimulatorServer) -> None:
    server.forget_calls()
    finished = account.climkit("backfill", "2026-09-15", "2026-10-14", "--plan", REQUESTS_PER_SECOND="1")
    assert finished.status == 0, finished.err
    # 3 meters (a flat, the grid, a plant) with raw data, 1 type, 2 sensors; 2 calendar months.
    total, *rest = finished.out.splitlines()
    assert total.startswith("18 calls, ")
    assert " at 1/s: begun now, done by " in total
    by_purpose = {words[1]: int(words[3]) for words in map(str.split, rest) if len(words) > 3 and words[3].isdigit()}
    assert {name: by_purpose.get(name) for name in ("history", "raw")} == {"history": 12, "raw": 6}
    assert {call.endpoint for call in server.calls} == {
        "auth", "all_installations", "installation_infos", "meter_info", "sensors_list",
    }  # fmt: skip
    assert "fewer, if answers about sites hold the series" in finished.out
    forced = account.climkit("backfill", "2026-09-15", "2026-10-14", "--plan", SITE_ANSWERS="always")
    assert "more, where an answer about a site lacks a meter" in forced.out


def test_simulate_serves_until_interrupted_and_ends_with_status_0(tmp_path: Path) -> None:
    command = [climkit_command(), "simulate", "--port", "0", "--seed", "5", "--sites", "1"]
    with subprocess.Popen(
        command, env=bare_environment(tmp_path), cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(5)]
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=HANGS_AFTER_SECONDS) == 0
    assert "seed 5: 1 site with 15 meters" in lines[0]
    assert "CLIMKIT_BASE_URL=http://127.0.0.1:" in lines[1]


def test_simulate_refuses_unknown_faults_by_name(tmp_path: Path) -> None:
    finished = run_command(
        [climkit_command(), "simulate", "--port", "0", "--faults", "gremlins=1"], bare_environment(tmp_path), tmp_path
    )
    assert_refused(finished, 2, "gremlins", "http_500")


@pytest.mark.slow
def test_the_workspace_loads_without_credentials_or_network(tmp_path: Path) -> None:
    dagster = str(Path(sys.executable).with_name("dagster"))
    environment = bare_environment(tmp_path) | {
        "CLIMKIT_DATA_DIR": str(tmp_path / "data"),
        "DAGSTER_HOME": str(tmp_path),
    }
    command = [dagster, "definitions", "validate", "-w", str(REPOSITORY / "workspace.yaml")]
    finished = run_command(command, environment, REPOSITORY)
    assert finished.status == 0, finished.err
    assert "All code locations passed validation" in finished.out + finished.err
    assert list((tmp_path / "data").iterdir()) == []
