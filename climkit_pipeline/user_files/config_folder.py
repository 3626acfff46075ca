"""Reading all of the user's files, and adding a decision to one."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from climkit_pipeline.errors import ConfigurationError
from climkit_pipeline.files import atomic_file, file_lock
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.user_files.checks import acceptable, known_checks, never_accepted, part_of_a_month, unknown_check
from climkit_pipeline.user_files.contradictions import contradictions
from climkit_pipeline.user_files.csv_text import csv_rows, delimiter_of, read_lines, text_of, validated
from climkit_pipeline.user_files.lines import (
    AnyLine,
    Decision,
    Entry,
    MeterFact,
    Occupancy,
    SensorRole,
    SetAside,
    Tolerance,
    UserInputs,
)
from climkit_pipeline.user_files.names import by_id, check_occupancies, listed_names, meters_called


def read_user_inputs(layout: Layout) -> UserInputs:
    """All lines of the user's files.

    Raises ConfigurationError with one line of text per mistake, over all files.
    """
    problems: list[str] = []
    notes: list[str] = []

    def lines(name: str, kind: type[AnyLine]) -> tuple[Entry[AnyLine], ...]:
        path = layout.config / name
        return tuple(read_lines(path, kind, problems, notes)) if path.exists() else ()

    facts, decisions = lines("meters.csv", MeterFact), lines("decisions.csv", Decision)
    tolerances, set_aside = lines("tolerances.csv", Tolerance), lines("set_aside.csv", SetAside)
    occupancies = lines("occupancies.csv", Occupancy)
    sensor_roles = lines("sensors.csv", SensorRole)
    if facts or decisions or set_aside or occupancies:
        names = listed_names(layout, meters_called(facts, decisions, set_aside))
        facts = by_id("meters.csv", facts, names, problems)
        for fact in (entry.content for entry in facts):
            names.add_meter(fact.site_id, fact.meter_id, fact.name)
        decisions = by_id("decisions.csv", decisions, names, problems)
        set_aside = by_id("set_aside.csv", set_aside, names, problems)
        check_occupancies(occupancies, names, problems)
    inputs = UserInputs(facts, decisions, tolerances, set_aside, occupancies, sensor_roles, tuple(notes))
    problems += contradictions(inputs, known_checks())
    if problems:
        raise ConfigurationError("\n".join(problems))
    return inputs


def read_texts(layout: Layout) -> dict[str, str]:
    """The text of each file that says something of a bill, by name."""
    names = ("meters.csv", "decisions.csv", "tolerances.csv", "occupancies.csv")
    paths = [layout.config / name for name in names]
    return {path.name: text_of(path)[0] for path in paths if path.exists()}


def decision(cells: Mapping[str, str | None]) -> Decision:
    """A decision, by the columns of its file.

    Raises ConfigurationError with one line per mistake, or if it accepts nothing by its nature.
    """
    problems: list[str] = []
    given = {name: cell.strip() for name, cell in cells.items() if cell is not None and cell.strip()}
    checked = validated(Decision, given, problems, "")
    checks = known_checks()
    if checked is not None and checks is not None and checked.check_name not in checks:
        problems.append(unknown_check(checked.check_name, acceptable(checks)))
    if checked is None or problems:
        raise ConfigurationError("\n".join(problems))
    if useless := never_accepted(checked, checks or {}):
        raise ConfigurationError(useless)
    if partial := part_of_a_month(checked, checks or {}):
        raise ConfigurationError(f"{partial}; for a billing_between of these days, write the line into decisions.csv")
    return checked


def append_decision(layout: Layout, decision: Decision) -> Path:
    """Add a line to ``decisions.csv``, in one step; what is there stays as it is. Its path.

    Raises ConfigurationError if what is there has mistakes, for nobody could tell what the new line would mean; and if
    it lacks the column of something that was decided, for without its meter a decision is about the whole site.
    """
    path = layout.config / "decisions.csv"
    with file_lock(layout.lock("config")):
        read_user_inputs(layout)
        text, was_not_utf8 = text_of(path) if path.exists() else ("", None)
        if not any(True for _ in csv_rows(text)):
            header = ",".join(Decision.accepted_by_column())
            text = f"{text}{_line_end(text)}{header}\n"
        (_, header_row), *_ = csv_rows(text)
        values = decision.model_dump(by_alias=True)
        columns = {name.strip() for name in header_row}
        if missing := [name for name, value in values.items() if value is not None and name not in columns]:
            raise ConfigurationError(f"decisions.csv has no column {missing[0]}: add it to the header, then try again")
        line = io.StringIO()
        writer = csv.writer(line, delimiter=delimiter_of(text), lineterminator="\n")
        # One line per decision, so that a line of text never looks like a comment or like half a row.
        cells = [" ".join(str(values[name.strip()] or "").split()) for name in header_row]
        writer.writerow(cells)
        added = line.getvalue()
        if added.startswith("#"):
            added = f'"{cells[0]}"{added[len(cells[0]) :]}'
        newline = "\r\n" if "\r\n" in text else "\n"
        text = f"{text}{_line_end(text)}{added.rstrip()}{newline}"
        with atomic_file(path) as temporary:
            # With the mark, the spreadsheet that saved it otherwise opens it with its accents.
            temporary.write_bytes(text.encode("utf-8-sig" if was_not_utf8 else "utf-8"))
    return path


def rename_occupant(layout: Layout, occupant: str) -> str | None:
    """Put a name that says nothing in the place of an occupant's in ``occupancies.csv``; None if nobody is called so.

    Everything else of the file stays as it is.
    """
    path = layout.config / "occupancies.csv"
    with file_lock(layout.lock("config")):
        if not path.exists():
            return None
        entries = read_user_inputs(layout).occupancies
        taken = {entry.content.occupant for entry in entries}
        number = next(each for each in range(1, len(taken) + 2) if f"forgotten {each}" not in taken)
        lines = path.read_bytes().decode("utf-8-sig").splitlines(keepends=True)
        named = {entry.line for entry in entries if entry.content.occupant == occupant}
        for line in named:
            lines[line - 1] = lines[line - 1].replace(occupant, f"forgotten {number}")
        if not named:
            return None
        with atomic_file(path) as temporary:
            temporary.write_bytes("".join(lines).encode())
    return f"forgotten {number}"


def _line_end(text: str) -> str:
    return "" if not text or text.endswith("\n") else "\n"
