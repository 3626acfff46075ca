"""``climkit todo``: what to mend before a month can be billed, and who is billed at all."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

import click

from climkit_pipeline.cli.ranges import parse_month
from climkit_pipeline.cli.sites import SITE, SITE_METAVAR
from climkit_pipeline.errors import ConfigurationError
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.settings import load_settings

if TYPE_CHECKING:
    from climkit_pipeline.warehouse.todo import Entry, Todo

MOST_NAMES = 4


@click.command()
@click.argument("month", metavar="[MONTH]", required=False)
@click.option("--site", "sites", multiple=True, type=SITE, metavar=SITE_METAVAR, help="Only this site (repeatable).")
@click.option("--first-day", is_flag=True, help="Who is billed: what a person has to say once.")
def todo(*, month: str | None, sites: tuple[str, ...], first_day: bool) -> int:
    """What holds up a MONTH (YYYY-MM): causes first, what each would free, and the line or command that mends it."""
    if (month is None) is not first_day:
        raise ConfigurationError("name a MONTH (YYYY-MM), or --first-day")
    if month is None:
        return _print_questions()
    return _print_todo(parse_month(month), sites)


def _print_todo(month: date, sites: tuple[str, ...]) -> int:
    from climkit_pipeline.lake.forgotten import read_tombstones
    from climkit_pipeline.warehouse.todo import read_todo

    layout = Layout(load_settings().data_dir)
    found = read_todo(layout.warehouse, month, sites, read_tombstones(layout))
    if not found.entries:
        click.echo(f"{month:%Y-%m}: nothing holds up the bill")
        return 0
    for number, entry in enumerate(found.entries, start=1):
        click.echo("\n".join(described(number, entry, found)))
    held = set().union(*(entry.lines for entry in found.entries))
    click.echo(f"{month:%Y-%m}: {_lines(len(held))} held up, {_amounts(found.amounts(held))}")
    click.echo("who is billed at all: climkit todo --first-day", err=True)
    return 1


def described(number: int, entry: Entry, found: Todo) -> Iterator[str]:
    """An entry as people read it, line by line: whose, how much it holds up, what failed, and what mends it."""
    names = found.names_of(entry)
    shown = ", ".join(names[:MOST_NAMES]) + (f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else "")
    yield f"{number}. {found.site_names.get(entry.site_id, entry.site_id)}{f', {shown}' if shown else ''}"
    amounts = _amounts(found.amounts(entry.lines))
    freed = f"{_lines(len(entry.alone))} would be free" if entry.alone else "none of them waits for this alone"
    if found.is_refused_yet(entry):
        freed = "climkit settle is refused until everything else of the site is mended"
    yield f"   holds up {_lines(len(entry.lines))}, {amounts}; {freed}"
    said: list[str] = []
    for failure in entry.kinds:
        yield f"   {failure.check_name}: {failure.sentence}"
        # To ask again is said once.
        ways = [way for way in failure.advice(found.called(entry.site_id)) if not any(way in each for each in said)]
        yield from (f"   -> {way}" for way in ways)
        said += ways


def _lines(count: int) -> str:
    return f"{count} line{'s' * (count != 1)}"


def _amounts(amounts: dict[str, Decimal]) -> str:
    return ", ".join(f"{amount.normalize():f} {unit}" for unit, amount in amounts.items()) or "no quantity yet"


def _print_questions() -> int:
    from climkit_pipeline.warehouse.who_is_billed import questions

    asked = questions(Layout(load_settings().data_dir).warehouse)
    if not asked:
        click.echo("every billed meter has an occupant, and none looks as if it contained another")
        return 0
    for number, question in enumerate(asked, start=1):
        click.echo(f"{number}. {question.site}: {question.text}")
        click.echo(f"   in config/{question.file}:")
        for line in question.lines:
            click.echo(f"   {line}")
    return 1
