"""The text of the user's files: CSV with a header, in any order of columns.

Cells are separated by commas or (as spreadsheets in some countries write them) by semicolons; each row is on one line.
Lines that begin with ``#`` are comments. Dates are local dates of the site, both included.

Here: from text to checked lines, with a sentence for every mistake. Not here: what a cell may hold (``lines``).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from climkit_pipeline.user_files.lines import AnyLine, Entry, Line


def csv_rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """The rows with the number of their line; comments and empty lines are left out."""
    lines = ("\n" if line.startswith("#") else line for line in io.StringIO(text, newline=""))
    reader = csv.reader(lines, delimiter=delimiter_of(text), strict=True)
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


def delimiter_of(text: str) -> str:
    """What separates the cells, by the header."""
    header = next((line for line in text.splitlines() if line.strip() and not line.startswith("#")), "")
    return ";" if header.count(";") > header.count(",") else ","


def text_of(path: Path) -> tuple[str, str | None]:
    """The text of a file, and what is to be said of its encoding: Excel saves plain CSV as Windows-1252, not as UTF-8.

    Raises UnicodeDecodeError for what is neither.
    """
    raw = path.read_bytes()
    try:
        return raw.decode("utf-8-sig"), None
    except UnicodeDecodeError as error:
        if b"\0" in raw:
            raise
        line = raw[: error.start].count(b"\n") + 1
        return raw.decode("cp1252"), (
            f"{path.name} is read as Windows-1252 (cp1252), by line {line}: look whether its accents are right; "
            "a spreadsheet's «CSV UTF-8» leaves no doubt"
        )


def read_lines(path: Path, kind: type[AnyLine], problems: list[str], notes: list[str]) -> Iterator[Entry[AnyLine]]:
    """The lines of a file that are as they should be; a sentence about each of the others goes to ``problems``.

    What is to be said of the file, and is no mistake, goes to ``notes``.
    """
    try:
        text, note = text_of(path)
        notes += [note] if note else []
        rows = list(csv_rows(text))
    except OSError as error:
        problems.append(f"{path.name} cannot be read ({error.strerror})")
        return
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        problems.append(f"{path.name}, line {line}: neither UTF-8 nor Windows-1252 text; accepted: CSV in UTF-8")
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
        content = validated(kind, cells, problems, where)
        if content is not None:
            yield Entry(line, content)


def _header_problems(names: Sequence[str], kind: type[Line]) -> Iterator[str]:
    columns = kind.accepted_by_column()
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


def validated(kind: type[AnyLine], cells: dict[str, Any], problems: list[str], where: str) -> AnyLine | None:
    """The line that these cells make, or None; a sentence about each mistake goes to ``problems``."""
    try:
        return kind(**cells)
    except ValidationError as error:
        columns = kind.accepted_by_column()
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
