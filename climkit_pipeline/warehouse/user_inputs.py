"""What the user knows and no API tells: ``meters.csv``, ``decisions.csv`` and ``tolerances.csv`` in ``config/``.

Here: reading and checking these files, and adding a decision. Not here: what follows from them (the SQL models, which
read the tables ``pipeline.meter_facts``, ``decisions`` and ``tolerances``).

The files are CSV with a header, in any order of columns, separated by commas or (as spreadsheets in some countries
write them) by semicolons, each row on one line. Lines that begin with ``#`` are comments. Dates are local dates of the
site, both included.
"""

from __future__ import annotations

import csv
import difflib
import hashlib
import io
import json
import re
from calendar import monthrange
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import groupby, pairwise
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar, cast
from zoneinfo import ZoneInfo

import polars as pl
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from climkit_pipeline.domain.periods import local_midnight_utc
from climkit_pipeline.errors import ConfigurationError
from climkit_pipeline.files import atomic_file, file_lock
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.lake.site_zones import filed_zones
from climkit_pipeline.warehouse.project import PROJECT_DIR

CHECKS_FILE = PROJECT_DIR / "seeds" / "quality_checks.csv"
"""The checks that there are, one per line; its first column holds their names."""

AcceptedFor = Literal["days", "months", "never"]
"""For what a failure can be accepted: any days, whole months alone (what is judged by months), or never."""

FIRST_DATE = date(1900, 1, 1)
"""Before it, a year is a slip of the pen, as 0026 for 2026."""
LAST_DATE = date(9999, 12, 31)
REGISTERS = ("import", "export", "heat", "volume")


def _as_date(text: object) -> object:
    if not isinstance(text, str):
        return text
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        raise ValueError("not a date")
    day = date.fromisoformat(text)
    if day < FIRST_DATE:
        raise ValueError("long before there were meters")
    return day


def _as_instant(text: object) -> object:
    if not isinstance(text, str):
        return text
    if len(text) == len("YYYY-MM-DD"):
        return _as_date(text)
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError("a time without its offset from UTC")
    if not FIRST_DATE <= instant.date() < LAST_DATE:
        raise ValueError("long before there were meters, or no instant in UTC")
    return instant.astimezone(UTC)


def _as_boolean(text: object) -> object:
    if isinstance(text, str) and text.lower() not in {"true", "false"}:
        raise ValueError("not a truth value")
    return text


def _as_number(text: object) -> object:
    # Python reads 1_000 as a thousand; in a file it is a slip of the pen.
    if isinstance(text, str) and not re.fullmatch(r"[-+.0-9eE]+", text):
        raise ValueError("not a number")
    return text


LocalDate = Annotated[date, BeforeValidator(_as_date)]
Instant = Annotated[datetime | date, BeforeValidator(_as_instant)]
Flag = Annotated[bool, BeforeValidator(_as_boolean)]
Number = Annotated[Decimal, BeforeValidator(_as_number)]
WholeNumber = Annotated[int, BeforeValidator(_as_number)]

A_DATE = "a local date such as 2026-10-31, from 1900 on"
A_SITE = "the id of a site"
A_METER = "the id of a meter"
A_CHECK = "the name of a check"


