"""``climkit forget``: personal data that go for good."""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import click

from climkit_pipeline.cli.sites import SITE, SITE_METAVAR
from climkit_pipeline.errors import ConfigurationError
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.settings import load_settings

if TYPE_CHECKING:
    from climkit_pipeline.lake.forgotten import Tombstone

DATE = click.DateTime(["%Y-%m-%d", "%d.%m.%Y"])


@click.command()
@click.option("--site", "site_id", required=True, type=SITE, metavar=SITE_METAVAR)
@click.option("--meter", metavar="ID|NAME", help="Values of this meter …")
@click.option("--occupant", metavar="NAME", help="… or of all meters of this occupant, on the days of the occupancy.")
@click.option("--from", "first", type=DATE, help="First local day. Default: all that is held.")
@click.option("--until", "last", type=DATE, help="Last local day, included. Default: today.")
@click.option("--by", "who", metavar="WHO", help="Default: the user of this machine.")
@click.option("--why", metavar="TEXT", default="asked for by the person", show_default=True)
@click.option("--closed-too", is_flag=True, help="Also days of closed months; the frozen bills themselves stay.")
@click.option("--yes", "is_meant", is_flag=True, help="Do it. Without it, only what would go is shown.")
def forget(
    *,
    site_id: str,
    meter: str | None,
    occupant: str | None,
    first: datetime | None,
    last: datetime | None,
    who: str | None,
    why: str,
    closed_too: bool,
    is_meant: bool,
) -> int:
    """Remove load curves and readings of a meter or an occupant for good, and never fetch them again."""
    from climkit_pipeline.lake.forgotten import Tombstone, add_tombstones, held_rows, remove_rows, tombstone_file
    from climkit_pipeline.user_files.config_folder import rename_occupant
    from climkit_pipeline.warehouse.personal_data import days_of_meter, days_of_occupant

    if (meter is None) == (occupant is None):
        raise click.UsageError("name either --meter or --occupant")
    settings = load_settings()
    layout = Layout(settings.data_dir)
    today = datetime.now(UTC).date()
    if occupant is not None:
        stretches = days_of_occupant(layout.warehouse, site_id, occupant)
    else:
        stretches = days_of_meter(layout.warehouse, site_id, str(meter))
    earliest, latest = first.date() if first else date.min, last.date() if last else today
    tombstones = [
        Tombstone(site_id, meter_id, max(begin, earliest), min(end, latest), today, who or getpass.getuser(), why)
        for meter_id, begin, end in stretches
        if max(begin, earliest) <= min(end, latest)
    ]
    if not tombstones:
        raise ConfigurationError("there is no such day")
    _tell(tombstones, held_rows(layout, tombstones))
    closed = _closed_months(layout, tombstones)
    named = ", ".join(f"{month:%Y-%m}" for month in closed)
    proof = f"{named} {'is' if len(closed) == 1 else 'are'} closed: the values prove the invoices"
    if closed and closed_too:
        click.echo(
            f"climkit: the bills of {named} stay; what is gone shows as a correction: do not settle it", err=True
        )
    elif closed and is_meant:
        raise ConfigurationError(f"{proof}. --closed-too removes them all the same; the frozen bills stay")
    elif closed:
        click.echo(f"Nothing was removed. {proof}; the same with --closed-too --yes removes them all the same.")
        return 0
    if not is_meant:
        click.echo("Nothing was removed. The same with --yes removes it; no backup is touched.")
        return 0
    add_tombstones(layout, tombstones)
    remove_rows(layout, tombstones)
    if occupant is not None and (renamed := rename_occupant(layout, occupant)):
        click.echo(f"occupancies.csv: {occupant!r} is {renamed!r} now")
    # Deleted rows leave their bytes behind in a database file: it is built anew.
    from climkit_pipeline.defs.launch import Launcher, open_instance

    with open_instance(layout) as instance:
        Launcher(settings, instance, None).refresh_models(full=True)
    click.echo(f"Removed, and noted in {tombstone_file(layout)}, so that no look-back fetches it again.")
    return 0


def _tell(tombstones: Sequence[Tombstone], held: dict[str, tuple[int, int]]) -> None:
    for each in tombstones:
        click.echo(f"meter {each.meter_id}: {each.first_day} to {each.last_day}")
    for dataset, (days, rows) in held.items():
        click.echo(f"{dataset}: {rows:,} rows of {days:,} days, every version")


def _closed_months(layout: Layout, tombstones: Sequence[Tombstone]) -> list[date]:
    """The closed months that stand on what would go."""
    from climkit_pipeline.warehouse.closed_files import latest_by_month, read_versions

    return sorted(
        month
        for (site_id, month), latest in latest_by_month(read_versions(layout)).items()
        if latest.is_closed and any(each.site_id == site_id and each.is_within_month(month) for each in tombstones)
    )
