"""``python tests/rehearsals``: run the rehearsals, print their figures, and write ``docs/rehearsals.md``.

Exit status 1 if a figure is not what was asked for. The short form writes nothing.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import click
import document
from rehearsal_list import REHEARSALS
from stage import Stage


@click.command(help=__doc__)
@click.option("--short", "is_short", is_flag=True, help="Small forms, a few minutes in all; writes no document.")
@click.option("--only", type=click.Choice(list(REHEARSALS)), multiple=True, help="This one; may be repeated.")
@click.option("--seed", default=1, show_default=True, help="Of the points of the kills, and of the first fault plan.")
def main(*, is_short: bool, only: tuple[str, ...], seed: int) -> None:
    """Run what is asked for, each to its end, whatever the others gave."""
    root = Path(tempfile.mkdtemp(prefix="climkit-rehearsals-"))
    stage = Stage(root, lambda line: click.echo(f"  {line}"))
    all_met = True
    for name in only or REHEARSALS:
        began = time.monotonic()
        click.echo(f"{name} …")
        result = REHEARSALS[name](stage, seed, is_short)
        for figure in result.figures:
            sign = "ok    " if figure.is_met else "MISSED"
            click.echo(f"  {sign} {figure.what}: {figure.measured} (asked for: {figure.asked})")
            all_met &= figure.is_met
        for problem in result.problems:
            click.echo(f"  {problem}", err=True)
        click.echo(f"  {time.monotonic() - began:.0f} s")
        if not is_short:
            when = datetime.now(UTC).date().isoformat()
            command = f"make rehearse ONLY={name}" + (f" SEED={seed}" if seed != 1 else "")
            document.write(name, result.figures, when=when, cores=os.cpu_count() or 1, command=command)
    if all_met:
        shutil.rmtree(root)
    else:
        click.echo(f"What the runs left is kept in {root}", err=True)
    sys.exit(0 if all_met else 1)


if __name__ == "__main__":
    main()
