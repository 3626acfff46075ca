"""The user's own files: what is accepted, and what is said about every mistake."""

from __future__ import annotations

import shutil
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from climkit_pipeline.errors import ConfigurationError
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.lake.schemas import METERS, SITES
from climkit_pipeline.user_files.checks import known_checks
from climkit_pipeline.user_files.config_folder import append_decision, decision, read_texts, read_user_inputs
from climkit_pipeline.user_files.tables import input_tables
from climkit_pipeline.warehouse.decision_effects import doubtful_lines, without_effect

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples" / "config"
CHECK = "missing_intervals"
MORNING, NOON = (datetime(2026, 3, 1, hour, tzinfo=UTC) for hour in (8, 12))
DECISIONS_HEADER = "check,site_id,meter_id,from,to,action,who,why"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    (tmp_path / "config").mkdir()
    return Layout(tmp_path)


def problems(layout: Layout) -> list[str]:
    with pytest.raises(ConfigurationError) as refused:
        read_user_inputs(layout)
    assert refused.value.exit_status == 2
    return str(refused.value).splitlines()


def write(layout: Layout, name: str, *lines: str) -> None:
    (layout.config / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


def named_lines(layout: Layout) -> list[str]:
    """The lines without effect, as long as nothing is published."""
    return without_effect(read_user_inputs(layout), layout.warehouse)


def tables(layout: Layout):
    return input_tables(read_user_inputs(layout), layout, "Europe/Zurich")


def test_no_files_are_no_inputs(tmp_path):
    found = input_tables(read_user_inputs(Layout(tmp_path)), Layout(tmp_path), "UTC")
    assert (found.meter_facts.height, found.decisions.height, found.tolerances.height) == (0, 0, 0)


def test_the_shipped_examples_are_accepted(layout):
    for path in EXAMPLES.glob("*.csv"):
        shutil.copy(path, layout.config)
    found = tables(layout)
    assert (found.meter_facts.height, found.decisions.height, found.tolerances.height) == (6, 3, 1)
    assert named_lines(layout) == []


def test_a_line_becomes_a_row_with_its_defaults(layout):
    write(
        layout,
        "meters.csv",
        "meter_id,site_id,replaced_at,resolution,is_billed",
        "0042,z1,2026-10-25T02:30:00+01:00,0.010,TRUE",
    )
    [row] = tables(layout).meter_facts.to_dicts()
    assert {name: value for name, value in row.items() if value is not None} == {
        "site_id": "z1",
        "meter_id": "0042",
        "valid_from": date(1900, 1, 1),
        "valid_until": date(9999, 12, 31),
        "replaced_at_utc": datetime(2026, 10, 25, 1, 30, tzinfo=UTC),
        "resolution": Decimal("0.010000"),
        "is_billed": True,
    }


def test_a_replacement_by_date_is_at_the_sites_own_midnight(layout):
    """By the machine's midnight, or UTC's, a reading of the old device fell behind the cut."""
    folder = layout.day("sites", date(2026, 3, 1))
    folder.mkdir(parents=True)
    pl.DataFrame(
        [
            {"site_id": "k1", "timezone": "Europe/Lisbon", "fetched_at_utc": NOON},
            {"site_id": "k1", "timezone": "Asia/Kathmandu", "fetched_at_utc": MORNING},
        ],
        schema=SITES.schema,
    ).write_parquet(folder / "data.parquet")
    write(layout, "meters.csv", "site_id,meter_id,replaced_at", "k1,a,2026-06-10", "elsewhere,a,2026-06-10")
    assert tables(layout).meter_facts["replaced_at_utc"].to_list() == [
        datetime(2026, 6, 9, 18, 15, tzinfo=UTC),
        datetime(2026, 6, 9, 22, 0, tzinfo=UTC),  # the default zone, Zurich
    ]


@pytest.mark.parametrize(
    ("column", "cell", "words"),
    [
        ("valid_from", "31.02.2026", "a local date such as 2026-10-31 or 31.10.2026"),
        ("valid_from", "05/01/2026", "a local date such as 2026-10-31 or 31.10.2026"),
        ("valid_from", "20260501", "a local date such as 2026-10-31"),
        ("valid_from", "2026-02-30", "a local date such as 2026-10-31"),
        # Such years, and such a thousand, were taken as they stand.
        ("valid_from", "0026-05-01", "from 1900 on"),
        ("in_service_until", "1899-12-31", "from 1900 on"),
        ("replaced_at", "0026-10-25", "from 1900 on"),
        ("replaced_at", "0026-10-25T02:30+01:00", "from 1900 on"),
        ("replaced_at", "0001-01-01T00:00+14:00", "from 1900 on"),
        ("replaced_at", "9999-12-31T23:59-12:00", "from 1900 on"),
        ("resolution", "1_000", "one step of the index"),
        ("interval_minutes", "1_5", "a whole number from 1 to 1440"),
        ("register_map", "both", "swapped, or the register"),
        ("resolution", "0", "one step of the index"),
        ("resolution", "0.0000001", "one step of the index"),
        ("resolution", "nan", "one step of the index"),
        ("replaced_at", "2026-10-25T02:30", "with its offset"),
        ("replaced_at", "soon", "with its offset"),
        ("is_billed", "1", "true or false"),
        ("is_billed", "ja", "true or false"),
        ("interval_minutes", "0", "a whole number from 1 to 1440"),
        ("interval_minutes", "15.5", "a whole number from 1 to 1440"),
    ],
)
def test_a_wrong_cell_is_named_with_what_is_accepted(layout, column, cell, words):
    write(layout, "meters.csv", "# a comment", f"site_id,meter_id,{column}", "", f"z1,flat,{cell}")
    [line] = problems(layout)
    assert line.startswith(f"meters.csv, line 4, column {column}: {cell!r}; accepted: ")
    assert words in line


def test_all_mistakes_of_all_files_are_listed(layout):
    write(layout, "meters.csv", "site_id,meter_id,valid_from,is_billed", ",flat,yesterday,perhaps", "z1,,,")
    write(layout, "decisions.csv", DECISIONS_HEADER, f"{CHECK},z1,,2026-10-02,2026-10-01,accept,A,because")
    assert [line.partition(";")[0] for line in problems(layout)] == [
        "meters.csv, line 2, column site_id: is empty",
        "meters.csv, line 2, column valid_from: 'yesterday'",
        "meters.csv, line 2, column is_billed: 'perhaps'",
        "meters.csv, line 3, column meter_id: is empty",
        "decisions.csv, line 2: to 2026-10-01 is before from 2026-10-02",
    ]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (
            ["site_id,meter_id,colour", "z1,flat,red"],
            "line 1: there is no column 'colour'; accepted: site_id, meter_id",
        ),
        (["site_id,valid_from", "z1,2026-01-01"], "line 1: column meter_id is missing"),
        (["site_id,meter_id,site_id", "z1,flat,z1"], "line 1: column site_id is there 2 times"),
        (["site_id,meter_id,note", "z1,flat,one, two"], "line 2: 4 cells under 3 columns"),
        (["site_id,meter_id,note", 'z1,flat,"never closed'], "line 2: unexpected end of data; accepted: CSV"),
        # The line after an open quote vanished in the cell, if that line ended in a quote.
        (
            ["# why", "site_id,meter_id,note", 'z1,flat,"open', 'z1,roof,closed"', "z1,grid,"],
            "line 3: a cell in quotes goes on until line 4; accepted: CSV, each row on one line",
        ),
        (["site_id,meter_id,note", 'z1,flat,"two', '# lines"'], "line 2: unexpected end of data"),
        (["site_id,meter_id,valid_from,valid_until", "z1,flat,2026-02-01,2026-01-31"], "is before valid_from"),
        (
            ["site_id,meter_id,valid_until,replaced_at", "z1,flat,2026-02-01,2026-03-01"],
            "replaced_at 2026-03-01 is not within",
        ),
    ],
)
def test_a_wrong_shape_is_named(layout, lines, words):
    write(layout, "meters.csv", *lines)
    [line] = problems(layout)
    assert line.startswith("meters.csv")
    assert words in line


