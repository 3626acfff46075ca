"""Since when each meter, site series and sensor has rows: a day before that is empty, one after it has a gap.

Every plan and every commit asks this of the whole history, so what a process has read of it is kept, and only files
that changed since are read again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import polars as pl

from climkit_pipeline.lake.day_files import days_on_disk, read_coverage_day
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.lake.schemas import Dataset

Subject = tuple[str, str]

NOT_AVAILABLE = "not available"
"""How the detail of days begins of which the API refuses every window that begins on them."""


@dataclass
class _Known:
    """What was read of one dataset."""

    files: dict[date, tuple[int, int]] = field(default_factory=dict)
    """Size and time of change of the coverage file of each day that was read."""
    firsts: dict[Subject, date] = field(default_factory=dict)
    refused: dict[date, frozenset[Subject]] = field(default_factory=dict)
    """Whose windows must not begin on a day."""


_known: dict[Path, _Known] = {}


def first_days_with_rows(layout: Layout, dataset: Dataset) -> dict[Subject, date]:
    """The first local day with rows, by site and subject, as far as the lake knows; the caller may change it."""
    return dict(_up_to_date(layout, dataset).firsts)


def refused_until(layout: Layout, dataset: Dataset) -> dict[Subject, date]:
    """The last local day on which no window may begin, by site and subject, where there is such a day."""
    until: dict[Subject, date] = {}
    for day, subjects in _up_to_date(layout, dataset).refused.items():
        for subject in subjects:
            until[subject] = max(day, until.get(subject, day))
    return until


def _up_to_date(layout: Layout, dataset: Dataset) -> _Known:
    known = _known.setdefault(layout.dataset(dataset.name), _Known())
    files = {}
    for day in days_on_disk(layout, dataset):
        try:
            status = layout.coverage_file(dataset.name, day).stat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        files[day] = (status.st_size, status.st_mtime_ns)
    changed = [day for day, state in files.items() if known.files.get(day) != state]
    if known.files.keys() - files.keys() or not all(_read(layout, dataset, day, known) for day in changed):
        known.firsts.clear()
        known.refused.clear()
        for day in files:
            _read(layout, dataset, day, known)
    known.files = files
    return known


def _read(layout: Layout, dataset: Dataset, day: date, known: _Known) -> bool:
    """Take a day into account; False if it was somebody's first day, and holds nothing of theirs any more."""
    coverage, firsts = read_coverage_day(layout, dataset, day), known.firsts
    received = coverage.filter(pl.col("received") > 0)
    subjects = set(received.select("site_id", "subject_id").iter_rows())
    refused = coverage.filter(pl.col("detail").str.starts_with(NOT_AVAILABLE)).select("site_id", "subject_id")
    if refused.is_empty():
        known.refused.pop(day, None)
    else:
        known.refused[day] = frozenset((site_id, subject_id) for site_id, subject_id in refused.iter_rows())
    if any(first == day and subject not in subjects for subject, first in firsts.items()):
        return False
    for subject in subjects:
        firsts[subject] = min(day, firsts.get(subject, day))
    return True
