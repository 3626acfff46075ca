"""Faults of the data: each changes exactly what it says on every endpoint, its label tells, and the truth stays.

Every test serves one world twice, clean and faulty, and compares all that the two answer. What a fault should make of
a clean row is worked out here in plain Python over the rows.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import cache, cached_property
from itertools import pairwise

import pytest
from simulator_client import NOW, Api, exact, stamp_utc, total

from climkit_pipeline.domain.meters import SITE_SERIES_TYPES
from climkit_pipeline.domain.periods import QUARTER_HOUR, Period, local_day, local_days, local_month
from climkit_pipeline.simulator import DataFault, SimulatorServer, World, parse_data_faults
from climkit_pipeline.simulator.data_faults import CIRCUMSTANCES, KINDS

FLAT, GRID, ROOF, RULE, HEAT, HOT_WATER, COLD_WATER, CHARGE_POINT, COMMON = range(9)
SPRING, AUTUMN = date(2026, 3, 29), date(2026, 10, 25)
"""Days of 92 and of 100 quarter-hours in Zurich."""
ON_METER = {"swapped": ROOF, "outage": HEAT, "no_data": COLD_WATER, "night_production": ROOF, "late_revision": COMMON,
            "hourly": COLD_WATER}  # fmt: skip
"""Where a kind is tried out; a flat is the rule."""
TWO_SITES = {"listed_twice"}
"""Kinds that one site can't have."""
Rows = list[dict]
Series = tuple[str, str]
"""Endpoint and subject."""


class Asked(Api):
    """A client that remembers what it was answered about whole series."""

    def __init__(self, server: SimulatorServer) -> None:
        super().__init__(server)
        self.answers: dict[tuple[Series, Period], Rows] = {}

    def series(self, site_id: str, series: Series, period: Period) -> Rows:
        if (series, period) not in self.answers:
            self.answers[series, period] = self.rows(f"/{series[0]}/{site_id}/{series[1]}", period)
        return self.answers[series, period]


@dataclass
class Twins:
    """One world clean and one with a fault, and all that they answer from a day before the fault to a day after."""

    clean: Asked
    faulty: Asked
    first_day: date
    last_day: date

    @property
    def world(self) -> World:
        return self.faulty.server.world

    @cached_property
    def site(self):
        return self.world.sites[0]

    @cached_property
    def period(self) -> Period:
        return local_days(self.first_day - timedelta(days=1), self.last_day + timedelta(days=1), self.site.zone)

    @cached_property
    def concerned(self) -> Period:
        return local_days(self.first_day, self.last_day, self.site.zone)

    @cached_property
    def all_series(self) -> list[Series]:
        validated = [("meter_data", meter.id) for meter in self.site.meters]
        raw = [("meter_data_raw", meter.id) for meter in self.site.meters if not meter.is_rule_meter]
        return validated + raw + [("site_data", name) for name in SITE_SERIES_TYPES]

    def of(self, endpoint: str, position: int) -> Series:
        return endpoint, self.site.meters[position].id

    def rows(self, series: Series, *, clean: bool = False) -> Rows:
        return (self.clean if clean else self.faulty).series(self.site.site_id, series, self.period)

    def changed(self, series: Series) -> list[datetime]:
        """The stamps at which the two differ, doubled and missing rows included."""
        before, after = (by_stamp(self.rows(series, clean=clean)) for clean in (True, False))
        differing = {at for at in before.keys() | after.keys() if before.get(at) != after.get(at)}
        return sorted(datetime.fromisoformat(at).astimezone(UTC) for at in differing)

    def changed_series(self) -> set[Series]:
        return {series for series in self.all_series if self.changed(series)}

    def pairs(self, series: Series) -> list[tuple[dict, dict]]:
        """Clean and faulty rows side by side, where both worlds have the same stamps."""
        before, after = self.rows(series, clean=True), self.rows(series)
        assert [row["timestamp"] for row in before] == [row["timestamp"] for row in after]
        assert len(after) >= 3 * 92
        return list(zip(before, after, strict=True))


def by_stamp(rows: Rows) -> dict[str, Rows]:
    """Rows by their stamp as it is written, which names an instant once: the offset is part of it."""
    found: dict[str, Rows] = defaultdict(list)
    for row in rows:
        found[row["timestamp"]].append(row)
    return found


def world_of(*faults: DataFault, created: date, **options: object) -> World:
    return World(**{"seed": 7, "sites": 1, "meters": 10, "clock": lambda: NOW, **options},
                 created=created, data_faults=faults)  # fmt: skip


@pytest.fixture(scope="module")
def clean_world() -> Iterator[Callable[[date], Asked]]:
    """Clean worlds by their day of creation: each asked once, and compared with many."""
    with ExitStack() as stack:

        @cache
        def of(created: date) -> Asked:
            server = stack.enter_context(SimulatorServer(world_of(created=created), requests_per_second=None))
            return stack.enter_context(Asked(server))

        yield of


