"""What is wrong, and what of it is news: an alarm is told once, again when it changes, and when it is over.

Here: alarms, what was told already (a sensor keeps it in its cursor), and the text of a message. Not here: what
raises an alarm (``defs.alert_sensors``), and how a message leaves (``alerts.sending``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Literal
from zoneinfo import ZoneInfo

MOST_IN_A_MESSAGE = 10
"""Alarms that are told in full; a phone shows no more."""

MOST_OPEN = 200
"""Alarms that are remembered: a cursor is a row in Dagster's database."""

NewsKind = Literal["new", "changed", "over"]

PROMPTS: Mapping[NewsKind, str] = {"new": "", "changed": "changed: ", "over": "over: "}


@dataclass(frozen=True)
class Alarm:
    """Something that a person has to know of."""

    key: str
    """What it is about: one alarm a key."""
    title: str
    what: str
    since: datetime
    todo: str
    told_apart_by: str = ""
    """What makes it another alarm than before; empty: ``what``."""

    @property
    def fingerprint(self) -> str:
        """Equal for alarms of which the second says nothing new."""
        return self.told_apart_by or self.what


@dataclass(frozen=True)
class News:
    """An alarm that is new, has changed or is over."""

    kind: NewsKind
    alarm: Alarm


def news_of(told: Mapping[str, Alarm], current: Iterable[Alarm]) -> list[News]:
    """What is new, has changed or is over, in this order; a changed alarm keeps the beginning that was told."""
    now = {alarm.key: alarm for alarm in current}
    found = [News("new", alarm) for alarm in now.values() if alarm.key not in told]
    found += [
        News("changed", alarm)
        for alarm in now.values()
        if alarm.key in told and alarm.fingerprint != told[alarm.key].fingerprint
    ]
    found += [News("over", alarm) for alarm in told.values() if alarm.key not in now]
    return found


def told_after(told: Mapping[str, Alarm], news: Sequence[News]) -> dict[str, Alarm]:
    """What has been told once ``news`` have been; the newest, if there are too many to remember."""
    after = dict(told)
    for each in news:
        after.pop(each.alarm.key, None)
        if each.kind != "over":
            after[each.alarm.key] = each.alarm
    return dict(list(after.items())[-MOST_OPEN:])


def message_of(news: Sequence[News], zone: ZoneInfo, sender: str) -> tuple[str, str]:
    """The title and the text of one message about all news; ``sender`` says which installation it comes from."""
    first = news[0]
    title = f"climkit: {PROMPTS[first.kind]}{first.alarm.title}"
    if len(news) > 1:
        title += f" (and {len(news) - 1} more)"
    parts = [_text_of(each, zone) for each in news[:MOST_IN_A_MESSAGE]]
    if len(news) > len(parts):
        rest = [f"{PROMPTS[each.kind]}{each.alarm.title}" for each in news[MOST_IN_A_MESSAGE:]]
        parts.append(f"And {len(rest)} more: " + "; ".join(rest[:MOST_IN_A_MESSAGE]))
    return title, "\n\n".join([*parts, f"Sent by {sender}"])


def _text_of(news: News, zone: ZoneInfo) -> str:
    alarm = news.alarm
    lines = [f"{PROMPTS[news.kind]}{alarm.title}", f"What: {alarm.what}", f"Since: {_stamp(alarm.since, zone)}"]
    if news.kind != "over":
        lines.append(f"Do: {alarm.todo}")
    return "\n".join(lines)


def _stamp(instant: datetime, zone: ZoneInfo) -> str:
    return f"{instant.astimezone(zone):%Y-%m-%d %H:%M} ({zone.key})"


def as_json(told: Mapping[str, Alarm]) -> list[dict[str, str]]:
    """Alarms as a cursor keeps them."""
    return [{**asdict(alarm), "since": alarm.since.astimezone(UTC).isoformat()} for alarm in told.values()]


def from_json(entries: Iterable[Mapping[str, str]]) -> dict[str, Alarm]:
    """The same back, by key."""
    alarms = [Alarm(**{**entry, "since": datetime.fromisoformat(entry["since"])}) for entry in entries]  # type: ignore[arg-type]
    return {alarm.key: alarm for alarm in alarms}
