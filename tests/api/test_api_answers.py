"""Every shape and timestamp form that the API documents or was seen to use, and what must never be guessed."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from climkit_pipeline.api import answers
from climkit_pipeline.domain.periods import Period
from climkit_pipeline.errors import UnexpectedPayloadError

OBJECT_ID = "5f3e8a1b2c4d6e7f8a9b0c1d"
DAY = Period(datetime(2026, 3, 21, 23, tzinfo=UTC), datetime(2026, 3, 22, 23, tzinfo=UTC))
STAMP = datetime(2026, 3, 22, 4, 30, tzinfo=UTC)
STAMP_SECONDS = 1_774_153_800
"""The same instant, computed with ``date -u -d '2026-03-22 04:30' +%s``."""

SERIES = {
    "meter_data": (answers.parse_meter_series, "total"),
    "site_data": (answers.parse_site_series, "conso_total"),
    "meter_data_raw": (answers.parse_raw_readings, "en_im"),
    "sensor_data": (answers.parse_sensor_readings, "value"),
}
LISTINGS = {
    "all_installations": answers.parse_installations,
    "meter_info": answers.parse_meters,
    "sensors_list": answers.parse_sensors,
}
PARSERS = {**{endpoint: parse for endpoint, (parse, _) in SERIES.items()}, **LISTINGS}
CHANGE_ZONES = [
    # zone, spring change, autumn change (local dates in 2026)
    ("Europe/Zurich", date(2026, 3, 29), date(2026, 10, 25)),
    ("Europe/Lisbon", date(2026, 3, 29), date(2026, 10, 25)),
    ("Atlantic/Azores", date(2026, 3, 29), date(2026, 10, 25)),
    ("America/St_Johns", date(2026, 3, 8), date(2026, 11, 1)),
    ("Australia/Lord_Howe", date(2026, 10, 4), date(2026, 4, 5)),
]


def each_series(function):
    return pytest.mark.parametrize(("parse", "name"), SERIES.values(), ids=SERIES)(function)


# --- listings ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "row",
    [
        OBJECT_ID,
        {"id": OBJECT_ID},
        {"_id": OBJECT_ID},
        {"site_id": OBJECT_ID},
        {"_id": {"$oid": OBJECT_ID}},
        {"id": {"$oid": OBJECT_ID}, "name": "A"},
        {"id": None, "_id": OBJECT_ID},
        {"$oid": OBJECT_ID},
    ],
    ids=str,
)
def test_a_site_is_named_in_every_known_form(row):
    assert answers.parse_installations([row]) == [OBJECT_ID]


def test_sites_keep_their_order_and_come_once():
    """A site listed twice would be asked twice."""
    assert answers.parse_installations(["b", {"id": "a"}, "b", {"_id": {"$oid": "a"}}, 7]) == ["b", "a", "7"]
    assert answers.parse_installations([]) == []


@pytest.mark.parametrize("row", [{"installation": OBJECT_ID}, {}, {"id": None}, {"ID": OBJECT_ID}])
def test_an_id_under_another_key_is_refused_by_name(row):
    with pytest.raises(UnexpectedPayloadError, match="a site without an id"):
        answers.parse_installations([row])


@pytest.mark.parametrize(
    "identifier",
    [
        "",
        ".",
        "..",
        "../..",
        "a/b",
        "a\\b",
        "a?b",
        "a#b",
        "a b",
        "a\nb",
        "a\0b",
        "a\x7fb",
        "a\u2028b",
        "a\u202eb",
        "a\u00a0b",
        "\ud800",
        "a" * 201,
        True,
        1.5,
        [],
        {},
        {"$oid": None},
        {"$oid": "../x"},
        {"$oid": {"$oid": "a"}},
    ],
    ids=repr,
)
@pytest.mark.parametrize("what", ["site", "meter", "sensor"])
def test_an_id_that_could_become_a_path_trick_is_refused(identifier, what):
    """Ids become URL parts and folder names; half a surrogate pair broke the quoting with an error of its own."""
    parse = dict(zip(["site", "meter", "sensor"], LISTINGS.values(), strict=True))[what]
    with pytest.raises(UnexpectedPayloadError, match=f"id.* of a {what}"):
        parse([{"id": identifier}])


DOCUMENTED_METER = {
    "id": "m1",
    "type": "hot_water",
    "name": "Flat 3",
    "mode": "consumption",
    "prim_ad": 12,
    "is_rule_meter": True,
}


def test_a_meter_in_its_documented_form():
    assert answers.parse_meters([DOCUMENTED_METER]) == [
        answers.Meter("m1", "hot_water", "consumption", name="Flat 3", primary_address=12, is_rule_meter=True, extra={})
    ]


@pytest.mark.parametrize("virtual", [True, False])
def test_a_meter_in_its_older_form(virtual):
    row = {"id": "m1", "type": "electricity", "name": "PV", "mode": "production", "prim_ad": "012", "virtual": virtual}
    (meter,) = answers.parse_meters([row])
    assert (meter.primary_address, meter.is_rule_meter, meter.extra) == (12, virtual, {})


def test_a_rule_flag_of_null_leaves_the_word_to_the_older_one():
    """``is_rule_meter: null`` beside ``virtual: true`` made a physical meter of a rule meter."""
    (meter,) = answers.parse_meters([{"id": "m1", "is_rule_meter": None, "virtual": True}])
    assert meter.is_rule_meter is True


@pytest.mark.parametrize("flag", ["true", "yes", 1, 0, [], {}])
def test_a_rule_flag_that_is_neither_true_nor_false_is_refused(flag):
    """``bool("false")`` is true: the raw series of that meter would never be asked."""
    with pytest.raises(UnexpectedPayloadError, match="is_rule_meter"):
        answers.parse_meters([{"id": "m1", "is_rule_meter": flag}])


@pytest.mark.parametrize(
    "address", ["", "A7", "1.5", "²", "9" * 30, "9" * 5000, 2**63, 1.5, True, [3], {"a": 1}], ids=repr
)
def test_an_address_that_is_no_number_survives_in_extra(address):
    """``"²".isdigit()`` is true and ``int("²")`` raises; 2**63 fits no column."""
    (meter,) = answers.parse_meters([{"id": "m1", "prim_ad": address}])
    assert meter.primary_address is None
    assert meter.extra == {"prim_ad": address}


def test_unknown_types_modes_and_fields_of_a_meter_are_kept():
    row = {"id": "m1", "type": "hydrogen", "mode": "storage", "floor": 3, "tags": ["a"]}
    (meter,) = answers.parse_meters([row])
    assert (meter.meter_type, meter.meter_mode) == ("hydrogen", "storage")
    assert meter.extra == {"floor": 3, "tags": ["a"]}


def test_a_meter_that_states_nothing_but_an_id_is_kept():
    (meter,) = answers.parse_meters([{"_id": {"$oid": OBJECT_ID}, "prim_ad": None}])
    assert meter == answers.Meter(OBJECT_ID, "unknown", "unknown")


def test_a_sensor_with_unknown_fields():
    row = {"id": "s", "name": "Roof", "type": "irradiance", "unit": "W/m2", "model": None, "height": 4.5}
    assert answers.parse_sensors([row]) == [
        answers.Sensor("s", "Roof", "irradiance", "W/m2", None, extra={"height": 4.5})
    ]


@pytest.mark.parametrize(
    ("address", "city", "postal_code"),
    [
        ({"street_name": "R", "street_number": "1 bis", "city": "Lausanne", "postal_code": 1003}, "Lausanne", "1003"),
        (
            {"street_name": "R", "street_number": "1 bis", "city_name": "Lausanne", "city_ref": "1003"},
            "Lausanne",
            "1003",
        ),
        ({"street_name": "R", "street_number": "1 bis", "city": "Lausanne", "city_name": None}, "Lausanne", None),
    ],
)
def test_an_address_in_every_known_form(address, city, postal_code):
    site = answers.parse_site({"address": {"street_name": "R", "street_number": "1 bis", **address}}, "s")
    assert (site.street_name, site.street_number) == ("R", "1 bis")
    assert (site.city, site.postal_code) == (city, postal_code)
    assert site.extra == {}


def test_unknown_fields_of_a_site_and_its_address_survive():
    payload = {"name": "A", "owner": {"x": 1}, "address": {"city": "B", "country": "CH"}, "latitude": "46.5"}
    site = answers.parse_site(payload, "s")
    assert site.extra == {"owner": {"x": 1}, "address.country": "CH", "latitude": "46.5"}
    assert site.latitude is None


@pytest.mark.parametrize("address", ["Rue 1, Lausanne", ["Rue 1"], 3])
def test_an_address_of_another_shape_survives_in_extra(address):
    assert answers.parse_site({"address": address}, "s").extra == {"address": address}


def test_a_site_that_states_nothing_is_all_none():
    assert answers.parse_site({}, "s") == answers.Site("s")


@pytest.mark.parametrize(
    ("created", "timezone", "expected"),
    [
        ("2024-07-01T00:00:00+02:00", "Europe/Zurich", datetime(2024, 6, 30, 22, tzinfo=UTC)),
        ("2024-07-01T00:00:00", "Europe/Zurich", datetime(2024, 6, 30, 22, tzinfo=UTC)),
        ("2024-07-01", "Asia/Kolkata", datetime(2024, 6, 30, 18, 30, tzinfo=UTC)),
        ("2024-07-01T00:00:00", None, datetime(2024, 7, 1, tzinfo=UTC)),
        ({"$date": 1719784800000}, "Europe/Zurich", datetime(2024, 6, 30, 22, tzinfo=UTC)),
    ],
)
def test_a_creation_date_is_local_to_its_site(created, timezone, expected):
    site = answers.parse_site({"creation_date": created, "timezone": timezone}, "s")
    assert site.created_at_utc == expected


@pytest.mark.parametrize(
    ("created", "timezone"),
    [
        ("soon", "Europe/Zurich"),
        ("2024-07-01T00:00:00", "Mars/Olympus"),
        ("2024-07-01T00:00:00", "../../etc/passwd"),
        ("2024-07-01T00:00:00", "Europe"),
        ("0001-01-01T00:00:00", "Asia/Tokyo"),
        ([1], None),
    ],
)
def test_a_creation_date_that_is_none_survives_in_extra(created, timezone):
    site = answers.parse_site({"creation_date": created, "timezone": timezone}, "s")
    assert site.created_at_utc is None
    assert site.extra["creation_date"] == created


def test_half_a_surrogate_pair_in_a_name_becomes_a_text_that_can_be_stored():
    """Valid JSON, but no file and no database takes it: the whole listing failed when written."""
    (meter,) = answers.parse_meters(json.loads('[{"id": "m", "name": "Flat \\ud83d 3"}]'))
    assert meter.name == "Flat ? 3"


# --- timestamps -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form",
    [
        "2026-03-22 05:30:00+01:00",
        "2026-03-22T05:30:00+01:00",
        "2026-03-22T05:30:00.000+01:00",
        "2026-03-22T05:30:00+0100",
        "2026-03-22T04:30:00Z",
        "2026-03-22 04:30:00Z",
        "2026-03-22T04:30:00.000Z",
        "2026-03-22T10:00:00+05:30",
        " 2026-03-22 05:30:00+01:00 ",
        "2026-03-21 24:00:00-04:30",
        "2026-03-21T24:00-04:30",
        "2026-03-21T24:00:00.000-04:30",
        STAMP_SECONDS,
        float(STAMP_SECONDS),
        STAMP_SECONDS * 1000,
        {"$date": STAMP_SECONDS * 1000},
        {"$date": "2026-03-22T04:30:00Z"},
        {"$date": "2026-03-22T05:30:00+01:00"},
        "2026-03-22T04:30:00",
        "2026-03-22 04:30:00",
        {"$date": "2026-03-22T04:30:00"},
    ],
    ids=str,
)
@each_series
def test_a_stamp_in_every_known_form(parse, name, form):
    (row,) = parse([{"timestamp": form, name: 1.5}], DAY)
    assert row.stamp_utc == STAMP
    assert row.stamp_utc.tzinfo is UTC


@pytest.mark.parametrize(
    "form",
    [
        None,
        True,
        "",
        "now",
        "2026-03-22T25:00:00Z",
        "2026-03-22T24:15:00Z",
        "2026-03-22T24:00:01Z",
        "2026-02-29T00:00:00Z",
        "2026-02-29T24:00:00Z",
        "9999-12-31T24:00:00Z",
        str(STAMP_SECONDS),
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        STAMP_SECONDS * 1_000_000,
        STAMP_SECONDS * 1_000_000_000,
        -(10**18),
        10**400,
        math.nan,
        math.inf,
        -math.inf,
        [],
        {},
        {"$date": None},
        {"$date": {"$date": STAMP_SECONDS}},
        {"$date": {"$numberLong": "1"}},
        {"date": STAMP_SECONDS},
    ],
    ids=lambda form: repr(form)[:40],
)
@each_series
def test_a_stamp_of_no_known_form_is_refused_by_name(parse, name, form):
    """Microseconds and far years ended in an OverflowError, which no caller expects."""
    endpoint = next(key for key, value in SERIES.items() if value[0] is parse)
    with pytest.raises(UnexpectedPayloadError, match=f"{endpoint}: not a timestamp"):
        parse([{"timestamp": form, name: 1}], DAY)


@pytest.mark.parametrize("odd", [{}, {"timestamp": None}, {"timestamp": "n/a"}, None, "row", [1], 7], ids=repr)
@each_series
def test_one_odd_row_spoils_no_other(parse, name, odd):
    """A null timestamp refused 2,979 good rows; alone, it is a form that nobody knows, and refused."""
    good = [{"timestamp": STAMP_SECONDS + 900 * number, name: number} for number in range(3)]
    what = next(key for key, value in SERIES.items() if value[0] is parse)
    for place in range(4):
        rows = answers.readable_rows([*good[:place], odd, *good[place:]], DAY, what)
        assert rows.rows == good
        assert rows.unreadable == (place + 1,)
    assert len(parse([odd, *good], DAY)) == 3
    with pytest.raises(UnexpectedPayloadError, match=what):
        parse([odd, odd], DAY)


@each_series
def test_zoneless_stamps_outside_the_window_are_refused_by_name(parse, name):
    """Local times read as UTC: every value would move by an hour, and the bill with it."""
    local_day = [f"2026-03-22T{hour:02}:00:00" for hour in range(1, 24)] + ["2026-03-23T00:00:00"]
    with pytest.raises(UnexpectedPayloadError, match="without a zone"):
        parse([{"timestamp": stamp, name: 1} for stamp in local_day], DAY)


@each_series
def test_zoneless_stamps_without_a_window_are_refused(parse, name):
    with pytest.raises(UnexpectedPayloadError, match="without a zone"):
        parse([{"timestamp": "2026-03-22T04:30:00", name: 1}])


@pytest.mark.parametrize(("stamp", "fits"), [("T23:00:00", True), ("T22:59:59", False)])
def test_both_bounds_of_the_window_fit(stamp, fits):
    """Whether the API includes ``t_s`` and ``t_e`` is not documented."""
    rows = [{"timestamp": f"2026-03-21{stamp}"}, {"timestamp": "2026-03-22T23:00:00"}]
    if fits:
        assert [row.stamp_utc for row in answers.parse_meter_series(rows, DAY)] == [DAY.start_utc, DAY.end_utc]
    else:
        with pytest.raises(UnexpectedPayloadError, match="without a zone"):
            answers.parse_meter_series(rows, DAY)


def test_one_zoneless_stamp_among_others_is_an_odd_row_unless_it_fits():
    rows = [{"timestamp": "2026-03-22T05:30:00+01:00"}, {"timestamp": "2026-03-23T04:30:00"}]
    assert answers.readable_rows(rows, DAY, "meter_data").unreadable == (2,)
    rows[1] = {"timestamp": "2026-03-22T04:45:00"}
    assert answers.readable_rows(rows, DAY, "meter_data").unreadable == ()


def test_a_zoneless_repeated_hour_never_folds_into_one():
    """Local stamps of a cut answer all lie inside the window as UTC; only the hour that repeats gives them away."""
    zone = ZoneInfo("Europe/Zurich")
    window = Period(datetime(2026, 10, 24, 22, tzinfo=UTC), datetime(2026, 10, 25, 23, tzinfo=UTC))
    ends = [window.start_utc + timedelta(minutes=15 * number) for number in range(1, 60)]
    rows = [{"timestamp": end.astimezone(zone).replace(tzinfo=None).isoformat()} for end in ends]
    assert len({row["timestamp"] for row in rows}) == 55
    with pytest.raises(UnexpectedPayloadError, match="without a zone"):
        answers.parse_meter_series(rows, window)


def walked(day: date, zone: ZoneInfo) -> list[datetime]:
    """The quarter-hours of a local day and the instants that end them, found by walking UTC."""
    moment = datetime(day.year, day.month, day.day, tzinfo=UTC) - timedelta(days=1)
    quarters = (moment + timedelta(minutes=15 * number) for number in range(4 * 72))
    return [quarter + timedelta(minutes=15) for quarter in quarters if quarter.astimezone(zone).date() == day]


FORMS = {
    "space": lambda local: local.isoformat(" "),
    "T": lambda local: local.isoformat(),
    "Z": lambda local: local.astimezone(UTC).isoformat().replace("+00:00", "Z"),
    "seconds": lambda local: int(local.timestamp()),
    "milliseconds": lambda local: int(local.timestamp()) * 1000,
    "$date": lambda local: {"$date": int(local.timestamp()) * 1000},
    "$date text": lambda local: {"$date": local.isoformat()},
    "naive UTC": lambda local: local.astimezone(UTC).replace(tzinfo=None).isoformat(),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("name", "spring", "autumn"), CHANGE_ZONES)
def test_change_days_keep_every_period_once_in_every_form(form, name, spring, autumn):
    zone = ZoneInfo(name)
    for day, change in ((spring, -1), (autumn, 1)):
        ends = walked(day, zone)
        assert (len(ends) - 96) * change > 0, "not a day on which clocks change"
        rows = [{"timestamp": FORMS[form](end.astimezone(zone)), "total": 1.0} for end in ends]
        window = Period(ends[0] - timedelta(minutes=15), ends[-1])
        assert [row.stamp_utc for row in answers.parse_meter_series(rows, window)] == ends


@settings(deadline=None)
@given(
    seconds=st.integers(946_684_800, 4_102_444_799),
    zone=st.sampled_from([name for name, _, _ in CHANGE_ZONES] + ["Asia/Kolkata", "UTC", "America/New_York"]),
    form=st.sampled_from([form for form in FORMS if form != "naive UTC"]),
)
def test_every_instant_of_the_century_comes_back_from_every_form(seconds, zone, form):
    instant = datetime.fromtimestamp(seconds, UTC)
    assert answers.parse_instant(FORMS[form](instant.astimezone(ZoneInfo(zone)))) == instant


@settings(deadline=None)
@given(milliseconds=st.integers(946_684_800_000, 4_102_444_799_999))
def test_milliseconds_are_exact(milliseconds):
    parsed = answers.parse_instant({"$date": milliseconds})
    since = parsed - datetime(1970, 1, 1, tzinfo=UTC)
    assert since // timedelta(milliseconds=1) == milliseconds
    assert since % timedelta(milliseconds=1) == timedelta(0)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["id", "_id", "$oid", "timestamp", "$date", "total", "value", "address", "prim_ad", "x"]),
        inner,
        max_size=4,
    ),
    max_leaves=8,
)  # fmt: skip


@settings(deadline=None)
@given(payload=JSON)
def test_any_json_is_parsed_or_refused_by_name(payload):
    """Any other error than UnexpectedPayloadError stops a whole run for one odd answer."""
    for parse in [*PARSERS.values(), answers.parse_token, lambda given: answers.parse_site(given, "s")]:
        try:
            parse(payload)
        except UnexpectedPayloadError as error:
            assert "\n" not in str(error)  # noqa: PT017 - both outcomes are right
            assert len(str(error)) < 900  # noqa: PT017


# --- values -----------------------------------------------------------------------------------------------------


def test_the_apis_words_become_the_fields_words():
    (meter,) = answers.parse_meter_series([{"timestamp": 0, "total": 3, "self": 1, "ext": 2}])
    assert (meter.total, meter.solar, meter.grid) == (3.0, 1.0, 2.0)
    row = {
        "timestamp": 0,
        "conso_total": 1,
        "prod_total": 2,
        "from_ext": 3,
        "self": 4,
        "to_ext": 5,
        "storage_charging_total": 6,
        "storage_discharging_total": 7,
    }
    (site,) = answers.parse_site_series([row])
    assert (site.consumption, site.production, site.grid_import, site.self_consumption) == (1, 2, 3, 4)
    assert (site.grid_export, site.storage_charge, site.storage_discharge, site.extra) == (5, 6, 7, {})
    (raw,) = answers.parse_raw_readings([{"timestamp": 0, "en_im": 1, "en_ex": 2, "heat_energy_kwh": 3, "vol_m3": 4}])
    assert (raw.index_import_kwh, raw.index_export_kwh, raw.heat_kwh, raw.volume_m3) == (1, 2, 3, 4)
    (reading,) = answers.parse_sensor_readings([{"timestamp": 0, "value": -3}])
    assert reading.reading == -3.0


def test_a_production_meter_without_split_has_none_for_it():
    """0 would say that no energy was solar."""
    (row,) = answers.parse_meter_series([{"timestamp": 0, "total": 3}])
    assert (row.total, row.solar, row.grid, row.extra) == (3.0, None, None, {})


@settings(deadline=None)
@given(value=st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53))
def test_every_finite_number_is_kept_as_it_is(value):
    """Small negative values are real: never clipped, never dropped."""
    for parse, name in SERIES.values():
        (row,) = parse([{"timestamp": 0, name: value}])
        kept = [
            getattr(row, field)
            for field in row.__dataclass_fields__
            if field not in {"stamp_utc", "extra", "not_numbers"}
        ]
        assert [number for number in kept if number is not None] == [float(value)]


@pytest.mark.parametrize(
    "value", ["1.5", "", "n/a", True, False, [], {}, [1], {"value": 1}, 10**400], ids=lambda v: repr(v)[:20]
)
@each_series
def test_what_is_no_number_survives_in_extra_and_is_never_zero(parse, name, value):
    (row,) = parse([{"timestamp": 0, name: value}])
    assert row.extra == {name: value}
    assert row.not_numbers == (name,)
    assert type(row.extra[name]) is type(value)
    kept = [
        getattr(row, field) for field in row.__dataclass_fields__ if field not in {"stamp_utc", "extra", "not_numbers"}
    ]
    assert kept == [None] * len(kept)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999"])
@each_series
def test_a_number_that_is_not_finite_survives_as_text(parse, name, text):
    """A sum with one NaN is NaN; and NaN in ``extra`` is no JSON."""
    (row,) = parse(json.loads(f'[{{"timestamp": 0, "{name}": {text}}}]'))
    assert row.extra[name] in {"nan", "inf", "-inf"}
    assert json.loads(json.dumps(row.extra, allow_nan=False)) == row.extra
    kept = [
        getattr(row, field) for field in row.__dataclass_fields__ if field not in {"stamp_utc", "extra", "not_numbers"}
    ]
    assert kept == [None] * len(kept)


@each_series
def test_null_is_none_and_no_odd_thing(parse, name):
    (row,) = parse([{"timestamp": 0, name: None}])
    assert row.extra == {}


@each_series
def test_unknown_fields_survive(parse, name):
    unknown = {"quality": "estimated", "flags": [1, {"a": None}], "cost": 0}
    (row,) = parse([{"timestamp": 0, name: 1, **unknown}])
    assert row.extra == unknown
    assert row.not_numbers == ()


def test_wide_columns_of_site_answers_are_known_fields():
    """They repeat the meters' own series: kept in ``extra``, they would multiply the lake by the count of meters."""
    row = {"timestamp": 0, "conso_total": 2, f"total_{OBJECT_ID}": 2, f"self_{OBJECT_ID}": 1, f"ext_{OBJECT_ID}": 1}
    (site,) = answers.parse_site_series([row])
    assert (site.consumption, site.extra) == (2, {})
    (meter,) = answers.parse_meter_series([{"timestamp": 0, "total": 2, "total_other": 1}])
    assert meter.extra == {"total_other": 1}