@pytest.fixture
def twins(clean_world: Callable[[date], Asked]) -> Iterator[Callable[..., Twins]]:
    with ExitStack() as stack:

        def make(kind: str, meter: int, first_day: date, last_day: date | None = None, **options: object) -> Twins:
            fault = {name: options.pop(name) for name in ("sentinel", "revised_at") if name in options}
            # A site of this seed exists two weeks after its world.
            created = first_day - timedelta(days=19)

            def serve(*faults: DataFault) -> Asked:
                world = world_of(*faults, created=created, **options)
                server = stack.enter_context(SimulatorServer(world, requests_per_second=None))
                return stack.enter_context(Asked(server))

            clean = serve() if options else clean_world(created)
            faulty = serve(DataFault(kind, 0, meter, first_day, last_day, **fault))
            return Twins(clean, faulty, first_day, last_day or first_day)

        yield make


# --- every kind -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("day", [SPRING, AUTUMN])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in CIRCUMSTANCES | TWO_SITES])
def test_a_label_tells_what_differs_and_nothing_else_does(twins, kind, day):
    """A label that is too narrow makes a right alarm look false, one too wide hides a missed one."""
    two = twins(kind, ON_METER.get(kind, FLAT), day, revised_at=NOW + timedelta(days=1))
    labels = two.world.labels()
    cause = two.site.meters[ON_METER.get(kind, FLAT)].id
    assert labels[0].is_cause
    assert {label.cause_meter_id for label in labels} == {cause}
    assert {label.kind for label in labels} == {kind}
    assert {label.months for label in labels} == {(day.replace(day=1),)}
    by_meter = {label.meter_id: label for label in labels}
    assert len(by_meter) == len(labels)
    lasting = {"replaced_down", "replaced_read", "replaced_up", "rollover", "night_production"}
    for meter in two.site.meters:
        label = by_meter.get(meter.id)
        intervals = two.changed(("meter_data", meter.id))
        readings = [] if meter.is_rule_meter else two.changed(("meter_data_raw", meter.id))
        if label is None:
            assert not intervals
            assert not readings
            continue
        if kind in lasting:
            # The index differs ever after; the label names where it begins to.
            readings = [at for at in readings if label.first_utc < at <= label.last_utc]
        assert (label.intervals, label.readings) == (len(intervals), len(readings))
        assert (label.first_utc, label.last_utc) == (
            min(intervals + readings) - QUARTER_HOUR,
            max(intervals + readings),
        )
        assert label.intervals + label.readings > 0


def test_a_reading_between_two_months_concerns_both():
    """The next month opens with the index that is wrong: an alarm there is no false one."""
    june = DataFault("swapped", 0, FLAT, date(2026, 6, 1), date(2026, 6, 30))
    (label,) = world_of(june, created=date(2026, 5, 10)).labels()
    assert label.months == (date(2026, 6, 1), date(2026, 7, 1))
    stuck = DataFault("stuck", 0, FLAT, date(2026, 6, 30))
    assert world_of(stuck, created=date(2026, 5, 10)).labels()[0].months == (date(2026, 6, 1),)


def test_a_meter_that_is_gone_does_not_suffer():
    faults = [DataFault("vanishes", 0, 9, date(2026, 6, 3)), DataFault("missing_sibling", 0, FLAT, date(2026, 6, 5))]
    world = world_of(*faults, created=date(2026, 5, 10))
    suffering = {label.meter_id for label in world.labels() if label.kind == "missing_sibling"}
    assert suffering == {world.sites[0].meters[at].id for at in (FLAT, RULE, CHARGE_POINT, COMMON)}


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in CIRCUMSTANCES | TWO_SITES])
def test_the_truth_stays_the_truth(kind):
    day = date(2026, 6, 10)
    fault = DataFault(kind, 0, ON_METER.get(kind, FLAT), day)
    clean, faulty = world_of(created=date(2026, 5, 10)), world_of(fault, created=date(2026, 5, 10))
    for meter in clean.sites[0].meters:
        truths = [world.month_truth(world.sites[0].site_id, meter.id, day) for world in (clean, faulty)]
        assert truths[0] == truths[1]
        assert truths[0].intervals_counted == 30 * 96


def test_what_is_served_does_not_depend_on_what_was_asked_before():
    """Guards against a fault that keeps count of what it has met."""
    faults = [
        DataFault(kind, 0, meter, date(2026, 6, day))
        for kind, meter, day in (
            ("night_production", ROOF, 4),
            ("stuck", FLAT, 5),
            ("missing_sibling", COMMON, 5),
            ("conflict", GRID, 6),
            ("rollover", FLAT, 6),
        )
    ]
    options = {"created": date(2026, 5, 10)}
    with (
        SimulatorServer(world_of(*faults, **options), requests_per_second=None) as one,
        SimulatorServer(world_of(*faults, **options), requests_per_second=None) as other,
        Api(one) as whole,
        Api(other) as pieces,
    ):
        site = one.world.sites[0]
        period = local_days(date(2026, 6, 3), date(2026, 6, 8), site.zone)
        cuts = [period.start_utc + hours * timedelta(hours=1) for hours in (0, 29, 50, 61, 62, 85, 144)]
        paths = [f"/meter_data/{site.site_id}/{site.meters[at].id}" for at in (FLAT, GRID, ROOF, RULE, COMMON)]
        paths += [f"/meter_data_raw/{site.site_id}/{site.meters[at].id}" for at in (FLAT, GRID, ROOF, COMMON)]
        paths += [f"/site_data/{site.site_id}/electricity"]
        got = {path: [] for path in paths}
        for start, end in reversed(list(pairwise(cuts))):
            for path in reversed(paths):
                got[path] = pieces.rows(path, Period(start, end)) + got[path]
        for path in paths:
            assert got[path] == whole.rows(path, period)