class _Line(BaseModel):
    """One line of a file; the aliases are the names of its columns, the descriptions what is accepted there."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, str_strip_whitespace=True)


class MeterFact(_Line):
    """What is known of one meter while ``valid_from`` to ``valid_until``."""

    site_id: str = Field(description=A_SITE)
    meter_id: str = Field(description=A_METER)
    valid_from: LocalDate = Field(FIRST_DATE, description=A_DATE)
    valid_until: LocalDate = Field(LAST_DATE, description=f"{A_DATE}, the last day included")
    register_map: Literal["swapped", "import", "export", "heat", "volume"] | None = Field(
        None, description=f"swapped, or the register that counts: {', '.join(REGISTERS)}"
    )
    resolution: Number | None = Field(
        None, gt=0, max_digits=18, decimal_places=6, description="one step of the index in the meter's unit, as 0.01"
    )
    installed_on: LocalDate | None = Field(None, description=f"{A_DATE}, on which the register began at 0")
    replaced_at: Instant | None = Field(
        None, description="an instant with its offset such as 2026-10-31T14:30+01:00, or a local date, from 1900 on"
    )
    in_service_from: LocalDate | None = Field(None, description=A_DATE)
    in_service_until: LocalDate | None = Field(None, description=f"{A_DATE}, the last day included")
    billing_point: str | None = Field(None, description="a name, the same for successive meters")
    is_billed: Flag | None = Field(None, description="true or false")
    interval_minutes: WholeNumber | None = Field(None, ge=1, le=1440, description="a whole number from 1 to 1440")
    note: str | None = Field(None, description="any text")

    @model_validator(mode="after")
    def _check_order(self) -> MeterFact:
        _check_order("valid_from", self.valid_from, "valid_until", self.valid_until)
        if self.in_service_from and self.in_service_until:
            _check_order("in_service_from", self.in_service_from, "in_service_until", self.in_service_until)
        if self.replaced_at is not None:
            replaced_on = self.replaced_at.date() if isinstance(self.replaced_at, datetime) else self.replaced_at
            # The instant is UTC and the dates are local: a day of tolerance, for any zone.
            first, last = _day(self.valid_from, -1), _day(self.valid_until, 1)
            if not first <= replaced_on <= last:
                raise ValueError(f"replaced_at {replaced_on} is not within valid_from and valid_until")
        return self


class Decision(_Line):
    """What a person decided about a check that failed, or about a stretch that is not billed."""

    check_name: str = Field(alias="check", description=A_CHECK)
    site_id: str = Field(description=A_SITE)
    meter_id: str | None = Field(None, description=f"{A_METER}, or nothing for every meter of the site")
    first_day: LocalDate = Field(alias="from", description=A_DATE)
    last_day: LocalDate = Field(alias="to", description=f"{A_DATE}, included")
    action: Literal["accept", "exclude"] = Field(description="accept or exclude")
    decided_by: str = Field(alias="who", description="who decided")
    reason: str = Field(alias="why", description="the reason, for whoever asks in two years")

    @model_validator(mode="after")
    def _check_order(self) -> Decision:
        _check_order("from", self.first_day, "to", self.last_day)
        return self


class Tolerance(_Line):
    """Another tolerance of a check than the one it comes with."""

    check_name: str = Field(alias="check", description=A_CHECK)
    tolerance: Number = Field(
        ge=0, max_digits=18, decimal_places=6, description="a number from 0 on, in the unit of the check"
    )
    reason: str = Field(alias="why", description="the reason for another tolerance")


def _check_order(first_name: str, first: date, last_name: str, last: date) -> None:
    if last < first:
        raise ValueError(f"{last_name} {last} is before {first_name} {first}")


def _day(day: date, offset: int) -> date:
    is_bound = day in {FIRST_DATE, LAST_DATE}
    return day if is_bound else day + timedelta(days=offset)


AnyLine = TypeVar("AnyLine", bound=_Line)


@dataclass(frozen=True)
class Entry(Generic[AnyLine]):
    """A line of a file that is as it should be."""

    line: int
    content: AnyLine


@dataclass(frozen=True)
class UserInputs:
    """The three files, checked; without lines where there is no file."""

    meter_facts: tuple[Entry[MeterFact], ...] = ()
    decisions: tuple[Entry[Decision], ...] = ()
    tolerances: tuple[Entry[Tolerance], ...] = ()

    def __str__(self) -> str:
        counts = {
            "meters.csv": len(self.meter_facts),
            "decisions.csv": len(self.decisions),
            "tolerances.csv": len(self.tolerances),
        }
        named = [f"{name}: {lines} line{'s' * (lines != 1)}" for name, lines in counts.items() if lines]
        return ", ".join(named) or "none given"


FACTS_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "site_id": pl.String,
    "meter_id": pl.String,
    "valid_from": pl.Date,
    "valid_until": pl.Date,
    "register_map": pl.String,
    "resolution": pl.Decimal(18, 6),
    "installed_on": pl.Date,
    "replaced_at_utc": pl.Datetime("us", "UTC"),
    "in_service_from": pl.Date,
    "in_service_until": pl.Date,
    "billing_point": pl.String,
    "is_billed": pl.Boolean,
    "interval_minutes": pl.Int32,
    "note": pl.String,
}
DECISIONS_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "check_name": pl.String,
    "site_id": pl.String,
    "meter_id": pl.String,
    "first_day": pl.Date,
    "last_day": pl.Date,
    "action": pl.String,
    "decided_by": pl.String,
    "reason": pl.String,
}
TOLERANCES_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "check_name": pl.String,
    "tolerance": pl.Decimal(18, 6),
    "reason": pl.String,
}


@dataclass(frozen=True)
class InputTables:
    """What the models read: the columns of ``pipeline.meter_facts``, ``decisions`` and ``tolerances``."""

    meter_facts: pl.DataFrame
    decisions: pl.DataFrame
    tolerances: pl.DataFrame

    @property
    def digest(self) -> str:
        """A short hash of all rows: comments, order of columns and of lines have no part in it."""
        rows = [
            sorted(json.dumps(row, default=str) for row in frame.iter_rows())
            for frame in (self.meter_facts, self.decisions, self.tolerances)
        ]
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]


def read_user_inputs(layout: Layout) -> UserInputs:
    """All lines of the user's files.

    Raises ConfigurationError with one line of text per mistake, over all files.
    """
    problems: list[str] = []
    checks = known_checks()

    def lines(name: str, kind: type[AnyLine]) -> tuple[Entry[AnyLine], ...]:
        path = layout.config / name
        return tuple(_read_file(path, kind, problems)) if path.exists() else ()

    inputs = UserInputs(
        lines("meters.csv", MeterFact), lines("decisions.csv", Decision), lines("tolerances.csv", Tolerance)
    )
    problems += _overlaps(inputs.meter_facts)
    problems += _contradicting_services(inputs.meter_facts)
    problems += _unknown_checks("decisions.csv", inputs.decisions, checks)
    problems += _unknown_checks("tolerances.csv", inputs.tolerances, checks)
    problems += _fixed_tolerances(inputs.tolerances, checks)
    problems += _repeated_tolerances(inputs.tolerances)
    if problems:
        raise ConfigurationError("\n".join(problems))
    return inputs


@dataclass(frozen=True)
class KnownCheck:
    """What the list of checks says of one of them."""

    severity: str
    accepted_for: AcceptedFor


def known_checks() -> dict[str, KnownCheck] | None:
    """All checks by name; None while there is no list of them."""
    if not CHECKS_FILE.exists():
        return None
    with CHECKS_FILE.open(encoding="utf-8", newline="") as file:
        return {
            row["check_name"]: KnownCheck(row["severity"], cast("AcceptedFor", row["accepted_for"]))
            for row in csv.DictReader(file)
        }


def input_tables(inputs: UserInputs, layout: Layout, default_timezone: str) -> InputTables:
    """The tables for the models; a replacement known by its date happened at the start of that day at the site."""
    zones: dict[str, ZoneInfo] = {}
    if any(_is_plain_date(entry.content.replaced_at) for entry in inputs.meter_facts):
        zones = filed_zones(layout)
    facts = []
    for entry in inputs.meter_facts:
        fact = entry.content
        zone = zones.get(fact.site_id, ZoneInfo(default_timezone))
        replaced_at = fact.replaced_at
        if replaced_at is not None and not isinstance(replaced_at, datetime):
            replaced_at = local_midnight_utc(replaced_at, zone)
        facts.append({**fact.model_dump(exclude={"replaced_at"}), "replaced_at_utc": replaced_at})
    return InputTables(
        pl.DataFrame(facts, schema=FACTS_SCHEMA),
        pl.DataFrame([entry.content.model_dump() for entry in inputs.decisions], schema=DECISIONS_SCHEMA),
        pl.DataFrame([entry.content.model_dump() for entry in inputs.tolerances], schema=TOLERANCES_SCHEMA),
    )


def _is_plain_date(value: datetime | date | None) -> bool:
    return value is not None and not isinstance(value, datetime)


def decision(cells: Mapping[str, str | None]) -> Decision:
    """A decision, by the columns of its file.

    Raises ConfigurationError with one line per mistake, or if it accepts nothing by its nature.
    """
    problems: list[str] = []
    given = {name: cell.strip() for name, cell in cells.items() if cell is not None and cell.strip()}
    checked = _validated(Decision, given, problems, "")
    checks = known_checks()
    if checked is not None and checks is not None and checked.check_name not in checks:
        problems.append(_unknown_check(checked.check_name, _acceptable(checks)))
    if checked is None or problems:
        raise ConfigurationError("\n".join(problems))
    if useless := never_accepted(checked, checks or {}):
        raise ConfigurationError(useless)
    if partial := part_of_a_month(checked, checks or {}):
        raise ConfigurationError(f"{partial}; for a billing_between of these days, write the line into decisions.csv")
    return checked


def never_accepted(decision: Decision, checks: Mapping[str, KnownCheck]) -> str | None:
    """What to say of a decision about a failure that nobody can accept."""
    if decision.action == "exclude" or _accepted_for(decision, checks) != "never":
        return None
    return (
        f"{decision.check_name} cannot be accepted: more data, time or a settlement mends it (its reason says which); "
        "exclude takes the meter off the bill"
    )


def _accepted_for(decision: Decision, checks: Mapping[str, KnownCheck]) -> AcceptedFor | None:
    check = checks.get(decision.check_name)
    return None if check is None else check.accepted_for


def part_of_a_month(decision: Decision, checks: Mapping[str, KnownCheck]) -> str | None:
    """What to say of a decision that holds for a part of a month, where the check judges months."""
    if decision.action == "exclude" or _accepted_for(decision, checks) != "months":
        return None
    first, last = decision.first_day, decision.last_day
    parts = {f"{day:%Y-%m}" for day in (first, last) if not first <= day.replace(day=1) <= _month_end(day) <= last}
    if not parts:
        return None
    return (
        f"{decision.check_name} is judged by whole months, and {' and '.join(sorted(parts))} is not wholly "
        f"within {first} to {last}: nothing is accepted there"
    )


def _month_end(day: date) -> date:
    return day.replace(day=monthrange(day.year, day.month)[1])


def append_decision(layout: Layout, decision: Decision) -> Path:
    """Add a line to ``decisions.csv``, in one step; what is there stays as it is. Its path.

    Raises ConfigurationError if what is there has mistakes, for nobody could tell what the new line would mean; and if
    it lacks the column of something that was decided, for without its meter a decision is about the whole site.
    """
    path = layout.config / "decisions.csv"
    with file_lock(layout.lock("config")):
        read_user_inputs(layout)
        text = path.read_bytes().decode("utf-8-sig") if path.exists() else ""
        if not any(True for _ in _rows(text)):
            header = ",".join(_columns(Decision))
            text = f"{text}{_line_end(text)}{header}\n"
        (_, header_row), *_ = _rows(text)
        values = decision.model_dump(by_alias=True)
        columns = {name.strip() for name in header_row}
        if missing := [name for name, value in values.items() if value is not None and name not in columns]:
            raise ConfigurationError(f"decisions.csv has no column {missing[0]}: add it to the header, then try again")
        line = io.StringIO()
        writer = csv.writer(line, delimiter=_delimiter(text), lineterminator="\n")
        # One line per decision, so that a line of text never looks like a comment or like half a row.
        cells = [" ".join(str(values[name.strip()] or "").split()) for name in header_row]
        writer.writerow(cells)
        added = line.getvalue()
        if added.startswith("#"):
            added = f'"{cells[0]}"{added[len(cells[0]) :]}'
        newline = "\r\n" if "\r\n" in text else "\n"
        text = f"{text}{_line_end(text)}{added.rstrip()}{newline}"
        with atomic_file(path) as temporary:
            temporary.write_bytes(text.encode())
    return path


def _line_end(text: str) -> str:
    return "" if not text or text.endswith("\n") else "\n"


def _columns(kind: type[_Line]) -> dict[str, str]:
    """What is accepted in each column of a file, by the column's name."""
    return {field.alias or name: field.description or "" for name, field in kind.model_fields.items()}


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """The rows with the number of their line; comments and empty lines are left out."""
    lines = ("\n" if line.startswith("#") else line for line in io.StringIO(text, newline=""))
    reader = csv.reader(lines, delimiter=_delimiter(text), strict=True)
    before = 0
    try:
        for row in reader:
            # A quote that is not closed where it should be takes the lines up to the next one for text.
            if reader.line_num > before + 1:
                raise csv.Error(f"a cell in quotes goes on until line {reader.line_num}")
            if any(cell.strip() for cell in row):
                yield before + 1, row
            before = reader.line_num
    except csv.Error as error:
        raise csv.Error(f"line {before + 1}: {error}") from error


