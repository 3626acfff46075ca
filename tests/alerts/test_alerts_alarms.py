"""What is told, and when: once, again when it changes, and when it is over."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from climkit_pipeline.alerts.alarms import Alarm, News, as_json, from_json, message_of, news_of, told_after

ZURICH = ZoneInfo("Europe/Zurich")
SILENT = Alarm(
    key="silent z1",
    title="no values of Lac 13",
    what="the newest day is 2026-10-24",
    since=datetime(2026, 10, 24, 22, tzinfo=UTC),
    todo="tell the provider",
)
BLOCKED = Alarm(
    "blocked 2026-09", "2026-09 is still blocked", "6 of 10 meters", datetime(2026, 10, 16, tzinfo=UTC), "look"
)


def told(*alarms: Alarm) -> dict[str, Alarm]:
    return {alarm.key: alarm for alarm in alarms}


def test_an_alarm_is_told_once_until_it_changes_and_when_it_is_over():
    news = news_of({}, [SILENT])
    assert news == [News("new", SILENT)]
    known = told_after({}, news)
    assert news_of(known, [replace(SILENT, since=datetime(2026, 11, 1, tzinfo=UTC))]) == []
    later = replace(SILENT, what="the newest day is 2026-10-27")
    assert news_of(known, [later]) == [News("changed", later)]
    known = told_after(known, [News("changed", later)])
    assert news_of(known, []) == [News("over", later)]
    assert told_after(known, [News("over", later)]) == {}


def test_what_tells_alarms_apart_may_be_less_than_their_words():
    first = replace(SILENT, told_apart_by="no values")
    assert news_of(told(first), [replace(first, what="in other words")]) == []


def test_a_message_says_what_since_when_in_local_time_and_what_to_do():
    title, body = message_of([News("new", SILENT)], ZURICH, "climkit on a machine")
    assert title == "climkit: no values of Lac 13"
    assert body.splitlines() == [
        "no values of Lac 13",
        "What: the newest day is 2026-10-24",
        "Since: 2026-10-25 00:00 (Europe/Zurich)",
        "Do: tell the provider",
        "",
        "Sent by climkit on a machine",
    ]


def test_several_news_are_one_message_and_what_is_over_needs_nothing_done():
    title, body = message_of([News("changed", BLOCKED), News("over", SILENT)], ZURICH, "x")
    assert title == "climkit: changed: 2026-09 is still blocked (and 1 more)"
    assert "over: no values of Lac 13" in body
    assert body.count("Do:") == 1


def test_a_message_has_an_end_however_many_alarms_there_are():
    many = [News("new", replace(BLOCKED, key=str(number), title=f"month {number}")) for number in range(500)]
    _, body = message_of(many, ZURICH, "x")
    assert body.count("What:") == 10
    assert "And 490 more: month 10;" in body
    assert len(body) < 3000
    assert len(told_after({}, many)) == 200


alarms = st.builds(
    Alarm, key=st.text(), title=st.text(), what=st.text(), since=st.datetimes(timezones=st.just(UTC)), todo=st.text()
)


@given(
    st.lists(alarms, unique_by=lambda alarm: alarm.key, max_size=5),
    st.lists(alarms, unique_by=lambda a: a.key, max_size=5),
)
def test_after_its_news_nothing_is_new_and_a_cursor_loses_nothing(before, now):
    known = told(*before)
    after = told_after(known, news_of(known, now))
    assert news_of(after, now) == []
    assert from_json(as_json(after)) == after
