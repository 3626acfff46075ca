"""The arithmetic of registers, as the models' own SQL does it, against the same rules in plain Python."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

import duckdb
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rendered_models import rendered, rendered_model
from small_lake import QUARTER, ZURICH, days, midnight

STEP = Decimal("0.000001")
"""The smallest step of a DECIMAL(18,6), and the least unit of every quantity here."""
LARGEST = Decimal("999999999999.999999")
MOST_OF_A_DAY = Decimal(10**10)
"""More than the intervals of a day add up to: each is below 1e8, or it is none."""
QUANTITY = pl.Decimal(18, 6)
INSTANT = pl.Datetime("us", "UTC")


@pytest.fixture(scope="module")
def database():
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        yield connection


def rows_of(database: duckdb.DuckDBPyConnection, sql: str, **tables: pl.DataFrame) -> list[tuple]:
    for name, frame in tables.items():
        database.register(name, frame)
    return database.execute(sql).fetchall()


# --- One step of a register ----------------------------------------------------------------------------------------


def digits_end(index: Decimal) -> Decimal:
    """Where a register with as many digits before the point begins again: 1000 for 007 to 999."""
    return Decimal(10 ** len(str(int(max(index, Decimal(1))))))


def step_kind(before: Decimal, after: Decimal, total: Decimal | None) -> str | None:
    """What a step is, when the intervals between add up to ``total`` (None: not known)."""
    if after < before:
        end = digits_end(before)
        across = end - before + after
        explained = across <= end / 100 if total is None else abs(across - total) <= max(1, abs(total) / 10)
        return "rollover" if end >= 1000 and before > end * 99 / 100 and explained else "fall"
    if total is not None and after - before - total > max(10, 20 * total):
        return "jump"
    return None


def millionths(low: Decimal, high: Decimal) -> st.SearchStrategy[Decimal]:
    return st.integers(int(low / STEP), int(high / STEP)).map(lambda number: number * STEP)


@st.composite
def register_steps(draw) -> tuple[Decimal, Decimal, Decimal | None]:
    """Two readings and what lies between, near the places where the answer changes."""
    end = Decimal(10 ** draw(st.integers(0, 12)))
    nearly = st.sampled_from([end, end * 99 / 100, end / 10])
    before = draw(st.one_of(
        millionths(Decimal(0), LARGEST),
        millionths(Decimal(0), Decimal(1000)),
        st.builds(lambda near, by: near + by * STEP, nearly, st.integers(-3, 3)),
        st.builds(lambda share: end - end * share / 1000, st.integers(0, 12)),
    ))  # fmt: skip
    before = min(max(before.quantize(STEP), Decimal(0)), LARGEST)
    across = digits_end(before) - before
    more = millionths(Decimal(0), Decimal(100)).map(lambda by: across + by)
    total = draw(st.one_of(st.none(), millionths(Decimal(-5), Decimal(400)), st.just(across / 2), more))
    total = None if total is None else min(total, MOST_OF_A_DAY)
    known = Decimal(0) if total is None else total
    after = draw(st.one_of(
        millionths(Decimal(0), LARGEST),
        st.builds(lambda by: before + known + by, millionths(Decimal(-30), Decimal(30))),
        st.builds(lambda by: before + 21 * known + by * STEP, st.integers(-2, 2)),
        st.builds(lambda by: known - across + by, millionths(Decimal(-2), Decimal(2))),
        st.builds(lambda by: known * 11 / 10 - across + by * STEP, st.integers(-2, 2)),
        st.just(before),
    ))  # fmt: skip
    return before, min(max(after.quantize(STEP), Decimal(0)), LARGEST), None if total is None else total.quantize(STEP)


STEPS_SQL = """
    select
        {{ register_end('before') }},
        {{ register_cut('before', 'after', 'total', 'total is not null') }},
        case {{ register_cut('before', 'after', 'total', 'total is not null') }}
            when 'rollover' then {{ rollover_advance('before', 'after') }}
        end
    from steps
    order by number