def _delimiter(text: str) -> str:
    header = next((line for line in text.splitlines() if line.strip() and not line.startswith("#")), "")
    return ";" if header.count(";") > header.count(",") else ","


def _read_file(path: Path, kind: type[AnyLine], problems: list[str]) -> Iterator[Entry[AnyLine]]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
        rows = list(_rows(text))
    except OSError as error:
        problems.append(f"{path.name} cannot be read ({error.strerror})")
        return
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        problems.append(f"{path.name}, line {line}: not UTF-8 text; accepted: CSV in UTF-8")
        return
    except csv.Error as error:
        problems.append(
            f"{path.name}, {error}; accepted: CSV, each row on one line, cells with commas or quotes in double quotes"
        )
        return
    if not rows:
        return
    (header_line, header_row), *rows = rows
    names = [name.strip() for name in header_row]
    if wrong := list(_header_problems(names, kind)):
        problems += [f"{path.name}, line {header_line}: {problem}" for problem in wrong]
        return
    for line, row in rows:
        where = f"{path.name}, line {line}"
        if len(row) > len(names):
            problems.append(f"{where}: {len(row)} cells under {len(names)} columns; put text with commas in quotes")
            continue
        cells = {name: cell.strip() for name, cell in zip(names, row, strict=False) if cell.strip()}
        content = _validated(kind, cells, problems, where)
        if content is not None:
            yield Entry(line, content)