def test_what_excel_saved_is_read_with_a_note(layout):
    """Plain CSV of Excel is Windows-1252: an umlaut in it stopped every command."""
    text = "site_id;meter_id;valid_from;note\r\nz1;a;17.10.2026;ok\r\nz1;b;17.10.2026;Zähler\r\n"
    (layout.config / "meters.csv").write_bytes(text.encode("cp1252"))
    inputs = read_user_inputs(layout)
    assert [(entry.content.note, entry.content.valid_from) for entry in inputs.meter_facts] == [
        ("ok", date(2026, 10, 17)), ("Zähler", date(2026, 10, 17)),
    ]  # fmt: skip
    (note,) = inputs.notes
    assert note.startswith("meters.csv is read as Windows-1252 (cp1252), by line 3: ")
    assert note in doubtful_lines(inputs, layout.warehouse)
    assert read_texts(layout) == {"meters.csv": text}


def test_a_decision_added_to_what_excel_saved_leaves_its_accents(layout):
    path = layout.config / "decisions.csv"
    path.write_bytes(f"{DECISIONS_HEADER}\nfailed,z1,,2026-10-01,2026-10-02,exclude,Zoë,gehört Zoë\n".encode("cp1252"))
    (known,) = read_user_inputs(layout).decisions
    append_decision(layout, known.content)
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    assert [entry.content.decided_by for entry in read_user_inputs(layout).decisions] == ["Zoë", "Zoë"]