@each_series
def test_rows_keep_their_order_and_their_repetitions(parse, name):
    """Which of two rows counts is decided where the window is known, not here."""
    rows = parse([{"timestamp": stamp, name: value} for stamp, value in ((1800, 1), (900, 2), (1800, 3))])
    assert [row.stamp_utc.timestamp() for row in rows] == [1800, 900, 1800]


@each_series
def test_an_empty_answer_is_no_rows(parse, name):
    assert parse([], DAY) == []


# --- bad shapes -------------------------------------------------------------------------------------------------

SECRET = "eyJhbGciOiJIUzI1NiJ9.c2VjcmV0LXBheWxvYWQ.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    "payload",
    [
        None,
        1,
        SECRET,
        {"error": SECRET},
        {"data": [{"timestamp": 0}]},
        [SECRET * 4],
        [[SECRET]],
        [None],
        [{"id": {"token": SECRET}, "timestamp": {"token": SECRET}}],
        [{"id": [SECRET], "timestamp": [SECRET]}],
        [{"id": f"Bearer {SECRET}", "timestamp": f"Bearer {SECRET}"}],
        [{SECRET: 1}],
    ],
    ids=lambda payload: repr(payload)[:30],
)
@pytest.mark.parametrize(
    "parse", [*(parse for parse, _ in SERIES.values()), *LISTINGS.values()], ids=[*SERIES, *LISTINGS]
)
def test_another_shape_is_refused_without_repeating_it(parse, payload):
    """Messages reach logs and run pages; an answer may echo a token or a tenant's name."""
    with pytest.raises(UnexpectedPayloadError) as raised:
        parse(payload)
    assert SECRET not in str(raised.value)
    assert SECRET[:41] not in str(raised.value)


