"""What a closed month's bill says of corrections that nobody settled yet: its lines are still the closed ones."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import polars as pl

from climkit_pipeline.languages.words import Words
from climkit_pipeline.warehouse.bills import SiteBill


def open_corrections(bill: SiteBill) -> pl.DataFrame:
    """Those that no version settled."""
    return bill.corrections.filter(pl.col("settled_version").is_null())


def attention(bill: SiteBill, words: Words) -> str | None:
    """That there are some at the site; None where there are none."""
    count = open_corrections(bill).height
    if not count:
        return None
    return words.say(
        "{site}: {count} {correction is|corrections are} not settled yet; the lines still say what was closed.",
        site=bill.name,
        count=count,
    )


def remark(bill: SiteBill, line: Mapping[str, Any], words: Words) -> str | None:
    """What a line would be, were it settled; also what somebody owes whom the closed bill has no line for.

    ``line`` has the columns of billing_lines_monthly.
    """
    point_and_meter = ("billing_point", "meter_id")
    of_line = pl.all_horizontal(pl.col(name) == line[name] for name in point_and_meter)
    billed = set(bill.lines.filter(of_line)["occupant"])
    found = [
        row
        for row in open_corrections(bill).filter(of_line).iter_rows(named=True)
        if row["occupant"] == line["occupant"] or row["occupant"] not in billed
    ]
    if not found:
        return None
    changes = ", ".join(_change(row, line, words) for row in found)
    return words.say("Not settled yet: {changes}", changes=changes)


def _change(correction: Mapping[str, Any], line: Mapping[str, Any], words: Words) -> str:
    whose = (
        "" if correction["occupant"] == line["occupant"] else f"{correction['occupant'] or words.say('the owner')}: "
    )
    before, now = (_amount(correction[name], words) for name in ("closed_value", "current_value"))
    return f"{whose}{words.say(correction['quantity'])} {before} → {now} {correction['unit'] or ''}".strip()


def _amount(value: Decimal | None, words: Words) -> str:
    return words.say("nothing") if value is None else f"{value.normalize():f}".replace(".", words.decimal_sign)
