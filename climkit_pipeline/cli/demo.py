"""``climkit demo``, ``simulate`` and ``dev``: the pipeline without an account, on the built-in simulator."""

from __future__ import annotations

import csv
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import fields
from datetime import date, timedelta
from functools import partial
from pathlib import Path

import click
import polars as pl

from climkit_pipeline.cli.backfill import BackfillRequest, run_backfill
from climkit_pipeline.cli.ranges import yesterday
from climkit_pipeline.cli.serve import only_daemon
from climkit_pipeline.cli.tables import print_frame
from climkit_pipeline.domain.periods import last_month, month_start, next_month
from climkit_pipeline.errors import ConfigurationError
from climkit_pipeline.files import atomic_file
from climkit_pipeline.installation import ROOT_DIR
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.settings import Settings, load_settings
from climkit_pipeline.simulator import AccountForm, FaultPlan, Label, SimulatorServer, World, parse_data_faults
from climkit_pipeline.warehouse import queries

DEMO_SEED = 7
DEMO_DATA_DIR = "demo-data"
DEMO_REQUESTS_PER_SECOND = 20.0
DEMO_USERNAME = "demo"
DEMO_PASSWORD = "demo-simulator"  # noqa: S105 - opens nothing but the simulator


def demo_settings(base_url: str, data_dir: Path) -> Settings:
    """The default settings, pointed at the simulator; a user's own environment does not change the demo."""
    defaults = {name: field.default for name, field in Settings.model_fields.items()}
    defaults |= {
        "base_url": base_url,
        "username": DEMO_USERNAME,
        "password": DEMO_PASSWORD,
        "data_dir": data_dir,
        "requests_per_second": DEMO_REQUESTS_PER_SECOND,
        "state_dir": data_dir / "build" / "state",
    }
    return load_settings(**defaults)


def run_demo(days: int | None, data_dir: Path) -> int:
    """Simulator, backfill, models, billing table; the exit status."""
    # The demo's runs belong to the demo's data, not to an instance that holds real ones.
    os.environ.pop("DAGSTER_HOME", None)
    with SimulatorServer(World(seed=DEMO_SEED), requests_per_second=DEMO_REQUESTS_PER_SECOND) as server:
        settings = demo_settings(server.base_url, data_dir)
        last = yesterday(settings)
        full_month = last_month(last + timedelta(days=1))
        first = full_month if days is None else last - timedelta(days=days - 1)
        if first < settings.start_date:
            raise ConfigurationError(f"--days {days} reaches back before {settings.start_date}; ask for fewer")
        click.echo(f"Simulated API at {server.base_url}; backfilling {first} to {last}", err=True)
        _state_sensors(Layout(settings.data_dir), World(seed=DEMO_SEED))
        is_good = run_backfill(settings, BackfillRequest(first, last))
    layout = Layout(settings.data_dir)
    shown = full_month if first < next_month(full_month) else month_start(last)
    print_billing(layout.warehouse, shown, is_partial=first > shown or last < next_month(shown) - timedelta(days=1))
    climkit = f"CLIMKIT_DATA_DIR={shlex.quote(str(settings.data_dir))} {shlex.quote(sys.argv[0])}"
    click.echo(
        f"\nLake       {layout.lake}\n"
        f"Warehouse  {layout.warehouse}\n"
        "Next       make dev   (the runs in Dagster's UI)\n"
        f"           {climkit} query 'from site_energy_days'\n"
        f"           {climkit} query 'from meters'\n"
        f"           {climkit} export bill {shown:%Y-%m}   (the bill per occupant, as a spreadsheet)\n"
        f"           {climkit} todo --first-day   (who is billed?)\n"
        f"           {climkit} report {shown:%Y-%m}   (the month as a page, with pictures)"
    )
    return 0 if is_good else 1


def _state_sensors(layout: Layout, world: World) -> None:
    """What no list says, as a user would state it: which sensors hang outdoors. A file that is there stays."""
    path = layout.config / "sensors.csv"
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(("site", "sensor", "role"))
        for site in world.sites:
            outdoor = [each for each in site.sensors if each.type == "temperature" and each.name.startswith("Outdoor")]
            lines.writerows((site.name, f"{each.name} ({each.type})", "outdoor_temperature") for each in outdoor)


def print_billing(warehouse: Path, month: date, *, is_partial: bool) -> None:
    """The billing table of a month, narrow enough for a terminal."""
    table = queries.billing_table(warehouse, month)
    shown = table.select(
        pl.col("site_name").alias("site"),
        pl.col("meter_name").alias("meter"),
        pl.col("meter_role").alias("role"),
        pl.col("meter_type").alias("type"),
        pl.col("total").round(3),
        pl.col("unit"),
        pl.col("solar").round(3),
        pl.col("grid").round(3),
        pl.col("index_advance").round(3),
        (pl.col("completeness") * 100).round(2).alias("% there"),
        pl.col("grade"),
    )
    note = " (partial: not every day of it was asked for)" if is_partial else ""
    for (site,), rows in shown.group_by("site", maintain_order=True):
        title = f"billing_monthly of {month:%Y-%m} · {site}{note}"
        # Least needed first: on a narrow terminal these columns make room.
        print_frame(rows.drop("site"), title=title, optional=["% there", "index_advance", "type", "role"])
    click.echo("Add up within one role, type and unit only: what the grid and the roof deliver, consumers consume.")
    reasons = table.filter(pl.col("grade") != "ready").explode("reasons")["reasons"].drop_nulls()
    # Without their advice: it is about an API that can be asked again, and the simulator has ended.
    found = reasons.str.split("; ").list.first().value_counts(sort=True)
    for reason, meters in found.iter_rows():
        click.echo(f"{meters} meter{'s' * (meters != 1)}: {reason}")