@pytest.mark.parametrize("payload", [None, [], "x", [{"name": SECRET}]])
def test_a_site_of_another_shape_is_refused(payload):
    with pytest.raises(UnexpectedPayloadError, match="expected an object") as raised:
        answers.parse_site(payload, "s")
    assert SECRET not in str(raised.value)


# --- the log-in -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "until",
    [{"$date": STAMP_SECONDS * 1000}, {"$date": "2026-03-22T04:30:00Z"}, "2026-03-22T04:30:00", STAMP_SECONDS],
    ids=str,
)
def test_a_token_ends_when_it_says(until):
    token = answers.parse_token({"access_token": SECRET, "valid_until": until, "more": 1})
    assert (token.text, token.valid_until_utc) == (SECRET, STAMP)
    assert SECRET not in repr(token)


@pytest.mark.parametrize(
    "payload",
    [
        None,
        [SECRET],
        {"token": SECRET},
        {"access_token": None},
        {"access_token": ""},
        {"access_token": 5},
        {"access_token": f"{SECRET}\r\nX: y", "valid_until": 0},
        {"access_token": f"{SECRET} ", "valid_until": 0},
        {"access_token": f"{SECRET}é", "valid_until": 0},
        {"access_token": f"{SECRET}\ud800", "valid_until": 0},
        {"access_token": SECRET},
        {"access_token": SECRET, "valid_until": SECRET},
        {"access_token": SECRET, "valid_until": {"$date": 10**30}},
    ],
    ids=lambda payload: ascii(payload)[:40],
)
def test_a_log_in_of_another_shape_is_refused_without_showing_it(payload):
    """A token that fits no header came back, whole, in the HTTP library's error."""
    with pytest.raises(UnexpectedPayloadError, match="auth") as raised:
        answers.parse_token(payload)
    assert SECRET not in str(raised.value)
    assert raised.value.__cause__ is None
    assert SECRET not in repr(raised.value.__context__)
