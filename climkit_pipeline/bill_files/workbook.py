"""The bill as a workbook: an overview, a sheet per site, details, corrections and a legend, ready to print."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import xlsxwriter
from xlsxwriter.utility import xl_col_to_name

from climkit_pipeline.bill_files.legend import legend_table
from climkit_pipeline.bill_files.tables import (
    Cell,
    Column,
    Table,
    correction_table,
    detail_table,
    line_table,
    medium_table,
    overview_facts,
)
from climkit_pipeline.files import atomic_file
from climkit_pipeline.languages.words import Words
from climkit_pipeline.warehouse.bills import SiteBill

# Names come from the provider: text that begins with = stays text.
OPTIONS = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
A4 = 9
LONGEST_SHEET_NAME = 31
QUANTITY, COUNT = "#,##0.000", "0"
ROW_HEIGHT = 13
EMPTY_REMARK_WIDTH = 12
CHARACTERS_PER_WIDTH = 1.2
"""What fits into a cell, of the font's average letter."""


def write_workbook(bills: Sequence[SiteBill], comments: Mapping[str, str], words: Words, output: Path) -> None:
    """Write the bills of a month to ``output``, in one move."""
    with atomic_file(output.absolute()) as temporary, xlsxwriter.Workbook(temporary, OPTIONS) as book:
        _Writer(book, words).write(bills, comments)


class _Writer:
    """Puts tables on sheets."""

    def __init__(self, book: xlsxwriter.Workbook, words: Words) -> None:
        self._book, self._words = book, words
        self._names: set[str] = set()
        base = {"valign": "top", "font_name": "Arial", "font_size": 9}
        formats: dict[str, dict[str, Any]] = {
            "text": {"text_wrap": True, "align": "left", "indent": 1},
            "day": {"num_format": words.date_format, "align": "left"},
            "quantity": {"num_format": QUANTITY},
            # Else a figure touches the text or day on its right.
            "number": {"num_format": COUNT, "align": "right", "indent": 1},
            "title": {"bold": True, "font_size": 14},
            "label": {"bold": True},
        }
        self._formats = {name: book.add_format(base | each) for name, each in formats.items()}
        sum_of = {"bold": True, "top": 1, "top_color": "#B0BCC8", "bg_color": "#F0F4F8"}
        self._sums = {
            name: book.add_format(base | formats[name] | sum_of) for name in ("text", "day", "quantity", "number")
        }
        header = {"bold": True, "text_wrap": True, "bottom": 1, "bg_color": "#DCE6F0", "valign": "vcenter"}
        self._headers = {
            name: book.add_format(
                base
                | header
                | {"align": "right" if name in {"quantity", "number"} else "left"}
                | ({"indent": 1} if name in {"text", "number"} else {})
            )
            for name in ("text", "day", "quantity", "number")
        }

    def write(self, bills: Sequence[SiteBill], comments: Mapping[str, str]) -> None:
        words, month = self._words, self._words.month(bills[0].month)
        self._overview(bills)
        for bill in bills:
            lines = _as_narrow_as_empty(line_table(bill, words))
            self._sheet(bill.name, f"{bill.name} · {month}", lines, frozen_columns=2)
        titles = {"Details": detail_table(bills, words), "Corrections": correction_table(bills, words)}
        for title, table in titles.items():
            self._sheet(words.say(title), f"{words.say(title)} · {month}", table)
        self._sheet(words.say("Legend"), words.say("Legend"), legend_table(comments, words))

    def _overview(self, bills: Sequence[SiteBill]) -> None:
        words = self._words
        table = medium_table(bills, words)
        sheet = self._new_sheet(words.say("Overview"), table.columns)
        sheet.write_string(0, 0, words.say("Bill per occupant"), self._formats["title"])
        row = 2
        last = len(table.columns) - 1
        # Spreadsheets never fit the height of a row to cells that are merged.
        merged = Column("said", "", width=sum(column.width for column in table.columns[1:]))
        for label, said in overview_facts(bills, words):
            sheet.write_string(row, 0, label, self._formats["label"])
            sheet.merge_range(row, 1, row, last, said, self._formats["text"])
            sheet.set_row(row, ROW_HEIGHT * _lines_needed([said], [merged]))
            row += 1
        self._fill(sheet, row + 1, table)

    def _sheet(self, name: str, title: str, table: Table, *, frozen_columns: int = 0) -> None:
        sheet = self._new_sheet(name, table.columns)
        sheet.write_string(0, 0, title, self._formats["title"])
        sheet.freeze_panes(3, frozen_columns)
        sheet.repeat_rows(2)
        self._fill(sheet, 2, table)
        if not table.rows:
            sheet.write_string(3, 0, self._words.say("none"), self._formats["label"])

    def _new_sheet(self, name: str, columns: Iterable[Column]) -> Any:  # noqa: ANN401 - the library has no types
        sheet = self._book.add_worksheet(self._sheet_name(name))
        for at, column in enumerate(columns):
            sheet.set_column(at, at, column.width)
        sheet.set_landscape()
        sheet.set_paper(A4)
        sheet.fit_to_pages(1, 0)
        sheet.set_margins(left=0.4, right=0.4, top=0.5, bottom=0.6)
        sheet.set_footer("&L&A&R&P / &N")
        sheet.hide_gridlines(2)
        return sheet

    def _sheet_name(self, name: str) -> str:
        """One that spreadsheets accept: no signs of paths, short, and given once."""
        plain = re.sub(r"[\[\]:*?/\\]", "-", name).strip("'")[:LONGEST_SHEET_NAME] or "-"
        found, number = plain, 2
        while found.lower() in self._names:
            mark = f" ({number})"
            found, number = plain[: LONGEST_SHEET_NAME - len(mark)] + mark, number + 1
        self._names.add(found.lower())
        return found

    def _fill(self, sheet: Any, top: int, table: Table) -> None:  # noqa: ANN401
        for at, column in enumerate(table.columns):
            sheet.write_string(top, at, self._words.say(column.words), self._headers[column.kind])
        sheet.set_row(top, 28)
        for number, cells in enumerate(table.rows, start=top + 1):
            sheet.set_row(number, ROW_HEIGHT * _lines_needed(cells, table.columns))
            for at, (cell, column) in enumerate(zip(cells, table.columns, strict=True)):
                _write(sheet, number, at, cell, self._formats[column.kind])
        rows = (top + 2, top + 1 + len(table.rows))
        names = [column.name for column in table.columns]
        for number, cells in enumerate(table.sums, start=rows[1]):
            sheet.set_row(number, ROW_HEIGHT * _lines_needed(cells, table.columns))
            has_unit = cells[names.index("unit")] is not None
            for at, (cell, column) in enumerate(zip(cells, table.columns, strict=True)):
                style = self._sums[column.kind]
                if has_unit and column.kind == "quantity" and isinstance(cell, Decimal):
                    formula = _sum_formula(names, at, rows, number + 1)
                    sheet.write_formula(number, at, formula, style, float(cell))
                else:
                    _write(sheet, number, at, cell, style)


