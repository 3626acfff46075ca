"""Answers about a few intervals, and what a plain dictionary makes of them: the yardstick for day files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import polars as pl
from hypothesis import strategies as st

from climkit_pipeline.lake.schemas import METER_INTERVALS

DAY = datetime(2026, 3, 10, tzinfo=UTC)
ASKED_FROM = datetime(2026, 3, 11, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
SCHEMA = METER_INTERVALS.schema
Key = tuple[str, int]
Value = tuple[float | None, str | None]
"""``total`` and ``extra``."""
Version = tuple[Key, Value, datetime, datetime | None]

KEYS: list[Key] = [("m1", 0), ("m1", 1), ("m2", 0)]
VALUES = st.tuples(st.sampled_from([None, 0.0, 0.25, -0.001]), st.sampled_from([None, None, '{"flag": 1}']))


@dataclass(frozen=True)
class Answered:
    """What was answered at one instant."""

    minute: int
    rows: Mapping[Key, Value]

    @property
    def at(self) -> datetime:
        return ASKED_FROM + timedelta(minutes=self.minute)


def answer_lists(*, whole: bool = False, most: int = 6) -> st.SearchStrategy[list[Answered]]:
    """Answers in the order of time; ``whole`` ones say something about every key."""
    rows = (
        st.fixed_dictionaries(dict.fromkeys(KEYS, VALUES))
        if whole
        else st.dictionaries(st.sampled_from(KEYS), VALUES, min_size=1)
    )
    minutes = st.lists(st.integers(0, 500), min_size=1, max_size=most, unique=True).map(sorted)
    return minutes.flatmap(
        lambda chosen: st.tuples(*(rows for _ in chosen)).map(
            lambda drawn: [Answered(minute, of) for minute, of in zip(chosen, drawn, strict=True)]
        )
    )


def as_frame(answers: Iterable[Answered]) -> pl.DataFrame:
    """The answers as ``merge_versions`` takes them."""
    records = [
        {
            "site_id": "s",
            "meter_id": meter,
            "interval_start_utc": DAY + slot * QUARTER,
            "interval_end_utc": DAY + (slot + 1) * QUARTER,
            "total": total,
            "solar": None,
            "grid": None,
            "extra": extra,
            "fetched_at_utc": answer.at,
        }
        for answer in answers
        for (meter, slot), (total, extra) in answer.rows.items()
    ]
    return pl.DataFrame(records, schema={n: t for n, t in SCHEMA.items() if n != "superseded_at_utc"})


def keys_frame(keys: Iterable[Key], at: datetime) -> pl.DataFrame:
    """Keys that are gone since ``at``."""
    records = [
        {"site_id": "s", "meter_id": meter, "interval_start_utc": DAY + slot * QUARTER, "fetched_at_utc": at}
        for meter, slot in keys
    ]
    names = ("site_id", "meter_id", "interval_start_utc", "fetched_at_utc")
    return pl.DataFrame(records, schema={name: SCHEMA[name] for name in names})


def asked_frame(at: datetime) -> pl.DataFrame:
    """When each meter was last asked."""
    records = [{"site_id": "s", "meter_id": meter, "last_asked_at_utc": at} for meter in ("m1", "m2")]
    return pl.DataFrame(
        records, schema={"site_id": pl.String, "meter_id": pl.String, "last_asked_at_utc": SCHEMA["fetched_at_utc"]}
    )


def versions_of(frame: pl.DataFrame) -> list[Version]:
    """The rows of a day file in its order."""
    return [
        (
            (row["meter_id"], (row["interval_start_utc"] - DAY) // QUARTER),
            (row["total"], row["extra"]),
            row["fetched_at_utc"],
            row["superseded_at_utc"],
        )
        for row in frame.iter_rows(named=True)
    ]


def replayed(answers: Iterable[Answered]) -> list[Version]:
    """The versions that answers in the order of time leave behind, worked out with a dictionary."""
    history: dict[Key, list[tuple[Value, datetime]]] = {}
    for answer in answers:
        for key, value in answer.rows.items():
            said = history.setdefault(key, [])
            if not said or said[-1][0] != value:
                said.append((value, answer.at))
    return [
        (key, value, at, said[number + 1][1] if number + 1 < len(said) else None)
        for key, said in sorted(history.items())
        for number, (value, at) in enumerate(said)
    ]


def known_at(answers: Iterable[Answered], at: datetime) -> dict[Key, Value]:
    """What was known at an instant."""
    known: dict[Key, Value] = {}
    for answer in answers:
        if answer.at <= at:
            known.update(answer.rows)
    return known