def test_other_sites_are_served_as_ever():
    options = {"sites": 2, "created": date(2026, 4, 1)}
    fault = DataFault("wrong_unit", 0, FLAT, date(2026, 6, 1), date(2026, 6, 30))
    with (
        SimulatorServer(world_of(**options), requests_per_second=None) as clean,
        SimulatorServer(world_of(fault, **options), requests_per_second=None) as faulty,
        Api(clean) as one,
        Api(faulty) as other,
    ):
        site = clean.world.sites[1]
        period = local_days(date(2026, 6, 1), date(2026, 6, 2), site.zone)
        for meter in site.meters:
            path = f"/meter_data/{site.site_id}/{meter.id}"
            assert one.rows(path, period) == other.rows(path, period) != []
        path = f"/site_data/{site.site_id}/electricity"
        assert one.rows(path, period) == other.rows(path, period) != []


# --- rows that are missing or double --------------------------------------------------------------------------------


@pytest.mark.parametrize(("day", "count"), [(SPRING, 92), (AUTUMN, 100)])
def test_a_gap_lacks_validated_rows_and_nothing_else(twins, day, count):
    two = twins("gap", FLAT, day)
    series = two.of("meter_data", FLAT)
    assert two.changed_series() == {series}
    kept = [row for row in two.rows(series, clean=True) if stamp_utc(row) - QUARTER_HOUR not in two.concerned]
    assert two.rows(series) == kept
    assert len(two.rows(series, clean=True)) - len(kept) == count


def test_an_outage_lacks_readings_too_and_the_site_knows_no_sum(twins):
    two = twins("outage", HOT_WATER, AUTUMN)
    series, site_series = two.of("meter_data", HOT_WATER), ("site_data", "hot_water")
    # The site has no other hot water.
    assert two.changed_series() == {series, two.of("meter_data_raw", HOT_WATER), site_series}
    for changed in two.changed_series():
        assert two.rows(changed) == [
            row for row in two.rows(changed, clean=True) if stamp_utc(row) - QUARTER_HOUR not in two.concerned
        ]


def test_a_month_without_data_has_no_row_at_all(twins):
    two = twins("no_data", HEAT, date(2026, 2, 1), date(2026, 2, 28))
    for series in (two.of("meter_data", HEAT), two.of("meter_data_raw", HEAT), ("site_data", "heating")):
        assert {stamp_utc(row) - QUARTER_HOUR in two.concerned for row in two.rows(series)} == {False}
        assert len(two.rows(series, clean=True)) - len(two.rows(series)) == 28 * 96
    assert two.world.month_truth(two.site.site_id, two.site.meters[HEAT].id, date(2026, 2, 1)).total > 0


def test_a_missing_sibling_voids_the_split_of_all(twins):
    two = twins("missing_sibling", COMMON, AUTUMN)
    own = {two.of("meter_data", COMMON), two.of("meter_data_raw", COMMON)}
    # The rule meter sums common areas and charge point: without one of them there is no sum.
    for series in own | {two.of("meter_data", RULE)}:
        assert len(two.rows(series, clean=True)) - len(two.rows(series)) == 100
    siblings = {two.of("meter_data", at) for at in (FLAT, CHARGE_POINT, 9)}
    for series in siblings:
        for before, after in two.pairs(series):
            is_void = stamp_utc(before) - QUARTER_HOUR in two.concerned
            assert after == (before | {"self": None, "ext": None} if is_void else before)
    for before, after in two.pairs(("site_data", "electricity")):
        is_void = stamp_utc(before) - QUARTER_HOUR in two.concerned
        assert after == (before | dict.fromkeys(("conso_total", "prod_total", "self")) if is_void else before)
    others = two.changed_series() - own - siblings
    assert others == {two.of("meter_data", RULE), ("site_data", "electricity"), ("site_data", "charge_point")}


def test_without_the_grid_meter_nobody_knows_what_was_bought(twins):
    two = twins("missing_sibling", GRID, AUTUMN)
    for before, after in two.pairs(("site_data", "electricity")):
        if stamp_utc(before) - QUARTER_HOUR in two.concerned:
            assert after == dict.fromkeys(before) | {name: before[name] for name in ("conso_total", "timestamp")}


@pytest.mark.parametrize("kind", ["duplicate", "conflict"])
def test_four_rows_come_twice(twins, kind):
    two = twins(kind, FLAT, AUTUMN)
    series = two.of("meter_data", FLAT)
    assert two.changed_series() == {series}
    noon = datetime(2026, 10, 25, 12, tzinfo=two.site.zone).astimezone(UTC)
    assert two.changed(series) == [noon + count * QUARTER_HOUR for count in (1, 2, 3, 4)]
    twice = ["12:15:00", "12:30:00", "12:45:00", "13:00:00"]
    before, after = (by_stamp(two.rows(series, clean=clean)) for clean in (True, False))
    for at in (f"2026-10-25 {clock}+01:00" for clock in twice):
        first, second = after[at]
        assert before[at] == [first]
        if kind == "duplicate":
            assert second == first
        else:
            assert exact(second["total"]) - exact(first["total"]) == 1
            assert second["total"] == pytest.approx(second["self"] + second["ext"], abs=1e-9)


