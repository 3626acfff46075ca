"""The report of a month in the reader's language: its pictures and tables, in the order in which they are read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from climkit_pipeline.languages import Language
from climkit_pipeline.languages.remarks import grid_to_nobody
from climkit_pipeline.languages.words import Words
from climkit_pipeline.report.content import Picture, Report, Table
from climkit_pipeline.report.figures import SiteMonth
from climkit_pipeline.report.pictures import pictures

NOTHING = "–"


def report_of(month: SiteMonth, language: Language) -> Report:
    """Everything that is told of the month."""
    words = Words(language)
    drawn = {picture.name: picture for picture in pictures(month, words)}
    as_of = datetime.fromisoformat(month.as_of)
    parts: list[Picture | Table] = [_key_figures(month, words)]
    parts += [drawn[name] for name in ("days", "autonomy", "heat_map", "hours") if name in drawn]
    parts += [*_flats(month, words), *([drawn["flats"]] if "flats" in drawn else ())]
    parts += [_quality(month, words), *_not_ready(month, words), *_gaps(month, words), _corrections(month, words)]
    title = f"{month.site} · {words.month(month.month)}"
    return Report(language, title, words.say("Data as of {day}", day=words.day(as_of.date())), parts)


def _key_figures(month: SiteMonth, words: Words) -> Table:
    now = month.figures["now"]
    names = {"last_month": words.say("Last month"), "last_year": words.say("A year ago")}
    # A month without data has no column.
    others = {name: month.figures[name] for name in names if month.figures[name]["consumption"] is not None}
    quantities = {
        "consumption": (words.say("Electricity used"), "kWh"),
        "charge_points": ("\u2003" + words.say("of this, charge points"), "kWh"),
        "production": (words.say("Produced on the roof"), "kWh"),
        "self_consumption": ("\u2003" + words.say("of this, used on the spot"), "kWh"),
        "grid_import": (words.say("Taken from the grid"), "kWh"),
        "grid_export": (words.say("Fed into the grid"), "kWh"),
        "autonomy": (words.say("Autonomy"), "%"),
        "own_use": (words.say("Used on the spot, of what was produced"), "%"),
        "degree_days": (words.say("Heating degree days"), "K·d"),
        "whole_days": (words.say("Whole days"), ""),
    }
    rows = [
        [name, _figure(now[key], unit, words)]
        + [cell for other in others.values() for cell in _beside(now, other, key, unit, words)]
        for key, (name, unit) in quantities.items()
        if any(figures[key] is not None for figures in (now, *others.values()))
    ]
    header = ["", words.say("This month"), *(cell for name in others for cell in (names[name], "±"))]
    notes = [] if others else [words.say("There are no data of the month before, nor of a year ago.")]
    if others and not all(figures["has_every_day"] for figures in (now, *others.values())):
        notes.append(words.say("Amounts are compared only between months that have data of every day."))
    if unbilled := grid_to_nobody(month.grid_to_nobody_kwh, words):
        notes.append(unbilled)
    return Table(words.say("Key figures"), header, rows, note=" ".join(notes))


def _figure(value: Any, unit: str, words: Words) -> str:  # noqa: ANN401 - a number of any kind
    if value is None:
        return NOTHING
    if unit == "%":
        return f"{number(100 * value, words)} %"
    return number(value, words, 1 if unit else 0) + (f" {unit}" if unit else "")


def _beside(now: Mapping[str, Any], other: Mapping[str, Any], key: str, unit: str, words: Words) -> tuple[str, str]:
    """The other month's figure, and by how much this one is above it; amounts of unequal days are not compared."""
    here, there = now[key], other[key]
    shown = NOTHING if there == 0 and not unit else _figure(there, unit, words)
    if here is None or not there or not unit:
        return shown, ""
    if unit == "%":
        return shown, f"{_signed(100 * float(here - there), words)} pp"
    if not (now["has_every_day"] and other["has_every_day"]):
        return shown, NOTHING
    return shown, f"{_signed(100 * float(here / there - 1), words)} %"


def _signed(value: float, words: Words) -> str:
    return ("+" if value >= 0 else "−") + number(abs(value), words)


