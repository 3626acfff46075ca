"""``climkit accept``, ``close`` and ``settle``: what a person decides about a month."""

from __future__ import annotations

import getpass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from climkit_pipeline.cli.ranges import parse_month
from climkit_pipeline.cli.sites import SITE, SITE_METAVAR, meter_id_of
from climkit_pipeline.domain.periods import next_month
from climkit_pipeline.errors import ConfigurationError
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.settings import Settings, load_settings

if TYPE_CHECKING:
    from climkit_pipeline.user_files.lines import Decision


@click.command()
@click.argument("check_name", metavar="CHECK")
@click.option("--site", "site_id", required=True, type=SITE, metavar=SITE_METAVAR)
@click.option("--meter", "meter_id", metavar=SITE_METAVAR, help="Default: every meter of the site.")
@click.option("--from", "first", required=True, metavar="DATE", help="First local day.")
@click.option("--to", "last", required=True, metavar="DATE", help="Last local day, included.")
@click.option("--by", "who", required=True, metavar="WHO", help="Who decided.")
@click.option("--why", required=True, metavar="TEXT", help="The reason, for whoever asks in two years.")
@click.option("--exclude", is_flag=True, help="Do not bill the meter for these days, instead of accepting the check.")
def accept(
    *, check_name: str, site_id: str, meter_id: str | None, first: str, last: str, who: str, why: str, exclude: bool
) -> None:
    """Accept a failed CHECK: it no longer blocks, and the bill says who accepted it and why."""
    from climkit_pipeline.lake.account import check_writable, create_data_dir
    from climkit_pipeline.user_files.config_folder import append_decision, decision
    from climkit_pipeline.warehouse.decision_effects import check_ids, nothing_failed

    layout = Layout(load_settings().data_dir)
    action = "exclude" if exclude else "accept"
    meter_id = None if meter_id is None else meter_id_of(site_id, meter_id)
    decided = decision(
        {"check": check_name, "site_id": site_id, "meter_id": meter_id, "from": first, "to": last}
        | {"action": action, "who": who, "why": why}
    )
    check_ids(decided, layout.warehouse)
    check_writable(layout)
    create_data_dir(layout)
    closed = _closed_months(layout, decided) if exclude else []
    path = append_decision(layout, decided)
    # Of this line alone; what is to be said about the others, `check` and `refresh` say.
    if useless := nothing_failed(decided, layout.warehouse):
        click.echo(f"climkit: {useless}", err=True)
    for month in closed:
        click.echo(
            f"climkit: {month:%Y-%m} of site {site_id} is closed: corrections follow, which `climkit settle` freezes",
            err=True,
        )
    click.echo(f"added to {path}; `climkit refresh` applies it")


def _closed_months(layout: Layout, decided: Decision) -> list[date]:
    """The closed months of the site in which a decision holds."""
    from climkit_pipeline.warehouse.closed_files import latest_by_month, read_versions

    return [
        month
        for (site_id, month), latest in latest_by_month(read_versions(layout)).items()
        if latest.is_closed
        and site_id == decided.site_id
        and month <= decided.last_day
        and next_month(month) > decided.first_day
    ]


@click.command()
@click.argument("month", metavar="MONTH")
@click.option("--site", "site_id", required=True, type=SITE, metavar=SITE_METAVAR)
@click.option("--by", "who", metavar="WHO", help="Who closes. Default: the user of this machine.")
@click.option("--reopen", is_flag=True, help="Open a closed month again; what was closed stays on record.")
@click.option("--why", metavar="TEXT", help="With --reopen: the reason.")
def close(*, month: str, site_id: str, who: str | None, reopen: bool, why: str | None) -> None:
    """Freeze a site's MONTH (YYYY-MM) as it can be billed: follows the lake, then needs every billed meter ready."""
    if reopen and not (why and why.strip()):
        raise ConfigurationError("--reopen needs --why: the reason is kept with the closed month")
    if why and not reopen:
        raise ConfigurationError("--why goes with --reopen; what a failed check is about goes with `climkit accept`")
    _act("reopen" if reopen else "close", parse_month(month), site_id, who, why)


