from __future__ import annotations

import re
from datetime import date, timedelta
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lake_answers import (
    ASKED_FROM,
    KEYS,
    SCHEMA,
    VALUES,
    Answered,
    answer_lists,
    as_frame,
    asked_frame,
    keys_frame,
    known_at,
    replayed,
    versions_of,
)

from climkit_pipeline.errors import LakeError
from climkit_pipeline.lake.day_files import (
    current_rows,
    days_on_disk,
    merge_versions,
    read_coverage,
    read_coverage_day,
    read_day,
    write_coverage_day,
    write_day,
    write_empty_files,
)
from climkit_pipeline.lake.layout import EMPTY_PARTITION
from climkit_pipeline.lake.schemas import COVERAGE_SCHEMA, DATASETS, JOURNALS, METER_INTERVALS

NOTHING = pl.DataFrame(schema=SCHEMA)
TODAY = date(2026, 3, 10)
LAW = settings(max_examples=25, deadline=None)
KEY = KEYS[0]
TRACES = st.lists(VALUES, min_size=1, max_size=6)


def merged(existing, *answers, **how):
    return merge_versions(METER_INTERVALS, existing, as_frame(answers), **how)


def committed(groups):
    frame = NOTHING
    for group in groups:
        frame = merged(frame, *group)
    return frame


def one(minute, total, extra=None):
    return Answered(minute, {KEY: (total, extra)})


@LAW
@given(answer_lists(), st.data())
def test_versions_do_not_depend_on_how_answers_are_split_into_commits(answers, data):
    """A batch that holds two answers about one interval kept only one of them."""
    cuts = sorted(data.draw(st.sets(st.integers(1, len(answers)))) | {0, len(answers)})
    groups = [answers[first:last] for first, last in pairwise(cuts)]
    assert versions_of(committed(groups)) == replayed(answers)


@LAW
@given(answer_lists(), st.data())
def test_repeating_a_commit_changes_nothing(answers, data):
    """A process killed between the data file and the deletion of its answers doubled rows at the next start."""
    frame = committed([answers])
    again = data.draw(st.lists(st.sampled_from(answers), min_size=1, unique_by=lambda answer: answer.minute))
    assert versions_of(merged(frame, *again, last_asked=asked_frame(answers[-1].at))) == replayed(answers)
    assert versions_of(merged(frame, *answers)) == replayed(answers)


@LAW
@given(answer_lists())
def test_the_file_as_of_an_instant_is_what_the_answers_until_then_said(answers):
    """An as-of query on an old invoice's date must give what was known then, to the row."""
    rows = versions_of(committed([answer] for answer in answers))
    for minute in {answer.minute + shift for answer in answers for shift in (-1, 0)}:
        at = ASKED_FROM + timedelta(minutes=minute)
        valid = [(key, value) for key, value, since, until in rows if since <= at and (until is None or at < until)]
        assert len(valid) == len(dict(valid)), "two versions of a key are valid at once"
        assert dict(valid) == known_at(answers, at)


@LAW
@given(answer_lists(), answer_lists(most=1))
def test_a_later_commit_loses_no_version(answers, later):
    """A revision that replaced the old value instead of closing it would make an old invoice indefensible."""
    before = committed([answers])
    newest = Answered(1000, later[0].rows)
    after = versions_of(merged(before, newest))
    assert {row[:3] for row in versions_of(before)} <= {row[:3] for row in after}


@LAW
@given(answer_lists(whole=True), st.data())
def test_an_older_answer_that_arrives_late_never_becomes_current(answers, data):
    """Answers of a killed process, committed a day later, took the place of newer ones."""
    frame = NOTHING
    latest = None
    for answer in data.draw(st.permutations(answers)):
        frame = merged(frame, answer, last_asked=asked_frame(latest) if latest else None)
        latest = max(latest, answer.at) if latest else answer.at
        heard = [(key, value) for key, value, since, until in versions_of(frame)
                 if since <= answer.at and (until is None or answer.at < until)]  # fmt: skip
        assert dict(heard) == dict(answer.rows), "a late answer is not what was known at its time"
    now = {key: value for key, value, _, until in versions_of(frame) if until is None}
    assert now == dict(answers[-1].rows)