def _sum_formula(names: list[str], at: int, rows: tuple[int, int], of_row: int) -> str:
    """The sum of a column's rows that are of the medium and unit of the row ``of_row``: it follows what is edited."""

    def cells(index: int) -> str:
        letter = xl_col_to_name(index)
        return f"${letter}${rows[0]}:${letter}${rows[1]}"

    conditions = [
        f"{cells(names.index(name))},{xl_col_to_name(names.index(name))}{of_row}" for name in ("medium", "unit")
    ]
    return f"=SUMIFS({cells(at)},{','.join(conditions)})"


def _as_narrow_as_empty(table: Table) -> Table:
    """A remark that nobody made takes little room: else the whole page is printed small for it."""
    columns = tuple(
        replace(column, width=EMPTY_REMARK_WIDTH)
        if column.name == "remark" and not any(cells[at] for cells in table.rows)
        else column
        for at, column in enumerate(table.columns)
    )
    return replace(table, columns=columns)


def _lines_needed(cells: Sequence[Cell], columns: Sequence[Column]) -> int:
    """Into how many lines the longest text of a row is wrapped; spreadsheets do not all work it out themselves."""
    return max(
        [
            sum(1 + int(len(line) / (column.width * CHARACTERS_PER_WIDTH)) for line in cell.split("\n"))
            for cell, column in zip(cells, columns, strict=True)
            if isinstance(cell, str)
        ],
        default=1,
    )


def _write(sheet: Any, row: int, at: int, cell: Cell, style: Any) -> None:  # noqa: ANN401
    if cell is None:
        sheet.write_blank(row, at, None, style)
    elif isinstance(cell, str):
        sheet.write_string(row, at, cell, style)
    elif isinstance(cell, date):
        sheet.write_datetime(row, at, cell, style)
    else:
        sheet.write_number(row, at, float(cell), style)