def _header_problems(names: Sequence[str], kind: type[_Line]) -> Iterator[str]:
    columns = _columns(kind)
    required = [field.alias or name for name, field in kind.model_fields.items() if field.is_required()]
    accepted = f"accepted: {', '.join(columns)}"
    for name in dict.fromkeys(names):
        if not name:
            yield f"cell {names.index(name) + 1} of the header is empty: a separator too many; {accepted}"
        elif name not in columns:
            yield f"there is no column {name!r}; {accepted}"
        elif names.count(name) > 1:
            yield f"column {name} is there {names.count(name)} times"
    missing = [name for name in required if name not in names]
    if missing:
        yield f"column {', '.join(missing)} is missing; {accepted}"


def _validated(kind: type[AnyLine], cells: dict[str, Any], problems: list[str], where: str) -> AnyLine | None:
    try:
        return kind(**cells)
    except ValidationError as error:
        columns = _columns(kind)
        lines = []
        for found in error.errors(include_url=False):
            place = [where] if where else []
            if not found["loc"]:
                text = found["msg"].removeprefix("Value error, ")
            else:
                column = str(found["loc"][0])
                place.append(f"column {column}")
                is_missing = found["type"] == "missing"
                value = "is empty" if is_missing else repr(cells.get(column, found["input"]))
                text = f"{value}; accepted: {columns.get(column, '')}"
            lines.append(f"{', '.join(place)}: {text}" if place else text)
        problems += dict.fromkeys(lines)  # a value of several kinds is refused by each of them
        return None