@pytest.mark.parametrize("raw", ["site_id,meter_id\nz1,a\n".encode("utf-16"), b"site_id,meter_id\nz1,\x81\n"])
def test_text_that_is_neither_is_named_by_line(layout, raw):
    (layout.config / "meters.csv").write_bytes(raw)
    (problem,) = problems(layout)
    assert "neither UTF-8 nor Windows-1252 text; accepted: CSV in UTF-8" in problem


def listed(layout: Layout, on: date, sites: dict[str, str], meters: dict[tuple[str, str], str]) -> None:
    """Lists of a day: names of sites by id, and of meters by site and id."""
    at = datetime(on.year, on.month, on.day, 12, tzinfo=UTC)
    listed_sites = [{"site_id": each, "site_name": name, "fetched_at_utc": at} for each, name in sites.items()]
    listed_meters = [
        {"site_id": site, "meter_id": each, "meter_name": name, "fetched_at_utc": at}
        for (site, each), name in meters.items()
    ]
    for dataset, of_day in ((SITES, listed_sites), (METERS, listed_meters)):
        folder = layout.day(dataset.name, on)
        folder.mkdir(parents=True)
        pl.DataFrame(of_day, schema=dataset.schema).write_parquet(folder / "data.parquet")


@pytest.fixture
def named(layout) -> Layout:
    """Two sites of one name, a site of its own, and a meter that was renamed."""
    listed(layout, date(2026, 3, 1), {"z1": "Lac 13"}, {("z1", "a"): "Old", ("z1", "b"): "Flat 2"})
    listed(
        layout,
        date(2026, 4, 1),
        {"z1": "Lac 13", "z2": "Poço", "z3": "Poço"},
        {("z1", "a"): "Flat 1", ("z1", "b"): "Flat 2", ("z1", "c"): "Flat 2", ("z2", "a"): "Flat 1"},
    )
    return layout


def test_sites_and_meters_are_called_by_names_that_are_theirs_alone(named):
    write(named, "meters.csv", "site_id;meter_id;name;is_billed", "Lac 13;Flat 1;Attic;", "z1;b;;false", "z2;Flat 1;;")
    write(named, "decisions.csv", DECISIONS_HEADER, "failed,Lac 13,Attic,1.10.2026,31.10.2026,exclude,Ada,why",
          "failed,Lac 13,,1.10.2026,31.10.2026,exclude,Ada,why")  # fmt: skip
    write(named, "set_aside.csv", "site_id,meter_id,from,to,who,why", "Lac 13,Flat 1,2026-10-01,2026-10-02,Ada,why")
    inputs = read_user_inputs(named)
    found = [[(each.content.site_id, each.content.meter_id) for each in lines]
             for lines in (inputs.meter_facts, inputs.decisions, inputs.set_aside)]  # fmt: skip
    assert found == [[("z1", "a"), ("z1", "b"), ("z2", "a")], [("z1", "a"), ("z1", None)], [("z1", "a")]]


def test_a_name_that_several_bear_is_refused_with_the_candidates(named):
    write(named, "meters.csv", "site_id,meter_id", "Poço,a", "z1,Flat 2", "nowhere,Flat 2")
    write(named, "occupancies.csv", "site,billing_point,occupant", "Poço,a,Ada")
    assert problems(named) == [
        "meters.csv, line 2, column site_id: 2 sites are called 'Poço'; name one by its id: z2, z3",
        "meters.csv, line 3, column meter_id: 2 meters of site 'z1' are called 'Flat 2'; name one by its id: b, c",
        "occupancies.csv, line 2, column site: 2 sites are called 'Poço'; name one by its id: z2, z3",
    ]