# --- indices that cannot be subtracted ------------------------------------------------------------------------------


def cut_at_noon(two: Twins, position: int, name: str) -> tuple[list[tuple[datetime, Decimal, Decimal]], datetime]:
    """(instant, true index, index served) of a register, and noon of the day."""
    pairs = two.pairs(two.of("meter_data_raw", position))
    noon = datetime.combine(two.first_day, datetime.min.time(), two.site.zone).replace(hour=12).astimezone(UTC)
    return [(stamp_utc(before), exact(before[name]), exact(after[name])) for before, after in pairs], noon


def test_a_new_meter_begins_at_zero(twins):
    two = twins("replaced_down", GRID, AUTUMN)
    assert two.changed_series() == {two.of("meter_data_raw", GRID)}
    for name in ("en_im", "en_ex"):
        indices, noon = cut_at_noon(two, GRID, name)
        at_noon = next(true for at, true, _ in indices if at == noon)
        assert at_noon > 1
        for at, true, served in indices:
            assert served == (true if at <= noon else true - at_noon)


def test_a_used_meter_begins_far_above(twins):
    two = twins("replaced_up", HEAT, AUTUMN)
    assert two.changed_series() == {two.of("meter_data_raw", HEAT)}
    indices, noon = cut_at_noon(two, HEAT, "heat_energy_kwh")
    assert {(at > noon, served - true) for at, true, served in indices} == {(False, 0), (True, 20_000)}


def test_an_index_passes_a_million_and_begins_again(twins):
    two = twins("rollover", FLAT, AUTUMN)
    assert two.changed_series() == {two.of("meter_data_raw", FLAT)}
    indices, noon = cut_at_noon(two, FLAT, "en_im")
    for at, _, served in indices:
        assert (served > 999_000) == (at <= noon)
        assert served < 1_000_000
        assert served % Decimal("0.001") == 0
    (last_before, _, high), (first_after, _, low) = (
        max(entry for entry in indices if entry[0] <= noon),
        min(entry for entry in indices if entry[0] > noon),
    )
    true = {at: true for at, true, _ in indices}
    assert low + 1_000_000 - high == true[first_after] - true[last_before]


def test_swapped_registers_change_places_in_raw_data_only(twins):
    two = twins("swapped", GRID, AUTUMN)
    series = two.of("meter_data_raw", GRID)
    assert two.changed_series() == {series}
    swapped = 0
    for before, after in two.pairs(series):
        is_swapped = two.concerned.start_utc < stamp_utc(before) <= two.concerned.end_utc
        expected = before | {"en_im": before["en_ex"], "en_ex": before["en_im"]} if is_swapped else before
        assert after == expected
        swapped += is_swapped
    assert swapped == 100


# --- values ---------------------------------------------------------------------------------------------------------


def assert_provider_agrees_with_itself(two: Twins) -> None:
    """The provider's rules hold over what is served: parts add up, and everybody has the same rate of solar energy."""
    consumers = [m for m in two.site.meters if m.has_split and not m.is_rule_meter]
    series = {meter.id: by_stamp(two.rows(("meter_data", meter.id))) for meter in two.site.meters}
    rule, grid = two.site.meters[RULE].id, two.site.meters[GRID].id
    for row in two.rows(("site_data", "electricity")):
        at = row["timestamp"]
        parts = {meter.id: series[meter.id][at][0] for meter in consumers}
        consumed = total(list(parts.values()), "total")
        assert exact(row["conso_total"]) == consumed
        assert row["from_ext"] == series[grid][at][0]["total"]
        share = consumed - exact(row["from_ext"])
        assert exact(row["self"]) == share
        assert exact(row["prod_total"]) == share + exact(row["to_ext"])
        for part in parts.values():
            assert exact(part["total"]) == exact(part["self"]) + exact(part["ext"])
            # The site's own energy may be below 0, a consumer's is not.
            expected = exact(part["total"]) * max(share, 0) / consumed if consumed else Decimal(0)
            assert abs(exact(part["self"]) - expected) <= Decimal("0.0000006")
        common = [parts[two.site.meters[at].id] for at in (CHARGE_POINT, COMMON)]
        assert exact(series[rule][at][0]["total"]) == total(common, "total")


VALUE_KINDS = ("stuck", "offline", "spike", "sentinel", "late_revision", "wrong_unit")


@pytest.mark.parametrize("kind", VALUE_KINDS)
def test_the_provider_works_on_with_a_wrong_value(twins, kind):
    """A wrong total reaches rule meters, the site and everybody's split; other totals and readings are untouched."""
    two = twins(kind, COMMON, date(2026, 11, 5))
    assert_provider_agrees_with_itself(two)
    for position, meter in enumerate(two.site.meters):
        if position not in {COMMON, RULE}:
            assert all(a["total"] == b["total"] for a, b in two.pairs(("meter_data", meter.id)))
        if position not in {COMMON, RULE} or (position == COMMON and kind != "wrong_unit"):
            assert not two.changed(("meter_data_raw", meter.id))
    assert two.changed(two.of("meter_data", COMMON))
    assert ("site_data", "electricity") in two.changed_series()
    assert ("site_data", "heating") not in two.changed_series()


