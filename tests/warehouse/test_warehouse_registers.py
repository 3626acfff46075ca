"""The arithmetic of registers, as the models' own SQL does it, against the same rules in plain Python."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import duckdb
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rendered_models import make_tables, rendered
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
    return "jump" if unit_change(before, after) == "larger" else None


def unit_change(before: Decimal, after: Decimal) -> str | None:
    """Whether a register goes on at a thousand times its index, or at a thousandth, give or take a hundredth."""
    low, high = sorted([before, after])
    is_thousandfold = low >= 10 and abs(high - 1000 * low) <= 10 * low
    return ("larger" if after > before else "smaller") if is_thousandfold else None


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
        st.builds(lambda by: 1000 * before + by * before, st.integers(-12, 12)),
        st.builds(lambda by: (before / (1000 + by)).quantize(STEP), st.integers(-12, 12)),
        st.just(before),
    ))  # fmt: skip
    return before, min(max(after.quantize(STEP), Decimal(0)), LARGEST), None if total is None else total.quantize(STEP)


STEPS_SQL = """
    select
        {{ register_end('before') }},
        {{ register_cut('before', 'after', 'total', 'total is not null') }},
        case {{ register_cut('before', 'after', 'total', 'total is not null') }}
            when 'rollover' then {{ rollover_advance('before', 'after') }}
        end,
        {{ unit_change('before', 'after') }}
    from steps
    order by number