def test_a_line_by_name_and_one_by_id_contradict_each_other(named):
    write(named, "meters.csv", "site_id,meter_id", "Lac 13,Flat 1", "z1,a")
    (problem,) = problems(named)
    assert "meter 'a' of site 'z1' is described by line 2, too" in problem


def test_two_lines_about_one_meter_must_not_overlap(layout):
    header = "site_id,meter_id,valid_from,valid_until"
    write(layout, "meters.csv", header, "z1,a,2026-02-01,", "z1,b,,", "z1,a,,2026-01-31", "z2,a,,")
    assert tables(layout).meter_facts.height == 4
    write(layout, "meters.csv", header, "z1,a,2026-01-31,", "z1,b,,", "z1,a,,2026-01-31")
    [line] = problems(layout)
    assert line.startswith("meters.csv, line 2, column valid_from: meter 'a' of site 'z1' is described by line 4, too")


SERVICE_HEADER = "site_id,meter_id,valid_from,valid_until,in_service_from,in_service_until"


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (
            ("z1,a,2026-10-11,,2026-10-05,", "z1,a,,2026-10-10,,2026-10-10"),
            "line 2, column in_service_from: 2026-10-05 is before 2026-10-10, until which meter 'a' of site 'z1' is in "
            "service by line 3",
        ),
        (
            ("z1,a,,2026-10-10,2026-01-01,2026-10-10", "z1,a,2026-10-11,,2026-10-09,2026-12-31"),
            "line 3, column in_service_from: 2026-10-09 is before 2026-10-10, until which meter 'a' of site 'z1' is in "
            "service by line 2",
        ),
        # On the same day, or after it; another meter; the same beginning once more; dates that wait for their lines.
        (("z1,a,,2026-10-10,,2026-10-10", "z1,a,2026-10-11,,2026-10-10,"), None),
        (("z1,a,,2026-10-10,,2026-10-10", "z1,b,2026-10-11,,2026-10-05,"), None),
        (("z1,a,,2026-10-10,2026-10-05,2026-10-10", "z1,a,2026-10-11,,2026-10-05,2026-10-10"), None),
        (("z1,a,,2026-10-10,2026-10-05,", "z1,a,2026-10-11,,,2026-10-20"), None),
    ],
)
def test_a_meter_does_not_begin_while_it_is_in_service(layout, lines, words):
    """Until the 10th by one line, from the 5th by the next: it was in service from the 5th to the 10th alone."""
    write(layout, "meters.csv", SERVICE_HEADER, *lines)
    if words is None:
        assert tables(layout).meter_facts.height == len(lines)
    else:
        assert problems(layout) == [f"meters.csv, {words}; accepted: that day, or a later one"]


def test_a_separator_too_many_in_the_header_is_told(layout):
    """It read `there is no column ''`."""
    write(layout, "meters.csv", "site_id,meter_id,note,", "z1,a,,")
    [line] = problems(layout)
    assert line.startswith(
        "meters.csv, line 1: cell 4 of the header is empty: a separator too many; accepted: site_id,"
    )


def test_what_a_spreadsheet_writes_is_read(layout):
    """Semicolons, a byte-order mark and Windows line ends: what Excel saves in Switzerland."""
    text = "site_id;meter_id;note\r\nz1;flat;one, two\r\n"
    (layout.config / "meters.csv").write_bytes(text.encode("utf-8-sig"))
    assert tables(layout).meter_facts.select("site_id", "note").rows() == [("z1", "one, two")]


def test_only_a_line_that_begins_with_its_sign_is_a_comment(layout):
    write(
        layout, "meters.csv", '# "a comment', "site_id,meter_id,note", 'z1,flat,"#4711, paid twice"', '#,"old',
        "z1,roof,",
    )  # fmt: skip
    assert tables(layout).meter_facts.select("meter_id", "note").rows() == [
        ("flat", "#4711, paid twice"),
        ("roof", None),
    ]


def test_a_tolerance_does_not_accept_what_nobody_can_accept(layout):
    """A tolerance of three days that were never asked for made months ready that lacked them."""
    fixed = ["not_fetched", "running", "too_young", "pending", "failed", "changed_after_closing"]
    write(layout, "tolerances.csv", "# why", "check,tolerance,why", *(f"{name},3,hurry" for name in fixed))
    lines = problems(layout)
    assert [line.partition(" has no other tolerance")[0] for line in lines] == [
        f"tolerances.csv, line {number}, column check: {name}" for number, name in enumerate(fixed, 3)
    ]
    assert all("for nobody can accept it: more data, time or a settlement mends it" in line for line in lines)
    write(layout, "tolerances.csv", "check,tolerance,why", *(
        f"{name},3,known" for name in ("estimated", "far_from_last_year", "missing_intervals", "not_confirmed")
    ))  # fmt: skip
    assert tables(layout).tolerances.height == 4


