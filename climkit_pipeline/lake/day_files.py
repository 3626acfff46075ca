"""The day file: the ledger of one dataset and one local day, holding every version of every row.

Here: merging answers into a day, reading and writing its file. Not here: which answers there are
(``ingest.commit``), or how complete a day is (``lake.coverage``).

A row is never overwritten: a changed value closes the old row (``superseded_at_utc``) and adds a new one; an equal
value writes nothing. The rows are therefore a function of what was answered when, not of the order of commits.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import date

import polars as pl

from climkit_pipeline.lake.layout import EMPTY_PARTITION, Layout
from climkit_pipeline.lake.parquet import SeriesOfFiles, columns_of, read_parquet, read_parquets, write_parquet
from climkit_pipeline.lake.schemas import COVERAGE_SCHEMA, DATASETS, JOURNALS, Dataset, Journal


def merge_versions(
    dataset: Dataset,
    existing: pl.DataFrame,
    answered: pl.DataFrame,
    *,
    last_asked: pl.DataFrame | None = None,
    withdrawn: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """All versions after ``answered``, ordered by key and time; ``existing`` itself if nothing is new.

    ``existing`` has the columns of ``dataset.schema``, those of many days ``local_date`` before them, which then is
    part of the key; so have all frames. ``answered`` is without ``superseded_at_utc``; its ``fetched_at_utc`` is when
    the answer came, and a key occurs at most once per answer. ``last_asked`` (site_id, the subject column,
    last_asked_at_utc) tells when each subject's latest committed answer came: an older answer that arrives late then
    becomes history. ``withdrawn`` (the key, ``fetched_at_utc``) closes rows without a successor.
    """
    key = _key(dataset, existing)
    if existing.is_empty() and withdrawn is None:
        return _versions(dataset, _events(dataset, existing, answered, last_asked, None))
    subjects = _subjects_of(dataset, [answered] if withdrawn is None else [answered, withdrawn])
    own = existing.join(subjects, on=subjects.columns, how="semi")
    touched = _keys_with_news(dataset, own, answered)
    if withdrawn is not None:
        touched = pl.concat([touched, withdrawn.select(key)]).unique()
    if touched.is_empty():
        return existing
    events = _events(
        dataset,
        own.join(touched, on=key, how="semi"),
        answered.join(touched, on=key, how="semi"),
        last_asked,
        withdrawn,
    )
    parts = [
        existing.join(subjects, on=subjects.columns, how="anti"),
        own.join(touched, on=key, how="anti"),
        _versions(dataset, events),
    ]
    # Each part is in order already, which a stable sort makes use of.
    return pl.concat(parts).sort(*key, "fetched_at_utc", maintain_order=True)


def _key(dataset: Dataset, frame: pl.DataFrame) -> list[str]:
    """What identifies a row of ``frame``, whatever its version."""
    return [*_day_of(frame), *dataset.key]


def _subject(dataset: Dataset, frame: pl.DataFrame) -> list[str]:
    """What tells apart the subjects in ``frame``, and their days if there are many."""
    return [*_day_of(frame), *dict.fromkeys(("site_id", dataset.subject))]


def _day_of(frame: pl.DataFrame) -> list[str]:
    return ["local_date"] if "local_date" in frame.columns else []


def _subjects_of(dataset: Dataset, frames: Iterable[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat([frame.select(_subject(dataset, frame)) for frame in frames]).unique()


def _keys_with_news(dataset: Dataset, known: pl.DataFrame, answered: pl.DataFrame) -> pl.DataFrame:
    """The keys of answered rows, except where each only confirms the current row: the usual case, and the cheap one."""
    key, compared = _key(dataset, known), [*dataset.values, "extra"]
    both = answered.join(current_rows(known), on=key, how="left", suffix="_known")
    equal = [pl.col(column).eq_missing(pl.col(f"{column}_known")) for column in compared]
    is_later = pl.col("fetched_at_utc") >= pl.col("fetched_at_utc_known")
    return both.filter(~(pl.all_horizontal(equal) & is_later).fill_null(value=False)).select(key).unique()


def _events(
    dataset: Dataset,
    known: pl.DataFrame,
    answered: pl.DataFrame,
    last_asked: pl.DataFrame | None,
    withdrawn: pl.DataFrame | None,
) -> pl.DataFrame:
    """What was said when, per key: a value from an instant on, or (``is_end``) that the row is gone."""
    key, compared = _key(dataset, known), [*dataset.values, "extra"]
    starts = known.select(*key, *compared, "fetched_at_utc", pl.lit(value=False).alias("is_end"))
    closed = known.filter(pl.col("superseded_at_utc").is_not_null()).select(*key, "superseded_at_utc")
    ends = closed.join(
        known.select(*key, pl.col("fetched_at_utc").alias("superseded_at_utc")),
        on=[*key, "superseded_at_utc"],
        how="anti",
    ).rename({"superseded_at_utc": "fetched_at_utc"})
    parts = [
        starts,
        answered.select(*key, *compared, "fetched_at_utc", pl.lit(value=False).alias("is_end")),
        ends.with_columns(is_end=True),
    ]
    if withdrawn is not None:
        parts.append(withdrawn.select(*key, "fetched_at_utc", pl.lit(value=True).alias("is_end")))
    if last_asked is not None:
        # Equal answers leave no row, so a late one is placed before the latest by repeating what that one confirmed.
        late = answered.join(last_asked, on=_subject(dataset, answered)).filter(
            pl.col("fetched_at_utc") < pl.col("last_asked_at_utc")
        )
        current = known.filter(pl.col("superseded_at_utc").is_null()).drop("fetched_at_utc")
        confirmed = current.join(late.select(*key, "last_asked_at_utc").unique(), on=key)
        parts.append(
            confirmed.rename({"last_asked_at_utc": "fetched_at_utc"}).select(
                *key, *compared, "fetched_at_utc", pl.lit(value=False).alias("is_end")
            )
        )
    return pl.concat(parts, how="diagonal").sort(*key, "fetched_at_utc", "is_end", maintain_order=True)


def _versions(dataset: Dataset, events: pl.DataFrame) -> pl.DataFrame:
    """Versions from events: equal neighbours are one, each version ends where the next event begins."""
    key = _key(dataset, events)
    compared = [*dataset.values, "extra", "is_end"]
    same_key = pl.all_horizontal([pl.col(column).eq_missing(pl.col(column).shift(1)) for column in key])
    same_value = pl.all_horizontal([pl.col(column).eq_missing(pl.col(column).shift(1)) for column in compared])
    kept = events.with_row_index("position").filter((pl.col("position") == 0) | ~(same_key & same_value))
    next_is_same_key = pl.all_horizontal([pl.col(column).eq_missing(pl.col(column).shift(-1)) for column in key])
    versions = kept.with_columns(superseded_at_utc=pl.when(next_is_same_key).then(pl.col("fetched_at_utc").shift(-1)))
    return versions.filter(~pl.col("is_end")).select(*_day_of(events), *dataset.schema)


def rebuilt_versions(dataset: Dataset, versions: pl.DataFrame) -> pl.DataFrame:
    """The same values in the order of their ``fetched_at_utc``, each ending where the next one begins."""
    return _versions(dataset, _events(dataset, versions, versions.clear().drop("superseded_at_utc"), None, None))


def current_rows(versions: pl.DataFrame) -> pl.DataFrame:
    """The rows that nothing has superseded."""
    return versions.filter(pl.col("superseded_at_utc").is_null())


def count_keys(dataset: Dataset, versions: pl.DataFrame) -> int:
    """How many intervals, readings or listed things there are, whatever their versions."""
    is_current = pl.col("superseded_at_utc").is_null()
    key = _key(dataset, versions)
    closed = versions.filter(~is_current).select(key).unique()
    current = versions.filter(is_current)
    # A key has one current row at most, so only those without one need a closer look.
    return current.height + closed.join(current, on=key, how="anti").height


def overtaken_rows(dataset: Dataset, versions: pl.DataFrame, asked: pl.DataFrame) -> pl.DataFrame | None:
    """Keys of current intervals that overlap one of the same subject seen later, with that one's ``fetched_at_utc``.

    A series whose step changes (15 to 60 minutes) answers the same time under other keys: without this its energy
    would count twice. Only subjects of ``asked`` (site_id, the subject column, after ``local_date`` in case of many
    days) are looked at. None if nothing overlaps, or if the dataset holds no intervals.
    """
    if dataset.kind != "interval":
        return None
    start, end = "interval_start_utc", "interval_end_utc"
    subject = _subject(dataset, versions)
    current = current_rows(versions).join(asked, on=subject, how="semi").sort(*subject, start, maintain_order=True)
    is_same = pl.all_horizontal([pl.col(column) == pl.col(column).shift(1) for column in subject])
    suspects = current.filter((pl.col(start) < pl.col(end).shift(1)) & is_same).select(subject).unique()
    if suspects.is_empty():
        return None
    rows = current.join(suspects, on=subject).select(*subject, start, end, "fetched_at_utc")
    pairs = rows.join(rows, on=subject, suffix="_later").filter(
        (pl.col("fetched_at_utc") < pl.col("fetched_at_utc_later"))
        & (pl.col(start) < pl.col(f"{end}_later"))
        & (pl.col(f"{start}_later") < pl.col(end))
    )
    overtaken = pairs.group_by([*subject, start]).agg(pl.col("fetched_at_utc_later").min().alias("fetched_at_utc"))
    return None if overtaken.is_empty() else overtaken.select(*_key(dataset, versions), "fetched_at_utc")


def read_day(layout: Layout, dataset: Dataset, day: date) -> pl.DataFrame:
    """Every version of the day's rows; no row if the day has no file. Raises LakeError for an unreadable file."""
    return read_parquet(layout.data_file(dataset.name, day), dataset.schema)


