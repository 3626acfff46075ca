"""Whether two ways to the same series, an answer about a meter and one about its site, are known to be equal.

Here: comparing two answers, and what earlier comparisons prove. Not here: who asks both ways, and what is done with a
difference (``site_answers``).

The journal ``answer_comparisons`` is the memory: an equal comparison of values that are not all 0 proves a meter. A
difference unproves all meters of its site and type, and for ``TRY_AGAIN_AFTER`` nothing proves them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from climkit_pipeline.ingest.tasks import Task
from climkit_pipeline.lake import journals
from climkit_pipeline.lake.coverage import LATE_DATA
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.lake.schemas import ANSWER_COMPARISONS

VALUES = ("interval_end_utc", "total", "solar", "grid")
SMALLEST_DIFFERENCE = 1e-9
"""kWh or m3: what binary fractions leave of equal values is less."""
PROOF_HOLDS = timedelta(days=180)
"""A meter that has not been compared for so long is compared again before it is believed."""
TRY_AGAIN_AFTER = timedelta(days=30)
"""After a difference."""
EQUAL, DIFFERS, NOTHING = "equal", "differs", "nothing"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One window of one meter, asked for both ways."""

    task: Task
    meter_type: str
    compared: int
    differing: int
    sample: str | None
    outcome: str
    adds_up: bool
    """Whether the site's consumption was the sum of its meters in the site's answer."""

    def as_row(self, now: datetime) -> dict[str, Any]:
        """The row of the journal."""
        return {
            "compared_at_utc": now,
            "site_id": self.task.site_id,
            "meter_type": self.meter_type,
            "meter_id": self.task.subject_id,
            "first_day": self.task.window.first_day,
            "last_day": self.task.window.last_day,
            **{name: getattr(self, name) for name in ("compared", "differing", "sample", "outcome", "adds_up")},
        }


def differing_rows(left: pl.DataFrame, right: pl.DataFrame) -> pl.DataFrame:
    """The rows of two frames of ``meter_intervals`` that are not the same, those that one lacks included.

    Columns: the key, ``at``, ``is_absent`` (one of the two lacks it), and the values of both.
    """
    key = ["site_id", "meter_id", "interval_start_utc"]
    both = left.select(*key, *VALUES).join(
        right.select(*key, *VALUES), on=key, how="full", suffix="_other", coalesce=True
    )
    is_absent = pl.col("interval_end_utc").is_null() | pl.col("interval_end_utc_other").is_null()
    differs = [_is_another(name) for name in VALUES[1:]]
    is_longer = (pl.col("interval_end_utc") != pl.col("interval_end_utc_other")).fill_null(value=False)
    return both.with_columns(is_absent=is_absent).filter(pl.any_horizontal(pl.col("is_absent"), is_longer, *differs))


def _is_another(name: str) -> pl.Expr:
    left, right = pl.col(name), pl.col(f"{name}_other")
    far = (left - right).abs() > SMALLEST_DIFFERENCE
    return far.fill_null(value=False) | (left.is_null() != right.is_null())


def compare(
    task: Task, meter_type: str, by_site: pl.DataFrame, by_meter: pl.DataFrame, now: datetime, *, adds_up: bool
) -> Comparison:
    """What two answers about a window say together; what one lacks of the last 48 hours may just have come."""
    differing = differing_rows(by_site, by_meter)
    is_late = pl.col("is_absent") & (pl.col("interval_start_utc") > now - LATE_DATA)
    differing = differing.filter(~is_late).sort("interval_start_utc")
    says_something = (by_meter["total"].fill_null(0.0) != 0).any()
    sample = None
    if not differing.is_empty():
        row = differing.row(0, named=True)
        stated, other = ([row[f"{name}{of}"] for name in VALUES[1:]] for of in ("", "_other"))
        sample = f"{task.subject_id} at {row['interval_start_utc']:%Y-%m-%d %H:%M} UTC {stated} instead of {other}"
    outcome = DIFFERS if sample else EQUAL if says_something else NOTHING
    return Comparison(task, meter_type, by_meter.height, differing.height, sample, outcome, adds_up)


@dataclass(frozen=True, slots=True)
class Proofs:
    """What the journal proves now."""

    meters: frozenset[tuple[str, str, str]]
    """Site, type and meter."""
    off_since: Mapping[tuple[str, str], datetime]
    """Site and type of which a difference is not long ago."""
    add_up: frozenset[tuple[str, str]]
    """Site and type of which the last equal comparison's answer added up."""

    def has_any(self, site_id: str, meter_type: str) -> bool:
        """Whether any meter of a site and type is proven."""
        return any(each[:2] == (site_id, meter_type) for each in self.meters)


def read_proofs(layout: Layout, now: datetime) -> Proofs:
    """What the comparisons of the last months prove."""
    rows = journals.read_since(layout, ANSWER_COMPARISONS, now - PROOF_HOLDS).sort("compared_at_utc")
    meters: set[tuple[str, str, str]] = set()
    off: dict[tuple[str, str], datetime] = {}
    add_up: set[tuple[str, str]] = set()
    for row in rows.iter_rows(named=True):
        group, at = (row["site_id"], row["meter_type"]), row["compared_at_utc"]
        if row["outcome"] == DIFFERS:
            off[group] = at
            meters = {meter for meter in meters if meter[:2] != group}
        elif row["outcome"] == EQUAL and not (group in off and at - off[group] < TRY_AGAIN_AFTER):
            meters.add((*group, row["meter_id"]))
            (add_up.add if row["adds_up"] else add_up.discard)(group)
    current = {group: at for group, at in off.items() if now - at < TRY_AGAIN_AFTER}
    return Proofs(frozenset(meters), current, frozenset(add_up))