def test_the_digest_follows_what_is_said_and_not_how(layout):
    write(layout, "meters.csv", "site_id,meter_id,note", "z1,a,x", "z1,b,y")
    first = tables(layout).digest
    write(layout, "meters.csv", "# new comment", "meter_id,note,site_id", "b,y,z1", "a,x,z1")
    assert tables(layout).digest == first
    write(layout, "meters.csv", "site_id,meter_id,note", "z1,a,x", "z1,b,z")
    assert tables(layout).digest != first


def a_decision(**changes):
    cells = {
        "check": CHECK, "site_id": "z1", "meter_id": None, "from": "2026-10-01", "to": "2026-10-31",
        "action": "accept", "who": "A. Clerk", "why": 'he said "yes", twice',
    }  # fmt: skip
    return decision(cells | changes)


def test_accepting_keeps_what_is_there(layout):
    """A rewrite from parsed rows would lose comments, the order of columns and the last line without its end."""
    header = "why,who,action,to,from,meter_id,site_id,check"
    before = f"# ours\n{header}\n# old\ndone,B,exclude,2026-01-31,2026-01-01,m,z1,{CHECK}"
    path = layout.config / "decisions.csv"
    path.write_text(before)
    append_decision(layout, a_decision())
    assert path.read_text() == f'{before}\n"he said ""yes"", twice",A. Clerk,accept,2026-10-31,2026-10-01,,z1,{CHECK}\n'
    assert tables(layout).decisions.rows() == [
        (CHECK, "z1", "m", date(2026, 1, 1), date(2026, 1, 31), "exclude", "B", "done"),
        (CHECK, "z1", None, date(2026, 10, 1), date(2026, 10, 31), "accept", "A. Clerk", 'he said "yes", twice'),
    ]


def test_accepting_keeps_separators_and_line_ends(layout):
    path = layout.config / "decisions.csv"
    path.write_bytes(f"{DECISIONS_HEADER.replace(',', ';')}\r\n".encode("utf-8-sig"))
    append_decision(layout, a_decision(why="one; two"))
    assert path.read_bytes().endswith(b'accept;A. Clerk;"one; two"\r\n')
    assert tables(layout).decisions["reason"].to_list() == ["one; two"]


@pytest.mark.parametrize("why", ["# not a comment", "two\nlines", "a 'quote'", "ends with \\"])
def test_any_reason_comes_back_as_it_was_meant(layout, why):
    path = layout.config / "decisions.csv"
    path.write_text("why,who,action,to,from,meter_id,site_id,check\n")
    append_decision(layout, a_decision(why=why))
    append_decision(layout, a_decision())
    assert tables(layout).decisions["reason"].to_list()[0] == " ".join(why.split())
    assert tables(layout).decisions.height == 2


def test_the_first_decision_makes_the_file(tmp_path):
    layout = Layout(tmp_path)
    path = append_decision(layout, a_decision())
    assert path.read_text().splitlines()[0] == DECISIONS_HEADER
    assert list(layout.config.iterdir()) == [path]


def test_a_wrong_decision_leaves_the_file_alone(layout):
    with pytest.raises(ConfigurationError, match="column from: 'May'; accepted: a local date"):
        a_decision(**{"from": "May"})
    write(layout, "decisions.csv", DECISIONS_HEADER, "broken")
    before = (layout.config / "decisions.csv").read_bytes()
    with pytest.raises(ConfigurationError, match=r"decisions\.csv, line 2"):
        append_decision(layout, a_decision())
    assert (layout.config / "decisions.csv").read_bytes() == before


def test_a_decision_about_one_meter_is_never_written_without_its_meter(layout):
    """A file without a column for meters is valid; there, the decision became one about every meter of the site."""
    path = layout.config / "decisions.csv"
    path.write_text(f"check,site_id,from,to,action,who,why\n{CHECK},z1,2026-01-01,2026-01-31,accept,B,done\n")
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match=r"decisions\.csv has no column meter_id: add it to the header"):
        append_decision(layout, a_decision(meter_id="flat"))
    assert path.read_bytes() == before
    append_decision(layout, a_decision())
    assert tables(layout).decisions["meter_id"].to_list() == [None, None]