def number(value: Any, words: Words, decimals: int = 1) -> str:  # noqa: ANN401 - the same
    """With the separators that the language's part of Switzerland has."""
    whole, _, rest = f"{value:,.{decimals}f}".partition(".")
    return whole.replace(",", "’") + (f"{words.decimal_sign}{rest}" if rest else "")


def _flats(month: SiteMonth, words: Words) -> Iterator[Table]:
    if month.flats.is_empty():
        return
    rows = [
        [
            row["name"],
            number(row["kwh"], words),
            NOTHING if row["solar_percent"] is None else number(row["solar_percent"], words),
            number(row["base_watts"], words, 0),
            NOTHING if row["peak_kw"] is None else number(row["peak_kw"], words, 2),
            NOTHING
            if row["local_peak_at"] is None
            else f"{words.day(row['local_peak_at'].date())} {row['local_peak_at']:%H:%M}",
        ]
        for row in month.flats.iter_rows(named=True)
    ]
    header = [words.say("Flat"), "kWh", f"{words.say('Solar')} %", f"{words.say('Base load')} W",
              f"{words.say('Peak')} kW", words.say("Peak at")]  # fmt: skip
    yield Table(words.say("Electricity per flat"), header, rows)


def _quality(month: SiteMonth, words: Words) -> Table:
    rows = [[words.say(grade), str(meters)] for grade, meters in month.grades.iter_rows()]
    whole = month.figures["now"]["whole_days"]
    rows.append([words.say("Whole days"), f"{whole} / {month.days_in_month}"])
    return Table(words.say("Quality of the data"), [words.say("State"), words.say("Meters")], rows)


def _not_ready(month: SiteMonth, words: Words) -> Iterator[Table]:
    rows = [
        [name, words.say(grade), " ".join(f"{words.reason(reason)}." for reason in reasons or ())]
        for name, grade, reasons in month.not_ready.iter_rows()
    ]
    if rows:
        header = [words.say("Meter"), words.say("State"), words.say("Remark")]
        yield Table(words.say("What cannot be billed yet"), header, rows, numbers_from=3)


def _gaps(month: SiteMonth, words: Words) -> Iterator[Table]:
    rows = [
        [name, words.day(first), words.day(last), str(days), number(intervals, words, 0)]
        for name, days, intervals, first, last in month.gaps.iter_rows()
    ]
    if rows:
        header = [words.say("Meter"), words.say("From"), words.say("To"), words.say("Days"), words.say("Intervals")]
        yield Table(words.say("Missing values"), header, rows, numbers_from=3)


def _corrections(month: SiteMonth, words: Words) -> Table:
    """What was closed by whom, and what was or is to be billed otherwise."""
    rows = [
        [
            row["name"],
            row["occupant"] or NOTHING,
            words.say(row["quantity"]),
            number(row["closed_value"] or 0, words, 3),
            number(row["current_value"] or 0, words, 3),
            f"{_signed(float(row['delta'] or 0), words)} {row['unit'] or ''}".strip(),
            _settled(row, words),
        ]
        for row in month.corrections.iter_rows(named=True)
    ]
    header = [words.say("Meter"), words.say("Occupant"), words.say("Quantity"), words.say("As closed"),
              words.say("Corrected"), "±", words.say("Settled by version")]  # fmt: skip
    return Table(words.say("Corrections"), header, rows, numbers_from=3, note=_closing(month, words))


def _settled(correction: Mapping[str, Any], words: Words) -> str:
    if correction["settled_version"] is None:
        return words.say("not yet")
    return f"{correction['settled_version']} ({correction['settled_by']}, {words.day(correction['settled_on'])})"


def _closing(month: SiteMonth, words: Words) -> str:
    closing = month.closing
    if closing is None:
        return words.say("The month is not closed yet.")
    said = words.say(
        "closed as version {version} by {who} on {at}",
        version=closing["version"],
        who=closing["closed_by"],
        at=words.instant(closing["closed_at_utc"], ZoneInfo(closing["zone"])),
    )
    unchanged = words.say("No value of this month has changed since it was closed.")
    return f"{said[:1].upper()}{said[1:]}." + (f" {unchanged}" if month.corrections.is_empty() else "")