def run_simulator(
    port: int,
    *,
    requests_per_second: float,
    seed: int,
    sites: int,
    meters: int,
    faults: str | None = None,
    data_faults: str | None = None,
    account: str | None = None,
    labels_file: Path | None = None,
) -> None:
    """Serve the simulated API until interrupted."""
    try:
        plan = FaultPlan.parse(faults) if faults else None
    except ValueError as error:
        raise ConfigurationError(f"--faults: {error}") from error
    try:
        form = AccountForm.parse(account or "")
    except ValueError as error:
        raise ConfigurationError(f"--account: {error}") from error
    make_world = partial(
        World, seed=seed, sites=sites, meters=meters, split_rule=form.split_rule, register_step=form.register_step
    )
    world = make_world()
    if data_faults:
        last_full_month = last_month(world.now().date())
        try:
            wanted = parse_data_faults(data_faults, world.sites, seed=seed, month=last_full_month)
            world = make_world(data_faults=wanted)
        except ValueError as error:
            raise ConfigurationError(f"--data-faults: {error}") from error
    _tell_labels(world.labels(), labels_file)
    try:
        server = SimulatorServer(world, port=port, requests_per_second=requests_per_second, faults=plan, account=form)
    except OSError as error:
        raise ConfigurationError(f"port {port} cannot be used: {error.strerror or error}") from error
    # Wherever an interrupt arrives from here on, it is the way to stop: status 0.
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, signal.default_int_handler)
    try:
        _announce(server, seed, sites, meters, requests_per_second)
        server.serve_forever()
    except KeyboardInterrupt:
        server.stop()


def _announce(server: SimulatorServer, seed: int, sites: int, meters: int, requests_per_second: float) -> None:
    world = f"{sites} site{'s' * (sites != 1)} with {meters} meter{'s' * (meters != 1)}"
    click.echo(
        f"Simulated Climkit API, seed {seed}: {world}, {requests_per_second:g} calls/s\n"
        f"  CLIMKIT_BASE_URL={server.base_url}\n"
        f"  CLIMKIT_USERNAME={DEMO_USERNAME}\n"
        f"  CLIMKIT_PASSWORD={DEMO_PASSWORD}\n"
        "Ctrl-C stops it."
    )
    sys.stdout.flush()


def _tell_labels(labels: Sequence[Label], labels_file: Path | None) -> None:
    """One line per data fault on stderr; with those of the meters that suffer with it, in the file."""
    for label in labels:
        if label.is_cause:
            click.echo(
                f"{label.kind} on meter {label.meter_id} of site {label.site_id}, "
                f"{label.first_utc:%Y-%m-%d %H:%M} to {label.last_utc:%Y-%m-%d %H:%M} UTC: "
                f"{label.intervals} intervals, {label.readings} readings",
                err=True,
            )
    if labels_file is None:
        return
    try:
        with labels_file.open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, [field.name for field in fields(Label)])
            table.writeheader()
            table.writerows(label.as_row() for label in labels)
    except OSError as error:
        raise ConfigurationError(f"--labels: {labels_file} cannot be written: {error.strerror}") from error


def run_dev(port: int, simulator_port: int) -> int:
    """Dagster's UI and daemon; with the simulator, on the demo's data, when no account is configured."""
    from climkit_pipeline.defs.launch import open_instance

    settings = load_settings()
    with ExitStack() as stack:
        environment = dict(os.environ)
        if not settings.username:
            world = World(seed=DEMO_SEED)
            server = SimulatorServer(world, port=simulator_port, requests_per_second=DEMO_REQUESTS_PER_SECOND)
            stack.enter_context(server)
            settings = demo_settings(server.base_url, Path(DEMO_DATA_DIR))
            os.environ.pop("DAGSTER_HOME", None)
            click.echo(f"No CLIMKIT_USERNAME: the built-in simulator runs at {server.base_url}, on the demo's data")
        # All of them, because Dagster runs elsewhere and would not find this directory's .env.
        environment |= settings.as_environment()
        with open_instance(Layout(settings.data_dir)):
            environment["DAGSTER_HOME"] = os.environ["DAGSTER_HOME"]
        stack.enter_context(only_daemon(Layout(settings.data_dir)))
        click.echo(f"Dagster's UI: http://127.0.0.1:{port}  (Ctrl-C stops it)")
        sys.stdout.flush()
        command = [
            str(Path(sys.executable).with_name("dagster")),
            "dev",
            "-w",
            "workspace.yaml",
            "-h",
            "127.0.0.1",
            "-p",
            str(port),
        ]
        # The workspace names its folder relative to where Dagster runs; everything else is absolute by now.
        process = subprocess.Popen(command, env=environment, cwd=ROOT_DIR)  # noqa: S603 - our own command, no shell
        # A stopped terminal or service manager ends the whole group; this process only has to outlive its child.
        signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                continue