def test_what_nobody_can_accept_is_refused():
    """`climkit accept` said "added" about checks that no decision has ever moved."""
    never = {name for name, check in known_checks().items() if check.accepted_for == "never"}
    assert {"running", "too_young", "not_fetched", "pending", "failed", "estimated"} <= never
    for name in never:
        with pytest.raises(ConfigurationError, match=f"^{name} cannot be accepted: .* exclude takes the meter off"):
            a_decision(check=name)
        assert a_decision(check=name, action="exclude").action == "exclude"
    assert {check.accepted_for for check in known_checks().values()} == {"days", "months", "never"}


@pytest.mark.parametrize(
    ("check", "first", "last", "parts"),
    [
        ("index_difference", "2026-10-01", "2026-10-31", None),
        ("index_difference", "2026-02-01", "2026-03-31", None),
        ("index_difference", "2026-10-01", "2026-10-30", "2026-10"),
        ("index_difference", "2026-10-02", "2026-10-31", "2026-10"),
        ("index_difference", "2026-08-02", "2026-10-30", "2026-08 and 2026-10"),
        ("index_difference", "2024-02-01", "2024-02-28", "2024-02"),
        ("missing_intervals", "2026-10-02", "2026-10-02", None),
    ],
)
def test_a_check_of_months_is_not_accepted_for_a_part_of_one(layout, check, first, last, parts):
    """Such lines stood in the file, and the month stayed blocked without a word."""
    span = {"from": first, "to": last}
    write(
        layout, "decisions.csv", DECISIONS_HEADER, f"{check},z1,,{first},{last},accept,A,w",
        f"{check},z1,,{first},{last},exclude,A,w",
    )  # fmt: skip
    expected = f"{check} is judged by whole months, and {parts} is not wholly within {first} to"
    found = named_lines(layout)
    assert [line.startswith(f"decisions.csv, line 2: {expected}") for line in found] == ([True] if parts else [])
    assert a_decision(check=check, action="exclude", **span).action == "exclude"
    if parts is None:
        assert a_decision(check=check, **span).action == "accept"
    else:
        with pytest.raises(ConfigurationError, match=f"^{expected}.*; for a billing_between of these days, write"):
            a_decision(check=check, **span)


def test_a_line_that_accepts_nothing_is_named_and_stops_nothing(layout):
    """Lines written before such decisions were refused: every refresh would have failed over them."""
    write(layout, "decisions.csv", DECISIONS_HEADER, "too_young,z1,,2026-10-01,2026-10-31,accept,A,hurry")
    (line,) = named_lines(layout)
    assert line.startswith("decisions.csv, line 2: too_young cannot be accepted")


def test_an_unknown_check_is_answered_with_what_may_be_meant(layout):
    """Forty-nine names were printed, a third of which nobody can accept."""
    with pytest.raises(ConfigurationError) as refused:
        a_decision(check="mising_intervals")
    assert "; did you mean missing_intervals" in str(refused.value)
    assert "accepted" not in str(refused.value)
    write(layout, "decisions.csv", DECISIONS_HEADER, "xyz,z1,,2026-10-01,2026-10-31,accept,A,w")
    write(layout, "tolerances.csv", "check,tolerance,why", "xyz,1,w")
    for line, offers_warnings in zip(problems(layout), (False, True), strict=True):
        offered = set(line.partition("there is no check 'xyz'; accepted: ")[2].split(", "))
        assert offered == {
            name for name, check in known_checks().items()
            if check.accepted_for != "never" or (offers_warnings and check.severity == "warns")
        }  # fmt: skip


def test_a_date_may_be_written_as_a_spreadsheet_in_switzerland_does(layout):
    write(layout, "occupancies.csv", "site;billing_point;occupant;from;until", "z1;Flat;Ada;1.2.2026;31.12.2026")
    (entry,) = read_user_inputs(layout).occupancies
    assert (entry.content.first_day, entry.content.last_day) == (date(2026, 2, 1), date(2026, 12, 31))


def test_a_billing_point_has_one_occupant_a_day(layout):
    write(
        layout, "occupancies.csv", "site,billing_point,occupant,from,until", "z1,Flat,Ada,,2026-10-14",
        "z1,Flat,Bob,2026-10-14,", "z1,Shop,Bob,2026-10-01,",
    )  # fmt: skip
    assert problems(layout) == [
        "occupancies.csv, line 3, column from: 'Flat' of 'z1' is 'Ada''s by line 2 until 2026-10-14; accepted: "
        "stretches that do not overlap"
    ]
