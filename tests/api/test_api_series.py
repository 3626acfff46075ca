"""The fast way and the careful way of reading a series say the same, of whatever an API may answer."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from climkit_pipeline.api import answers
from climkit_pipeline.api.series import careful_columns, series_columns, usual_columns
from climkit_pipeline.domain.periods import Period
from climkit_pipeline.errors import UnexpectedPayloadError

FORMS = (answers.METER_SERIES, answers.SITE_SERIES, answers.RAW_SERIES, answers.SENSOR_SERIES)
START = datetime(2026, 3, 28, 23, tzinfo=UTC)
ASKED = Period(START, START + timedelta(days=2))
LAW = settings(max_examples=150, deadline=None)

USUAL_NUMBERS = st.none() | st.floats(-1e9, 1e9) | st.integers(-(10**6), 10**6)
ODD_VALUES = st.sampled_from(
    [True, "1.5", "", "\ud83d", [], {"a": 1}, 10**400, 2**70, -0.0, float("nan"), float("inf"), 1e-320]
)
USUAL_STAMPS = st.integers(0, 191).map(lambda number: START + number * timedelta(minutes=15))
FORMATS = st.sampled_from(
    [
        lambda at: at.isoformat(),
        lambda at: at.isoformat(sep=" "),
        lambda at: f"{at:%Y-%m-%dT%H:%M:%SZ}",
        lambda at: (at + timedelta(hours=2)).replace(tzinfo=None).isoformat() + "+02:00",
        lambda at: (at - timedelta(hours=9, minutes=30)).replace(tzinfo=None).isoformat() + "-09:30",
        lambda at: int(at.timestamp()),
    ]
)
ODD_STAMPS = st.sampled_from(
    [None, True, 1.5, -1, 0, 10**11, 10**13, 10**30, "", "2026-03-29", "2026-02-30T00:00:00Z", "2026-03-29T24:00:00Z",
     "2026-03-29T01:00:60Z", "2026-03-29T01:00:00", "2026-03-29 01:00:00.250+00:00", "2026-03-29T01:00Z",
     "20260329T010000Z",
     " 2026-03-29T01:00:00Z ", "2026-03-29t01:00:00z", "2026-03-29T01:00:00+25:00", "2026-03-29T01:00:00+14:59",
     "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00", "2026-03-29T01:00:00+0000", "2026-03-29T01:00:00Z\n",
     "\u0662026-03-29T01:00:00Z", {"$date": 1774153800000}, {"$date": "2026-03-29T01:00:00Z"}, [], "TZTZ"]
)  # fmt: skip


@st.composite
def payloads(draw, form):
    """Answers of which one thing or another may be odd."""
    how = draw(FORMATS)
    rows = []
    for at in draw(st.lists(USUAL_STAMPS, max_size=8)):
        row = {"timestamp": how(at)}
        for name in form.names:
            if draw(st.integers(0, 9)):
                row[name] = draw(USUAL_NUMBERS)
        rows.append(row)
    for _ in range(draw(st.integers(0, 2))):
        if not rows:
            break
        row = draw(st.sampled_from(rows))
        match draw(st.integers(0, 4)):
            case 0:
                row["timestamp"] = draw(ODD_STAMPS)
            case 1:
                row[draw(st.sampled_from([*form.names]))] = draw(ODD_VALUES)
            case 2:
                row[draw(st.sampled_from(["flag", "total_m1", "self_", "Total", "\ud800", ""]))] = draw(ODD_VALUES)
            case 3 if row:
                del row[draw(st.sampled_from([*row]))]
            case 4:
                rows[0] = draw(st.sampled_from([None, [], "row", 1]))
                break
    return rows


def told(columns):
    """Everything that columns say, in a form that tells 0.0 from -0.0."""
    extras = columns.extras or [None] * len(columns.stamp_utc)
    return (
        columns.stamp_utc.to_list(),
        {name: list(map(repr, column.to_list())) for name, column in columns.numbers.items()},
        list(extras),
        columns.has_no_number.to_list(),
        [column.dtype for column in (columns.stamp_utc, *columns.numbers.values())],
    )


def outcome(read):
    try:
        return told(read())
    except UnexpectedPayloadError as error:
        return str(error)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.what)
@LAW
@given(st.data())
def test_both_ways_say_the_same_of_any_answer(form, data):
    """A row that the fast way understands in its own manner would be a value that no finding tells of."""
    payload = data.draw(payloads(form))
    text = json.dumps(payload)
    careful = outcome(lambda: careful_columns(json.loads(text), ASKED, form))
    assert outcome(lambda: series_columns(json.loads(text), ASKED, form)) == careful
    usual = usual_columns(json.loads(text), form)
    assert usual is None or told(usual) == careful


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.what)
def test_the_documented_answer_is_a_usual_one(form):
    """An answer that goes the careful way costs more, and nothing would say so."""
    stamps = [START + number * timedelta(minutes=15) for number in range(5)]
    for how in (
        lambda at: at.isoformat(sep=" "),
        lambda at: f"{at:%Y-%m-%dT%H:%M:%SZ}",
        lambda at: int(at.timestamp()),
    ):
        rows = [{"timestamp": how(at), **dict.fromkeys(form.names, 1.5), "new": "E"} for at in stamps]
        columns = usual_columns(rows, form)
        assert columns is not None
        assert columns.stamp_utc.to_list() == stamps
        assert columns.extras == ['{"new": "E"}'] * 5
