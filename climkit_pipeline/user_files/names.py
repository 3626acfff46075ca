"""Sites, meters and sensors by name: what a line of the user's files calls them, and which id that is.

A name counts where one alone bears it: of a site in the account, of a meter or sensor at its site. Names are those of
the lists, and those that ``meters.csv`` gives. What is neither an id nor a name stays as it is: it may be listed later.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import polars as pl

from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.lake.schemas import METERS, SENSORS, SITES, Dataset
from climkit_pipeline.user_files.lines import Decision, Entry, MeterFact, Occupancy, SetAside

AnyNamed = TypeVar("AnyNamed", MeterFact, Decision, SetAside)


@dataclass
class Names:
    """The ids that each name stands for."""

    site_ids: set[str] = field(default_factory=set)
    meter_ids: set[tuple[str, str]] = field(default_factory=set)
    sites: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """By name."""
    meters: dict[tuple[str, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    """By the id of the site, and name; sensors, too."""

    def add_meter(self, site_id: str, meter_id: str, name: str | None) -> None:
        """Let a meter be called so."""
        self.meter_ids.add((site_id, meter_id))
        if name:
            self.meters[site_id, name].add(meter_id)

    def site_id(self, called: str) -> str:
        """The id of a site. Raises ValueError with the candidates if several bear the name."""
        return called if called in self.site_ids else _only(called, self.sites.get(called, set()), "sites")

    def meter_id(self, site_id: str, called: str) -> str:
        """The id of a meter or sensor of a site (by its id); raises ValueError as above."""
        if (site_id, called) in self.meter_ids:
            return called
        return _only(called, self.meters.get((site_id, called), set()), f"meters of site {site_id!r}")


def _only(called: str, candidates: set[str], kind: str) -> str:
    if len(candidates) > 1:
        raise ValueError(
            f"{len(candidates)} {kind} are called {called!r}; name one by its id: {', '.join(sorted(candidates))}"
        )
    return next(iter(candidates), called)


def meters_called(*files: Sequence[Entry[Any]]) -> set[str]:
    """What the lines of some files call their meters."""
    return {entry.content.meter_id for entries in files for entry in entries if entry.content.meter_id is not None}


def listed_names(layout: Layout, called: set[str]) -> Names:
    """The newest names of all sites, meters and sensors that were ever listed.

    Where all that is ``called`` are ids of the newest lists, nobody asks for names of meters, and years of lists stay
    unread.
    """
    names = Names()
    for site_id, name in _newest(layout, SITES, ["site_id"], "site_name"):
        names.site_ids.add(site_id)
        if name:
            names.sites[name].add(site_id)
    kinds = ((METERS, "meter_id", "meter_name"), (SENSORS, "sensor_id", "sensor_name"))
    for is_all in (False, True):
        names.meters.clear()
        for dataset, key, name_column in kinds:
            for site_id, meter_id, name in _newest(layout, dataset, ["site_id", key], name_column, is_all=is_all):
                names.add_meter(site_id, meter_id, name)
        if called <= {meter_id for _, meter_id in names.meter_ids}:
            break
    return names


def _newest(
    layout: Layout, dataset: Dataset, key: list[str], name: str, *, is_all: bool = True
) -> list[tuple[str, ...]]:
    files = sorted(layout.dataset(dataset.name).glob("day=2*/data.parquet"))[0 if is_all else -1 :]
    if not files:
        return []
    # Only the names of days: the directory's own path may hold what means something in a pattern.
    listed = pl.scan_parquet(files, glob=False, include_file_paths="file").filter(pl.col("superseded_at_utc").is_null())
    newest = listed.sort("fetched_at_utc", "file").unique(key, keep="last", maintain_order=True)
    return newest.select(*key, name).collect().rows()


def by_id(
    file: str, entries: Sequence[Entry[AnyNamed]], names: Names, problems: list[str]
) -> tuple[Entry[AnyNamed], ...]:
    """The same lines, with ids for the names; a sentence about each name that several bear goes to ``problems``."""
    found = []
    for entry in entries:
        line = entry.content
        column = "site_id"
        try:
            site_id = names.site_id(line.site_id)
            column = "meter_id"
            meter_id = None if line.meter_id is None else names.meter_id(site_id, line.meter_id)
        except ValueError as error:
            problems.append(f"{file}, line {entry.line}, column {column}: {error}")
            continue
        found.append(Entry(entry.line, line.model_copy(update={"site_id": site_id, "meter_id": meter_id})))
    return tuple(found)


def check_occupancies(entries: Sequence[Entry[Occupancy]], names: Names, problems: list[str]) -> None:
    """Their names are looked up by the models; a site that several could be is a mistake here, too."""
    for entry in entries:
        try:
            names.site_id(entry.content.site)
        except ValueError as error:
            problems.append(f"occupancies.csv, line {entry.line}, column site: {error}")
