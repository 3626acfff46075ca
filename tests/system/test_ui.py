"""Dagster's UI in a real browser: what `climkit demo` did is there to see."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from accounts import bare_environment, climkit_command, run_command
from playwright.sync_api import Page, sync_playwright

pytestmark = pytest.mark.filterwarnings("default")

DAYS = 3
STARTS_WITHIN_SECONDS = 600
CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a UI on the data of a demo of three days."""
    folder = tmp_path_factory.mktemp("ui")
    environment = {name: value for name, value in bare_environment(folder).items() if name != "CLIMKIT_BASE_URL"}
    done = run_command([climkit_command(), "demo", "--days", str(DAYS)], environment, folder)
    assert done.status == 0, done.err
    port = free_port()
    command = [climkit_command(), "dev", "--port", str(port), "--simulator-port", str(free_port())]
    with (
        (folder / "dev.log").open("w") as log,
        subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=subprocess.STDOUT) as process,
    ):
        try:
            address = f"http://127.0.0.1:{port}"
            _wait_until_up(address, process, folder / "dev.log")
            yield address
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=600)


def _wait_until_up(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(STARTS_WITHIN_SECONDS):
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(f"{address}/server_info", timeout=5):  # noqa: S310 - loopback
                return
        except OSError:
            time.sleep(1)
    raise AssertionError(log.read_text())


@pytest.fixture(scope="module")
def page(ui: str) -> Iterator[Page]:
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(base_url=ui, viewport={"width": 1500, "height": 1000})
        page.set_default_timeout(300_000)
        yield page
        browser.close()


def test_the_runs_of_the_demo_are_listed_as_successes(page: Page) -> None:
    page.goto("/runs")
    page.get_by_text("ingest_lake").first.wait_for()
    page.get_by_text("refresh_models").first.wait_for()
    assert page.get_by_text("Success").count() >= 2
    assert page.get_by_text("Failure").count() == 0


def test_the_timeline_shows_the_runs_of_the_command(page: Page) -> None:
    """It said that there were none."""
    page.goto("/overview/activity/timeline")
    for job in ("ingest_lake", "refresh_models"):
        page.get_by_role("link", name=job).first.wait_for()


def test_the_days_of_the_demo_are_green_partitions(page: Page) -> None:
    page.goto("/assets/climkit/meter_intervals?view=partitions")
    page.get_by_text(f"Materialized ({DAYS})").wait_for()
    page.get_by_text("Failed (0)").wait_for()


def test_a_model_shows_its_grain_and_its_checks(page: Page) -> None:
    page.goto("/assets/warehouse/billing_monthly?view=overview")
    page.get_by_text("Grain site, meter and local calendar month").first.wait_for()
    page.goto("/assets/warehouse/meter_intervals?view=checks")
    page.get_by_text("data_tests", exact=False).first.wait_for()


def test_a_click_on_materialize_fills_a_day_and_the_models_follow(page: Page) -> None:
    """What an operator does: pick a missing day in the UI; the simulator answers, the sensor refreshes the models."""
    page.goto("/assets/climkit/meter_intervals?view=partitions")
    page.get_by_text(f"Materialized ({DAYS})").wait_for()
    page.get_by_role("button", name="Materialize").first.click()
    dialog = page.get_by_role("dialog")
    dialog.wait_for()
    dialog.get_by_role("button", name="Latest").click()
    dialog.get_by_role("button", name="Launch").first.click()
    dialog.wait_for(state="hidden")
    page.goto("/runs")
    # The page cuts long names: the sensor is called models_after_ingestion.
    page.get_by_text("models_after_inge").first.wait_for(timeout=600_000)