def read_days(layout: Layout, dataset: Dataset, days: Iterable[date], only: pl.Expr | None = None) -> pl.DataFrame:
    """Every version of the rows of many days, or ``only`` of some, ``local_date`` first.

    Raises LakeError for an unreadable file.
    """
    return read_parquets({day: layout.data_file(dataset.name, day) for day in days}, dataset.schema, only)


def by_day(rows: pl.DataFrame) -> dict[date, pl.DataFrame]:
    """The rows of each day in their order, without ``local_date``; a day without rows is left out."""
    parts = rows.partition_by("local_date", as_dict=True, include_key=False, maintain_order=True)
    return {day: part for (day,), part in parts.items()}


def write_day(
    layout: Layout, dataset: Dataset, day: date, versions: pl.DataFrame, among: SeriesOfFiles | None = None
) -> None:
    """Replace the day's file in one step; ``among`` others of one dataset."""
    (among or SeriesOfFiles()).write(layout.data_file(dataset.name, day), versions)


def read_coverage_day(layout: Layout, dataset: Dataset, day: date) -> pl.DataFrame:
    """The day's coverage, columns as in COVERAGE_SCHEMA; no row if nothing was ever asked."""
    return read_parquet(layout.coverage_file(dataset.name, day), COVERAGE_SCHEMA)