def _overlaps(facts: Sequence[Entry[MeterFact]]) -> Iterator[str]:
    """Two lines about one meter must not hold at the same time."""
    in_order = sorted(facts, key=lambda entry: (*_subject(entry), entry.content.valid_from))
    for earlier, later in pairwise(in_order):
        if _subject(earlier) == _subject(later) and later.content.valid_from <= earlier.content.valid_until:
            yield (
                f"meters.csv, line {later.line}, column valid_from: meter {later.content.meter_id!r} of site "
                f"{later.content.site_id!r} is described by line {earlier.line}, too, until "
                f"{earlier.content.valid_until}; accepted: stretches that do not overlap"
            )


def _contradicting_services(facts: Sequence[Entry[MeterFact]]) -> Iterator[str]:
    """A meter must not begin by one line while it is in service by an earlier one; the same beginning is no other."""
    in_order = sorted(facts, key=lambda entry: (*_subject(entry), entry.content.valid_from))
    for (site_id, meter_id), entries in groupby(in_order, key=_subject):
        begins: set[date] = set()
        ends = {FIRST_DATE: 0}  # the line that states each
        for entry in entries:
            first_day, last_day = entry.content.in_service_from, entry.content.in_service_until
            until = max(ends)
            if first_day is not None and first_day < until and first_day not in begins:
                yield (
                    f"meters.csv, line {entry.line}, column in_service_from: {first_day} is before {until}, until "
                    f"which meter {meter_id!r} of site {site_id!r} is in service by line {ends[until]}; accepted: "
                    "that day, or a later one"
                )
            if first_day is not None:
                begins.add(first_day)
            if last_day is not None:
                ends.setdefault(last_day, entry.line)


