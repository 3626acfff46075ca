"""Whether values depend on where a window began: the rows before those wanted, against what is stored of that time.

A window of intervals begins early, and what comes of the time before it is not kept. Where it is stored from another
window it is compared: a difference in the first rows alone is one of the window's edge. It is said once for each
dataset and site. A difference in all of them is a later revision, and comes with the next answer about those days;
unless all that was answered is nothing, which is an edge that reaches further than the time allowed for it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import timedelta

import polars as pl

from climkit_pipeline.ingest.frames import Finding
from climkit_pipeline.ingest.parsing import FoundIn, SeriesAnswer
from climkit_pipeline.lake import journals
from climkit_pipeline.lake.day_files import current_rows, days_on_disk, read_days
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.lake.schemas import FINDINGS, Dataset

WINDOW_EDGE = "window_edge"
SMALLEST_DIFFERENCE = 1e-9
"""kWh or m3: what binary fractions leave of equal values is less."""


def findings_of_edges(layout: Layout, dataset: Dataset, answers: Sequence[SeriesAnswer]) -> list[FoundIn]:
    """A finding for each site of which answers begin otherwise than what is stored, unless that was said before."""
    begun_early = [answer for answer in answers if answer.parsed and answer.parsed.is_from_start]
    stored = _stored(layout, dataset, begun_early)
    found: dict[str, list[tuple[SeriesAnswer, str]]] = defaultdict(list)
    for answer in begun_early:
        own = stored.get((answer.landed.site_id, answer.landed.subject_id))
        sample = None if own is None else _difference(dataset, answer, own)
        if sample is not None:
            found[answer.landed.site_id].append((answer, sample))
    said = _said(layout, dataset) if found else set()
    return [
        FoundIn(
            odd[0][0].landed,
            Finding(WINDOW_EDGE, dataset.name, site_id, site_id, len(odd), tuple(sample for _, sample in odd[:3])),
        )
        for site_id, odd in found.items()
        if site_id not in said
    ]


def _stored(
    layout: Layout, dataset: Dataset, answers: Iterable[SeriesAnswer]
) -> dict[tuple[object, ...], pl.DataFrame]:
    """What is stored of the days on which these windows began, by site and subject."""
    days = set()
    for answer in answers:
        asked_from = answer.landed.asked_from_utc
        if asked_from is not None:
            # A local day is that of the UTC date or one beside it, and a window begins by a day early at most.
            days |= {asked_from.date() + timedelta(days=off) for off in (-1, 0, 1)}
    rows = current_rows(read_days(layout, dataset, sorted(days)))
    return rows.partition_by("site_id", dataset.subject, as_dict=True)


def _difference(dataset: Dataset, answer: SeriesAnswer, own: pl.DataFrame) -> str | None:
    """How the first rows of an answer differ from what is stored, if it is by the window's edge."""
    lead_in = answer.parsed.lead_in if answer.parsed else None
    if lead_in is None:
        return None
    key, values = list(dataset.key), [name for name in dataset.values if name != "interval_end_utc"]
    answered = lead_in.unique(key, keep="last")
    both = own.join(answered, on=[*key, "interval_end_utc"], suffix="_answered").sort("interval_start_utc")
    rows = both.select(
        pl.col("interval_start_utc").alias("at"),
        pl.any_horizontal([_is_another(name) for name in values]).alias("differs"),
        pl.all_horizontal([pl.col(f"{name}_answered").fill_null(0.0) == 0.0 for name in values]).alias("is_nothing"),
        pl.coalesce([pl.when(_is_another(name)).then(pl.lit(name)) for name in values]).alias("name"),
        *(pl.col(column) for name in values for column in (name, f"{name}_answered")),
    )
    odd = rows.filter("differs")
    if odd.is_empty() or (rows["differs"][-1] and not odd["is_nothing"].all()):
        return None
    first = odd.row(0, named=True)
    name = first["name"]  # a total may be the same while its parts are not
    stated, held = first[f"{name}_answered"], first[name]
    reaches = odd["at"][-1] + timedelta(minutes=15) - (answer.landed.asked_from_utc or first["at"])
    return (
        f"{answer.landed.subject_id} at {first['at']:%Y-%m-%d %H:%M} UTC {name} {stated} instead of {held}, "
        f"{reaches // timedelta(minutes=1)} minutes from the start of a window; what is stored stays"
    )


def _is_another(name: str) -> pl.Expr:
    stored, answered = pl.col(name), pl.col(f"{name}_answered")
    far = (stored - answered).abs() > SMALLEST_DIFFERENCE
    return far.fill_null(value=False) | (stored.is_null() != answered.is_null())


def _said(layout: Layout, dataset: Dataset) -> set[str]:
    """The sites of which it has been said."""
    said: set[str] = set()
    for day in days_on_disk(layout, FINDINGS):
        rows = journals.read_day(layout, FINDINGS, day)
        said |= set(rows.filter(code=WINDOW_EDGE, dataset=dataset.name)["site_id"])
    return said