def totals(two: Twins, position: int) -> list[tuple[datetime, Decimal, Decimal]]:
    """(start of the interval, true total, total served)."""
    pairs = two.pairs(two.of("meter_data", position))
    return [(stamp_utc(a) - QUARTER_HOUR, exact(a["total"]), exact(b["total"])) for a, b in pairs]


def test_a_stuck_meter_repeats_a_value_that_is_not_zero(twins):
    two = twins("stuck", ROOF, date(2026, 6, 10))
    noon = datetime(2026, 6, 10, 12, tzinfo=two.site.zone).astimezone(UTC)
    repeated = [served for at, _, served in totals(two, ROOF) if noon <= at < noon + 8 * QUARTER_HOUR]
    first = next(true for at, true, _ in totals(two, ROOF) if at == noon)
    assert repeated == [first] * 8
    assert first > 0
    assert all(true == served for at, true, served in totals(two, ROOF) if not noon <= at < noon + 8 * QUARTER_HOUR)


def test_a_stuck_meter_at_rest_repeats_its_smallest_step(twins):
    """A charge point that stands still would else repeat zeros, which are normal."""
    two = twins("stuck", CHARGE_POINT, date(2026, 6, 10), load_curves={(0, CHARGE_POINT): lambda _: 0.0})
    assert sorted(served for _, _, served in totals(two, CHARGE_POINT))[-9:] == [Decimal(0)] + [Decimal("0.001")] * 8


def test_an_offline_meter_serves_zeros_while_its_index_goes_on(twins):
    two = twins("offline", FLAT, AUTUMN)
    zeros = [(true, served) for at, true, served in totals(two, FLAT) if at in two.concerned]
    assert len(zeros) == 100
    assert {served for _, served in zeros} == {0}
    assert sum(true for true, _ in zeros) > 1
    assert not two.changed(two.of("meter_data_raw", FLAT))


@pytest.mark.parametrize(
    ("kind", "options", "value"),
    [
        ("spike", {}, Decimal(250)),
        ("sentinel", {}, Decimal("4294967.295")),
        ("sentinel", {"sentinel": 65535.0}, Decimal(65535)),
    ],
)
def test_one_interval_is_impossible(twins, kind, options, value):
    two = twins(kind, GRID, AUTUMN, **options)
    noon = datetime(2026, 10, 25, 12, tzinfo=two.site.zone).astimezone(UTC)
    for at, true, served in totals(two, GRID):
        assert served == (value if at == noon else true)


@pytest.mark.parametrize(("position", "name"), [(FLAT, "en_im"), (COLD_WATER, "vol_m3")])
def test_a_wrong_unit_is_a_thousand_times_too_much_in_both_series(twins, position, name):
    two = twins("wrong_unit", position, AUTUMN)
    for at, true, served in totals(two, position):
        assert served == (true * 1000 if at in two.concerned else true)
    for before, after in two.pairs(two.of("meter_data_raw", position)):
        is_wrong = two.concerned.start_utc < stamp_utc(before) <= two.concerned.end_utc
        assert exact(after[name]) == exact(before[name]) * (1000 if is_wrong else 1)


def test_a_plant_that_produces_at_night_is_believed_everywhere(twins):
    """Its meter, the grid meter and the site agree: only the hour is impossible."""
    two = twins("night_production", ROOF, AUTUMN)
    assert two.changed_series() == {
        two.of("meter_data", ROOF),
        two.of("meter_data_raw", ROOF),
        two.of("meter_data_raw", GRID),
        ("site_data", "electricity"),
    }
    hours = []
    for at, true, served in totals(two, ROOF):
        local = at.astimezone(two.site.zone)
        is_night = local.date() == AUTUMN and (local.hour == 23 or local.hour < 3)
        assert served - true == (Decimal("0.25") if is_night else 0)
        hours += [local.hour] * is_night
    # The hour from 2 to 3 comes twice that night.
    assert [hours.count(hour) for hour in (0, 1, 2, 3, 22, 23)] == [4, 4, 8, 0, 0, 4]
    indices = [exact(after["en_ex"]) for _, after in two.pairs(two.of("meter_data_raw", ROOF))]
    assert [later - earlier for earlier, later in pairwise(indices)] == [s for _, _, s in totals(two, ROOF)][1:]
    for position, name in ((ROOF, "en_ex"), (GRID, "en_ex")):
        pairs = two.pairs(two.of("meter_data_raw", position))
        assert exact(pairs[-1][1][name]) - exact(pairs[-1][0][name]) == 5
        assert exact(pairs[0][1][name]) == exact(pairs[0][0][name])
    assert_provider_agrees_with_itself(two)
    sums = [total(two.rows(("site_data", "electricity"), clean=clean), "to_ext") for clean in (False, True)]
    assert sums[0] - sums[1] == 5


def test_a_null_split_keeps_the_total(twins):
    two = twins("null_split", FLAT, AUTUMN)
    assert two.changed_series() == {two.of("meter_data", FLAT)}
    noon = datetime(2026, 10, 25, 12, tzinfo=two.site.zone).astimezone(UTC)
    for before, after in two.pairs(two.of("meter_data", FLAT)):
        is_null = noon < stamp_utc(before) <= noon + timedelta(hours=4)
        assert after == (before | {"self": None, "ext": None} if is_null else before)


