"""``docs/rehearsals.md``: one table, a line per figure, written by the rehearsals and by nobody else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stage import Figure

PATH = Path(__file__).resolve().parents[2] / "docs" / "rehearsals.md"
COLUMNS = ("rehearsal", "what", "asked for", "measured", "when", "cores", "command")
INTRODUCTION = """\
# Rehearsals

How the pipeline behaves when things go wrong, measured: real `climkit` processes against the built-in simulator over
loopback, killed, crowded and lied to, while the server counts. `make rehearse` runs everything and writes this table,
no other hand does; `make rehearse-short` runs small forms of the same, which assert and write nothing. Shares of slots
need a machine that does nothing else.
"""


def write(name: str, figures: Sequence[Figure], *, when: str, cores: int, command: str) -> None:
    """Put the figures of one rehearsal in the place of its older ones; those of others stay as they are."""
    rows = [row for row in _rows() if row[0] != name]
    rows += [
        (name, figure.what, figure.asked, figure.measured if figure.is_met else f"**{figure.measured}** (missed)",
         when, str(cores), f"`{command}`")
        for figure in figures
    ]  # fmt: skip
    lines = [_line(COLUMNS), _line(["---"] * len(COLUMNS)), *(_line(row) for row in rows)]
    PATH.write_text(INTRODUCTION + "\n" + "\n".join(lines) + "\n")


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _rows() -> list[tuple[str, ...]]:
    """The lines of the table as it is, without its head."""
    if not PATH.exists():
        return []
    lines = [line for line in PATH.read_text().splitlines() if line.startswith("| ")]
    return [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines[2:]]