def test_an_older_answer_lies_between_two_that_said_the_same():
    """An equal answer leaves no row; without the time it was asked, the late one would seem the newest."""
    known = merged(merged(NOTHING, one(0, 1.0)), one(20, 1.0))
    late = merged(known, one(10, 2.0), last_asked=asked_frame(ASKED_FROM + timedelta(minutes=20)))
    minutes = [(row[1][0], (row[2] - ASKED_FROM).seconds // 60) for row in versions_of(late)]
    assert minutes == [(1.0, 0), (2.0, 10), (1.0, 20)]


@LAW
@given(answer_lists())
def test_equal_values_write_nothing(answers):
    """Half of all commits bring nothing new; each rewrote the file and made the models run again."""
    frame = committed([answers])
    same = Answered(1000, known_at(answers, answers[-1].at))
    assert merged(frame, same) is frame


def test_a_value_revised_to_null_is_current_and_keeps_its_history():
    """Comparing with = makes null equal to nothing and different from nothing: the revision was not seen."""
    rows = versions_of(committed([[one(0, 1.5)], [one(1, None)], [one(2, None)]]))
    assert [(row[1][0], row[3] is None) for row in rows] == [(1.5, False), (None, True)]


def test_null_and_zero_are_different_values():
    """A missing quarter-hour that becomes 0 kWh is a revision: the first can't be billed, the second can."""
    assert len(versions_of(committed([[one(0, None)], [one(1, 0.0)]]))) == 2


def test_a_change_in_unknown_fields_alone_is_a_new_version():
    """A validation flag that the API adds one day would be lost if only known columns counted."""
    rows = versions_of(committed([[one(0, 1.0)], [one(1, 1.0, '{"quality": "E"}')]]))
    assert [row[1] for row in rows] == [(1.0, None), (1.0, '{"quality": "E"}')]


def test_a_withdrawn_row_closes_without_successor_and_leaves_others_alone():
    """A withdrawal that touched a neighbour would take billed energy out of a month."""
    known = merged(NOTHING, Answered(0, {KEYS[0]: (1.0, None), KEYS[1]: (2.0, None)}))
    gone_at = ASKED_FROM + timedelta(minutes=5)
    frame = merged(known, Answered(5, {KEYS[1]: (2.0, None)}), withdrawn=keys_frame([KEY], gone_at))
    assert [(row[0], row[3]) for row in versions_of(frame)] == [(KEYS[0], gone_at), (KEYS[1], None)]
    again = merged(frame, Answered(5, {KEYS[1]: (2.0, None)}), withdrawn=keys_frame([KEY], gone_at))
    assert again.equals(frame)


@LAW
@given(TRACES)
def test_a_withdrawn_row_can_come_back(values):
    """A row that came back with its old value was taken for the closed one, and stayed away."""
    frame = merged(NOTHING, one(0, 7.0))
    frame = merged(frame, Answered(1, {}), withdrawn=keys_frame([KEY], ASKED_FROM + timedelta(minutes=1)))
    assert current_rows(frame).is_empty()
    back = [Answered(10 + number, {KEY: value}) for number, value in enumerate(values)]
    for answer in back:
        frame = merged(frame, answer)
    assert versions_of(frame) == [
        (KEY, (7.0, None), ASKED_FROM, ASKED_FROM + timedelta(minutes=1)),
        *replayed(back),
    ]
    repeated = merged(frame, one(0, 7.0), last_asked=asked_frame(back[-1].at))
    assert versions_of(repeated) == versions_of(frame), "a repeated commit undid the withdrawal"


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=lambda dataset: dataset.name)
def test_a_written_day_reads_back_with_exactly_the_schema(layout, dataset):
    """A column more or less, or another order, breaks the models' union of all days."""
    columns = {"site_id": ["b", "a"], dataset.subject: ["2", "1"]}
    frame = pl.DataFrame(columns).select(
        [
            pl.col(name).cast(kind) if name in columns else pl.lit(None, dtype=kind).alias(name)
            for name, kind in dataset.schema.items()
        ]
    )
    write_day(layout, dataset, TODAY, frame)
    # Not through our own reader, and without the folder's day as a column.
    with layout.data_file(dataset.name, TODAY).open("rb") as file:
        raw = pl.read_parquet(file)
    assert dict(raw.schema) == dict(dataset.schema)
    assert list(raw.columns) == list(dataset.schema)
    assert read_day(layout, dataset, TODAY).equals(frame)


def test_a_merged_day_is_in_the_order_of_key_and_time():
    """Row groups in another order lose the pruning that makes a meter's month cheap to read."""
    frame = committed([[Answered(3, {KEYS[2]: (1.0, None), KEYS[0]: (1.0, None)})], [one(4, 2.0)], [one(9, 3.0)]])
    assert list(frame.columns) == list(SCHEMA)
    rows = versions_of(frame)
    assert [(row[0], row[2]) for row in rows] == sorted((row[0], row[2]) for row in rows)


def test_writing_leaves_no_temporary_file(layout):
    """Leftovers beside the data would be found by a reader with a wider pattern."""
    for _ in range(2):
        write_day(layout, METER_INTERVALS, TODAY, committed([[one(0, 1.0)]]))
        write_coverage_day(layout, METER_INTERVALS, TODAY, pl.DataFrame(schema=COVERAGE_SCHEMA))
    names = sorted(entry.name for entry in layout.day("meter_intervals", TODAY).iterdir())
    assert names == ["coverage.parquet", "data.parquet"]


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_beside_it(layout):
    """A disk that fills up while a day is rewritten must cost nothing that was there."""
    write_day(layout, METER_INTERVALS, TODAY, committed([[one(0, 1.0)]]))
    before = layout.data_file("meter_intervals", TODAY).read_bytes()
    unwritable = pl.DataFrame({"site_id": [object()]}, schema={"site_id": pl.Object})
    with pytest.raises(BaseException):  # noqa: B017, PT011 - polars panics; what counts is the file
        write_day(layout, METER_INTERVALS, TODAY, unwritable)
    assert layout.data_file("meter_intervals", TODAY).read_bytes() == before
    assert [entry.name for entry in layout.day("meter_intervals", TODAY).iterdir()] == ["data.parquet"]


@pytest.mark.parametrize("content", [b"", b"PAR1 cut", b"\0" * 4096])
def test_an_unreadable_file_is_an_error_that_names_its_path(layout, content):
    """A damaged day that reads as empty would be asked again and lose its history without a word."""
    for path, read in (
        (layout.data_file("meter_intervals", TODAY), read_day),
        (layout.coverage_file("meter_intervals", TODAY), read_coverage_day),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        with pytest.raises(LakeError, match=re.escape(str(path))):
            read(layout, METER_INTERVALS, TODAY)


def test_a_file_that_lacks_a_column_is_an_error_that_names_its_path(layout):
    """A file of another version must not pass as one whose column is null."""
    path = layout.data_file("meter_intervals", TODAY)
    path.parent.mkdir(parents=True)
    pl.DataFrame({"site_id": ["s"]}).write_parquet(path)
    with pytest.raises(LakeError, match=re.escape(str(path))):
        read_day(layout, METER_INTERVALS, TODAY)


def test_a_day_without_a_file_has_no_rows_and_the_full_schema(layout):
    """Every caller would need a case of its own for days never asked."""
    assert dict(read_day(layout, METER_INTERVALS, TODAY).schema) == dict(SCHEMA)
    assert dict(read_coverage_day(layout, METER_INTERVALS, TODAY).schema) == dict(COVERAGE_SCHEMA)


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=lambda dataset: dataset.name)
def test_empty_files_let_hive_readers_see_a_null_day_and_the_schema(layout, dataset):
    """read_parquet fails on a pattern without files: a site without sensors broke every model."""
    write_empty_files(layout)
    folder = layout.dataset(dataset.name)
    for name, schema in (("data", dataset.schema), ("coverage", COVERAGE_SCHEMA)):
        paths = [str(path) for path in folder.rglob(f"{name}.parquet")]
        assert len(paths) == 1
        with (folder / EMPTY_PARTITION / f"{name}.parquet").open("rb") as file:
            frame = pl.read_parquet(file)
        assert frame.is_empty()
        assert dict(frame.schema) == dict(schema)
    assert days_on_disk(layout, dataset) == []
    assert read_coverage(layout, dataset).is_empty()


def test_empty_files_are_written_once(layout):
    """Rewriting them at each start would make the models think that the lake has changed."""
    write_empty_files(layout)
    stamps = {path: path.stat().st_ino for path in layout.lake.rglob("*.parquet")}
    assert len(stamps) == 2 * len(DATASETS) + len(JOURNALS)
    write_empty_files(layout)
    assert {path: path.stat().st_ino for path in layout.lake.rglob("*.parquet")} == stamps