def test_a_late_revision_comes_with_the_clock(twins):
    """Before, the split fits the values served; afterwards nothing tells that they were ever others."""
    now = [NOW]
    two = twins("late_revision", FLAT, date(2026, 11, 5), revised_at=NOW + timedelta(hours=1), clock=lambda: now[0])
    share = [(true, served) for at, true, served in totals(two, FLAT) if at in two.concerned]
    assert all(0 <= true * 2 / 3 - served < Decimal("0.001") for true, served in share)
    assert sum(served for _, served in share) < sum(true for true, _ in share)
    assert_provider_agrees_with_itself(two)
    now[0] = NOW + timedelta(hours=1)
    two.clean.log_in()
    two.faulty.log_in()
    two.clean.answers.clear()
    two.faulty.answers.clear()
    later = Twins(two.clean, two.faulty, two.first_day, two.last_day)
    assert later.changed_series() == set()
    assert two.world.labels()[0].intervals == 96


# --- longer frequencies and steps -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [*VALUE_KINDS, "missing_sibling", "null_split"])
def test_longer_frequencies_add_up_the_quarter_hours_that_are_known(twins, kind):
    two = twins(kind, COMMON, AUTUMN)
    for position in (COMMON, FLAT, RULE):
        path = f"/meter_data/{two.site.site_id}/{two.site.meters[position].id}"
        rows = two.faulty.rows(path, local_month(AUTUMN, two.site.zone))
        (month,) = two.faulty.rows(path, local_month(AUTUMN, two.site.zone), "M")
        for name in ("total", "self"):
            assert exact(month[name]) == total([row for row in rows if row[name] is not None], name)


def test_the_platform_adds_up_what_a_gap_did_not_send(twins):
    two = twins("gap", FLAT, AUTUMN)
    path = f"/meter_data/{two.site.site_id}/{two.site.meters[FLAT].id}"
    month = local_month(AUTUMN, two.site.zone)
    assert two.faulty.rows(path, month, "M") == two.clean.rows(path, month, "M")
    days = two.clean.rows(path, two.period, "D")
    assert two.faulty.rows(path, two.period, "D") == days
    assert len(days) == 3


@pytest.mark.parametrize(("step", "count"), [(60, 1), (1440, 1)])
def test_faults_take_whole_intervals_of_heat_and_water(step, count):
    """A spike of a quarter-hour inside an hour would be another spike than the one described."""
    day = date(2026, 10, 22)
    options = {"created": date(2026, 9, 20), "step_minutes": step}
    faults = [DataFault("spike", 0, COLD_WATER, day), DataFault("stuck", 0, HOT_WATER, day)]
    with SimulatorServer(world_of(*faults, **options), requests_per_second=None) as server, Api(server) as api:
        site = server.world.sites[0]
        period = local_days(date(2026, 10, 20), date(2026, 11, 5), site.zone)
        cold, hot = (
            [exact(r["total"]) for r in api.rows(f"/meter_data/{site.site_id}/{site.meters[at].id}", period)]
            for at in (COLD_WATER, HOT_WATER)
        )
        labels = {label.kind: label for label in server.world.labels()}
    assert len(cold) == (17 if step == 1440 else 17 * 24 + 1)
    assert cold.count(Decimal(250)) == count == labels["spike"].intervals
    longest = max(sum(1 for _ in run) for _, run in runs(hot))
    assert longest >= 8
    assert labels["stuck"].last_utc - labels["stuck"].first_utc <= 8 * timedelta(minutes=step) + timedelta(hours=1)


def runs(values: list[Decimal]) -> Iterator[tuple[Decimal, list[Decimal]]]:
    """Runs of equal values that are not zero."""
    run: list[Decimal] = []
    for value in [*values, Decimal(-1)]:
        if run and value != run[0]:
            if run[0]:
                yield run[0], run
            run = []
        run.append(value)


# --- oddities of gateways and of floats ------------------------------------------------------------------------------


def test_noise_makes_parts_that_are_no_multiples_and_nothing_that_is_not_0(twins):
    two = twins("noise", FLAT, AUTUMN)
    series = two.of("meter_data", FLAT)
    assert two.changed_series() == {series}
    moved, rounded_alone = Decimal(0), 0
    for before, after in two.pairs(series):
        if stamp_utc(before) - QUARTER_HOUR not in two.concerned:
            assert after == before
            continue
        assert after["total"] == before["total"] > 0
        sunny = exact(after["self"]) - exact(before["self"])
        assert abs(sunny) == Decimal("5e-7") if before["self"] else after["self"] == pytest.approx(-1.1e-16, rel=1e-9)
        moved += sunny
        parts = [Decimal(repr(after[name])).quantize(Decimal("0.000001"), ROUND_HALF_UP) for name in ("self", "ext")]
        rounded_alone += sum(parts) != exact(after["total"])
    assert rounded_alone > 10
    assert abs(moved) < Decimal("0.00002")


