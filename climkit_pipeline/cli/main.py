"""``climkit``: the commands, their options and exit statuses.

0 good · 1 something is incomplete or failed · 2 wrong usage, configuration or credentials · 130 interrupted.
Results go to stdout; messages, progress and errors to stderr.
"""

from __future__ import annotations

import gc
import logging
import os
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from climkit_pipeline.cli.closing import accept, close, settle, warn_of_doubtful_lines
from climkit_pipeline.cli.encodings import never_raise
from climkit_pipeline.cli.exporting import CSV_FORMATS, export
from climkit_pipeline.cli.forgetting import forget
from climkit_pipeline.cli.ranges import check_range
from climkit_pipeline.cli.reporting import report
from climkit_pipeline.cli.sites import SITE, SITE_METAVAR
from climkit_pipeline.cli.todo import todo
from climkit_pipeline.errors import ClimkitError, ConfigurationError
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.lake.schemas import DATASETS
from climkit_pipeline.settings import load_settings, unknown_settings

INTERRUPTED = 130
TEXT_FORMATS = (*CSV_FORMATS, "json")


class _Commands(click.Group):
    """Turns errors into one line on stderr and an exit status."""

    def main(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as click has it
        kwargs["standalone_mode"] = False
        never_raise()
        try:
            status = super().main(*args, **kwargs)
        except click.exceptions.Exit as error:
            status = error.exit_code
        except click.ClickException as error:
            error.show()
            status = error.exit_code
        except (KeyboardInterrupt, click.Abort):
            click.echo("climkit: interrupted; what was received is kept", err=True)
            status = INTERRUPTED
        except ClimkitError as error:
            _tell(str(error))
            status = error.exit_status
        except Exception as error:  # noqa: BLE001 - the outermost frame: one line for a person, whatever it is
            _tell(f"unexpected error ({type(error).__name__}; `climkit --debug …` shows more): {_first_line(error)}")
            status = 1
        sys.exit(status if isinstance(status, int) else 0)


def _tell(message: str) -> None:
    for line in message.splitlines():
        click.echo(f"climkit: {line}", err=True)
    if logging.getLogger("climkit_pipeline").isEnabledFor(logging.DEBUG):
        traceback.print_exc()


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Log everything, and show tracebacks.")
@click.version_option(package_name="climkit-pipeline")
def main(*, debug: bool) -> None:
    """From the Climkit API to billing-ready monthly tables."""
    # A command imports and builds much that stays: to look through it for rubbish took up to a tenth of its CPU.
    gc.set_threshold(50_000)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("climkit_pipeline").setLevel(logging.DEBUG if debug else logging.WARNING)
    # A run's events are in Dagster's storage and its UI; here they would drown what the command has to say.
    logging.getLogger("dagster").propagate = debug
    for line in unknown_settings(os.environ):
        click.echo(f"climkit: {line}", err=True)


@main.command()
@click.option("--days", type=click.IntRange(1, 730), help="Only the last N days.")
@click.option("--data-dir", type=click.Path(path_type=Path, file_okay=False), help="Default: demo-data.")
def demo(*, days: int | None, data_dir: Path | None) -> int:
    """Simulator, backfill, models and a month's bill, without an account."""
    from climkit_pipeline.cli.demo import DEMO_DATA_DIR, run_demo

    return run_demo(days, data_dir or Path(DEMO_DATA_DIR))


@main.command()
@click.option("--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help="0: any free one.")
@click.option("--requests-per-second", type=click.FloatRange(0, 1000, min_open=True), default=1.0, show_default=True)
@click.option("--seed", type=int, default=7, show_default=True, help="Which simulated world.")
@click.option("--sites", type=click.IntRange(0, 1000), default=2, show_default=True)
@click.option("--meters", type=click.IntRange(1, 1000), default=15, show_default=True, help="Per site.")
@click.option("--faults", help="Faults of the transport, e.g. 'http_500=0.02,truncated=0.01,seed=3'.")
@click.option("--data-faults", help="Faults of the data, e.g. 'gap,stuck@0/7/2026-03'; see below.")
@click.option("--account", help="How the account is not as documented, e.g. 'newest_rows=1000'; see below.")
@click.option(
    "--labels",
    "labels_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write what each data fault changes to this CSV file, too.",
)
def simulate(
    *,
    port: int,
    requests_per_second: float,
    seed: int,
    sites: int,
    meters: int,
    faults: str | None,
    data_faults: str | None,
    account: str | None,
    labels_file: Path | None,
) -> None:
    r"""Serve the simulated API until interrupted.

    --faults takes kinds with their probabilities, and a seed; the same ones draw the same faults again.

    \b
    A client gets over: http_408 http_500 http_503 rate_429 truncated broken_off html reset slow short expired
    error_object no_body wrapped
    It must not repeat: http_400 http_403 http_404 http_413 http_422 redirect oversize
    It must notice: empty duplicate conflict off_grid outside not_a_number no_timestamp no_row

    --data-faults takes a list with commas. KIND alone: on a meter of the seed's choice, in the last full month.
    KIND@SITE/METER/MONTH (YYYY-MM): on days of the seed's choice in that month. KIND@SITE/METER/DAY or DAY..DAY
    (YYYY-MM-DD): exactly then. Sites and meters are positions from 0, or ids. What each changes goes to stderr.

    \b
    Kinds of data faults: gap outage missing_sibling no_data duplicate conflict replaced_down replaced_read replaced_up
    swapped rollover stuck offline spike sentinel late_revision night_production wrong_unit hourly noise lone_peak
    glitch_at_midnight register_zeros listed_twice null_split
    Circumstances, which are no faults: vacant appears vanishes

    --account takes a list with commas: what the server does to every call.

    \b
    refuses_early        status 400 to a meter's windows that begin before it exists
    newest_rows=N        an answer holds the newest N rows of its window alone
    created_days_late=N  creation_date is N days later than the first data
    edge_rows=N          the first N rows of each window of intervals are 0
    clock_seconds=N      the server's clock is ahead by so much (behind: a negative number)
    older_listing        lists of meters have neither names nor modes
    signed_split         a consumer's solar part is below 0 where the site's own energy is
    coarse_registers     all electricity registers count in steps of 10 Wh
    wide_columns         a site's answer holds the columns of each of its meters, too
    """
    from climkit_pipeline.cli.demo import run_simulator

    run_simulator(
        port,
        requests_per_second=requests_per_second,
        seed=seed,
        sites=sites,
        meters=meters,
        faults=faults,
        data_faults=data_faults,
        account=account,
        labels_file=labels_file,
    )


@main.command()
@click.option("--port", type=click.IntRange(1, 65535), default=3000, show_default=True, help="Of the UI.")
@click.option("--simulator-port", type=click.IntRange(1, 65535), default=8765, show_default=True)
def dev(*, port: int, simulator_port: int) -> int:
    """Dagster's UI and daemon; without an account, on the simulator."""
    from climkit_pipeline.cli.demo import run_dev

    return run_dev(port, simulator_port)


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Of the UI, which asks for no password.")
@click.option("--port", type=click.IntRange(1, 65535), default=3000, show_default=True, help="Of the UI.")
@click.option("--read-only", is_flag=True, help="The UI shows, and starts nothing.")
@click.option("--only", type=click.Choice(["code", "daemon", "webserver"]), help="This process alone.")
@click.option("--code-host", default="127.0.0.1", show_default=True, help="With --only: of the code location.")
@click.option("--code-port", type=click.IntRange(1, 65535), default=4266, show_default=True)
def serve(*, host: str, port: int, read_only: bool, only: str | None, code_host: str, code_port: int) -> int:
    """Dagster as a service: webserver, daemon and code location, each started again when it dies.

    SIGTERM and Ctrl-C stop them; a run under way ends as failed, and what it received is kept. With --only, one of
    them for a service manager, which starts it again itself. docs/operations.md says how to install it.
    """
    from climkit_pipeline.cli.serve import PARTS, ServeOptions, run_serve

    if only is None and code_host != "127.0.0.1":
        raise click.UsageError("--code-host goes with --only: on one machine the code location stays on loopback")
    part = next((part for part in PARTS if part == only), None)
    return run_serve(ServeOptions(host, port, code_host, code_port, read_only), part)


@main.command()
@click.argument("first", metavar="FROM")
@click.argument("last", metavar="TO")
@click.option("--site", "sites", multiple=True, type=SITE, metavar=SITE_METAVAR, help="Only this site (repeatable).")
@click.option(
    "--dataset", "datasets", multiple=True, type=click.Choice(list(DATASETS)), help="Only this one (repeatable)."
)
@click.option("--refetch", is_flag=True, help="Ask again for what is complete, too.")
@click.option("--plan", "only_plan", is_flag=True, help="Print calls, hours and disk; ask for no series.")
@click.option("--no-models", is_flag=True, help="Leave the warehouse as it is.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
def backfill(
    *,
    first: str,
    last: str,
    sites: tuple[str, ...],
    datasets: tuple[str, ...],
    refetch: bool,
    only_plan: bool,
    no_models: bool,
    as_json: bool,
) -> int:
    """Bring the days FROM to TO (local dates, both included) up to date, newest month first."""
    from climkit_pipeline.cli.backfill import BackfillRequest, print_plan, run_backfill

    settings = load_settings()
    first_day, last_day = check_range(settings, first, last)
    request = BackfillRequest(first_day, last_day, datasets or tuple(DATASETS), sites, refetch, not no_models)
    if only_plan:
        print_plan(settings, request)
        return 0
    warn_of_doubtful_lines(Layout(settings.data_dir))
    return 0 if run_backfill(settings, request, as_json=as_json) else 1


@main.command()
def audit() -> int:
    """Ask for whole months of every meter, and again for those that differ from what is stored."""
    from climkit_pipeline.cli.audit import run_audit

    return 0 if run_audit(load_settings()) else 1


@main.command()
@click.option("--full", is_flag=True, help="Build everything anew from the lake.")
def refresh(*, full: bool) -> None:
    """Follow the lake through the SQL models and publish; calls no API."""
    from climkit_pipeline.lake.account import check_format, check_writable
    from climkit_pipeline.user_files.config_folder import read_user_inputs
    from climkit_pipeline.warehouse.refresh import is_up_to_date, model_settings

    settings = load_settings()
    layout = Layout(settings.data_dir)
    check_writable(layout)
    check_format(layout)
    read_user_inputs(layout)  # a mistake stops before anything starts
    if not full and is_up_to_date(layout, model_settings(settings), settings.publish_months):
        warn_of_doubtful_lines(layout)
        click.echo(f"nothing changed: {layout.warehouse} is up to date", err=True)
        return
    # Importing Dagster takes seconds.
    from climkit_pipeline.defs.launch import Launcher, open_instance

    with open_instance(layout) as instance:
        Launcher(settings, instance, None).refresh_models(full=full)
    warn_of_doubtful_lines(layout)
    click.echo(f"published {layout.warehouse}", err=True)


@main.command("heal-times")
def heal_times() -> None:
    """Put right what was fetched while this machine's clock was ahead; calls no API.

    What is dated later than now is dated before it, and its days are asked for again by the next backfill.
    """
    from climkit_pipeline.lake import future_times
    from climkit_pipeline.lake.account import check_format, check_writable

    layout = Layout(load_settings().data_dir)
    check_writable(layout)
    check_format(layout)
    found = future_times.heal(layout, datetime.now(UTC))
    if not found:
        click.echo("nothing is dated later than now")
        return
    click.echo(f"{found}; they are dated before now")
    if found.first_day is not None:
        click.echo(f"Ask again, which settles what holds: climkit backfill {found.first_day} {found.last_day}")


@main.command()
@click.argument("target", type=click.Path(path_type=Path, file_okay=False))
@click.option("--keep", type=click.IntRange(1), help="Delete all but the newest N backups there.")
def backup(*, target: Path, keep: int | None) -> None:
    """Back the data up into a new folder of TARGET, while everything goes on; prints the folder."""
    from climkit_pipeline.lake.backup import back_up

    report = back_up(Layout(load_settings().data_dir), target, keep=keep)
    click.echo(str(report), err=True)
    click.echo(str(report.folder))


@main.command()
@click.argument("folder", metavar="BACKUP", type=click.Path(path_type=Path, exists=True, file_okay=False))
def restore(*, folder: Path) -> None:
    """Bring a BACKUP back into an empty data directory; `climkit refresh` then builds the warehouse."""
    from climkit_pipeline.lake.backup import restore as restore_backup

    click.echo(str(restore_backup(Layout(load_settings().data_dir), folder)), err=True)


@main.command()
@click.option("--keep-days", type=click.IntRange(0, 3660), help="Default: CLIMKIT_KEEP_RUNS_DAYS.")
def tidy(*, keep_days: int | None) -> None:
    """Delete what Dagster keeps of old runs, as the schedule weekly_tidy does; data are never touched."""
    from climkit_pipeline.defs.housekeeping import tidy_runs
    from climkit_pipeline.defs.launch import open_instance

    settings = load_settings()
    with open_instance(Layout(settings.data_dir)) as instance:
        report = tidy_runs(instance, settings.keep_runs_days if keep_days is None else keep_days)
    click.echo(str(report), err=True)


@main.command()
@click.option("--json", "as_json", is_flag=True)
def status(*, as_json: bool) -> None:
    """What is complete, what has gaps, what was never asked; grades per month."""
    from climkit_pipeline.cli.status import print_status

    print_status(load_settings(), as_json=as_json)


@main.command()
@click.argument("sql")
@click.option("--format", "output_format", type=click.Choice(["table", *TEXT_FORMATS, "parquet"]), default="table")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="Default: stdout.")
def query(*, sql: str, output_format: str, output: Path | None) -> None:
    """Run SQL on the published warehouse, read-only."""
    from climkit_pipeline.cli.results import show_result
    from climkit_pipeline.warehouse.queries import run_query

    show_result(run_query(Layout(load_settings().data_dir).warehouse, sql), output_format, output)


@main.command()
@click.option(
    "--output", type=click.Path(path_type=Path, file_okay=False), default="docs/dictionary", show_default=True
)
def docs(*, output: Path) -> None:
    """Write the dictionary of tables, columns and checks, as Markdown pages; needs no data."""
    from climkit_pipeline.warehouse.dictionary import write_dictionary

    written = write_dictionary(output)
    click.echo(f"{len(written)} pages: {output / 'index.md'}")


for _command in (accept, close, settle, export, report, forget, todo):
    main.add_command(_command)


@main.command()
@click.option("--alert", "send_alert", is_flag=True, help="Send a test message to CLIMKIT_ALERT_URLS, too.")
def check(*, send_alert: bool) -> int:
    """Is everything ready: configuration, log-in, write access, disk, and what fetching the rest would cost."""
    from climkit_pipeline.cli.status import run_check

    try:
        load_settings()
    except ConfigurationError as error:
        return 0 if run_check(error) else 1
    return 0 if run_check(None, send_alert=send_alert) else 1
