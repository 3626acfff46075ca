"""Pictures of the data as plain SVG: how complete each site's days are, and the grades of each month.

A picture is a grid of rectangles, so it is written without a drawing library; equal neighbours are one stroke, which
keeps a quarter of a year of thirty sites at a few kilobytes. Colours tell well from badly for colour-blind eyes, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from html import escape
from itertools import groupby
from typing import Any

import duckdb

from climkit_pipeline.domain.periods import ONE_DAY, dates_between
from climkit_pipeline.lake.coverage import LATE_DATA

DAYS_SHOWN = 92
SITES_SHOWN = 30
MONTHS_SHOWN = 24

LEVELS = {
    "whole": "#2c6fab",
    "90 % or more": "#9ecae1",
    "50 % or more": "#fdae61",
    "less": "#c0392b",
    "younger than 48 h": "#d9cfe8",
    "not asked for": "#dddddd",
}
"""What a day of a site can be, and its colour."""

GRADES = {
    "ready": "#2c6fab",
    "ready_with_estimates": "#9ecae1",
    "provisional": "#fdae61",
    "blocked": "#c0392b",
}
"""The grades, best first, and their colours."""

_ROW, _CELL, _LABEL, _BAR = 16, 8, 170, 480


def completeness_of_days(
    connection: duckdb.DuckDBPyConnection, now: datetime
) -> dict[str, dict[date, tuple[str, float | None]]]:
    """By site name, and local day: the level (see LEVELS) and the share of the due intervals that is there.

    Sites with the least come first; of the last days, ``DAYS_SHOWN`` at most.
    """
    rows = connection.execute(
        """
        with days as (
            select
                site_id,
                local_date,
                max(day_end_utc) as day_end_utc,
                bool_or(is_asked) as is_asked,
                sum(intervals_due) as due,
                sum(least(intervals_present, intervals_due)) as present
            from billing_days
            where local_date > (select max(local_date) from billing_days where is_asked) - $days::integer and is_over
            group by all
            having due > 0
        ),

        -- Names need not be unique.
        labels as (
            select
                site_id,
                coalesce(
                    case when count(*) over (partition by site_name) = 1 then site_name end,
                    site_name || ' (' || site_id || ')',
                    site_id
                ) as site
            from sites
        )

        select
            labels.site,
            local_date,
            is_asked,
            (present / due)::double as share,
            day_end_utc > $young_after as is_young
        from days
        inner join labels using (site_id)
        order by sum(due - present) over (partition by site_id) desc, site, local_date
        """,
        {"days": DAYS_SHOWN, "young_after": now - LATE_DATA},
    ).fetchall()
    found: dict[str, dict[date, tuple[str, float | None]]] = {}
    for site, day, is_asked, share, is_young in rows:
        found.setdefault(site, {})[day] = (_level(share, is_asked=is_asked, is_young=is_young), share)
    return found


def _level(share: float, *, is_asked: bool, is_young: bool) -> str:
    if not is_asked:
        return "not asked for"
    if share >= 1:
        return "whole"
    if is_young:
        return "younger than 48 h"
    if share >= 0.9:
        return "90 % or more"
    return "50 % or more" if share >= 0.5 else "less"


def completeness_picture(days_of_sites: Mapping[str, Mapping[date, tuple[str, float | None]]]) -> str | None:
    """A row per site and a column per day, as SVG; None without a day."""
    shown = dict(list(days_of_sites.items())[:SITES_SHOWN])
    every_day = [day for days in shown.values() for day in days]
    if not every_day:
        return None
    columns = dates_between(min(every_day), max(every_day))
    parts = [_text(_LABEL + _CELL * n, 12, f"{day:%Y-%m}") for n, day in enumerate(columns) if day.day == 1 or n == 0]
    # The label of a month that is nearly over would lie under the next.
    if len(parts) > 1 and (columns[-1].replace(day=1) - columns[0]) and _days_to_next_month(columns[0]) < 7:
        del parts[0]
    strokes: dict[str, list[str]] = {}
    for row, (site, days) in enumerate(shown.items()):
        middle = 20 + _ROW * row + _ROW // 2
        parts.append(_text(_LABEL - 6, middle + 4, _short(site), anchor="end"))
        levels = [(n, days[day][0]) for n, day in enumerate(columns) if day in days]
        for level, cells in groupby(levels, key=lambda cell: cell[1]):
            for first, length in _runs([n for n, _ in cells]):
                strokes.setdefault(level, []).append(f"M{_LABEL + _CELL * first} {middle}h{_CELL * length}")
    parts += [
        f'<path d="{"".join(lines)}" stroke="{LEVELS[level]}" stroke-width="{_ROW - 2}"/>'
        for level, lines in strokes.items()
    ]
    bottom = 20 + _ROW * len(shown)
    # Thin lines at the beginning of months: a year's cells are hard to count.
    parts += [
        f'<path d="M{_LABEL + _CELL * n} 16V{bottom}" stroke="#555" stroke-width="1"/>'
        for n, day in enumerate(columns)
        if day.day == 1
    ]
    left_out = len(days_of_sites) - len(shown)
    if left_out:
        parts.append(_text(_LABEL, bottom + 14, f"{left_out} more sites lack less"))
        bottom += _ROW
    width = max(_LABEL + _CELL * len(columns) + 10, _LABEL + 600)
    return _svg(width, bottom + 26, [*parts, *_legend(LEVELS, bottom + 18)])


def _days_to_next_month(day: date) -> int:
    return ((day.replace(day=1) + timedelta(days=32)).replace(day=1) - day) // ONE_DAY


def grades_picture(grades: Iterable[Mapping[str, Any]]) -> str | None:
    """A bar per month, newest first, with the number of meters of each grade, as SVG; None without a month.

    ``grades``: rows with ``month`` and a number by grade, as ``data_checks.grades`` has them.
    """
    by_month: dict[date, dict[str, int]] = {}
    for row in grades:
        numbers = by_month.setdefault(row["month"], dict.fromkeys(GRADES, 0))
        for grade in GRADES:
            numbers[grade] += row[grade]
    shown = sorted(by_month.items(), reverse=True)[:MONTHS_SHOWN]
    if not shown:
        return None
    scale = _BAR / max(sum(numbers.values()) for _, numbers in shown)
    parts = []
    for position, (month, of_month) in enumerate(shown):
        middle, left = _ROW * position + _ROW // 2 + 2, 70.0
        parts.append(_text(62, middle + 4, f"{month:%Y-%m}", anchor="end"))
        for grade, number in of_month.items():
            length = number * scale
            if number:
                line = f"M{left:g} {middle}h{length:.4g}"
                parts.append(f'<path d="{line}" stroke="{GRADES[grade]}" stroke-width="{_ROW - 2}"/>')
            if length >= 14:
                colour = "#fff" if grade in {"ready", "blocked"} else "#000"
                parts.append(_text(left + length / 2, middle + 4, str(number), "middle", colour))
            left += length
    bottom = _ROW * len(shown) + 4
    return _svg(70 + _BAR + 60, bottom + 26, [*parts, *_legend(GRADES, bottom + 18, left=70)])


def _runs(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """First and length of each run of successive numbers."""
    return [
        (run[0], len(run))
        for _, group in groupby(enumerate(numbers), key=lambda item: item[1] - item[0])
        for run in [[number for _, number in group]]
    ]


def _legend(colours: Mapping[str, str], y: int, left: int = _LABEL) -> list[str]:
    parts, x = [], left
    for name, colour in colours.items():
        parts.append(f'<path d="M{x} {y - 4}h10" stroke="{colour}" stroke-width="10"/>')
        parts.append(_text(x + 14, y, name.replace("_", " ")))
        x += 32 + 6 * len(name)
    return parts


def _short(name: str) -> str:
    return name if len(name) <= 26 else f"{name[:25]}…"


def _text(x: float, y: float, text: str, anchor: str = "start", colour: str = "#222") -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'


def _svg(width: int, height: int, parts: Iterable[str]) -> str:
    """With a background of its own: the UI that shows it may be dark."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'font-family="sans-serif" font-size="11"><rect width="{width}" height="{height}" fill="#fff"/>'
        f"{''.join(parts)}</svg>"
    )