def test_a_lone_peak_holds_two_intervals_and_is_read_once(twins):
    two = twins("lone_peak", FLAT, AUTUMN)
    series, raw = two.of("meter_data", FLAT), two.of("meter_data_raw", FLAT)
    assert two.changed_series() == {series, raw}
    pairs = two.pairs(series)
    day = [at for at, (row, _) in enumerate(pairs) if stamp_utc(row) - QUARTER_HOUR in two.concerned]
    peak = max(day, key=lambda at: pairs[at][0]["total"])
    (one, empty), (other, both) = pairs[peak - 1], pairs[peak]
    assert two.changed(series) == [stamp_utc(one), stamp_utc(other)]
    for name in ("total", "self", "ext"):
        assert empty[name] == 0
        assert exact(both[name]) == exact(one[name]) + exact(other[name])
    assert both["total"] > other["total"] > 0
    readings = by_stamp(two.rows(raw))
    stamps = [pairs[at][0]["timestamp"] for at in (peak - 2, peak - 1)]
    assert two.changed(raw) == [stamp_utc(one)]
    assert readings[stamps[0]][0]["en_im"] == readings[stamps[1]][0]["en_im"]


def test_a_lone_peak_of_a_month_is_its_highest_interval():
    fault = DataFault("lone_peak", 0, FLAT, date(2026, 6, 1), date(2026, 6, 30))
    world = world_of(fault, created=date(2026, 5, 10))
    site = world.sites[0]
    (label,) = world.labels()
    month = local_month(date(2026, 6, 1), site.zone)
    first, last = (int(at.timestamp()) // 900 for at in (month.start_utc, month.end_utc))
    index = world.registers(site.site_id).between(site.meters[FLAT].id, first, last)
    ends = {later - earlier: first + at for at, (earlier, later) in enumerate(pairwise(index), start=1)}
    assert label.last_utc == datetime.fromtimestamp(ends[max(ends)] * 900, UTC)
    assert (label.intervals, label.readings) == (2, 1)


def test_one_reading_at_midnight_is_0(twins):
    two = twins("glitch_at_midnight", COLD_WATER, AUTUMN)
    raw = two.of("meter_data_raw", COLD_WATER)
    assert two.changed_series() == {raw}
    assert two.changed(raw) == [two.concerned.end_utc]
    assert [after["vol_m3"] for _, after in two.pairs(raw) if stamp_utc(after) == two.concerned.end_utc] == [0.0]


def test_registers_show_0_for_hours_and_go_on_where_they_were(twins):
    two = twins("register_zeros", GRID, AUTUMN)
    raw = two.of("meter_data_raw", GRID)
    assert two.changed_series() == {raw}
    noon = datetime(2026, 10, 25, 12, tzinfo=two.site.zone).astimezone(UTC)
    for before, after in two.pairs(raw):
        is_out = noon < stamp_utc(before) <= noon + timedelta(hours=4)
        assert after == (before | {"en_im": 0.0, "en_ex": 0.0} if is_out else before)


# --- a meter at two sites --------------------------------------------------------------------------------------------


def test_a_meter_that_is_listed_twice_serves_the_next_site_with_the_same_rows():
    """From one local day to another of the site to which it does not belong, which has another time zone here."""
    now = [NOW]
    fault = DataFault("listed_twice", 0, FLAT, date(2026, 6, 10), date(2026, 6, 12))
    world = world_of(fault, created=date(2026, 5, 1), sites=2, meters=3, clock=lambda: now[0])
    home, other = world.sites
    flat = home.meters[FLAT]
    assert home.zone != other.zone
    days = local_days(date(2026, 6, 9), date(2026, 6, 13), other.zone)
    concerned = local_days(date(2026, 6, 10), date(2026, 6, 12), other.zone)
    with SimulatorServer(world, requests_per_second=None) as server, Api(server) as api:
        for endpoint in ("meter_data", "meter_data_raw"):
            own, same = (
                {stamp_utc(row): {name: value for name, value in row.items() if name != "timestamp"} for row in rows}
                for rows in (api.rows(f"/{endpoint}/{site.site_id}/{flat.id}", days) for site in (home, other))
            )
            assert same == {at: row for at, row in own.items() if at - QUARTER_HOUR in concerned}
            assert (len(own), len(same)) == (5 * 96, 3 * 96)
        assert api.rows(f"/meter_data/{other.site_id}/{flat.id}", days)[0]["timestamp"].endswith("+01:00")
        listed = [row["id"] for row in api.get(f"/meter_info/{other.site_id}").json()]
        assert listed == [*(meter.id for meter in other.meters), flat.id]
        now[0] = concerned.start_utc - timedelta(minutes=1)
        api.log_in()
        assert len(api.get(f"/meter_info/{other.site_id}").json()) == 3
    now[0] = NOW
    assert [(label.site_id, label.meter_id, label.intervals) for label in world.labels()] == [
        (home.site_id, flat.id, 3 * 96),
        (other.site_id, flat.id, 3 * 96),
    ]
    # It was counted once.
    clean = world_of(created=date(2026, 5, 1), sites=2, meters=3)
    for of in (home, other):
        for meter in of.meters:
            june = date(2026, 6, 1)
            assert world.month_truth(of.site_id, meter.id, june) == clean.month_truth(of.site_id, meter.id, june)


def test_a_meter_of_the_only_site_cannot_be_listed_twice():
    with pytest.raises(ValueError, match="listed_twice needs another site"):
        world_of(DataFault("listed_twice", 0, FLAT, date(2026, 6, 10)), created=date(2026, 5, 1))


# --- circumstances --------------------------------------------------------------------------------------------------


def test_an_empty_flat_truly_consumes_nothing_and_lacks_nothing(twins):
    two = twins("vacant", FLAT, AUTUMN)
    flat = two.site.meters[FLAT]
    for at, _, served in totals(two, FLAT):
        assert (served == 0) == (at in two.concerned)
    assert two.world.truth_between(two.site.site_id, flat.id, AUTUMN, AUTUMN).total == 0
    assert_provider_agrees_with_itself(two)
    (label,) = two.world.labels()
    assert (label.kind, label.meter_id, label.intervals, label.readings) == ("vacant", flat.id, 0, 0)
    assert (label.first_utc, label.last_utc) == (two.concerned.start_utc, two.concerned.end_utc)


@pytest.mark.parametrize("kind", ["appears", "vanishes"])
def test_a_meter_is_listed_and_serves_while_it_exists(twins, kind):
    now = [NOW]
    two = twins(kind, FLAT, AUTUMN, clock=lambda: now[0])
    flat = two.site.meters[FLAT]
    change = local_day(AUTUMN, two.site.zone).start_utc
    listed = []
    for at in (change - timedelta(minutes=1), change):
        now[0] = at
        answer = two.faulty.get(f"/meter_info/{two.site.site_id}").json()
        assert len(answer) == 10 - (flat.id not in {row["id"] for row in answer})
        listed.append(flat.id in {row["id"] for row in answer})
    assert listed == ([False, True] if kind == "appears" else [True, False])
    now[0] = NOW
    for endpoint in ("meter_data", "meter_data_raw"):
        rows = two.rows(two.of(endpoint, FLAT))
        stamps = [stamp_utc(row) for row in two.rows(two.of(endpoint, FLAT), clean=True)]
        assert [stamp_utc(row) for row in rows] == [at for at in stamps if (at > change) == (kind == "appears")]
    months = {
        month: two.world.truth_between(two.site.site_id, flat.id, first, last).total
        for month, first, last in (
            ("before", date(2026, 10, 20), date(2026, 10, 24)),
            ("after", date(2026, 10, 25), date(2026, 10, 29)),
        )
    }
    assert (months["before"] > 0, months["after"] > 0) == ((False, True) if kind == "appears" else (True, False))
    others = [meter.id for at, meter in enumerate(two.site.meters) if at not in {FLAT, GRID}]
    assert all(a["total"] == b["total"] for other in others for a, b in two.pairs(("meter_data", other)))


# --- as written on a command line -----------------------------------------------------------------------------------


def parsed(text: str, *, seed: int = 7, sites: int = 2) -> list[DataFault]:
    world = World(seed=seed, sites=sites, created=date(2026, 1, 1))
    return parse_data_faults(text, world.sites, seed=seed, month=date(2026, 9, 1))


def test_a_fault_is_placed_by_the_seed_by_month_or_by_day():
    faults = parsed("stuck@0/7/2026-03, gap@1/5/2026-03-02..2026-03-04,spike@0/0/2026-04-05;".rstrip(";"))
    assert [(fault.kind, fault.site, fault.meter) for fault in faults] == [
        ("stuck", 0, 7),
        ("gap", 1, 5),
        ("spike", 0, 0),
    ]
    assert faults[0].first_day.replace(day=1) == date(2026, 3, 1)
    assert (faults[1].first_day, faults[1].last_day) == (date(2026, 3, 2), date(2026, 3, 4))
    assert faults[2].first_day == faults[2].last_day == date(2026, 4, 5)
    assert parsed("no_data@0/4/2024-02")[0].last_day == date(2024, 2, 29)


def test_all_kinds_at_once_fall_on_different_meters_of_one_month_the_same_for_the_same_seed():
    text = ",".join(KINDS)
    faults = parsed(text, sites=4)
    assert faults == parsed(text, sites=4)
    assert faults != parsed(text, sites=4, seed=8)
    assert [fault.kind for fault in faults] == list(KINDS)
    assert len({(fault.site, fault.meter) for fault in faults}) == len(KINDS)
    assert {fault.first_day.replace(day=1) for fault in faults} == {date(2026, 9, 1)}
    assert {fault.last_day.month for fault in faults} == {9}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("stck", "no data fault is called 'stck'; there are: gap, outage"),
        ("gap@0/0", "'gap@0/0' is not written as kind, or kind@site/meter/YYYY-MM"),
        ("gap@9/0/2026-03", "no site 9 with a meter 0"),
        ("gap@0/abc/2026-03", "no site 0 with a meter 'abc'"),
        ("gap@0/0/2026-13", "'2026-13' is no YYYY-MM, YYYY-MM-DD or"),
        ("gap@0/0/2026-03..2026-04", "'2026-03..2026-04' is no YYYY-MM"),
        ("gap@0/0/2026-03-04..2026-03-01", "cannot end (2026-03-01) before it starts"),
        ("night_production@0/0/2026-03", "makes no sense for Flat 0.1 left (electricity, consumption)"),
        ("night_production,night_production,night_production", "no meter is left for night_production"),
    ],
)
def test_what_cannot_be_placed_is_refused_with_the_reason(text, complaint):
    with pytest.raises(ValueError, match=re.escape(complaint)):
        parsed(text)


def test_a_fault_before_its_site_is_refused():
    with pytest.raises(ValueError, match="exists since 2026-01-15 only"):
        world_of(DataFault("gap", 0, 0, date(2026, 1, 14)), created=date(2026, 1, 1))