"""


@settings(max_examples=60, deadline=None)
@given(st.lists(register_steps(), min_size=1, max_size=25))
@example([(Decimal("99999.9"), Decimal("0.4"), Decimal("0.5")), (Decimal(99900), Decimal(7), None)])
@example([(Decimal(1000), Decimal(0), None), (Decimal("999.999999"), Decimal(0), STEP)])
@example([(Decimal(10) ** number, Decimal(0), None) for number in range(12)])
@example([(Decimal(10) ** number - STEP, Decimal(0), None) for number in range(13)])
def test_a_step_of_a_register_is_judged_by_its_digits_and_by_what_the_intervals_explain(database, steps):
    """A reading of twelve digits made every build fail: what it would roll over at is no DECIMAL(18,6)."""
    found = rows_of(
        database,
        rendered(STEPS_SQL, macros="registers.sql"),
        steps=pl.DataFrame(
            [(number, *step) for number, step in enumerate(steps)],
            schema={"number": pl.Int32, "before": QUANTITY, "after": QUANTITY, "total": QUANTITY},
            orient="row",
        ),
    )
    for (before, after, total), (end, kind, advance) in zip(steps, found, strict=True):
        assert end == digits_end(before)
        assert kind == step_kind(before, after, total), (before, after, total)
        if kind == "rollover":
            assert advance == digits_end(before) - before + after
            assert advance >= 0


# --- A register over days ------------------------------------------------------------------------------------------

ZONE = ZURICH
DAYS = days(date(2026, 1, 20), date(2026, 4, 20))  # a clock change on 29 March
BEGIN = {day: midnight(day, ZONE) for day in [*DAYS, DAYS[-1] + timedelta(days=1)]}
END = {day: BEGIN[day + timedelta(days=1)] for day in DAYS}
LONGEST_LINE, MINUTE = timedelta(days=40), timedelta(minutes=1)


@dataclass(frozen=True)
class ReadDay:
    """The first and last reading of a local day, and what the intervals before the first add up to, if known."""

    day: date
    first_at: datetime
    last_at: datetime
    first: Decimal
    last: Decimal
    total_before: Decimal | None
    is_installation: bool = False


Register = tuple[list[ReadDay], date | None]
"""Days on which a register was read, and the day on which the user says that it began at 0."""


@st.composite
def registers_read(draw) -> Register:
    """Ordinary steps, and ones that could be a replacement or a rollover."""
    read_on = sorted(draw(st.sets(st.sampled_from(DAYS[10:]), min_size=1, max_size=7)))
    index, read = draw(millionths(Decimal(0), Decimal(100_000))), []
    for day in read_on:
        between = draw(millionths(Decimal(0), Decimal(60)))
        end = digits_end(index)
        index = draw(st.sampled_from([
            index + between, index + between, index + between, index + 1300, max(index - 700, STEP), Decimal(3),
            end - between if end - between >= index else index, between if index > end * 98 / 100 else index,
        ]))  # fmt: skip
        total = draw(st.sampled_from([None, between, between, index]))
        quarters = sorted(draw(st.sets(st.integers(1, 92), max_size=2)))
        instants = [BEGIN[day] + QUARTER * number for number in quarters]
        if not instants or draw(st.booleans()):
            instants.append(END[day])
        later = index + (draw(millionths(Decimal(0), Decimal(9))) if len(instants) > 1 else 0)
        read.append(ReadDay(day, instants[0], instants[-1], index, later, total))
        index = later
    return read, draw(st.none() | st.sampled_from([day for day in DAYS[1:] if day <= read_on[0]][-12:]))


def with_installation(read: list[ReadDay], installed_on: date | None, step: Decimal) -> list[ReadDay]:
    """The same from the index 0 on: as the user dated it, or where the first reading is what its day adds up to."""
    first = read[0]
    if installed_on is None and first.total_before is not None and abs(first.first - first.total_before) <= step:
        installed_on = first.day
    if installed_on is None:
        return read
    at, zero = BEGIN[installed_on], Decimal(0)
    return [ReadDay(installed_on - timedelta(days=1), at, at, zero, zero, None, is_installation=True), *read]


def kind_between(one: ReadDay, following: ReadDay) -> str | None:
    is_known = one.last_at == BEGIN[following.day]
    return step_kind(one.last, following.first, following.total_before if is_known else None)


def known_at_midnights(read: list[ReadDay]) -> dict[date, tuple[str, Decimal | None, int | None, Decimal | None]]:
    """By local day: how its closing index is obtained, the index, the minutes to the nearest reading, what was counted.

    Counted since the first known index: nothing over a cut, and over the last digit what a rollover explains.
    """
    found, counted = {}, Decimal(0)
    for number, one in enumerate(read):
        counted += one.last - one.first
        following = read[number + 1] if number + 1 < len(read) else None
        is_near = following is not None and following.first_at - one.last_at <= LONGEST_LINE
        kind = kind_between(one, following) if following else None
        last_day = following.day - timedelta(days=1) if following and is_near else one.day
        for day in days(one.day, last_day):
            if one.last_at == END[day]:
                found[day] = ("zero_at_installation" if one.is_installation else "read", one.last, 0, counted)
            elif following and is_near and kind is None and following.first_at > END[day]:
                since, until = (END[day] - one.last_at) // MINUTE, (following.first_at - END[day]) // MINUTE
                part = (following.first - one.last) * since / (since + until)
                found[day] = ("interpolated", one.last + part, min(since, until), counted + part)
            else:
                found[day] = ("none", None, None, None)
        if following and kind not in {"fall", "jump"}:
            counted += following.first - one.last + (digits_end(one.last) if kind == "rollover" else 0)
    return found


CUTS = """struct(cut varchar, before_at_utc timestamptz, read_at_utc timestamptz, index_before decimal(18, 6),
    index_after decimal(18, 6), total_between decimal(18, 6))[]"""


def bounds_of(database: duckdb.DuckDBPyConnection, meters: list[Register], step: Decimal) -> list[tuple]:
    """What the two models make of it; each register is that of a meter of its own."""
    read = pl.DataFrame(
        [
            (str(number), one.day, BEGIN[one.day], END[one.day], one.first_at, one.last_at, one.first, one.last,
             one.last - one.first, one.total_before)
            for number, (read_days, _) in enumerate(meters) for one in read_days
        ],
        schema={
            "meter_id": pl.String, "local_date": pl.Date, "day_start_utc": INSTANT, "day_end_utc": INSTANT,
            "first_read_at_utc": INSTANT, "last_read_at_utc": INSTANT, "first_index": QUANTITY, "last_index": QUANTITY,
            "advance": QUANTITY, "total_before_first": QUANTITY,
        },
        orient="row",
    )  # fmt: skip
    facts = pl.DataFrame(
        [("s", str(number), day) for number, (_, day) in enumerate(meters)],
        schema={"site_id": pl.String, "meter_id": pl.String, "installed_on": pl.Date}, orient="row",
    )  # fmt: skip
    calendar = pl.DataFrame(
        [(str(ZONE), day, BEGIN[day], END[day]) for day in DAYS],
        schema={"zone": pl.String, "local_date": pl.Date, "day_start_utc": INSTANT, "day_end_utc": INSTANT},
        orient="row",
    )
    for name, frame in {"read": read, "meter_facts": facts, "calendar_days": calendar}.items():
        database.register(name, frame)
    database.execute(f"""
        create or replace temp view int_register_days as
        select *, 's' as site_id, 'import' as register, '{ZONE}' as zone, true as has_split, 'import' as usual_register,
            null::{CUTS} as cuts, 0 as glitches, 2 as readings, false as is_jumping
        from read;
        create or replace temp view int_registers as
        select 's' as site_id, meter_id, 'import' as register, 'index' as series_kind, {step}::decimal(18, 6) as step,
            2 as usual_readings, min(local_date) as first_read_on
        from read group by meter_id;
    """)
    for name in ("int_register_links", "int_register_bounds"):
        model = rendered_model(f"intermediate/{name}", macros="registers.sql")
        database.execute(f"create or replace temp table {name} as {model}")
    return database.execute(
        """select meter_id::integer, local_date, index_source, index_at_end, distance_minutes, counted, uncertainty
        from int_register_bounds order by 1, 2"""
    ).fetchall()


@settings(max_examples=40, deadline=None)
@given(st.lists(registers_read(), min_size=1, max_size=8), st.sampled_from([Decimal("0.001"), Decimal(1)]))
def test_the_index_at_midnight_is_read_or_on_the_line_and_no_difference_crosses_a_cut(database, meters, step):
    """An index on the line over a replaced register bills what no register counted."""
    rows = bounds_of(database, meters, step)
    expected = [known_at_midnights(with_installation(read, installed_on, step)) for read, installed_on in meters]
    assert [row[:2] for row in rows] == [(number, day) for number, found in enumerate(expected) for day in found]
    for number, day, source, index, distance, counted, uncertainty in rows:
        its_source, its_index, its_distance, its_count = expected[number][day]
        assert (source, distance) == (its_source, its_distance), day
        if its_index is None or its_count is None:
            assert (index, counted, uncertainty) == (None, None, None)
        else:
            assert abs(index - its_index) <= STEP
            assert abs(counted - its_count) <= STEP
            assert uncertainty >= 0
    for number in range(len(meters)):
        so_far = [row[5] for row in rows if row[0] == number and row[5] is not None]
        assert so_far == sorted(so_far)  # whatever was replaced: what was counted never falls