"""


# Each example costs a plan of the SQL, so there are few of many steps.
@settings(max_examples=10, deadline=None)
@given(st.lists(register_steps(), min_size=30, max_size=60))
@example([(Decimal("99999.9"), Decimal("0.4"), Decimal("0.5")), (Decimal(99900), Decimal(7), None)])
@example([(Decimal(10), Decimal(9900) - STEP, None), (Decimal(10), Decimal(10100), None), (LARGEST, LARGEST, None)])
@example([(Decimal(1000), Decimal(0), None), (Decimal("999.999999"), Decimal(0), STEP)])
@example([(Decimal(10) ** number, Decimal(0), None) for number in range(12)])
@example([(Decimal(10) ** number - STEP, Decimal(0), None) for number in range(13)])
def test_a_step_of_a_register_is_judged_by_its_digits_and_by_what_the_intervals_explain(database, steps):
    """A reading of twelve digits made every build fail: what it would roll over at is no DECIMAL(18,6)."""
    found = rows_of(
        database,
        rendered(STEPS_SQL),
        steps=pl.DataFrame(
            [(number, *step) for number, step in enumerate(steps)],
            schema={"number": pl.Int32, "before": QUANTITY, "after": QUANTITY, "total": QUANTITY},
            orient="row",
        ),
    )
    for (before, after, total), (end, kind, advance, unit) in zip(steps, found, strict=True):
        assert end == digits_end(before)
        assert unit == unit_change(before, after), (before, after)
        assert kind == step_kind(before, after, total), (before, after, total)
        if kind == "rollover":
            assert advance == digits_end(before) - before + after
            assert advance >= 0


# --- A register over days ------------------------------------------------------------------------------------------

ZONE = ZURICH
DAYS = days(date(2026, 1, 20), date(2026, 4, 20))  # a clock change on 29 March
BEGIN = {day: midnight(day, ZONE) for day in [*DAYS, DAYS[-1] + timedelta(days=1)]}
END = {day: BEGIN[day + timedelta(days=1)] for day in DAYS}
LONGEST_LINE, MINUTE, A_DAY = timedelta(days=40), timedelta(minutes=1), timedelta(days=1)


@dataclass(frozen=True)
class ReadDay:
    """The first and last reading of a local day, and what the intervals before the first add up to, if known."""

    day: date
    first_at: datetime
    last_at: datetime
    first: Decimal
    last: Decimal
    total_before: Decimal | None
    total_after: Decimal = Decimal(0)
    is_installation: bool = False


@dataclass(frozen=True)
class Device:
    """Days on which its registers were read, and what the user says: when they began at 0, and when it was replaced.

    The intervals are made of ``heat``; ``volume`` counts beside it.
    """

    registers: dict[str, list[ReadDay]]
    installed_on: date | None
    replaced_at: tuple[datetime, ...] = ()


Stretch = tuple[datetime, datetime]
"""The readings around a replacement."""


@st.composite
def days_read(draw) -> list[ReadDay]:
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
        total_after = draw(st.sampled_from([Decimal(0), between]))
        read.append(ReadDay(day, instants[0], instants[-1], index, later, total, total_after))
        index = later
    return read


@st.composite
def devices(draw) -> Device:
    """With one register or two, and dates between its readings, at them, or anywhere."""
    registers = {"heat": draw(days_read())}
    if draw(st.booleans()):
        # Read together, as a rule; the other register goes its own way.
        registers["volume"] = draw(st.one_of(days_read(), st.just([
            replace(one, first=Decimal(10) * number, last=Decimal(10) * number + 4)
            for number, one in enumerate(registers["heat"])
        ])))  # fmt: skip
    instants = [at for read in registers.values() for one in read for at in (one.first_at, one.last_at)]
    replaced_at = draw(st.sets(st.builds(
        lambda at, minutes: at + MINUTE * minutes, st.sampled_from(instants), st.sampled_from([-2000, -7, 0, 7, 2000])
    ), max_size=2))  # fmt: skip
    first = min(read[0].day for read in registers.values())
    installed_on = draw(st.none() | st.sampled_from([day for day in DAYS[1:] if day <= first][-12:]))
    return Device(registers, installed_on, tuple(sorted(replaced_at)))


def with_installation(device: Device, step: Decimal) -> dict[str, list[ReadDay]]:
    """The same from the index 0 on: as the user dated it, or where the first reading is what its day adds up to."""
    found = {}
    for register, read in device.registers.items():
        first, installed_on = read[0], device.installed_on
        if (
            installed_on is None
            and register == "heat"
            and first.total_before is not None
            and abs(first.first - first.total_before) <= step
        ):
            installed_on = first.day
        if installed_on is not None and installed_on <= first.day:
            at, zero = BEGIN[installed_on], Decimal(0)
            before = ReadDay(installed_on - timedelta(days=1), at, at, zero, zero, None, is_installation=True)
            found[register] = [before, *read]
        else:
            found[register] = read
    return found


def overlap(one: Stretch, other: Stretch) -> bool:
    return one[0] < other[1] and other[0] < one[1]


Kinds = dict[tuple[str, Stretch], str]
"""What is no ordinary step: by register and the readings around it."""


def shown_kinds(registers: dict[str, list[ReadDay]]) -> Kinds:
    kinds: Kinds = {}
    for register, read in registers.items():
        for one, following in pairwise(read):
            is_known = one.last_at == BEGIN[following.day] and register == "heat"
            kind = step_kind(one.last, following.first, following.total_before if is_known else None)
            if kind is not None:
                kinds[register, (one.last_at, following.first_at)] = kind
    return kinds


def kinds_of(device: Device, registers: dict[str, list[ReadDay]]) -> Kinds:
    """Shown by a register, else dated by the user, else passed on by another register of the device."""
    kinds = shown_kinds(registers)
    steps = {name: [(one.last_at, after.first_at) for one, after in pairwise(read)] for name, read in registers.items()}
    inside = {name: [(one.first_at, one.last_at) for one in read if not one.is_installation]
              for name, read in registers.items()}  # fmt: skip
    shown = [stretch for (_, stretch), kind in kinds.items() if kind != "rollover"]
    for at in device.replaced_at:
        if not any(first - A_DAY <= at <= last + A_DAY for first, last in shown):
            for register in registers:
                for stretch in [*steps[register], *inside[register]]:
                    if stretch[0] <= at < stretch[1]:
                        kinds[register, stretch] = "dated"

    cuts = [key for key, kind in kinds.items() if kind != "rollover"]
    for register in registers:
        for other, cut in cuts:
            if other != register and not any(name == register and overlap(own, cut) for name, own in cuts):
                for stretch in steps[register]:
                    if overlap(stretch, cut):
                        kinds[register, stretch] = "sibling"
    return kinds


def known_at_midnights(
    register: str, read: list[ReadDay], kinds: Kinds
) -> dict[date, tuple[str, Decimal | None, int | None, Decimal | None]]:
    """By local day: how its closing index is obtained, the index, the minutes to the nearest reading, what was counted.

    Counted since the first known index: nothing over a cut, and over the last digit what a rollover explains.
    """
    found, counted = {}, Decimal(0)
    for number, one in enumerate(read):
        counted += 0 if (register, (one.first_at, one.last_at)) in kinds else one.last - one.first
        following = read[number + 1] if number + 1 < len(read) else None
        is_near = following is not None and following.first_at - one.last_at <= LONGEST_LINE
        kind = kinds.get((register, (one.last_at, following.first_at))) if following else None
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
        if following and kind in {None, "rollover"}:
            counted += following.first - one.last + (digits_end(one.last) if kind == "rollover" else 0)
    return found


def cut_list(
    registers: dict[str, list[ReadDay]], kinds: Kinds, totals: dict[date, Decimal]
) -> list[tuple[str, str, datetime, datetime, Decimal]]:
    """Cuts between days, with what the intervals state for the time between, over all midnights in it."""
    found = []
    for register, read in registers.items():
        for one, following in pairwise(read):
            kind = kinds.get((register, (one.last_at, following.first_at)))
            if kind is not None:
                between = sum((totals[day] for day in days(one.day, following.day)[1:-1]), Decimal(0))
                total = one.total_after + between + (following.total_before or 0)
                found.append((register, kind, one.last_at, following.first_at, total))
    return sorted(found)


def apart(register: str, read: list[ReadDay], kinds: Kinds) -> dict[date, tuple[Decimal | None, Decimal | None]]:
    """What the intervals state more than the register counted: since the reading before each day's first, and from that
    to its last. Of an interval that reaches over a reading, half lies on each side."""
    found = {}
    for before, one in pairwise([None, *read]):
        since: Decimal | None = None
        kind = kinds.get((register, (before.last_at, one.first_at))) if before else None
        if before and kind in {None, "rollover"}:
            between = days(before.day, one.day)[1:-1]
            needed = {*between, one.day} | ({before.day} if before.last_at < END[before.day] else set())
            if not needed & NOT_WHOLE and len(between) <= 40:
                over = OVER_FIRST / 2 + (0 if before.is_installation else OVER_LAST / 2)
                stated = sum((TOTALS[day] for day in between), before.total_after + (one.total_before or 0) + over)
                end = digits_end(before.last) if kind == "rollover" else 0
                since = stated - (one.first - before.last + end)
        elif before:
            since = Decimal(0)
        within = None
        if one.day not in NOT_WHOLE:
            is_cut = (register, (one.first_at, one.last_at)) in kinds
            outside = (one.total_before or 0) + one.total_after + OVER_FIRST / 2 + OVER_LAST / 2
            within = TOTALS[one.day] - outside - (0 if is_cut else one.last - one.first)
        if not one.is_installation:
            found[one.day] = since, within
    return found


TOTALS = {day: Decimal(day.toordinal() % 7) for day in DAYS}
"""What the intervals of each day state, where a whole day lies between two readings."""
NOT_WHOLE = set(DAYS[5::11])
"""Days that lack an interval: what they state is compared with nothing."""
OVER_FIRST, OVER_LAST = Decimal("0.25"), Decimal("0.5")
"""What the interval states that reaches over the first reading of a day, and over its last."""


def make_counts(database: duckdb.DuckDBPyConnection, meters: list[Device], step: Decimal) -> None:
    """Run the models over the meters, numbered in their order."""
    read = pl.DataFrame(
        [
            (str(number), register, one.day, BEGIN[one.day], END[one.day], one.first_at, one.last_at, one.first,
             one.last, one.last - one.first, one.total_before, one.total_after)
            for number, device in enumerate(meters) for register, read in device.registers.items() for one in read
        ],
        schema={
            "meter_id": pl.String, "register": pl.String, "local_date": pl.Date, "day_start_utc": INSTANT,
            "day_end_utc": INSTANT, "first_read_at_utc": INSTANT, "last_read_at_utc": INSTANT, "first_index": QUANTITY,
            "last_index": QUANTITY, "advance": QUANTITY, "total_before": QUANTITY, "after_last_stated": QUANTITY,
        },
        orient="row",
    )  # fmt: skip
    facts = pl.DataFrame(
        [("s", str(number), device.installed_on, at)
         for number, device in enumerate(meters) for at in device.replaced_at or [None]],
        schema={"site_id": pl.String, "meter_id": pl.String, "installed_on": pl.Date, "replaced_at_utc": INSTANT},
        orient="row",
    )  # fmt: skip
    calendar = pl.DataFrame(
        [(str(ZONE), day, BEGIN[day], END[day], TOTALS[day], int(day in NOT_WHOLE)) for day in DAYS],
        schema={"zone": pl.String, "local_date": pl.Date, "day_start_utc": INSTANT, "day_end_utc": INSTANT,
                "total": QUANTITY, "intervals_missing": pl.Int32}, orient="row",
    )  # fmt: skip
    for name, frame in {"read": read, "meter_facts": facts, "calendar_days": calendar}.items():
        database.register(name, frame)
    cut = """site_id text, meter_id text, register text, local_date date, cut text, is_spared boolean,
        cut_register text, before_at_utc timestamptz, read_at_utc timestamptz, index_before decimal(18, 6),
        index_after decimal(18, 6), total_between decimal(18, 6), open_between decimal(18, 6)"""
    indices = ", ".join(f"{name} decimal(18, 6)" for name in (
        "import_before", "export_before", "import_after", "export_after"
    ))  # fmt: skip
    database.execute(f"""
        create or replace table int_register_days as
        select *, 's' as site_id, '{ZONE}' as zone, false as has_split, 'heat' as usual_register,
            coalesce(total_before, 0) as before_first_stated, {OVER_FIRST} as before_first_open,
            total_before is not null as is_before_first_whole, {OVER_LAST} as after_last_open,
            0 as glitches, 2 as readings, false as is_jumping
        from read;
        create or replace table int_registers as
        select 's' as site_id, meter_id, register, 'heat' as usual_register, false as has_split,
            'index' as series_kind, {step}::decimal(18, 6) as step, min(local_date) as first_read_on
        from read group by meter_id, register;
        create or replace table int_meters as
        select distinct 's' as site_id, meter_id, '{ZONE}' as zone from read;
        -- All of them are in service still.
        create or replace table meter_services as
        select 's' as site_id, meter_id, null::date as in_service_until from int_meters;
        create or replace table meter_days as
        select 's' as site_id, meter_id, local_date, day_end_utc, 0 as gap_at_end_minutes, total,
            intervals_missing, 0 as intervals_null
        from calendar_days cross join int_meters;
        create or replace table int_register_cuts_daily ({cut});
        create or replace table int_register_sibling_cuts_daily ({cut});
        create or replace table int_register_exchanges_daily (site_id text, meter_id text, local_date date,
            before_at_utc timestamptz, read_at_utc timestamptz, {indices}, number integer,
            next_exchange_at_utc timestamptz);
    """)
    given = {"meter_facts", "calendar_days", "int_meters", "meter_services", "meter_days", "int_registers",
             "int_register_days", "int_register_cuts_daily", "int_register_sibling_cuts_daily",
             "int_register_exchanges_daily"}  # fmt: skip
    make_tables(database, "int_hidden_replacements", given=given)
    database.execute("""
        create or replace table int_register_dated_pairs as
        select 's' as site_id, read.meter_id, register, local_date, replaced_at_utc,
            first_read_at_utc as before_at_utc, last_read_at_utc as read_at_utc, first_index as index_before,
            last_index as index_after, 0::decimal(18, 6) as total_between, 0::decimal(18, 6) as open_between
        from read
        inner join int_hidden_replacements as hidden on hidden.meter_id = read.meter_id
            and first_read_at_utc <= replaced_at_utc and last_read_at_utc > replaced_at_utc
    """)
    given |= {"int_hidden_replacements", "int_register_links", "int_register_shown_cuts", "int_register_dated_pairs"}
    make_tables(database, "int_register_bounds", given=given)


# As above: few examples of many devices.
MANY_DEVICES = st.lists(devices(), min_size=8, max_size=24), st.sampled_from([Decimal("0.001"), Decimal(1)])


@settings(max_examples=12, deadline=None)
@given(*MANY_DEVICES)
def test_the_index_at_midnight_is_read_or_on_the_line_and_no_difference_crosses_a_cut(database, meters, step):
    """An index on the line over a replaced register bills what no register counted."""
    make_counts(database, meters, step)
    rows = database.execute(
        """select meter_id::integer, register, local_date, index_source, index_at_end, distance_minutes, counted,
            uncertainty
        from int_register_bounds order by 1, 2, 3"""
    ).fetchall()
    cuts = database.execute(
        """select meter_id::integer, register, cut, before_at_utc, read_at_utc, total_between, open_between
        from int_register_cuts where is_opening order by all"""
    ).fetchall()
    steps = database.execute(
        """select meter_id::integer, register, local_date, apart_since, apart_within
        from int_register_counts where not is_installation order by 1, 2, 3"""
    ).fetchall()
    expected, expected_cuts, expected_steps = {}, [], []
    for number, device in enumerate(meters):
        registers = with_installation(device, step)
        kinds = kinds_of(device, registers)
        for register, read in registers.items():
            for day, known in known_at_midnights(register, read, kinds).items():
                expected[number, register, day] = known
            expected_steps += [(number, register, day, *ones) for day, ones in apart(register, read, kinds).items()]
        expected_cuts += [(number, *cut) for cut in cut_list(registers, kinds, TOTALS)]
    assert [row[:3] for row in rows] == list(expected)
    assert [cut[:6] for cut in cuts] == expected_cuts
    for step_found, step_expected in zip(steps, sorted(expected_steps), strict=True):
        assert step_found[:3] == step_expected[:3]
        for one, other in zip(step_found[3:], step_expected[3:], strict=True):
            assert (one is None) == (other is None), step_expected
            assert one is None or abs(one - other) <= STEP, step_expected
    assert {cut[6] for cut in cuts} <= {Decimal("0.75"), Decimal("0.25")}  # an installation has nothing before it
    for number, register, day, source, index, distance, counted, uncertainty in rows:
        its_source, its_index, its_distance, its_count = expected[number, register, day]
        assert (source, distance) == (its_source, its_distance), day
        if its_index is None or its_count is None:
            assert (index, counted, uncertainty) == (None, None, None)
        else:
            assert abs(index - its_index) <= STEP
            assert abs(counted - its_count) <= STEP
            assert uncertainty >= 0
    for key in {row[:2] for row in rows}:
        so_far = [row[6] for row in rows if row[:2] == key and row[6] is not None]
        assert so_far == sorted(so_far)  # whatever was replaced: what was counted never falls


def test_what_was_counted_is_unknown_rather_than_an_error_where_it_overflows(database):
    """Two wrong readings of 6e11 stopped every refresh of every site."""
    wrong = 6 * Decimal(10) ** 11
    read = [ReadDay(day, BEGIN[day] + QUARTER, END[day], Decimal(0), wrong, None) for day in DAYS[10:13]]
    make_counts(database, [Device({"heat": read}, None)], Decimal("0.001"))
    assert database.execute("select counted from int_register_bounds order by local_date").fetchall() == [
        (wrong,), (None,), (None,),
    ]  # fmt: skip


# --- The readings of a day -----------------------------------------------------------------------------------------

NEW_YEAR = date(2026, 1, 1)
SIX, NOON, EVENING, NIGHT = (datetime(2026, 1, 1, hour, tzinfo=UTC) for hour in (6, 12, 18, 23))
Read = tuple[datetime, float | None, float | None]
"""When, and what import and export showed."""


def days_of(meters: dict[str, tuple[bool, list[Read]]]) -> dict[tuple[str, str], tuple[int, ...]]:
    """By meter and register what is kept of the day: first and last index, advance, falls, glitches."""
    columns = "site_id text, meter_id text, local_date date"
    with duckdb.connect() as connection:
        connection.execute(f"""
            create table meter_indices ({columns}, read_at_utc timestamptz, index_import_kwh double,
                index_export_kwh double, heat_kwh double, volume_m3 double);
            create table meter_intervals ({columns}, interval_start_utc timestamptz, interval_end_utc timestamptz,
                total double);
            create table int_meters (site_id text, meter_id text, zone text, has_split boolean, usual_register text);
            create table calendar_days as
            select 'UTC' as zone, date '{NEW_YEAR}' as local_date, timestamptz '2026-01-01 00:00+00' as day_start_utc,
                timestamptz '2026-01-02 00:00+00' as day_end_utc;
        """)
        for meter, (has_split, readings) in meters.items():
            connection.execute("insert into int_meters values ('s', ?, 'UTC', ?, 'import')", [meter, has_split])
            for read_at, *indices in readings:
                connection.execute(
                    "insert into meter_indices values ('s', ?, ?, ?, ?, ?, null, null)",
                    [meter, NEW_YEAR, read_at, *indices],
                )
        given = {"meter_indices", "meter_intervals", "int_meters", "calendar_days"}
        make_tables(connection, "int_register_days", given=given)
        rows = connection.execute(
            "select meter_id, register, first_index, last_index, advance, falls, glitches from int_register_days"
        ).fetchall()
    return {(meter, register): tuple(map(int, rest)) for meter, register, *rest in rows}


def test_an_index_counts_on_over_a_rollover_and_not_over_a_replacement():
    """A fall near the last digit counts on, another counts nothing; one reading off the line is no reading."""
    first = (SIX, 99990, None)
    found = days_of({
        "rolls": (True, [first, (NOON, 99998, None), (EVENING, 3, None), (NIGHT, 5, None)]),
        "falls": (True, [first, (NOON, 40000, None), (EVENING, 40007, None)]),
        "glitches": (True, [first, (NOON, 0, None), (EVENING, 99991, None)]),
    })  # fmt: skip
    assert found == {
        ("rolls", "import"): (99990, 5, 15, 1, 0),
        ("falls", "import"): (99990, 40007, 7, 1, 0),
        ("glitches", "import"): (99990, 99991, 1, 0, 1),
    }


def test_columns_that_change_places_are_no_cut():
    """One register counts over the exchange, under the name of the column in which the day began."""
    found = days_of({
        "both": (False, [(SIX, 500, 80), (NOON, 82, 503), (EVENING, 83, 507)]),
        "idle": (True, [(SIX, 500, 0), (NOON, 0, 503), (EVENING, 507, 0)]),
        "unstated": (True, [(SIX, 500, None), (NOON, None, 503)]),
        # The other column goes on from nowhere.
        "replaced": (True, [(SIX, 500, 0), (NOON, 0, 2)]),
    })  # fmt: skip
    assert found == {
        ("both", "import"): (500, 507, 7, 0, 0),
        ("both", "export"): (80, 83, 3, 0, 0),
        ("idle", "import"): (500, 507, 7, 0, 0),
        ("unstated", "import"): (500, 503, 3, 0, 0),
        ("replaced", "import"): (500, 0, 0, 1, 0),
        ("replaced", "export"): (2, 2, 0, 0, 0),
    }