def write_coverage_day(
    layout: Layout, dataset: Dataset, day: date, coverage: pl.DataFrame, among: SeriesOfFiles | None = None
) -> None:
    """Replace the day's coverage in one step; ``among`` others of one dataset."""
    file = layout.coverage_file(dataset.name, day)
    (among or SeriesOfFiles()).write(file, coverage.sort("site_id", "subject_id"))


def write_empty_files(layout: Layout) -> None:
    """Give every dataset and journal its files without rows, which readers rely on; keeps those that are as now."""
    files = {
        **{(dataset.name, "data.parquet"): dataset.schema for dataset in DATASETS.values()},
        **{(dataset.name, "coverage.parquet"): COVERAGE_SCHEMA for dataset in DATASETS.values()},
        **{(journal.name, "data.parquet"): journal.columns for journal in JOURNALS},
    }
    for (folder, name), schema in files.items():
        path = layout.dataset(folder) / EMPTY_PARTITION / name
        if columns_of(path) != list(schema):
            write_parquet(path, pl.DataFrame(schema=schema))


def days_on_disk(layout: Layout, dataset: Dataset | Journal) -> list[date]:
    """The days that have a partition, oldest first."""
    folder = layout.dataset(dataset.name)
    if not folder.is_dir():
        return []
    names = (entry.name.removeprefix("day=") for entry in folder.iterdir() if entry.name != EMPTY_PARTITION)
    return sorted(date.fromisoformat(name) for name in names if len(name) == 10)


def read_coverage(
    layout: Layout,
    dataset: Dataset,
    days: Iterable[date] | None = None,
    columns: Collection[str] = tuple(COVERAGE_SCHEMA),
) -> pl.DataFrame:
    """Coverage of many days (all, unless ``days`` says which), with ``local_date`` as the first column."""
    wanted = days_on_disk(layout, dataset) if days is None else days
    schema = {name: COVERAGE_SCHEMA[name] for name in columns}
    return read_parquets({day: layout.coverage_file(dataset.name, day) for day in wanted}, schema)