def _subject(entry: Entry[MeterFact]) -> tuple[Any, ...]:
    return entry.content.site_id, entry.content.meter_id


def _unknown_checks(
    name: str, entries: Sequence[Entry[Decision]] | Sequence[Entry[Tolerance]], checks: Mapping[str, KnownCheck] | None
) -> Iterator[str]:
    if checks is None:
        return
    offered = _acceptable(checks) if name == "decisions.csv" else _tolerable(checks)
    for entry in entries:
        if entry.content.check_name not in checks:
            yield f"{name}, line {entry.line}, column check: {_unknown_check(entry.content.check_name, offered)}"


def _unknown_check(name: str, offered: Sequence[str]) -> str:
    meant = difflib.get_close_matches(name, offered)
    advice = f"did you mean {' or '.join(meant)}?" if meant else f"accepted: {', '.join(offered)}"
    return f"there is no check {name!r}; {advice}"


def _acceptable(checks: Mapping[str, KnownCheck]) -> list[str]:
    return sorted(name for name, check in checks.items() if check.accepted_for != "never")


def _tolerable(checks: Mapping[str, KnownCheck]) -> list[str]:
    return sorted(name for name, check in checks.items() if check.severity == "warns" or check.accepted_for != "never")


def _fixed_tolerances(tolerances: Sequence[Entry[Tolerance]], checks: Mapping[str, KnownCheck] | None) -> Iterator[str]:
    """Another tolerance would accept what nobody can accept, for all sites at once."""
    for entry in tolerances:
        name = entry.content.check_name
        if checks is not None and name in checks and name not in _tolerable(checks):
            yield (
                f"tolerances.csv, line {entry.line}, column check: {name} has no other tolerance, "
                "for nobody can accept it: more data, time or a settlement mends it (its reason says which); accepted: "
                "checks that can be accepted, and those that only warn"
            )


def _repeated_tolerances(tolerances: Sequence[Entry[Tolerance]]) -> Iterator[str]:
    first: dict[str, int] = {}
    for entry in tolerances:
        known = first.setdefault(entry.content.check_name, entry.line)
        if known != entry.line:
            yield f"tolerances.csv, line {entry.line}: the tolerance of {entry.content.check_name} is in line {known}"