@click.command()
@click.argument("month", metavar="MONTH")
@click.option("--site", "site_id", required=True, type=SITE, metavar=SITE_METAVAR)
@click.option("--by", "who", metavar="WHO", help="Who settles. Default: the user of this machine.")
@click.option("--why", metavar="TEXT", help="What is to be remembered of it; it stands beside the corrections.")
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write them, too: .csv, .json or .parquet."
)
@click.option("--forgotten-too", is_flag=True, help="Also where days were forgotten since: the bill then lacks them.")
def settle(
    *, month: str, site_id: str, who: str | None, why: str | None, output: Path | None, forgotten_too: bool
) -> None:
    """Freeze the present corrections of a closed MONTH (YYYY-MM) as its next version, and print them."""
    if output is not None and output.suffix.lower() not in {".csv", ".json", ".parquet"}:  # before anything is frozen
        raise ConfigurationError("--output needs a name that ends in .csv, .json or .parquet")
    _act("settle", parse_month(month), site_id, who, why, output=output, forgotten_too=forgotten_too)


def _act(
    kind: str,
    month: date,
    site_id: str,
    who: str | None,
    why: str | None,
    *,
    output: Path | None = None,
    forgotten_too: bool = False,
) -> None:
    from climkit_pipeline.lake.account import check_format, check_writable
    from climkit_pipeline.warehouse.closed_files import version_file
    from climkit_pipeline.warehouse.closing import open_closings
    from climkit_pipeline.warehouse.refresh import model_settings

    settings: Settings = load_settings()
    layout = Layout(settings.data_dir)
    check_writable(layout)
    check_format(layout)
    by, reason = (" ".join((text or "").split()) for text in (who or getpass.getuser(), why))
    with open_closings(layout, model_settings(settings), publish_months=settings.publish_months) as closings:
        if kind == "reopen":
            version = closings.reopen(site_id, month, by, reason)
        elif kind == "settle":
            version = closings.settle(site_id, month, by, reason or None, forgotten_too=forgotten_too)
        else:
            version = closings.close(site_id, month, by)
        named = closings.named(site_id, month)
    done = {"close": "closed", "settle": "settled", "reopen": "open again"}[kind]
    held = f", {version.meters} meter{'s' * (version.meters != 1)}" if version.is_closed else ""
    click.echo(
        f"{named} is {done} by {by}: version {version.version}{held}, "
        f"data as of {version.lake_as_of_utc:%Y-%m-%dT%H:%M:%SZ}, {version_file(layout, version)}"
    )
    if kind == "settle":
        _print_corrections(layout, site_id, month, version.version, output)


def _print_corrections(layout: Layout, site_id: str, month: date, version: int, output: Path | None) -> None:
    """What a settlement changed on bills, one line per occupant and quantity."""
    from climkit_pipeline.cli.results import show_result
    from climkit_pipeline.warehouse.queries import run_query

    corrections = run_query(
        layout.warehouse,
        """
        from billing_line_corrections
        where site_id = ? and billing_month = ? and settled_version = ?
        order by billing_point, meter_name, occupant, quantity = 'total' desc, quantity
        """,
        [site_id, month, version],
    )
    if corrections.is_empty():
        click.echo("no occupant's quantities changed: the corrections are of meters that are not billed, or of indices")
    for row in corrections.iter_rows(named=True):
        whose = f"{row['meter_name'] or row['meter_id']}, {row['occupant'] or 'the owner'}"
        change = f"{_amount(row['closed_value'])} -> {_amount(row['current_value'])}, {row['delta'].normalize():+f}"
        click.echo(f"  {whose}: {row['quantity']} {change} {row['unit']} ({row['cause']})")
    if output is not None:
        show_result(corrections, "table", output)


def _amount(value: Decimal | None) -> str:
    return "nothing" if value is None else f"{value.normalize():f}"


def warn_of_doubtful_lines(layout: Layout) -> None:
    """Say on stderr which lines of the user's files name what was never listed, or decide without effect."""
    from climkit_pipeline.user_files.config_folder import read_user_inputs
    from climkit_pipeline.warehouse.decision_effects import doubtful_lines

    for line in doubtful_lines(read_user_inputs(layout), layout.warehouse):
        click.echo(f"climkit: {line}", err=True)
